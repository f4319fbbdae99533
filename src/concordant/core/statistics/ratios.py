"""Estimates of ratios of means, on the log scale: by the delta method, with the influence of each row."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.statistics.critical import t_critical
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


def estimate_joint_ratio(
    both: float, only_a: float, only_b: float, neither: float, *, level: float = 0.95
) -> Estimate:
    r"""Estimate :math:`P(A \cap B) / (P(A) P(B))` from a table of counts with empty cells.

    An empty cell shows no spread, so that the interval of the delta method would be far too narrow, or none. Half
    an item is therefore added to every cell before the logarithm and its standard error are taken; the value itself is
    that of the counts as they are, and the interval is widened to hold it.

    Parameters
    ----------
    both, only_a, only_b, neither
        Counts of the four cells; A and B occur at least once each.
    level
        Confidence level, in (0, 1); default 0.95.

    References
    ----------
    J. B. S. Haldane (1956), The estimation and significance of the logarithm of a ratio of frequencies, Annals of
    Human Genetics 20; F. J. Anscombe (1956), On estimating binomial response relations, Biometrika 43.

    Examples
    --------
    >>> print(estimate_joint_ratio(0, 30, 10, 60))
    0 (95% interval 0 to 2.254, n=100)
    """
    counts = np.array([both, only_a, only_b, neither], dtype=np.float64)
    n = int(counts.sum())
    share = (counts + 0.5) / (n + 2.0)
    p_both, p_a, p_b = share[0], share[0] + share[1], share[0] + share[2]
    of_a, of_b = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    psi = of_a * of_b / p_both - of_a / p_a - of_b / p_b + 1.0
    centre, stderr = math.log(p_both / (p_a * p_b)), math.sqrt(float(share @ psi**2) / (n + 2.0))
    value = both * n / ((both + only_a) * (both + only_b))

    def interval_at(level: float) -> Interval:
        reach = t_critical(level, n + 1.0) * stderr
        high = centre + reach
        return (
            min(value, math.exp(max(centre - reach, -700.0))),
            max(value, math.exp(high) if high < 700 else math.inf),
        )

    return Estimate(
        value, *interval_at(level), level, n, None, value * stderr, "log-t, halves added", interval_at
    )


def _exponential(log: Estimate, level: float) -> Interval:
    low, high = log.interval_at(level)
    return math.exp(low) if low > -700 else 0.0, math.exp(high) if high < 700 else math.inf
