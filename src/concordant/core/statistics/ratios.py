"""Estimates of ratios of means, on the log scale: by the delta method, with the influence of each row."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.statistics.estimate import Estimate, Interval
from concordant.core.statistics.means import estimate_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.clusters import ClusterPartition


def estimate_log_ratio(
    ratio: float,
    influence: ArrayLike,
    *,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
) -> Estimate:
    r"""Estimate a positive ratio of means with an interval that is symmetric on the log scale.

    For a smooth function of means the estimate behaves like the mean of the influences of its rows; the
    interval is :math:`\exp(\log r \pm t\, s_\psi/\sqrt n)`, cluster-robust where there are clusters.

    Parameters
    ----------
    ratio
        The estimate, above 0.
    influence
        Shape (n,): the influence :math:`\psi_i` of each row on the logarithm of the ratio; for
        :math:`\bar x / \bar y` it is :math:`x_i/\bar x - y_i/\bar y`.
    clusters, level
        As for `estimate_mean`.

    Examples
    --------
    >>> x, y = np.array([1.0, 2.0, 3.0, 2.0]), np.array([2.0, 3.0, 7.0, 4.0])
    >>> print(estimate_log_ratio(x.mean() / y.mean(), x / x.mean() - y / y.mean()))
    0.5 (95% interval 0.3613 to 0.6919, n=4)
    """
    psi = np.asarray(influence, dtype=np.float64)
    log = estimate_mean(psi - psi.mean() + math.log(ratio), clusters=clusters, level=level, method="t")
    low, high = _exponential(log, level)
    return Estimate(
        ratio,
        low,
        high,
        level,
        log.n,
        log.n_clusters,
        ratio * log.stderr,
        f"log-{log.method}",
        partial(_exponential, log),
    )


def _exponential(log: Estimate, level: float) -> Interval:
    low, high = log.interval_at(level)
    return math.exp(low) if low > -700 else 0.0, math.exp(high) if high < 700 else math.inf
