"""Findings: what the verdicts of a relation amount to, each with its interval, its n and its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from concordant.core.statistics import Estimate

Better = Literal["higher", "lower"]

ANY_NUMBER = (-math.inf, math.inf)
NOT_NEGATIVE = (0.0, math.inf)
"""Bounds of figures that are no shares; a gate on one of them cannot be decided while asking."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A named value of the verdicts, and how it becomes a finding.

    Parameters
    ----------
    name
        Name of the finding; it says the direction (`*_rate`, `*_score`, `*_gap`, ...).
    column
        Column of the verdicts whose mean it is. A null there means "does not apply to this item".
    better
        Whether "higher" or "lower" is better, or None where neither is.
    about
        What the figure means, in one sentence for people.
    bounds
        The range that the value cannot leave; intervals are clipped to it.
    """

    name: str
    column: str
    better: Better | None
    about: str
    bounds: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """An estimate over items.

    Parameters
    ----------
    relation, measure
        What it is a figure of: ``"versions.flips"``, ``"negative_flip_rate"``.
    estimate
        The value with its interval.
    better
        Whether "higher" or "lower" is better, or None.
    about
        What the figure means, in one sentence for people.
    unit
        What was counted: "items" unless said otherwise.
    slice
        Column and value of the slice it was measured on, or None for all items.
    p_value
        p of the test named by `test`, where there is one; adjusted for the slices looked at where `correction` says so.
    test, correction
        Names of the test and of the correction for multiplicity.
    n_error, n_ungraded
        Items that could not be judged because a behaviour failed, and for other reasons.
    note
        A remark that belongs beside the figure.
    """

    relation: str
    measure: str
    estimate: Estimate
    better: Better | None = None
    about: str = ""
    unit: str = "items"
    slice: tuple[str, str] | None = None
    p_value: float | None = None
    test: str | None = None
    correction: str | None = None
    n_error: int = 0
    n_ungraded: int = 0
    note: str = ""

    @property
    def value(self) -> float:
        """The estimate itself."""
        return self.estimate.value

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.estimate.low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.estimate.high

    @property
    def n(self) -> int:
        """How many units the estimate stands on."""
        return self.estimate.n

    @property
    def name(self) -> str:
        """The full name: relation, measure and slice."""
        where = "" if self.slice is None else f"[{self.slice[0]}={self.slice[1]}]"
        return f"{self.relation}.{self.measure}{where}"

    def with_p(self, p_value: float, test: str, correction: str | None = None) -> Finding:
        """Return the finding with a test beside it."""
        return replace(self, p_value=p_value, test=test, correction=correction)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return (
            f"Finding({self.value:.4g}, {self.estimate.level:.0%} interval {self.low:.4g} to {self.high:.4g},"
            f" n={self.n} {self.unit})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as one flat row, with None for what is not finite."""
        estimate = self.estimate
        row = {
            "relation": self.relation,
            "measure": self.measure,
            "slice": None if self.slice is None else self.slice[0],
            "slice_value": None if self.slice is None else self.slice[1],
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "level": estimate.level,
            "stderr": estimate.stderr,
            "n": estimate.n,
            "n_clusters": estimate.n_clusters,
            "n_error": self.n_error,
            "n_ungraded": self.n_ungraded,
            "unit": self.unit,
            "method": estimate.method,
            "better": self.better,
            "p_value": self.p_value,
            "test": self.test,
            "correction": self.correction,
            "about": self.about,
            "note": self.note,
        }
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
