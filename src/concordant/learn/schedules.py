"""Schedules of the learning rate: what it is multiplied by at each step, as plain functions of the step.

A schedule is any function ``(step, steps) -> factor``, with `step` from 0 to ``steps - 1``. Set the others by
``functools.partial``: ``schedule=partial(cosine, warm_up=100)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from concordant.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

Schedule: TypeAlias = "Callable[[int, int], float]"


def constant(step: int, steps: int, *, warm_up: int = 0) -> float:
    """Return 1 after a linear rise over the first `warm_up` steps.

    Examples
    --------
    >>> [constant(step, 6, warm_up=4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return _rising(step, warm_up) or 1.0


def linear(step: int, steps: int, *, warm_up: int = 0, final: float = 0.0) -> float:
    """Return a linear fall from 1, at the end of the warm-up, towards `final` after the last step.

    Examples
    --------
    >>> [linear(step, 4) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return _rising(step, warm_up) or final + (1 - final) * (1 - _share(step, steps, warm_up))


def cosine(step: int, steps: int, *, warm_up: int = 0, final: float = 0.0) -> float:
    """Return half a cosine from 1, at the end of the warm-up, towards `final` after the last step.

    References
    ----------
    Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

    Examples
    --------
    >>> [round(cosine(step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return (
        _rising(step, warm_up)
        or final + (1 - final) * (1 + math.cos(math.pi * _share(step, steps, warm_up))) / 2
    )


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "linear": linear}


def schedule_of(schedule: str | Schedule) -> Schedule:
    """Return a schedule by its name, or a function as it is.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if callable(schedule):
        return schedule
    if schedule not in SCHEDULES:
        message = f"there is no schedule {schedule!r}: {nearest(schedule, SCHEDULES)}"
        raise ConfigError(message)
    return SCHEDULES[schedule]


def _rising(step: int, warm_up: int) -> float | None:
    return (step + 1) / warm_up if step < warm_up else None


def _share(step: int, steps: int, warm_up: int) -> float:
    return (step - warm_up) / max(1, steps - warm_up)
