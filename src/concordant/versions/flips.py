r"""Flips: which items the update broke, and which it mended.

With old right :math:`o_i` and new right :math:`w_i` (each 0 or 1) over the n items that both versions answered
and that can be graded:

- negative flip rate :math:`\frac1n\sum o_i(1-w_i)`, positive flip rate :math:`\frac1n\sum (1-o_i)w_i`;
- gain = new accuracy - old accuracy = positive - negative flip rate, exactly, with Tango's score interval for paired
  proportions and McNemar's exact test (clustered items: the t interval and test of the clusters);
- backward trust compatibility :math:`\sum o_i w_i / \sum o_i`;
- relative negative flip rate NFR / ((1 - accuracy new) accuracy old): 1 is what independent mistakes would give;
- wrong-answer churn: wrong in both versions, by different answers.

References
----------
S. Yan et al. (2021), Positive-congruent training, CVPR (negative flips, relative rate). G. Bansal et al. (2019),
Updates in human-AI teams, AAAI (backward trust compatibility). J. Echterhoff et al. (2024), MUSCLE: a model update
strategy for compatible LLM evolution, Findings of EMNLP (churn and graded outputs).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.finding import Finding, Measure
from concordant.core.kinds import compare
from concordant.core.relation import AGREEMENT, Relation, Variant, Verdicts
from concordant.core.statistics import (
    estimate_joint_ratio,
    estimate_log_ratio,
    mcnemar,
    needed_n,
    paired_proportion_difference,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.statistics import Estimate

GAIN = Measure("gain", "gain", "higher", "new accuracy minus old accuracy on the same items", (-1.0, 1.0))
RELATIVE = Measure(
    "relative_negative_flip_rate",
    "negative_flip",
    "lower",
    "negative flips as a multiple of what independent mistakes of the two versions would give",
    (0.0, np.inf),
)


class Flips(Relation):
    """Holds the model against another version of it, item by item.

    Parameters
    ----------
    against
        The version that was right until now; recorded or live.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": str(i), "reference": i} for i in range(10)])
    >>> old, new = cc.load(lambda t: min(int(t), 5)), cc.load(lambda t: max(int(t), 2))
    >>> result = cc.check(new, items, [Flips(old)])["versions.flips"]
    >>> result.negative_flip_rate.value, result.positive_flip_rate.value, round(result.gain.value, 10)
    (0.2, 0.4, 0.2)
    """

    name = "versions.flips"
    measures = (
        Measure("accuracy_old", "old_right", "higher", "items the old version answers rightly"),
        Measure("accuracy_new", "new_right", "higher", "items the new version answers rightly"),
        GAIN,
        Measure("negative_flip_rate", "negative_flip", "lower", "items that were right and are wrong now"),
        Measure("positive_flip_rate", "positive_flip", "higher", "items that were wrong and are right now"),
        Measure(
            "wrong_answer_churn_rate", "churn", "lower", "items wrong in both versions, by different answers"
        ),
        Measure(
            "backward_trust_compatibility",
            "kept",
            "higher",
            "share of the items that were right and still are",
        ),
        AGREEMENT,
        Measure("error_rate_old", "old_error", "lower", "items on which the old version gave no answer"),
        Measure("error_rate_new", "new_error", "lower", "items on which the new version gave no answer"),
        RELATIVE,
    )

    def __init__(self, against: Model) -> None:
        self._against = against

    def expand(self, items: Items) -> list[Variant]:
        """Make the two columns: the items for the old version, and for the new one."""
        return [Variant("old", items, model=self._against), Variant("new", items)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge each item by its first sample in both versions."""
        old, new = answers["old"], answers["new"]
        graded = old.graded[:, 0] & new.graded[:, 0]
        was, now = old.right[:, 0], new.right[:, 0]
        same = compare(old, new)
        both_wrong = graded & ~was & ~now
        agreement = np.where(was & now, 1.0, np.where(graded & (was | now), 0.0, same))
        return pl.DataFrame(
            {
                "agreement": agreement,
                "old_right": _where(graded, was),
                "new_right": _where(graded, now),
                "gain": _where(graded, now.astype(float) - was),
                "negative_flip": _where(graded, was & ~now),
                "positive_flip": _where(graded, ~was & now),
                "churn": _where(graded, both_wrong & (same < 1)),
                "kept": _where(graded & was, now),
                "old_error": _where(old.outcome[:, 0] >= 0, old.failed[:, 0]),
                "new_error": _where(new.outcome[:, 0] >= 0, new.failed[:, 0]),
            }
        ).fill_nan(None)

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate every measure; the gain carries McNemar's exact p, or where items are clustered that of the t test."""
        means = (measure for measure in self.measures if measure is not RELATIVE)
        findings = [finding for finding in map(verdicts.finding, means) if finding is not None]
        negative, positive = verdicts["negative_flip"], verdicts["positive_flip"]
        graded = ~np.isnan(negative)
        if not graded.any():
            return findings
        n, lost, won = int(graded.sum()), int(np.nansum(negative)), int(np.nansum(positive))
        gain = self._gain(verdicts, n, lost, won)
        findings = [gain if f.measure == "gain" else f for f in findings]
        relative = self._relative(verdicts, graded)
        return findings if relative is None else [*findings, relative]

    def _gain(self, verdicts: Verdicts, n: int, lost: int, won: int) -> Finding:
        clustered = verdicts.finding(GAIN)
        if clustered is not None and clustered.estimate.n_clusters is not None:
            gain = clustered.with_p(clustered.estimate.p_value(0.0), "paired t, clustered")
        else:
            estimate = paired_proportion_difference(n - lost - won, won, lost, 0, level=verdicts.level)
            gain = verdicts.make(GAIN, estimate).with_p(mcnemar(lost, won).p_exact, "McNemar, exact")
        if gain.p_value is None or gain.p_value <= 1 - verdicts.level:
            return gain
        needed = needed_n(gain.estimate, 0.0)
        if needed is None:
            return gain
        return replace(gain, note=f"a gain of this size would show with about {needed:,} items (80 % power)")

    def _relative(self, verdicts: Verdicts, graded: NDArray[np.bool_]) -> Finding | None:
        was = verdicts["old_right"][graded]
        wrong_now = 1.0 - verdicts["new_right"][graded]
        p_old, p_wrong, p_flip = was.mean(), wrong_now.mean(), (was * wrong_now).mean()
        if not (p_old and p_wrong):
            return None
        groups = verdicts.items.groups
        if p_flip in (0.0, p_wrong, p_old) and groups is None:
            return verdicts.make(RELATIVE, _at_an_edge(was, wrong_now, verdicts.level))
        if not p_flip:
            return None
        # log RNFR = log p_flip - log p_wrong - log p_old; its influence on an item is that of the three means.
        influence = was * wrong_now / p_flip - wrong_now / p_wrong - was / p_old + 1.0
        clusters = None if groups is None else groups[graded]
        estimate = estimate_log_ratio(
            p_flip / (p_wrong * p_old), influence, clusters=clusters, level=verdicts.level
        )
        return verdicts.make(RELATIVE, estimate)


def _at_an_edge(was: NDArray[np.float64], wrong_now: NDArray[np.float64], level: float) -> Estimate:
    """Estimate the relative rate where no item, or every item that could, has flipped: no spread is seen there."""
    both = float((was * wrong_now).sum())
    only_was, only_wrong = was.sum() - both, wrong_now.sum() - both
    return estimate_joint_ratio(
        both, only_was, only_wrong, len(was) - both - only_was - only_wrong, level=level
    )


def _where(applies: NDArray[np.bool_], values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.where(applies, values.astype(np.float64), np.nan)
