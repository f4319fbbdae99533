"""A sweep over strengths: how much of the behaviour is left, and what else is lost, for one kind of edit.

One strength says little of a method, since a stronger edit does more of both. The whole curve is kept, and methods are
compared where each costs as much as is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError
from concordant.core.progress import progress_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from concordant.versions.editing.edit import Edit


@dataclass(frozen=True)
class SweepPoint:
    """What an edit of one strength does.

    Parameters
    ----------
    strength
        As the edit takes it.
    rate
        Of the unwanted behaviour, with the edit.
    cost
        What it does elsewhere, such as the perplexity as a multiple of that without the edit.
    edit
        The edit.
    """

    strength: float
    rate: float
    cost: float
    edit: Edit


def strength_sweep(
    model: nn.Module,
    edit_of: Callable[[float], Edit],
    strengths: Sequence[float],
    *,
    rate: Callable[[nn.Module], float],
    cost: Callable[[nn.Module], float],
    label: str = "strengths",
) -> list[SweepPoint]:
    """Measure edits of growing strength; the model is left as it is.

    Parameters
    ----------
    model
        What is edited.
    edit_of
        Gives the edit of a strength.
    strengths
        At least one.
    rate, cost
        Measure the edited model.
    label
        Of the progress bar.

    Returns
    -------
    list
        One point a strength, in their order.

    Raises
    ------
    ConfigError
        If there are no strengths.
    """
    if not strengths:
        message = "a sweep needs at least one strength, got none"
        raise ConfigError(message)
    points = []
    with progress_bars() as tell:
        for done, strength in enumerate(strengths):
            tell(label, done, len(strengths))
            edit = edit_of(strength)
            edit.apply(model)
            try:
                points.append(SweepPoint(strength, rate(model), cost(model), edit))
            finally:
                edit.undo(model)
        tell(label, len(strengths), len(strengths))
    return points


def strongest_within(points: Sequence[SweepPoint], bound: float) -> SweepPoint | None:
    """Return the point of the greatest strength whose cost is at most the bound, or None where there is none.

    Parameters
    ----------
    points
        From :func:`strength_sweep`.
    bound
        Greatest cost allowed.
    """
    within = [point for point in points if point.cost <= bound]
    return max(within, key=lambda point: point.strength, default=None)
