"""Resample: the same answer when the same question is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError
from concordant.core.finding import NOT_NEGATIVE, Measure
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.shares import share
from concordant.core.statistics import pass_at_k, pass_hat_k
from concordant.variants.votes import coded, most_voted, n_distinct, pairwise_agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items

SAMPLES = "samples"


def _measures(at: Sequence[int]) -> tuple[Measure, ...]:
    passing = []
    for k in at:
        once, always = f"pass_at_{k}", f"pass_hat_{k}"
        passing.append(Measure(once, once, "higher", f"chance that at least one of {k} samples is right"))
        passing.append(Measure(always, always, "higher", f"chance that all of {k} samples are right"))
    return (
        AGREEMENT,
        Measure("majority_accuracy", "majority_right", "higher", "items whose most frequent answer is right"),
        Measure("accuracy", "right", "higher", "right answers over the samples of an item"),
        *passing,
        Measure("distinct_answers", "distinct", "lower", "different answers to an item", NOT_NEGATIVE),
    )


class Resample(Relation):
    r"""The same answer when the same question is asked again, with sampling on.

    Use it to learn how far one answer can be relied upon, and what a majority vote would gain. Recorded
    trials of an item are its samples.

    With c right ones of m graded samples, and :math:`m_a` samples that say a:

    - ``agreement_score`` :math:`\sum_a m_a(m_a-1)/(m(m-1))`, the chance that two samples say the same (a
      sample in which no answer is found says the same as none);
    - ``majority_accuracy`` whether the most frequent answer is right (the share of the right ones where
      several tie);
    - ``accuracy`` c / m, which is also pass@1;
    - ``pass_at_k`` :math:`1-\binom{m-c}{k}/\binom{m}{k}`, the chance that at least one of k samples is right;
    - ``pass_hat_k`` :math:`\binom{c}{k}/\binom{m}{k}`, the chance that all of k samples are;
    - ``distinct_answers`` how many different answers there are.

    A sample that is an error counts for nothing; an item with fewer than k graded samples has no pass@k.

    Parameters
    ----------
    k
        Samples of each item, at least 2.
    temperature
        Sampling temperature, or None for that of the run.
    at
        For which k to give ``pass_at_k`` and ``pass_hat_k``, each from 1 to `k`; by default `k` itself.

    References
    ----------
    X. Wang et al. (2023), Self-consistency improves chain of thought reasoning in language models, ICLR
    (majority vote). M. Chen et al. (2021), arXiv 2107.03374 (pass@k). S. Yao et al. (2024), arXiv
    2406.12045 (pass^k).

    Examples
    --------
    >>> import concordant as cc
    >>> answers = iter("44454544")
    >>> items = cc.Items.from_records([{"input": text, "reference": "4"} for text in ("2 + 2", "1 + 3")])
    >>> model = cc.load(lambda text: next(answers))
    >>> result = cc.check(model, items, [Resample(k=4)], progress=False)["variants.resample"]
    >>> result.accuracy.value, result.majority_accuracy.value, result.pass_hat_4.value
    (0.75, 1.0, 0.0)
    """

    name = "variants.resample"
    measures = _measures([5])

    def __init__(
        self, k: int = 5, temperature: float | None = 0.7, *, at: Sequence[int] | None = None
    ) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 2:
            message = f"{self.name}: k must be a number of samples, at least 2, got {k!r}"
            raise ConfigError(message)
        if temperature is not None and temperature < 0:
            message = f"{self.name}: the temperature must be at least 0, got {temperature}"
            raise ConfigError(message)
        self.k = k
        self.temperature = temperature
        self.at = [k] if at is None else list(at)
        for each in self.at:
            if not 1 <= each <= k:
                message = f"{self.name}: pass@k needs k from 1 to the {k} samples, got {each}"
                raise ConfigError(message)
        self.measures = _measures(self.at)

    def expand(self, items: Items) -> list[Variant]:
        """Make one variant that asks for k samples."""
        ask = {"n": self.k} if self.temperature is None else {"n": self.k, "temperature": self.temperature}
        return [Variant(SAMPLES, items, ask=ask)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge how far the samples of each item agree, and how many are right."""
        samples = answers[SAMPLES]
        codes = coded(samples["answer"], samples.n, samples.unparsed)
        right, graded = samples.right, samples.graded
        n_graded, n_right = graded.sum(axis=1), right.sum(axis=1)
        voted = most_voted(codes) & graded
        majority = share((voted & right).sum(axis=1), voted.sum(axis=1))
        known = voted.any(axis=1) | (n_graded == 0)  # where no answer is known the outcomes vote
        columns = {
            "agreement": pairwise_agreement(codes),
            "majority_right": np.where(known, majority, 0.5 + 0.5 * np.sign(2 * n_right - n_graded)),
            "right": share(n_right, n_graded),
            "distinct": n_distinct(codes),
        }
        for k in self.at:
            enough = n_graded >= k
            for name, function in (("pass_at", pass_at_k), ("pass_hat", pass_hat_k)):
                columns[f"{name}_{k}"] = np.full(len(items), np.nan)
                if enough.any():
                    columns[f"{name}_{k}"][enough] = function(n_graded[enough], n_right[enough], k)
        return pl.DataFrame(columns).fill_nan(None)
