"""What came of judging explainers, as tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Judgement:
    """How true explanations are to a classifier, beside a random explanation of the same size.

    Intervals are of 95% and over series; a null is what could not be measured, or is not compared.

    Attributes
    ----------
    model
        What the classifier is called.
    n
        Number of series.
    main
        Name of the measure that ranks.
    measures
        One row an explainer and measure: ``explainer``, ``measure``, ``direction`` (``"higher"`` or ``"lower"`` is
        better), ``value``, ``low``, ``high``, ``n`` (series that have it), and in pairs with the random explanation
        ``over_random``, ``over_random_low``, ``over_random_high`` (above 0 is better than random, whatever the
        direction) and ``p_adjusted`` (Holm, over the whole table).
    curves
        One row an explainer, curve and share: ``explainer``, ``curve`` (``"sufficiency"`` or ``"comprehensiveness"``),
        ``share``, ``value``, ``low``, ``high``, ``n``.
    ranking
        One row an explainer, the best first: ``explainer``, ``rank``, ``value``, ``low``, ``high`` of the main measure,
        and ``beats``, the explainers that it is better than after correction.
    pairs
        One row a pair of explainers, on the main measure: ``first``, ``second``, ``measure``, ``difference`` (first
        less second), ``low``, ``high``, ``p``, ``p_adjusted`` (Holm, over the pairs).
    notes
        What a reader must know before believing it, and what could not be measured and why, a sentence each.
    attributions
        By explainer, shape of the series.
    values
        By explainer and measure, one number a series, shape ``(n,)``; NaN where a series has none.
    """

    model: str
    n: int
    main: str
    measures: pl.DataFrame
    curves: pl.DataFrame
    ranking: pl.DataFrame
    pairs: pl.DataFrame
    notes: tuple[str, ...] = ()
    attributions: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [
            f"Judgement of {self.ranking.height} explainers of {self.model} on {self.n} series, by {self.main}:"
        ]
        for row in self.ranking.iter_rows(named=True):
            beats = f", better than {', '.join(row['beats'])}" if row["beats"] else ""
            interval = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
            lines.append(f"  {row['rank']}. {row['explainer']} {row['value']:.3f}{interval}{beats}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return the tables and notes as lists and dictionaries that JSON can hold, without what is per series."""
        tables = {name: getattr(self, name).to_dicts() for name in ("measures", "curves", "ranking", "pairs")}
        return {"model": self.model, "n": self.n, "main": self.main, **tables, "notes": list(self.notes)}


def finite(value: float) -> float | None:
    """Return a number as tables keep it: null where it is not known."""
    return value if math.isfinite(value) else None
