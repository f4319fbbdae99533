"""An estimate with its interval, and with the tests that belong to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError
from concordant.core.statistics.critical import normal_critical, t_critical
from concordant.core.statistics.proportions import clopper_pearson, wilson_bounds
from concordant.core.statistics.validation import (
    Alternative,
    check_alternative,
    check_level,
)

if TYPE_CHECKING:
    from collections.abc import Callable


Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval, and all other intervals and tests of the same method.

    Parameters
    ----------
    value
        The estimate.
    low, high
        Ends of the interval at `level`.
    level
        Confidence level, in (0, 1).
    n
        Rows it was made from.
    n_clusters
        Clusters these rows fall into; None when every row stands for itself.
    stderr
        Standard error; infinite when there are too few rows to know it.
    method
        How the interval was made: "wilson", "t", "cluster-t", "cluster-wilson", "exact", "bca", ...
    interval_at
        Level -> (low, high): the interval of the same method at any level.
    p_at
        Bound -> two-sided p value in closed form, where there is one; `p_value` finds it from `interval_at`
        otherwise.

    Examples
    --------
    >>> print(wilson_estimate(0.8, n=10))
    0.8 (95% interval 0.4902 to 0.9433, n=10)
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    n_clusters: int | None
    stderr: float
    method: str
    interval_at: Callable[[float], Interval] = field(compare=False, repr=False)
    p_at: Callable[[float], float] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        clusters = "" if self.n_clusters is None else f" in {self.n_clusters} clusters"
        level = f"{100 * self.level:.4g}%"
        return f"{self.value:.4g} ({level} interval {self.low:.4g} to {self.high:.4g}, n={self.n}{clusters})"

    def p_value(self, bound: float, alternative: Alternative = "two-sided") -> float:
        """Test whether the true value is `bound`, by inverting the interval.

        The two-sided p value is the smallest 1 - level at which the interval leaves `bound` out, so that it
        is below 1 - level exactly when the interval at that level excludes the bound. A one-sided p value is
        half of it when the estimate lies on the side of the alternative, and one minus half of it otherwise.

        Parameters
        ----------
        bound
            The value under the null hypothesis.
        alternative
            "two-sided"; "less": the true value is below `bound`; "greater": it is above.

        Examples
        --------
        >>> estimate = wilson_estimate(0.8, n=10)
        >>> round(estimate.p_value(0.5), 4), round(estimate.p_value(0.5, "greater"), 4)
        (0.0578, 0.0289)
        """
        check_alternative(alternative)
        if math.isnan(bound):
            message = "bound must be a number, got NaN"
            raise ConfigError(message)
        two_sided = _inverted(self.interval_at, bound) if self.p_at is None else self.p_at(bound)
        if alternative == "two-sided":
            return two_sided
        favoured = self.value < bound if alternative == "less" else self.value > bound
        return two_sided / 2.0 if favoured else 1.0 - two_sided / 2.0


def _inverted(interval_at: Callable[[float], Interval], bound: float) -> float:
    """Return the smallest 1 - level at which the interval excludes `bound`, by bisection on its logarithm."""

    def excludes(tail: float) -> bool:
        low, high = interval_at(1.0 - tail)
        return bound < low or bound > high

    inside, outside = 1e-15, 1.0 - 1e-12  # tails: the wider and the narrower interval
    if not excludes(outside):
        return 1.0
    if excludes(inside):
        return inside
    while outside / inside > 1.0 + 1e-12:
        middle = math.sqrt(inside * outside)
        if not inside < middle < outside:
            break
        if excludes(middle):
            outside = middle
        else:
            inside = middle
    return outside


def t_estimate(
    value: float,
    stderr: float,
    df: float,
    *,
    n: int,
    n_clusters: int | None = None,
    level: float = 0.95,
    bounds: Interval | None = None,
    method: str = "t",
) -> Estimate:
    """Make the estimate of a value whose standard error has `df` degrees of freedom.

    The interval is value ± t(level, df) stderr.

    Parameters
    ----------
    value, stderr
        The estimate and its standard error.
    df
        Degrees of freedom; below 1 the spread is unknown and the interval is the whole range.
    n, n_clusters, level, method
        As in `Estimate`.
    bounds
        Known range of the value, which clips the interval; default none, (-inf, inf).

    Examples
    --------
    >>> print(t_estimate(1.0, 0.5, 9, n=10))
    1 (95% interval -0.1311 to 2.131, n=10)
    """
    check_level(level)
    parts = (value, stderr, df, bounds)
    low, high = _t_interval(*parts, level)
    interval_at, p_at = partial(_t_interval, *parts), partial(_t_p_value, *parts)
    return Estimate(value, low, high, level, n, n_clusters, stderr, method, interval_at, p_at)


def _t_interval(value: float, stderr: float, df: float, bounds: Interval | None, level: float) -> Interval:
    half = t_critical(level, df) * stderr if df >= 1 else math.inf
    low, high = value - half, value + half
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def _t_p_value(value: float, stderr: float, df: float, bounds: Interval | None, bound: float) -> float:
    from scipy.special import stdtr

    if bounds is not None and not bounds[0] <= bound <= bounds[1]:
        return 0.0
    if df < 1 or value == bound:
        return 1.0
    return 2.0 * float(stdtr(df, -abs(value - bound) / stderr)) if stderr > 0 else 0.0


def wilson_estimate(
    p: float,
    *,
    n: int,
    n_effective: float | None = None,
    n_clusters: int | None = None,
    stderr: float | None = None,
    level: float = 0.95,
    method: str = "wilson",
) -> Estimate:
    """Make the estimate of a proportion with its Wilson interval.

    Parameters
    ----------
    p
        The proportion, in [0, 1].
    n
        Rows it was made from, at least 1.
    n_effective
        Independent rows that carry as much information; default `n`.
    n_clusters
        Clusters of the rows. When given, Student's t with ``n_clusters - 1`` degrees of freedom takes the
        place of the normal, because the effective n is itself an estimate from that many clusters.
    stderr
        Standard error; default sqrt(p (1 - p) / n_effective).
    level, method
        As in `Estimate`.

    Examples
    --------
    >>> print(wilson_estimate(0.04, n=1200))
    0.04 (95% interval 0.0303 to 0.05263, n=1200)
    """
    check_level(level)
    size = float(n) if n_effective is None else n_effective
    parts = (p, size, math.inf if n_clusters is None else n_clusters - 1.0)
    if stderr is None:
        stderr = math.sqrt(p * (1.0 - p) / size)
    low, high = _wilson_interval(*parts, level)
    interval_at, p_at = partial(_wilson_interval, *parts), partial(_wilson_p_value, *parts)
    return Estimate(p, low, high, level, n, n_clusters, stderr, method, interval_at, p_at)


def _wilson_interval(p: float, n: float, df: float, level: float) -> Interval:
    if df < 1:
        return 0.0, 1.0
    low, high = wilson_bounds(p, n, normal_critical(level) if df == math.inf else t_critical(level, df))
    return (0.0 if p == 0 else max(low, 0.0)), (1.0 if p == 1 else min(high, 1.0))


def _wilson_p_value(p: float, n: float, df: float, bound: float) -> float:
    from scipy.special import ndtr, stdtr

    if not 0.0 <= bound <= 1.0:
        return 0.0
    if p == bound or df < 1:
        return 1.0
    if bound in (0.0, 1.0):
        return 0.0
    z = -abs(p - bound) / math.sqrt(bound * (1.0 - bound) / n)
    return 2.0 * float(ndtr(z) if df == math.inf else stdtr(df, z))


def exact_estimate(successes: int, n: int, level: float = 0.95) -> Estimate:
    """Make the estimate of a proportion with its exact (Clopper-Pearson) interval.

    Examples
    --------
    >>> print(exact_estimate(0, 30))
    0 (95% interval 0 to 0.1157, n=30)
    """
    check_level(level)
    p = successes / n
    low, high = _exact_interval(successes, n, level)
    interval_at, p_at = partial(_exact_interval, successes, n), partial(_exact_p_value, successes, n)
    return Estimate(p, low, high, level, n, None, math.sqrt(p * (1 - p) / n), "exact", interval_at, p_at)


def _exact_interval(successes: int, n: int, level: float) -> Interval:
    low, high = clopper_pearson(successes, n, level)
    return float(low), float(high)


def _exact_p_value(successes: int, n: int, bound: float) -> float:
    from scipy.special import bdtr, bdtrc

    if not 0.0 <= bound <= 1.0:
        return 0.0
    at_most = float(bdtr(successes, n, bound))
    at_least = float(bdtrc(successes - 1, n, bound)) if successes else 1.0
    return min(1.0, 2.0 * min(at_most, at_least))
