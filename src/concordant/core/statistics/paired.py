"""Two models on the same items: the difference of their means, item by item."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.bootstrap import BootstrapMethod, Seed, bootstrap_mean
from concordant.core.statistics.critical import normal_critical
from concordant.core.statistics.estimate import Estimate, Interval
from concordant.core.statistics.means import estimate_mean
from concordant.core.statistics.validation import (
    check_choice,
    check_level,
    finite_values,
    is_binary,
    same_length,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.clusters import ClusterPartition

PairedMethod = Literal["auto", "t", "tango", "bca"]


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
    method: PairedMethod = "auto",
) -> Estimate:
    """Estimate the mean of a - b over pairs.

    Parameters
    ----------
    a, b
        Shape (n,): the values of both models on the same items, in the same order, none missing.
    clusters
        Shape (n,): labels of items that belong together; default: every item for itself.
    level
        Confidence level, in (0, 1); default 0.95.
    method
        "auto" (default): Tango's score interval when all values are 0 or 1 and there are no clusters, else t;
        "tango"; "t": t interval of the differences, cluster-robust with `clusters`; "bca": bootstrap of the
        differences.

    Raises
    ------
    DataError
        If the arrays differ in length, or values are missing.

    Examples
    --------
    >>> print(paired_difference([3.0, 4.0, 6.0, 5.0], [2.0, 4.0, 4.0, 4.0]))
    1 (95% interval -0.2992 to 2.299, n=4)
    """
    check_choice(method, "method", ("auto", "t", "tango", "bca"))
    first, second = finite_values(a, name="a"), finite_values(b, name="b")
    same_length(first, second)
    if method == "tango" and clusters is not None:
        message = "method tango has no clusters; t and bca do"
        raise ConfigError(message)
    if clusters is None and method in ("auto", "tango"):
        if is_binary(first) and is_binary(second):
            n11 = int(first @ second)
            n10, n01 = int(first.sum()) - n11, int(second.sum()) - n11
            return paired_proportion_difference(n11, n10, n01, first.size - n11 - n10 - n01, level=level)
        if method == "tango":
            message = "method tango needs values of 0 and 1 only; t and bca take any numbers"
            raise DataError(message)
    return estimate_mean(
        first - second, clusters=clusters, level=level, method="bca" if method == "bca" else "t"
    )


def paired_proportion_difference(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    r"""Estimate the difference of two paired proportions, first - second, with Tango's score interval.

    The interval holds every :math:`\Delta` that the score test does not reject:

    .. math:: z(\Delta) = \frac{n_{10} - n_{01} - n\Delta}{\sqrt{n (2 \tilde q + \Delta (1 - \Delta))}}

    where :math:`\tilde q` is the maximum-likelihood estimate of the probability of 01 given :math:`\Delta`.
    At :math:`\Delta = 0` it is McNemar's test without continuity correction.

    Parameters
    ----------
    n11, n10, n01, n00
        Items on which both are right, only the first, only the second, and neither.
    level
        Confidence level, in (0, 1); default 0.95.

    Raises
    ------
    DataError
        If a count is negative, or all are 0.

    References
    ----------
    T. Tango (1998), Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17.

    Examples
    --------
    >>> print(paired_proportion_difference(60, 12, 4, 24))
    0.08 (95% interval 0.001783 to 0.1656, n=100)
    """
    check_level(level)
    n = n11 + n10 + n01 + n00
    if min(n11, n10, n01, n00) < 0 or n == 0:
        message = (
            f"numbers of pairs must be at least 0, and one of them above, got {n11}, {n10}, {n01}, {n00}"
        )
        raise DataError(message)
    value = (n10 - n01) / n
    stderr = math.sqrt(max(0.0, n10 + n01 - n * value * value)) / n
    interval_at, p_at = partial(_tango_interval, n10, n01, n), partial(_tango_p_value, n10, n01, n)
    low, high = interval_at(level)
    return Estimate(value, low, high, level, n, None, stderr, "tango", interval_at, p_at)


def _tango_z(n10: int, n01: int, n: int, delta: float) -> float:
    distance = n10 - n01 - n * delta
    linear = -n10 - n01 + (2 * n - n10 + n01) * delta
    constant = -n01 * delta * (1.0 - delta)
    q = (math.sqrt(max(0.0, linear * linear - 8.0 * n * constant)) - linear) / (4.0 * n)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    if variance <= 1e-12 * n:
        return 0.0 if abs(distance) <= 1e-12 * n else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _tango_interval(n10: int, n01: int, n: int, level: float) -> Interval:
    critical = normal_critical(level)
    value = (n10 - n01) / n
    ends = []
    for end in (-1.0, 1.0):
        inside, outside = value, end
        if abs(_tango_z(n10, n01, n, end)) <= critical:
            inside = end
        while abs(outside - inside) > 1e-13:
            middle = (inside + outside) / 2.0
            if abs(_tango_z(n10, n01, n, middle)) <= critical:
                inside = middle
            else:
                outside = middle
        ends.append(inside)
    return ends[0], ends[1]


def _tango_p_value(n10: int, n01: int, n: int, bound: float) -> float:
    from scipy.special import ndtr

    if not -1.0 <= bound <= 1.0:
        return 0.0
    return 2.0 * float(ndtr(-abs(_tango_z(n10, n01, n, bound))))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
    method: BootstrapMethod = "bca",
    n_replicates: int | None = None,
    seed: Seed = 0,
) -> Estimate:
    """Bootstrap interval of the mean of a - b over pairs; pairs are drawn together.

    Parameters
    ----------
    a, b
        Shape (n,): the values of both models on the same items, in the same order, none missing.
    clusters, level, method, n_replicates, seed
        As in `bootstrap_mean`.

    Raises
    ------
    DataError
        If the arrays differ in length, or values are missing.

    References
    ----------
    P. Koehn (2004), Statistical significance tests for machine translation evaluation, EMNLP.

    Examples
    --------
    >>> print(paired_bootstrap([0.9, 0.8, 0.7, 0.9], [0.5, 0.9, 0.4, 0.6]))
    0.225 (95% interval 0 to 0.35, n=4)
    """
    first, second = finite_values(a, name="a"), finite_values(b, name="b")
    same_length(first, second)
    return bootstrap_mean(
        first - second, clusters=clusters, level=level, method=method, n_replicates=n_replicates, seed=seed
    )
