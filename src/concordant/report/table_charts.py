"""Attributions of table rows drawn: how much each column matters, in which rows, and how one row comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.statistics import estimate_mean
from concordant.report.bars import Axis, Bar
from concordant.report.figures import UNKNOWN, decimals, number
from concordant.report.sanitize import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_COLUMNS = 12
MAX_DOTS = 300
MAX_STEPS = 6
SHADES = 5
SWARM = (400, 40)
"""Width and height of a swarm."""
DOT = 3.0


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column of the table.

    Attributes
    ----------
    name
        Of the column.
    value, interval
        Mean magnitude of its attributions over rows, as text.
    bar
        The same, drawn.
    dots
        Rows by their attribution: pairs of the shade, 0 for the lowest values of the column and 4 for the highest, and
        an SVG path that has a point a row.
    """

    name: str
    value: str
    interval: str
    bar: Bar
    dots: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that matter most to a method.

    Attributes
    ----------
    rows
        The columns, the one with the greatest mean magnitude first.
    n_hidden
        Columns that are left out.
    ends
        What the ends of the bars stand for.
    low, high
        What the ends of the swarms stand for.
    zero
        Where 0 lies in a swarm, of its width; None where it is at an end.
    """

    rows: list[ColumnRow]
    n_hidden: int
    ends: tuple[str, str]
    low: str
    high: str
    zero: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A column's part in a row.

    Attributes
    ----------
    label
        The column and its value.
    value
        The attribution, as text.
    kind
        "for" the class, "against" it, or "rest" for all other columns together.
    start, width
        Of the bar, in percent.
    """

    label: str
    value: str
    kind: str
    start: float
    width: float


def column_rows(x: NDArray[Any], attribution: NDArray[Any], names: Sequence[str]) -> Columns:
    """Lay out the columns that matter most.

    Parameters
    ----------
    x
        Values, shape ``(n, columns)``.
    attribution
        Of the same shape.
    names
        Of the columns.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> found = column_rows(x, np.array([[0.0, 2.0], [0.0, 4.0]]), ("a", "b"))
    >>> [(row.name, row.value) for row in found.rows], found.high
    ([('b', '3.0'), ('a', '0.00')], '4.00')
    """
    attribution = np.asarray(attribution, np.float64)
    size = np.abs(attribution)
    order = np.argsort(-size.mean(0), kind="stable")[:MAX_COLUMNS].tolist()
    found = [estimate_mean(size[:, column]) for column in order]
    finite = [end for e in found for end in (e.value, e.high) if np.isfinite(end)]
    axis = Axis(0.0, max(finite, default=0.0))
    shown = attribution[:, order]
    low, high = min(0.0, float(shown.min(initial=0.0))), max(0.0, float(shown.max(initial=0.0)))
    rows = [
        ColumnRow(
            brief(names[column], 60),
            number(e.value, decimals(e.low, e.high)),
            UNKNOWN
            if not np.isfinite(e.low)
            else f"{number(max(0.0, e.low), decimals(e.low, e.high))} to {number(e.high, decimals(e.low, e.high))}",
            Bar(axis.at(e.value), axis.at(_or(e.low, e.value)), axis.at(_or(e.high, e.value)), "same"),
            swarm(attribution[:, column], np.asarray(x)[:, column], low, high),
        )
        for column, e in zip(order, found, strict=True)
    ]
    places = decimals(low, high)
    zero = round(SWARM[0] * -low / (high - low), 1) if low < 0 < high else None
    ends = (number(low, places), number(high, places))
    return Columns(rows, attribution.shape[1] - len(order), axis.ends, *ends, zero)


def swarm(attribution: NDArray[Any], values: NDArray[Any], low: float, high: float) -> list[tuple[int, str]]:
    """Return points by attribution, moved apart where many are alike, by the shade of the value of the column.

    Parameters
    ----------
    attribution, values
        Of one column, shape ``(n,)``; of more than 300 rows every so many are drawn.
    low, high
        What the ends stand for.

    Examples
    --------
    >>> swarm(np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0]), 0.0, 1.0)
    [(0, 'M0 20h0'), (2, 'M400 20h0'), (4, 'M400 23h0')]
    """
    kept = np.unique(np.linspace(0, len(attribution) - 1, min(len(attribution), MAX_DOTS)).astype(int))
    at, value = np.asarray(attribution, np.float64)[kept], np.asarray(values, np.float64)[kept]
    span = high - low
    across = np.zeros(len(at)) if span <= 0 else (at - low) / span * SWARM[0]
    heap = np.rint(across / DOT).astype(int)
    order = np.argsort(heap, kind="stable")
    starts = np.searchsorted(heap[order], heap[order], side="left")
    place = np.empty(len(at), int)
    place[order] = np.arange(len(at)) - starts
    side = (place + 1) // 2 * np.where(place % 2, 1, -1)  # 0, 1, -1, 2, -2, ...
    room = SWARM[1] / 2
    apart = min(DOT, room / max(1, int(np.abs(side).max(initial=0))))
    down = room + side * apart
    ordered = np.sort(value)
    share = (np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right") - 1) / 2
    shade = np.rint(share / max(1, len(value) - 1) * (SHADES - 1)).astype(int)
    points = np.array(
        [f"M{round(a)} {round(b)}h0" for a, b in zip(across.tolist(), down.tolist(), strict=True)]
    )
    return [(s, "".join(points[shade == s].tolist())) for s in np.unique(shade).tolist()]


def steps(
    x: NDArray[Any], attribution: NDArray[Any], names: Sequence[str], *, signed: bool
) -> tuple[list[Step], float]:
    """Lay out the columns that matter most in one row, and where 0 lies, in percent.

    With signs each bar starts where the one before ends, and the bar of all other columns ends at the sum of the
    attributions; without signs all bars start at 0, and the others are left out.

    Parameters
    ----------
    x, attribution
        Of one row, shape ``(columns,)``.
    names
        Of the columns.
    signed
        Whether numbers below 0 speak against the class.

    Examples
    --------
    >>> found, zero = steps(np.array([5.0, 7.0]), np.array([3.0, -1.0]), ("a", "b"), signed=True)
    >>> [(step.label, step.kind, step.start, step.width) for step in found], zero
    ([('a = 5', 'for', 0.0, 100.0), ('b = 7', 'against', 66.67, 33.33)], 0.0)
    """
    attribution = np.asarray(attribution, np.float64)
    order = np.argsort(-np.abs(attribution), kind="stable")
    top, others = order[:MAX_STEPS].tolist(), order[MAX_STEPS:]
    parts = [(f"{brief(names[i], 40)} = {x[i]:.4g}", float(attribution[i]), "") for i in top]
    if signed and len(others):
        unit = "other column" if len(others) == 1 else "other columns"
        parts.append((f"{len(others)} {unit}", float(attribution[others].sum()), "rest"))
    sizes = np.array([value for _, value, _ in parts])
    ends = np.cumsum(sizes) if signed else sizes
    starts = ends - sizes
    edges = np.array([0.0, *starts, *ends])
    low, high = float(edges.min()), float(edges.max())
    at = 100 * ((edges - low) / (high - low) if high > low else np.zeros(len(edges)))
    before, after = at[1 : 1 + len(parts)].tolist(), at[1 + len(parts) :].tolist()
    places = decimals(low, high)
    laid = [
        Step(
            label,
            number(value, places, signed=signed),
            kind or ("against" if value < 0 else "for"),
            round(min(start, end), 2),
            round(abs(end - start), 2),
        )
        for (label, value, kind), start, end in zip(parts, before, after, strict=True)
    ]
    return laid, round(float(at[0]), 2)


def _or(value: float, other: float) -> float:
    return value if np.isfinite(value) else other
