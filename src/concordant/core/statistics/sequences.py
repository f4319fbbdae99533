r"""Confidence sequences: intervals that hold at all times at once, however often one looks.

An ordinary 95% interval is right at one n fixed beforehand. Looked at after every batch it will sooner or
later leave out the truth. A confidence sequence satisfies :math:`P(\forall t: L_t \le \mu \le U_t) \ge
level`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.validation import (
    Floats,
    check_choice,
    check_level,
    finite_values,
    same_length,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SequenceMethod = Literal["betting", "empirical-bernstein"]

_BLOCK = 2**14  # numbers at a time: small enough to stay in the cache


def confidence_sequence(
    values: ArrayLike,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
    method: SequenceMethod = "betting",
    resolution: int = 1000,
) -> tuple[Floats, Floats]:
    r"""Confidence sequence of the mean of bounded values that arrive one after the other.

    Needs no assumption but the bounds: values may be dependent as long as each has the same mean given the
    past.

    *Betting* (hedged capital): for each candidate mean m two gamblers bet against it, one that it is too low
    and one that it is too high, with wealth :math:`K^{\pm}_t(m) = \prod_i (1 \pm \lambda^{\pm}_i (x_i - m))`.
    Nobody is likely to grow rich on the true mean, so every m at which the larger wealth reaches
    :math:`2 / \alpha` is ruled out for good. *Empirical Bernstein* is nearly the same idea in closed form:
    wider for few values and for rare events, as narrow otherwise, and quick for millions of values.

    Parameters
    ----------
    values
        Shape (t,): in order of arrival, within `bounds`.
    level
        Confidence level for all times at once, in (0, 1); default 0.95.
    bounds
        Range the values are known to lie in; default (0, 1).
    method
        "betting" (default), or "empirical-bernstein".
    resolution
        Candidate means of the betting method; its ends are rounded outwards to 1 / resolution of the range.
        Time and work are proportional to t times resolution. Default 1000.

    Returns
    -------
    low, high
        Shape (t,) each: the interval after each value; it never widens. Should it become empty, which happens
        with probability below 1 - level unless the mean drifts, the last interval is kept.

    Raises
    ------
    DataError
        If values are missing or outside the bounds.

    References
    ----------
    I. Waudby-Smith, A. Ramdas (2023), Estimating means of bounded random variables by betting, Journal of the
    Royal Statistical Society B 86: theorem 3 with the predictable plug-in bets of section 4.2, and theorem 2.

    Examples
    --------
    >>> low, high = confidence_sequence([1.0, 1.0, 0.0, 1.0] * 50)
    >>> round(float(low[-1]), 2), round(float(high[-1]), 2)
    (0.65, 0.85)
    """
    check_level(level)
    check_choice(method, "method", ("betting", "empirical-bernstein"))
    if resolution < 2:
        message = f"resolution must be at least 2, got {resolution}"
        raise ConfigError(message)
    x = _rescaled(finite_values(values), bounds)
    alpha = 1.0 - level
    bets, means = _predictable_bets(x, alpha)
    low, high = (
        _betting(x, bets, alpha, resolution) if method == "betting" else _bernstein(x, bets, means, alpha)
    )
    low, high = _intersected(np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0))
    width = bounds[1] - bounds[0]
    return bounds[0] + width * low, bounds[0] + width * high


def paired_confidence_sequence(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
    method: SequenceMethod = "betting",
    resolution: int = 1000,
) -> tuple[Floats, Floats]:
    """Confidence sequence of the mean of a - b over pairs that arrive one after the other.

    Parameters
    ----------
    a, b
        Shape (t,): values of both models on the same items, in order of arrival, within `bounds`.
    level, method, resolution
        As in `confidence_sequence`.
    bounds
        Range the values of each model are known to lie in; default (0, 1), so that differences lie in [-1,
        1].

    Returns
    -------
    low, high
        Shape (t,) each: the interval of the mean difference after each pair.

    Raises
    ------
    DataError
        If the arrays differ in length, or values are missing or outside the bounds.

    Examples
    --------
    >>> low, high = paired_confidence_sequence([1, 1, 1, 0, 1] * 40, [0, 1, 0, 0, 1] * 40)
    >>> bool(low[-1] > 0)
    True
    """
    first, second = finite_values(a, name="a"), finite_values(b, name="b")
    same_length(first, second)
    for values in (first, second):
        _rescaled(values, bounds)
    width = bounds[1] - bounds[0]
    return confidence_sequence(
        first - second, level=level, bounds=(-width, width), method=method, resolution=resolution
    )


def normal_mixture_sequence(
    values: ArrayLike,
    *,
    level: float = 0.95,
    sigma: float | None = None,
    tightest_at: int = 500,
    burn_in: int = 50,
) -> tuple[Floats, Floats]:
    r"""Confidence sequence of the mean of unbounded values, by Robbins' normal mixture.

    .. math::
        \bar x_t \pm \sigma \sqrt{\frac{2 (t\rho^2 + 1)}{t^2\rho^2} \ln\frac{\sqrt{t\rho^2 + 1}}{\alpha}}

    Parameters
    ----------
    values
        Shape (t,): in order of arrival.
    level
        Confidence level for all times at once, in (0, 1); default 0.95.
    sigma
        Sub-Gaussian scale of the values, for which the sequence is exact. Default None: the running standard
        deviation takes its place, and the sequence is asymptotic, like an ordinary normal interval.
    tightest_at
        The t at which the sequence is to be tightest; sets :math:`\rho`. Default 500.
    burn_in
        With an estimated sigma, the interval is infinite before this many values; default 50.

    Returns
    -------
    low, high
        Shape (t,) each. With a known sigma it never widens.

    Raises
    ------
    DataError
        If values are missing, or there are none.

    References
    ----------
    H. Robbins (1970), Statistical methods related to the law of the iterated logarithm, Annals of
    Mathematical Statistics 41. I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2024),
    Time-uniform central limit theory and asymptotic confidence sequences, Annals of Statistics 52.

    Examples
    --------
    >>> low, high = normal_mixture_sequence([0.5, -0.5] * 250, sigma=1.0)
    >>> round(float(high[-1]), 3)
    0.136
    """
    check_level(level)
    if sigma is not None and not 0.0 < sigma < math.inf:
        message = f"sigma must be above 0 and finite, got {sigma}"
        raise ConfigError(message)
    if tightest_at < 1 or burn_in < 2:
        message = f"tightest_at must be at least 1 and burn_in at least 2, got {tightest_at} and {burn_in}"
        raise ConfigError(message)
    x = finite_values(values)
    alpha = 1.0 - level
    t = np.arange(1.0, x.size + 1.0)
    means = np.cumsum(x) / t
    needed = -2.0 * math.log(alpha)
    rho2 = (needed + math.log(needed + 1.0)) / tightest_at
    half = np.sqrt(2.0 * (t * rho2 + 1.0) / (t * t * rho2) * np.log(np.sqrt(t * rho2 + 1.0) / alpha))
    if sigma is not None:
        return _intersected(means - sigma * half, means + sigma * half)
    centred = x - x[0]  # keeps the running sum of squares accurate far from 0
    variances = np.maximum(0.0, np.cumsum(centred * centred) / t - (means - x[0]) ** 2)
    half = np.where(t < burn_in, np.inf, np.sqrt(variances) * half)
    return means - half, means + half


def _rescaled(values: Floats, bounds: tuple[float, float]) -> Floats:
    low, high = bounds
    if not low < high:
        message = f"bounds must be a pair (low, high) with low < high, got {bounds}"
        raise ConfigError(message)
    if values.min() < low or values.max() > high:
        message = f"values must lie between {low:g} and {high:g}, got {values.min():g} to {values.max():g}"
        raise DataError(message)
    return (values - low) / (high - low)


def _predictable_bets(x: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return the bets, and the running means they rest on; both at t use only the values before t."""
    t = np.arange(1.0, x.size + 1.0)
    means = (0.5 + np.cumsum(x)) / (t + 1.0)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1.0)
    before = np.concatenate([[0.25], variances[:-1]])
    bets = np.sqrt(2.0 * math.log(2.0 / alpha) / (before * t * np.log(t + 1.0)))
    return bets, np.concatenate([[0.5], means[:-1]])


def _bernstein(x: Floats, bets: Floats, means: Floats, alpha: float) -> tuple[Floats, Floats]:
    bets = np.minimum(bets, 0.5)
    total = np.cumsum(bets)
    centre = np.cumsum(bets * x) / total
    costs = (x - means) ** 2 * (-np.log1p(-bets) - bets)
    half = (math.log(2.0 / alpha) + np.cumsum(costs)) / total
    return centre - half, centre + half


def _betting(x: Floats, bets: Floats, alpha: float, resolution: int) -> tuple[Floats, Floats]:
    """Return the hull of the candidate means that are not ruled out, rounded outwards to the grid.

    The wealth of the bet "m is too low" falls as m rises, so that one candidate ruled out rules out all below
    it, and the largest such candidate is a valid lower end.
    """
    threshold = math.log(2.0 / alpha)
    grid = np.arange(resolution) / resolution
    low = _ruled_out(x, bets, grid, threshold)
    high = 1.0 - _ruled_out(1.0 - x, bets, grid, threshold)  # the same game seen from the other end
    return low, high


def _ruled_out(x: Floats, bets: Floats, grid: Floats, threshold: float) -> Floats:
    """Return, after each value, the largest candidate that the gambler betting on a higher mean ruled out."""
    most = np.full(grid.size, 0.5)
    most[1:] /= grid[1:]  # a bet may lose at most half of the wealth
    most[0] = np.inf
    wealth = np.zeros(grid.size)
    low = np.empty(x.size)
    rows = max(1, _BLOCK // grid.size)
    for start in range(0, x.size, rows):
        some = slice(start, start + rows)
        stakes = np.minimum(bets[some, None], most)
        stakes *= x[some, None] - grid
        gains = np.log1p(stakes, out=stakes)
        gains[0] += wealth
        path = np.cumsum(gains, axis=0, out=gains)
        wealth = path[-1].copy()
        ruined = path >= threshold
        last = grid.size - 1 - np.argmax(ruined[:, ::-1], axis=1)
        low[some] = np.where(ruined.any(axis=1), grid[last], 0.0)
    return low


def _intersected(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the running intersection; from where it would be empty, the last interval that was not."""
    low, high = np.maximum.accumulate(low), np.minimum.accumulate(high)
    empty = low > high
    if empty.any():
        first = int(np.argmax(empty))
        low[first:], high[first:] = low[first - 1], high[first - 1]
    return low, high
