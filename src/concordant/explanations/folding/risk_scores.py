"""How well scores tell two classes apart: area under the curve, largest gap of the rates, and recall, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError
from concordant.core.statistics.bootstrap import bootstrap
from concordant.core.statistics.effects import probability_of_superiority
from concordant.core.statistics.ranks import mean_ranks
from concordant.core.statistics.validation import check_fraction, finite_values

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from concordant.core.statistics.estimate import Estimate


def auc_score(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the receiver operating characteristic; parameters and errors are those of :func:`auc`.

    Examples
    --------
    >>> auc_score([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0])
    0.75
    """
    return probability_of_superiority(*_classes(scores, labels))


def ks_score(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the KS of :func:`kolmogorov_smirnov` without an interval.

    Examples
    --------
    >>> ks_score([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0])
    0.5
    """
    return float(_largest_gap(*_classes(scores, labels)))


def auc(scores: ArrayLike, labels: ArrayLike, *, level: float = 0.95, n_replicates: int = 2000) -> Estimate:
    """Return the area under the receiver operating characteristic, with a bootstrap interval within each class.

    Parameters
    ----------
    scores
        Shape ``(n,)``, higher for what is held more likely to be positive.
    labels
        Shape ``(n,)``, 1 for positives and 0 for negatives, some of both.
    level, n_replicates
        Confidence level and resamples of the interval.

    Raises
    ------
    DataError
        If the shapes differ, a label is neither 0 nor 1, or a class is missing.

    Examples
    --------
    >>> auc([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0], n_replicates=100).value
    0.75
    """
    return bootstrap(
        _area,
        *_classes(scores, labels),
        paired=False,
        level=level,
        method="percentile",
        n_replicates=n_replicates,
    )


def kolmogorov_smirnov(
    scores: ArrayLike, labels: ArrayLike, *, level: float = 0.95, n_replicates: int = 2000
) -> Estimate:
    r"""Return the KS of credit scoring, :math:`\max_s\,(\mathrm{TPR}(s) - \mathrm{FPR}(s))`, in [0, 1], with an interval.

    Parameters, errors and the interval are those of :func:`auc`.

    Examples
    --------
    >>> kolmogorov_smirnov([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0], n_replicates=100).value
    0.5
    """
    return bootstrap(
        _largest_gap,
        *_classes(scores, labels),
        paired=False,
        level=level,
        method="percentile",
        n_replicates=n_replicates,
    )


def recall_at_rejection(scores: ArrayLike, labels: ArrayLike, rejection_rate: float) -> float:
    """Return the share of positives among the units with the highest scores, of whom a share is rejected.

    Equal scores at the border count in proportion.

    Parameters
    ----------
    scores, labels
        As for :func:`auc`.
    rejection_rate
        Share of all units that are rejected, in [0, 1].

    Examples
    --------
    >>> recall_at_rejection([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0], 0.25)
    0.5
    """
    check_fraction(rejection_rate, "rejection_rate")
    positives, negatives = _classes(scores, labels)
    both = np.concatenate([positives, negatives])
    rejected = rejection_rate * len(both)
    above = (both[:, None] > positives[None]).sum(0)
    tied = (both[:, None] == positives[None]).sum(0)
    return float(np.clip((rejected - above) / tied, 0, 1).mean())


def _classes(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, truth = finite_values(scores, name="scores"), finite_values(labels, name="labels")
    if values.shape != truth.shape or not np.isin(truth, (0, 1)).all() or len(np.unique(truth)) < 2:
        message = (
            "scores need one label each, 0 or 1 and some of both, "
            f"got {len(values)} scores and {len(truth)} labels, of which {int((truth == 1).sum())} are 1"
        )
        raise DataError(message)
    return values[truth == 1], values[truth == 0]


def _area(positives: NDArray[Any], negatives: NDArray[Any], *, axis: int = -1) -> NDArray[Any]:
    n, m = positives.shape[axis], negatives.shape[axis]
    ranks = mean_ranks(np.concatenate([positives, negatives], axis))
    area: NDArray[Any] = (ranks[..., :n].sum(axis) - n * (n + 1) / 2) / (n * m)
    return area


def _largest_gap(positives: NDArray[Any], negatives: NDArray[Any], *, axis: int = -1) -> NDArray[Any]:
    n, m = positives.shape[axis], negatives.shape[axis]
    both = np.concatenate([positives, negatives], axis)
    order = np.argsort(-both, axis)
    steps = np.where(order < n, 1 / n, -1 / m).cumsum(axis)
    ordered = np.take_along_axis(both, order, axis)
    ends = np.ones(both.shape, dtype=bool)  # a threshold lies between scores that differ
    ends[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    gap: NDArray[Any] = np.where(ends, steps, 0.0).max(axis).clip(0, 1)
    return gap
