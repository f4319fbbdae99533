"""What a repair is judged by: flips and accuracy, always both, of a model against the old version on the same items."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.check import check
from concordant.core.gate import Gate, GateResult, decide
from concordant.core.judging import conclude, judge
from concordant.core.relation import Relation, Variant
from concordant.core.statistics import needed_n, paired_difference
from concordant.versions.flips import Flips
from concordant.versions.repairing.lessons import is_scored
from concordant.versions.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from concordant.core.behaviours import Behaviours
    from concordant.core.finding import Finding
    from concordant.core.items import Items
    from concordant.core.model import Model, Request
    from concordant.core.results import Result
    from concordant.core.statistics import Estimate

MEASURES = {
    "negative_flip_rate": "negative_flip",
    "accuracy_new": "new_right",
    "positive_flip_rate": "positive_flip",
}
"""What is measured of each model, and the column of the verdicts that it is the mean of."""

SCORED = {"score_new": "new", "mean_regression_part": "regression_part", "mean_gain_part": "gain_part"}
"""The same of graded outputs."""

CAUTION = 0.8
"""How sure the items that choose must be of a figure, one-sided: the best of many strengths looks better than it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How models are asked and graded wherever a repair asks them.

    Parameters
    ----------
    request, grade, level, seed, progress
        As for `concordant.check`.
    """

    request: Request
    grade: Any
    level: float
    seed: int
    progress: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A model held against the old version on the same items.

    Parameters
    ----------
    flips
        The result of ``versions.flips``.
    scores
        That of ``versions.scores`` where outputs are graded by scores, or None.
    """

    flips: Result
    scores: Result | None = None

    @property
    def _findings(self) -> dict[str, Finding]:
        return {**self.flips.findings, **({} if self.scores is None else self.scores.findings)}

    @property
    def points(self) -> dict[str, Estimate]:
        """Flip rates and accuracy, and where there are scores their mean and parts, by name."""
        named = self._findings
        return {name: named[name].estimate for name in (*MEASURES, *SCORED) if name in named}

    def less(self, other: Measured, *, level: float) -> dict[str, Estimate]:
        """Return what this model measures less another, by pairs of the same items."""
        named: list[tuple[str, str, Result, Result]] = [
            (name, column, self.flips, other.flips) for name, column in MEASURES.items()
        ]
        if self.scores is not None and other.scores is not None:
            named += [(name, column, self.scores, other.scores) for name, column in SCORED.items()]
        groups = self.flips.items.groups
        differences = {}
        for name, column, mine, theirs in named:
            a, b = (result.verdicts[column].cast(pl.Float64).to_numpy() for result in (mine, theirs))
            both = ~(np.isnan(a) | np.isnan(b))
            if both.any():
                clusters = None if groups is None else groups[both]
                differences[name] = paired_difference(a[both], b[both], clusters=clusters, level=level)
        return differences

    def decided(self, gates: Sequence[Gate], *, level: float) -> list[GateResult]:
        """Decide the gates that are about flips or scores."""
        return decide([(gate, self._findings[gate.measure]) for gate in gates], alpha=1 - level)

    def excess(self, gates: Sequence[Gate]) -> float:
        """Return how far the figures, taken as bad as `CAUTION` allows, are outside of the bounds at most."""
        return max(
            bad.value - bound if above else bound - bad.value for bad, bound, above in self._bad(gates)
        )

    def would_pass(self, gates: Sequence[Gate], n: int, *, level: float) -> bool:
        """Return whether `n` items would tell the figures from the bounds, if they are as bad as `CAUTION` allows."""
        return self.excess(gates) < 0 and all(
            (needed_n(bad, bound, alpha=1 - level) or 0) <= n for bad, bound, _ in self._bad(gates)
        )

    def _bad(self, gates: Sequence[Gate]) -> Iterator[tuple[Estimate, float, bool]]:
        """Give for each bound the estimate at the bad end of its interval, the bound, and whether it is an upper one."""
        for gate in gates:
            estimate = self._findings[gate.measure].estimate
            low, high = estimate.interval_at(2 * CAUTION - 1)
            for end, bound, above in ((low, gate.low, False), (high, gate.high, True)):
                if math.isfinite(bound):
                    yield replace(estimate, value=end), bound, above


class Answers(Relation):
    """Asks a model the items as they are, and judges nothing."""

    name = "answers"

    def expand(self, items: Items) -> list[Variant]:
        """Make the one column there is."""
        return [Variant("answers", items)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Say of every item that its only behaviour agrees with itself."""
        return pl.DataFrame({"agreement": np.ones(len(items))})


def answered(model: Model, items: Items, asked: Asked, folder: Path | None = None) -> Behaviours:
    """Ask a model items as they are, and grade what it says; kept in a folder, it can be gone on with."""
    report = check(
        model,
        items,
        [Answers()],
        grade=asked.grade,
        request=asked.request,
        slices=[],
        seed=asked.seed,
        folder=folder,
        resume=folder is not None,
        progress=asked.progress,
    )
    return report["answers"].answers["answers"]


def measured(items: Items, old: Behaviours, new: Behaviours, asked: Asked) -> Measured:
    """Hold what a model did against what the old version did."""
    pair = {"old": old, "new": new}

    def result(relation: Relation) -> Result:
        verdicts = judge(relation, items, pair, level=asked.level, seed=asked.seed)
        return conclude(relation, pair, verdicts)

    scored = is_scored(old) and is_scored(new)
    stands_for: Any = None  # the behaviours are there: no model is asked
    return Measured(result(Flips(stands_for)), result(Scores(stands_for)) if scored else None)
