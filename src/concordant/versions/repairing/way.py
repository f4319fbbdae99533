"""What every way of repairing gives: a model for each strength, and how the one that is chosen is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from concordant.core.model import Model


@dataclass(frozen=True, slots=True)
class Way:
    """A way of repairing an update, made ready for the items that it may learn from.

    Parameters
    ----------
    at
        ``at(strength)``: the repaired model. Strength 0 would be the update itself; 1 is an adapter as it was trained,
        or the old model of a mixture.
    save
        ``save(folder, strength)``: writes weights into a folder that is there; None where both versions are kept as
        they are.
    calls
        Models that are asked at each call: 1, or 2 of an ensemble.
    about
        What is to be said of the training: lessons, steps, masked rates.
    """

    at: Callable[[float], Model]
    save: Callable[[Path, float], None] | None = None
    calls: int = 1
    about: dict[str, Any] = field(default_factory=dict)
