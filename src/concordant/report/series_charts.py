"""Series drawn as lines with the stretches that an explanation marks: SVG paths, written without a browser.

A drawing is counted in cells: a cell is a step, or several steps where a series is longer than `MAX_CELLS`. Whoever shows
it stretches it to the width there is; all words stand outside of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.report.figures import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

HEIGHT = 200
MAX_CELLS = 240
MAX_CHANNELS = 6
LEVELS = 6
STRETCH = 0.5
"""Strength from which on a step belongs to the stretch of the strongest one."""


@dataclass(frozen=True, slots=True)
class Shade:
    """Cells of one strength.

    Attributes
    ----------
    kind
        "for" the class, or "against" it where attributions have signs.
    level
        From 1 to `LEVELS`.
    path
        A line through the middle of the cells, one unit wide, in a strip of height 1.
    """

    kind: str
    level: int
    path: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One channel of a series.

    Attributes
    ----------
    channel
        Number of the channel.
    line
        Path of its values, in a field of `HEIGHT`.
    low, high
        What the lower and the upper edge stand for.
    shades
        Of each method.
    truth
        Path of the cells that make the class, as of a `Shade`; None where that is not known.
    """

    channel: int
    line: str
    low: str
    high: str
    shades: list[list[Shade]]
    truth: str | None


@dataclass(frozen=True, slots=True)
class Peak:
    """The stretch about the strongest number of a series, as far as it is at least half as strong.

    Attributes
    ----------
    channel
        Number of the channel.
    first, last
        Steps.
    kind
        "for" the class, or "against" it.
    """

    channel: int
    first: int
    last: int
    kind: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A series.

    Attributes
    ----------
    width
        Cells across, not always a whole number.
    length
        Steps.
    panels
        The channels that are shown, in their order.
    n_channels
        How many there are.
    peaks
        Of each method, where its attribution is greatest; None where all numbers are alike.
    """

    width: float
    length: int
    panels: list[Panel]
    n_channels: int
    peaks: list[Peak | None]


def drawn(
    x: NDArray[Any],
    attributions: Mapping[str, NDArray[Any]],
    rows: Sequence[int],
    *,
    truth: NDArray[Any] | None = None,
    n_channels: int = MAX_CHANNELS,
) -> list[Drawing]:
    """Draw some series of a set; a channel has the same scale in all of them.

    Parameters
    ----------
    x
        Series, shape ``(n, time, channel)``.
    attributions
        By method, shape of `x`. Those of a method that has any below 0 anywhere are drawn with their signs.
    rows
        Which series.
    truth
        What makes the class, shape of `x`.
    n_channels
        How many channels of each at most: those with the most attribution, all methods together.

    Examples
    --------
    >>> x = np.array([[[0.0], [0.0], [1.0], [0.0]]])
    >>> (drawing,) = drawn(x, {"mine": x}, [0])
    >>> drawing.panels[0].line, drawing.panels[0].shades[0][0].path
    ('M.5 200l1 0l1-200l1 200', 'M2 .5h1')
    """
    shown = np.asarray(x, np.float64)[list(rows)]
    lows, highs = shown.min((0, 1), initial=np.inf), shown.max((0, 1), initial=-np.inf)
    strong = {
        name: strengths(np.asarray(a)[list(rows)], signed=is_signed(a)) for name, a in attributions.items()
    }
    knowing = [s for name, s in strong.items() if name != "random"] or list(strong.values())
    drawings = []
    for i, row in enumerate(rows):
        weight = sum((np.abs(s[i]).sum(0) for s in knowing), np.zeros(shown.shape[2]))
        channels = np.sort(np.argsort(-weight, kind="stable")[:n_channels]).tolist()
        panels = [
            Panel(
                channel,
                line_path(shown[i, :, channel], lows[channel], highs[channel]),
                number(lows[channel], _places(lows[channel], highs[channel])),
                number(highs[channel], _places(lows[channel], highs[channel])),
                [shades(s[i, :, channel]) for s in strong.values()],
                None if truth is None else runs_path(_pooled(truth[row, :, channel]) > 0),
            )
            for channel in channels
        ]
        peaks = [peak(s[i]) for s in strong.values()]
        width = shown.shape[1] / _cell(shown.shape[1])
        drawings.append(Drawing(round(width, 3), shown.shape[1], panels, shown.shape[2], peaks))
    return drawings


def is_signed(attribution: NDArray[Any]) -> bool:
    """Whether a method says of some numbers that they speak against the class.

    Examples
    --------
    >>> is_signed(np.array([0.0, 2.0])), is_signed(np.array([-1.0, 2.0]))
    (False, True)
    """
    return bool((np.asarray(attribution) < 0).any())


def strengths(attribution: NDArray[Any], *, signed: bool) -> NDArray[np.float64]:
    """Bring the attributions of each series to one scale.

    Without signs the least number of a series is 0 and its greatest 1; with signs the greatest magnitude is 1, and 0
    stays 0. Where all numbers of a series are the same, they are 0.

    Parameters
    ----------
    attribution
        Shape ``(n, ...)``.
    signed
        Whether numbers below 0 speak against the class.

    Returns
    -------
    array of the same shape, in [0, 1], with signs in [-1, 1]

    Examples
    --------
    >>> strengths(np.array([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]]), signed=False).tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]
    >>> strengths(np.array([[-4.0, 0.0, 2.0]]), signed=True).tolist()
    [[-1.0, 0.0, 0.5]]
    """
    flat = np.asarray(attribution, np.float64).reshape(len(attribution), -1)
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    start, span = (np.zeros_like(low), np.maximum(high, -low)) if signed else (low, high - low)
    varied = (high > low) & (span > 0)
    scaled: NDArray[np.float64] = np.divide(flat - start, span, out=np.zeros_like(flat), where=varied)
    return scaled.reshape(np.shape(attribution))


def peak(strength: NDArray[np.float64]) -> Peak | None:
    """Return the stretch about the strongest number of a series.

    Parameters
    ----------
    strength
        Shape ``(time, channel)``.

    Examples
    --------
    >>> peak(np.array([[0.0], [0.6], [1.0], [0.2], [0.9]]))
    Peak(channel=0, first=1, last=2, kind='for')
    """
    magnitude = np.abs(strength)
    if not magnitude.any():
        return None
    step, channel = np.unravel_index(int(magnitude.argmax()), magnitude.shape)
    sign = np.sign(strength[step, channel])
    weak = np.flatnonzero(sign * strength[:, channel] < STRETCH * magnitude.max())
    before, after = weak[weak < step], weak[weak > step]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(after[0]) - 1 if len(after) else len(strength) - 1
    return Peak(int(channel), first, last, "against" if sign < 0 else "for")


def shades(strength: NDArray[np.float64]) -> list[Shade]:
    """Return the cells of each strength of one channel; what is nearly 0 has none.

    Parameters
    ----------
    strength
        In [-1, 1], shape ``(time,)``.

    Examples
    --------
    >>> [(shade.kind, shade.level, shade.path) for shade in shades(np.array([0.0, 1.0, 1.0, -0.5]))]
    [('against', 3, 'M3 .5h1'), ('for', 6, 'M1 .5h2')]
    """
    level = np.rint(_pooled(strength) * LEVELS).astype(int)
    return [
        Shade("for" if at > 0 else "against", abs(at), runs_path(level == at))
        for at in np.unique(level).tolist()
        if at
    ]


def runs_path(hit: NDArray[np.bool_]) -> str:
    """Return a path along the runs of cells that are true.

    Examples
    --------
    >>> runs_path(np.array([True, True, False, False, True]))
    'M0 .5h2m2 0h1'
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hit, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]])
    if not len(starts):
        return ""
    path = "".join(f"m{gap} 0h{n}" for gap, n in zip(gaps.tolist(), (ends - starts).tolist(), strict=True))
    return path.replace(" 0h", " .5h", 1).replace("m", "M", 1)


def line_path(values: NDArray[Any], low: float, high: float) -> str:
    """Return the path of a line; of cells of several steps it goes through the least and the greatest value.

    Parameters
    ----------
    values
        Shape ``(time,)``.
    low, high
        What the lower and the upper edge stand for.
    """
    span = high - low
    at = np.full(len(values), HEIGHT / 2) if span <= 0 else (high - np.asarray(values)) / span * HEIGHT
    size, start, step = _cell(len(at)), ".5", "1"
    if size > 1:
        cells = _padded(at, size)
        first = cells.argmin(1) < cells.argmax(1)
        ends = np.stack([cells.min(1), cells.max(1)], 1)
        at, start, step = np.where(first[:, None], ends, ends[:, ::-1]).ravel(), ".25", ".5"
    y = np.rint(at).astype(int)
    moves = "".join(f"l{step}{dy}" if dy < 0 else f"l{step} {dy}" for dy in np.diff(y).tolist())
    return f"M{start} {y[0]}{moves}"


def _cell(length: int) -> int:
    """Return how many steps a cell has."""
    return max(1, math.ceil(length / MAX_CELLS))


def _padded(values: NDArray[Any], size: int) -> NDArray[Any]:
    return np.pad(values, (0, -len(values) % size), mode="edge").reshape(-1, size)


def _pooled(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the number of the greatest magnitude in each cell."""
    cells = _padded(np.asarray(values, np.float64), _cell(len(values)))
    found: NDArray[np.float64] = np.take_along_axis(cells, np.abs(cells).argmax(1)[:, None], axis=1)[:, 0]
    return found


def _places(low: float, high: float) -> int:
    span = high - low
    return 2 if span <= 0 else min(4, max(0, 1 - math.floor(math.log10(span))))
