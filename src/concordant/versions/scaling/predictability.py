r"""How well compute predicts the score of each sample, and at which step from log-likelihood to accuracy that is lost.

For every sample i the scores of all models of a ladder are correlated with :math:`\log_{10}` of their compute. The
distribution of these correlations C is summed up by its mean, its median, the survival function
:math:`S(c) = P(C > c)` and the share of samples whose score never changes, which have no correlation. Because
:math:`C \le 1`, two other summaries of the paper are the mean in other units: the area under S over [-1, 1] is
:math:`1 + E[C]`, and the Wasserstein distance to a point mass at +1 is :math:`1 - E[C]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.errors import DataError
from concordant.core.statistics.paired import paired_bootstrap
from concordant.core.statistics.ranks import kendall_tau_b, spearman_rho
from concordant.core.statistics.validation import check_choice
from concordant.versions.scaling.choice_chain import OPTION_METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from concordant.core.statistics import Estimate
    from concordant.core.statistics.validation import Floats

Correlation = Literal["pearson", "spearman", "kendall"]
CORRELATIONS = ("pearson", "spearman", "kendall")

WELL = 0.75
"""Correlation from which a sample counts as well predicted."""

LEAST_MODELS = 3


@dataclass(frozen=True, slots=True)
class Predictability:
    """The correlations of one score with compute, over samples.

    Parameters
    ----------
    score
        Name of the score.
    correlations
        Shape (samples,): NaN where the score is the same in all models.
    aggregate
        Correlation of the mean score over samples with compute.
    """

    score: str
    correlations: Floats
    aggregate: float

    @property
    def known(self) -> Floats:
        """The correlations that are there."""
        return self.correlations[~np.isnan(self.correlations)]

    @property
    def constant_rate(self) -> float:
        """Share of samples whose score never changes; leaving them out flatters a score."""
        return float(np.isnan(self.correlations).mean())

    @property
    def mean(self) -> float:
        """Mean over samples whose score changes; NaN where none does."""
        return float(self.known.mean()) if self.known.size else float("nan")

    @property
    def median(self) -> float:
        """Median over samples whose score changes; NaN where none does."""
        return float(np.median(self.known)) if self.known.size else float("nan")

    @property
    def survival_area(self) -> float:
        """Area under the survival function over [-1, 1]: 2 where compute predicts every sample."""
        return 1.0 + self.mean

    @property
    def distance_to_one(self) -> float:
        """Wasserstein distance to correlation 1 on every sample: 0 is perfect."""
        return 1.0 - self.mean

    @property
    def well_predicted_rate(self) -> float:
        """Share of all samples with a correlation above 0.75; a constant score is not well predicted."""
        return float((self.known > WELL).sum() / self.correlations.size)

    def survival(self, at: ArrayLike) -> Floats:
        """Return the share of correlations above each value."""
        return np.asarray((self.known > np.asarray(at, np.float64)[..., None]).mean(axis=-1))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as one row."""
        names = ("mean", "median", "survival_area", "distance_to_one", "well_predicted_rate", "constant_rate")
        return {
            "score": self.score,
            **{name: getattr(self, name) for name in names},
            "aggregate": self.aggregate,
            "n": int(self.correlations.size),
        }


def compute_correlations(scores: ArrayLike, compute: ArrayLike, method: Correlation = "spearman") -> Floats:
    """Correlate the scores of each sample with the logarithm of compute.

    Parameters
    ----------
    scores
        Shape (models, samples): finite numbers.
    compute
        Shape (models,): operations of training, above 0; at least three models and two different values.
    method
        "spearman" (default) and "kendall" (tau-b) see the order alone, so they cannot tell a probability from its
        logarithm; "pearson" can.

    Returns
    -------
    ndarray of shape (samples,)
        In [-1, 1]; NaN where a score is the same in all models.

    Raises
    ------
    DataError
        If shapes do not fit, there are too few models, or a number is out of range.

    Examples
    --------
    >>> compute_correlations([[0.0, 1.0, 5.0], [1.0, 0.5, 5.0], [2.0, 0.0, 5.0]], [1e3, 1e4, 1e5]).tolist()
    [1.0, -1.0, nan]
    """
    check_choice(method, "method", CORRELATIONS)
    table, sizes = np.asarray(scores, np.float64), np.asarray(compute, np.float64)
    if table.ndim != 2 or sizes.shape != table.shape[:1]:
        message = f"scores must have shape (models, samples) and compute (models,), got {table.shape} and {sizes.shape}"
        raise DataError(message)
    if len(sizes) < LEAST_MODELS:
        message = f"correlations with compute need at least {LEAST_MODELS} models, got {len(sizes)}"
        raise DataError(message)
    if not ((sizes > 0) & np.isfinite(sizes)).all() or np.unique(sizes).size < 2:
        message = "compute must be above 0, and not the same for all models"
        raise DataError(message)
    if not np.isfinite(table).all():
        message = f"scores must be finite, and {int((~np.isfinite(table)).sum())} are not"
        raise DataError(message)
    rows = table.T
    logs = np.broadcast_to(np.log10(sizes), rows.shape)
    if method == "pearson":
        return _pearson(rows, logs)
    found = spearman_rho(rows, logs) if method == "spearman" else kendall_tau_b(rows, logs)
    return np.asarray(found)


def predictability(
    scores: Mapping[str, ArrayLike], compute: ArrayLike, method: Correlation = "spearman"
) -> dict[str, Predictability]:
    """Sum up how well compute predicts each score.

    Parameters
    ----------
    scores
        Name -> shape (models, samples), as `concordant.versions.scaling.choice_chain` makes them.
    compute, method
        As in `compute_correlations`.

    Raises
    ------
    DataError
        As `compute_correlations`.
    """
    found = {}
    for name, table in scores.items():
        array = np.asarray(table, np.float64)
        aggregate = compute_correlations(array.mean(axis=1, keepdims=True), compute, method)
        found[name] = Predictability(name, compute_correlations(array, compute, method), float(aggregate[0]))
    return found


def lost_at(
    found: Mapping[str, Predictability],
    steps: Sequence[str] = OPTION_METRICS,
    *,
    level: float = 0.95,
) -> dict[tuple[str, str], Estimate]:
    """Estimate how much correlation each step loses: the mean of "before minus after" over samples, with its interval.

    A pair is a sample that has both correlations. That leaves out samples with a constant score and so understates the
    loss at the step to accuracy; see `Predictability.constant_rate`.

    Parameters
    ----------
    found
        As `predictability` gives it.
    steps
        Names of scores in the order in which they are made.
    level
        Of the intervals (bootstrap over samples).

    Returns
    -------
    dict
        (before, after) -> estimate; a step without a pair is missing.

    Examples
    --------
    >>> scores = {"log_p": [[-3.0, -2.0], [-2.0, -1.5], [-1.0, -1.0]], "p": [[0.3, 0.2], [0.2, 0.5], [0.1, 0.6]]}
    >>> lost_at(predictability(scores, [1, 10, 100]), ["log_p", "p"])["log_p", "p"].value
    1.0
    """
    losses = {}
    for before, after in pairwise(steps):
        a, b = found[before].correlations, found[after].correlations
        both = ~np.isnan(a) & ~np.isnan(b)
        if both.any():
            losses[before, after] = paired_bootstrap(a[both], b[both], level=level)
    return losses


def _pearson(a: Floats, b: Floats) -> Floats:
    x, y = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    changes = a.max(axis=1) > a.min(axis=1)  # not by the variance, which rounding may keep from 0
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    usable = changes & (scale > 0)
    ratio = (x * y).sum(axis=1) / np.where(usable, scale, 1.0)
    return np.where(usable, np.clip(ratio, -1.0, 1.0), np.nan)
