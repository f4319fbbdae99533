"""The mean of one column with its interval: the number that every finding carries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.bootstrap import bootstrap_mean
from concordant.core.statistics.clusters import ClusterPartition, partition_of
from concordant.core.statistics.estimate import (
    Estimate,
    Interval,
    exact_estimate,
    t_estimate,
    wilson_estimate,
)
from concordant.core.statistics.validation import Floats, check_choice, finite_values, is_binary

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MeanMethod = Literal["auto", "wilson", "exact", "t", "bca"]


def estimate_mean(
    values: ArrayLike,
    *,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
    method: MeanMethod = "auto",
    bounds: Interval | None = None,
    seed: int = 0,
) -> Estimate:
    r"""Estimate a mean with its confidence interval.

    0/1 values get the Wilson score interval; other values get :math:`\bar x \pm t_{n-1} s/\sqrt n`. With
    clusters of sizes :math:`m_c` the standard error is the cluster-robust one (CR1),

    .. math:: s^2_{cl} = \frac{G}{G-1} \frac{1}{n^2} \sum_c \Big( \sum_{i \in c} (x_i - \bar x) \Big)^2,

    with G - 1 degrees of freedom; for 0/1 values the Wilson interval then uses the effective sample size
    :math:`p(1-p)/s^2_{cl}`, at most n (and G where p is 0 or 1), and Student's t in place of the normal.
    Clusters of one row each give exactly the result without clusters.

    Parameters
    ----------
    values
        Shape (n,): numbers or booleans, none missing.
    clusters
        Shape (n,): labels of rows that belong together, or a `ClusterPartition`; default: every row for
        itself.
    level
        Confidence level, in (0, 1); default 0.95.
    method
        "auto" (default) as above; "wilson" and "exact" (Clopper-Pearson; no clusters) for 0/1 values; "t";
        "bca": bias-corrected and accelerated bootstrap (`bootstrap_mean`).
    bounds
        Known range of the values; the t interval is clipped to it. Default none.
    seed
        Seed of the bootstrap, where it draws at all.

    Returns
    -------
    Estimate
        With fewer than two rows (two clusters) the spread is unknown: the t interval is then (-inf, inf), or
        `bounds`.

    Raises
    ------
    DataError
        If values are missing, there are none, or they do not suit the method.

    References
    ----------
    E. B. Wilson (1927), JASA 22. K.-Y. Liang, S. L. Zeger (1986), Longitudinal data analysis using
    generalized linear models, Biometrika 73. N. Dean, M. Pagano (2015), Evaluating confidence interval
    methods for binomial proportions in clustered surveys, Journal of Survey Statistics and Methodology 3.

    Examples
    --------
    >>> print(estimate_mean([0.9, 0.7, 1.0, 0.4], bounds=(0, 1)))
    0.75 (95% interval 0.329 to 1, n=4)
    >>> print(estimate_mean([1, 1, 0, 0, 1, 1], clusters=["a", "a", "b", "b", "c", "c"]))
    0.6667 (95% interval 0.04383 to 0.9887, n=6 in 3 clusters)
    """
    check_choice(method, "method", ("auto", "wilson", "exact", "t", "bca"))
    array = finite_values(values)
    n = array.size
    parts = partition_of(clusters, n)
    if bounds is not None and not (array.min() >= bounds[0] and array.max() <= bounds[1]):
        message = (
            f"values must lie between {bounds[0]:g} and {bounds[1]:g}, got {array.min():g} to {array.max():g}"
        )
        raise DataError(message)
    if method == "bca":
        return bootstrap_mean(array, clusters=parts, level=level, seed=seed)
    binary = method != "t" and is_binary(array)
    if method in ("wilson", "exact") and not binary:
        message = f"method {method} needs values of 0 and 1 only; t and bca take any numbers"
        raise DataError(message)
    if method == "exact":
        if parts is not None:
            message = "method exact has no clusters; wilson, t and bca do"
            raise ConfigError(message)
        return exact_estimate(int(array.sum()), n, level)
    mean = float(array.sum()) / n
    if parts is None:
        if binary:
            return wilson_estimate(mean, n=n, level=level)
        mean, stderr = _mean_and_stderr(array, mean)
        return t_estimate(mean, stderr, n - 1, n=n, level=level, bounds=bounds)
    stderr = _clustered_stderr(array, mean, parts)
    groups = parts.n_clusters
    if not binary:
        return t_estimate(
            mean, stderr, groups - 1, n=n, n_clusters=groups, level=level, bounds=bounds, method="cluster-t"
        )
    variance = mean * (1.0 - mean)
    effective = float(groups) if variance == 0.0 else variance / max(stderr * stderr, variance / n)
    return wilson_estimate(
        mean,
        n=n,
        n_effective=effective,
        n_clusters=groups,
        stderr=stderr,
        level=level,
        method="cluster-wilson",
    )


def _mean_and_stderr(values: Floats, mean: float) -> tuple[float, float]:
    n = values.size
    if n < 2:
        return mean, math.inf
    deviations = values - mean
    squares = float(deviations @ deviations)
    # Equal values may differ from their computed mean by rounding; that is no spread.
    if squares <= n * (4e-16 * mean) ** 2 and values.min() == values.max():
        return float(values[0]), 0.0
    return mean, math.sqrt(squares / (n - 1) / n)


def _clustered_stderr(values: Floats, mean: float, parts: ClusterPartition) -> float:
    groups = parts.n_clusters
    if groups < 2:
        return math.inf
    sums = parts.sums(values - mean)
    return math.sqrt(groups / (groups - 1) * float(sums @ sums)) / values.size
