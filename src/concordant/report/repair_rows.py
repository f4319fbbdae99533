"""A repair in words: one row a model, its flips beside its accuracy, and what differs from the update, in pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.report.figures import UNKNOWN, decimals, number
from concordant.report.sanitize import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from concordant.core.statistics import Estimate
    from concordant.versions.repairing.result import Repair

COLUMNS = {
    "negative_flip_rate": "right, now wrong",
    "accuracy_new": "accuracy",
    "mean_regression_part": "score lost",
    "score_new": "score",
}
"""What a row holds, where it was measured, and what people call it."""

STRENGTHS = {
    "muscle": "{} of the adapter",
    "distil": "{} of the adapter",
    "route": "{} of the questions to the old model",
    "ensemble": "{} of the probability the old model's",
    "interpolation": "{} of the way to the old weights",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A model on the held-out items: its figures and its differences from the update, each with its interval."""

    name: str
    how: str
    state: str
    figures: tuple[str, ...]
    differences: tuple[str, ...]


def columns_of(repair: Repair) -> list[str]:
    """Return the names of what was measured of the update, in the order of the table."""
    return [name for name in COLUMNS if name in repair.update.points]


def rows_of(repair: Repair) -> list[Row]:
    """Return a row for the update and one for each method."""
    columns = columns_of(repair)
    found = [Row("update", "", repair.before.state, _figures(repair.update.points, columns), ())]
    for method, candidate in repair.candidates.items():
        how = STRENGTHS[method].format(f"{100 * candidate.chosen.strength:g} %")
        if candidate.way.calls > 1:
            how += f"; {candidate.way.calls} models a call"
        states = [gate.state for gate in candidate.gates]
        state = next((s for s in ("fails", "undecided") if s in states), "holds")
        figures = _figures(candidate.chosen.held_out.points, columns)
        found.append(Row(method, how, state, figures, _figures(candidate.difference, columns, signed=True)))
    return found


def sentences(repair: Repair) -> list[str]:
    """Say what was done: how items were split, what is kept, what could not be used."""
    items = repair.about["items"]
    said = [
        f"{items['lessons']:,} items to learn from, {items['validation']:,} that chose how strong, and "
        f"{items['held_out']:,} held out that judge."
    ]
    if items["shared_and_left_out"]:
        said.append(
            f"{items['shared_and_left_out']:,} items to train on share an input or a group with the check and were left out."
        )
    if repair.kept is None:
        said.append("The gates on flips hold already: there is nothing to repair.")
    said += [f"{method} could not be used: {brief(why, 300)}" for method, why in repair.inapplicable.items()]
    return said


def verdict_of(repair: Repair) -> str:
    """Say in one sentence what became of the repair."""
    if repair.kept is None:
        return "The update's gates on flips hold on the held-out items, so nothing was changed."
    name = repair.kept.method
    return {
        "holds": f"Repaired by {name}, the update passes its gates on the held-out items.",
        "fails": f"Repaired by {name}, the update still fails on the held-out items.",
        "undecided": f"Whether the update repaired by {name} passes is undecided: the held-out items are too few.",
    }[repair.state]


def _figures(points: Mapping[str, Estimate], columns: list[str], *, signed: bool = False) -> tuple[str, ...]:
    return tuple(_figure(points[name], signed=signed) if name in points else UNKNOWN for name in columns)


def _figure(estimate: Estimate, *, signed: bool) -> str:
    places = decimals(estimate.low, estimate.high)
    value, low, high = (
        number(v, places, signed=signed) for v in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})"
