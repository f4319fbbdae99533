r"""Scores: gains and regressions of graded outputs.

Where an output has a score rather than being right or wrong, the change of an item splits into its gain and its
regression part: with scores :math:`s^{old}_i, s^{new}_i`, gain part :math:`\max(0, s^{new}_i - s^{old}_i)`,
regression part :math:`\max(0, s^{old}_i - s^{new}_i)`, and change = gain part - regression part, exactly.

References
----------
J. Echterhoff et al. (2024), MUSCLE: a model update strategy for compatible LLM evolution, Findings of EMNLP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.agreement import agreement
from concordant.core.errors import ConfigError, DataError
from concordant.core.finding import ANY_NUMBER, NOT_NEGATIVE, Finding, Measure
from concordant.core.kinds import compare, first
from concordant.core.relation import AGREEMENT, Relation, Variant, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model


class Scores(Relation):
    """Holds the scores of the model against those of another version.

    Parameters
    ----------
    against
        The other version; recorded or live.
    of
        Where the score comes from: ``"score"`` (what the model, the recording or the grader gave),
        ``"output"`` (the output is a number), ``"logprob"`` (nats), or ``"reference"`` (agreement of the
        output with the reference, by `agree`).
    score
        A function of an output and its item that gives the score, instead of `of`.
    agree
        Name of an agreement function: how outputs are held against references, and the two versions against each other.
    tolerance
        Regressions up to this size do not count as a regression in `regression_rate`.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": "a"}, {"input": "bb"}, {"input": "ccc"}])
    >>> old, new = cc.load(lambda text: 2.0), cc.load(lambda text: float(len(text)))
    >>> result = cc.check(new, items, [Scores(old, of="output")])["versions.scores"]
    >>> round(result.mean_gain_part.value, 3), round(result.mean_regression_part.value, 3)
    (0.333, 0.333)
    """

    name = "versions.scores"
    measures = (
        Measure("score_old", "old", "higher", "mean score of the old version", ANY_NUMBER),
        Measure("score_new", "new", "higher", "mean score of the new version", ANY_NUMBER),
        Measure("score_change", "change", "higher", "mean change of the score on the same items", ANY_NUMBER),
        Measure("mean_gain_part", "gain_part", "higher", "mean over items of what was gained", NOT_NEGATIVE),
        Measure(
            "mean_regression_part",
            "regression_part",
            "lower",
            "mean over items of what was lost",
            NOT_NEGATIVE,
        ),
        Measure("regression_rate", "regressed", "lower", "items whose score fell"),
        AGREEMENT,
    )

    def __init__(
        self,
        against: Model,
        *,
        of: str = "score",
        score: Callable[[Any, Any], float] | None = None,
        agree: str = "normalized",
        tolerance: float = 0.0,
    ) -> None:
        if of not in ("score", "output", "logprob", "reference"):
            message = f"versions.scores: of is {of!r}; allowed: score, output, logprob, reference"
            raise ConfigError(message)
        self.of = of
        self.agree = agree
        self.tolerance = tolerance
        self._against = against
        self._score = score

    def expand(self, items: Items) -> list[Variant]:
        """Make the two columns: the items for the old version, and for the new one."""
        return [Variant("old", items, model=self._against), Variant("new", items)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge each item by the scores of its first sample in both versions."""
        old, new = (self._scores(answers[name], items) for name in ("old", "new"))
        change = new - old
        both = ~np.isnan(change)
        return pl.DataFrame(
            {
                "agreement": np.where(both, compare(answers["old"], answers["new"], self.agree), np.nan),
                "old": np.where(both, old, np.nan),
                "new": np.where(both, new, np.nan),
                "change": change,
                "gain_part": np.maximum(change, 0.0),
                "regression_part": np.maximum(-change, 0.0),
                "regressed": np.where(both, change < -self.tolerance, np.nan),
            }
        ).fill_nan(None)

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate every measure; the change carries the p of the paired t test."""
        findings = [f for f in map(verdicts.finding, self.measures) if f is not None]
        return [
            f.with_p(f.estimate.p_value(0.0), "paired t") if f.measure == "score_change" and f.n > 1 else f
            for f in findings
        ]

    def _scores(self, behaviours: Behaviours, items: Items) -> NDArray[np.float64]:
        if self._score is not None:
            outputs = first(behaviours, "output").to_list()
            pairs = zip(outputs, items, strict=True)
            scored = [None if output is None else self._score(output, item) for output, item in pairs]
            return pl.Series(scored, dtype=pl.Float64, strict=False).to_numpy()
        if self.of == "reference":
            if items.reference is None:
                message = "versions.scores: of='reference' needs items with a reference"
                raise DataError(message)
            return agreement(self.agree)(first(behaviours, "output"), items.reference)
        if self.of not in behaviours:
            message = (
                f"versions.scores: the model {behaviours.model!r} gives no {self.of}; pass score=FUNCTION, or"
                " of='output', 'logprob' or 'reference'"
            )
            raise DataError(message)
        values = first(behaviours, self.of)
        if not values.dtype.is_numeric():
            message = f"versions.scores: {self.of} of the model {behaviours.model!r} is {values.dtype}, not a number"
            raise DataError(message)
        return values.cast(pl.Float64).to_numpy()
