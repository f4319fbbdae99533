"""How many items a comparison needs, and what a given number of items can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.core.statistics.critical import normal_critical, t_critical
from concordant.core.statistics.validation import check_fraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from concordant.core.statistics.estimate import Estimate

_MOST = 10**12  # a needed n beyond this is none


def mcnemar_power(negative_rate: float, positive_rate: float, n: int, *, alpha: float = 0.05) -> float:
    r"""Power of the two-sided exact McNemar test.

    The number of flips m among n items is Bin(n, negative + positive); given m, the negative ones are
    Bin(m, negative / (negative + positive)), and the test rejects outside its critical counts:

    .. math:: \sum_m P(m) \, P(\text{reject} \mid m)

    Parameters
    ----------
    negative_rate, positive_rate
        Shares of items that flip from right to wrong, and from wrong to right; their sum is at most 1.
    n
        Number of items, at least 1.
    alpha
        Level of the test, in (0, 1); default 0.05.

    References
    ----------
    S. W. Duffy (1984), Asymptotic and exact power for the McNemar test and its analogue with R controls per
    case, Biometrics 40.

    Examples
    --------
    >>> round(mcnemar_power(0.04, 0.10, 200), 3)
    0.555
    """
    from scipy.special import bdtr, bdtrik, gammaln, xlogy

    flip_rate = _flip_rate(negative_rate, positive_rate)
    _check_alpha(alpha)
    _check_n(n)
    if flip_rate == 0.0:
        return 0.0
    # All numbers of flips that matter: nine standard deviations hold all but 1e-18 of the probability.
    reach = 9.0 * math.sqrt(n * flip_rate * (1.0 - flip_rate)) + 9.0
    m = np.arange(max(0, math.floor(n * flip_rate - reach)), min(n, math.ceil(n * flip_rate + reach)) + 1)
    log_mass = gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
    mass = np.exp(log_mass + xlogy(m, flip_rate) + xlogy(n - m, 1.0 - flip_rate))
    # The largest count that is rejected on the low side, -1 where none is; the inverse is good to a rounding.
    critical = np.floor(np.nan_to_num(bdtrik(alpha / 2.0, m, 0.5), nan=0.0)).astype(int)
    critical -= bdtr(critical, m, 0.5) > alpha / 2.0
    share = negative_rate / flip_rate
    reject = np.zeros(m.size)
    for rate in (share, 1.0 - share):
        some = critical >= 0
        reject[some] += bdtr(critical[some], m[some], rate)
    return float(min(1.0, mass @ reject))


def needed_n_mcnemar(
    negative_rate: float, positive_rate: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    r"""Items with which the exact McNemar test reaches a power; None when both rates are equal.

    Starts from the normal approximation
    :math:`(z_{\alpha}\sqrt{\psi} + z_{power}\sqrt{\psi - \delta^2})^2 / \delta^2`, with :math:`\psi` the
    sum and :math:`\delta` the difference of the rates, and searches the exact power from there. Above 100,000
    items the approximation is returned.

    Parameters
    ----------
    negative_rate, positive_rate
        Shares of items that flip from right to wrong, and from wrong to right; their sum is at most 1.
    alpha
        Level of the two-sided test; default 0.05.
    power
        Wanted probability of a significant result, in (0, 1); default 0.8.

    References
    ----------
    R. J. Connor (1987), Sample size for testing differences in proportions for the paired-sample design,
    Biometrics 43.

    Examples
    --------
    >>> needed_n_mcnemar(0.04, 0.10)
    322
    """
    flip_rate = _flip_rate(negative_rate, positive_rate)
    z, z_power = _critical_pair(alpha, power)
    gap = abs(negative_rate - positive_rate)
    if gap == 0.0:
        return None
    root = z * math.sqrt(flip_rate) + z_power * math.sqrt(max(0.0, flip_rate - gap * gap))
    approximate = math.ceil((root / gap) ** 2) if root > 0 else 1
    if approximate > 100_000:
        return approximate if approximate <= _MOST else None
    return _smallest_n(
        lambda n: mcnemar_power(negative_rate, positive_rate, n, alpha=alpha),
        power,
        start=max(2, approximate),
    )


def mean_power(effect: float, sd: float, n: int, *, alpha: float = 0.05) -> float:
    """Power of the two-sided t test that a mean (or a mean paired difference) is 0.

    From the noncentral t distribution.

    Parameters
    ----------
    effect
        True mean (difference).
    sd
        Standard deviation of the values (differences), above 0.
    n
        Number of items, at least 2.
    alpha
        Level of the test, in (0, 1); default 0.05.

    Examples
    --------
    >>> round(mean_power(0.5, 1.0, 34), 4)
    0.8078
    """
    from scipy.special import nctdtr

    _check_alpha(alpha)
    _check_sd(sd)
    _check_n(n, least=2)
    df, shift = n - 1, abs(effect) / sd * math.sqrt(n)
    critical = t_critical(1.0 - alpha, df)
    if shift > critical + 30.0:  # beyond the range of the noncentral distribution, and certain
        return 1.0
    missed = float(nctdtr(df, shift, critical) - nctdtr(df, shift, -critical))
    return 1.0 - missed


def needed_n_mean(effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Items with which the t test of a mean (paired difference) reaches a power; None when the effect is 0.

    Parameters
    ----------
    effect, sd
        True mean (difference), and the standard deviation of the values (differences).
    alpha
        Level of the two-sided test; default 0.05.
    power
        Wanted probability of a significant result, in (0, 1); default 0.8.

    Examples
    --------
    >>> needed_n_mean(0.5, 1.0)
    34
    """
    _check_sd(sd)
    z, z_power = _critical_pair(alpha, power)
    if effect == 0.0:
        return None
    approximate = ((z + z_power) * sd / effect) ** 2
    if approximate > 1e7:  # t and normal agree
        return math.ceil(approximate) if approximate <= _MOST else None
    return _smallest_n(
        lambda n: mean_power(effect, sd, n, alpha=alpha), power, start=max(2, math.ceil(approximate))
    )


def minimal_difference(sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean (paired difference) that the t test on `n` items finds with a given power.

    Parameters
    ----------
    sd
        Standard deviation of the values (differences), above 0.
    n
        Number of items, at least 2.
    alpha
        Level of the two-sided test; default 0.05.
    power
        Wanted probability of a significant result, above `alpha`; default 0.8.

    Examples
    --------
    >>> round(minimal_difference(1.0, 34), 4)
    0.495
    """
    _critical_pair(alpha, power)
    low, high = 0.0, 1.0
    while mean_power(high, 1.0, n, alpha=alpha) < power:
        high *= 2.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if mean_power(middle, 1.0, n, alpha=alpha) < power else (low, middle)
    _check_sd(sd)
    return high * sd


def needed_n_proportion(p: float, bound: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    r"""Items with which the Wilson interval of a proportion `p` leaves out `bound`.

    .. math:: n = \Big(\frac{z_{\alpha}\sqrt{b(1-b)} + z_{power}\sqrt{p(1-p)}}{p - b}\Big)^2

    Parameters
    ----------
    p
        The true proportion, in [0, 1]; in practice the estimate.
    bound
        The proportion to tell it from, b, in [0, 1].
    alpha
        One minus the level of the two-sided interval; default 0.05.
    power
        Wanted probability that the interval leaves out the bound, in (0, 1); default 0.8.

    Returns
    -------
    int or None
        None when `p` lies on the bound.

    References
    ----------
    J. L. Fleiss, B. Levin, M. C. Paik (2003), Statistical Methods for Rates and Proportions, section 2.

    Examples
    --------
    >>> needed_n_proportion(0.03, 0.02), needed_n_proportion(0.02, 0.02)
    (1747, None)
    """
    check_fraction(p, "p")
    check_fraction(bound, "bound")
    z, z_power = _critical_pair(alpha, power)
    if p == bound:
        return None
    root = (z * math.sqrt(bound * (1 - bound)) + z_power * math.sqrt(p * (1 - p))) / (p - bound)
    n = max(1, math.ceil(root * root - 1e-9))
    return n if n <= _MOST else None


def needed_n(estimate: Estimate, bound: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Rows of the same kind with which an estimate would be told from a bound, if its value stays as it is.

    Proportions with a Wilson interval use `needed_n_proportion`, times the design effect of their clusters;
    all others scale their standard error, n ((z_alpha + z_power) stderr / (value - bound))².

    Parameters
    ----------
    estimate
        What is known now.
    bound
        What it is to be told from.
    alpha
        One minus the level of the two-sided interval; default 0.05.
    power
        Wanted probability that the interval leaves out the bound; default 0.8.

    Returns
    -------
    int or None
        None when the estimate lies on the bound, or its spread is not known.

    Examples
    --------
    >>> from concordant.core.statistics.estimate import wilson_estimate
    >>> needed_n(wilson_estimate(0.03, n=200), 0.02)
    1747
    """
    z, z_power = _critical_pair(alpha, power)
    if estimate.value == bound or not math.isfinite(estimate.stderr):
        return None
    if estimate.method in ("wilson", "exact", "cluster-wilson") and 0.0 <= bound <= 1.0:
        single = needed_n_proportion(estimate.value, bound, alpha=alpha, power=power)
        return None if single is None else math.ceil(single * _design_effect(estimate))
    if estimate.stderr == 0.0:
        return None
    n = math.ceil(estimate.n * ((z + z_power) * estimate.stderr / (estimate.value - bound)) ** 2)
    return max(n, 2) if n <= _MOST else None


def _design_effect(estimate: Estimate) -> float:
    """Return how many rows in clusters are worth one independent row."""
    if estimate.n_clusters is None:
        return 1.0
    variance = estimate.value * (1.0 - estimate.value)
    if variance == 0.0:
        return estimate.n / estimate.n_clusters
    return max(1.0, estimate.stderr**2 * estimate.n / variance)


def _smallest_n(power_of: Callable[[int], float], power: float, start: int) -> int | None:
    """Return the smallest n, from 2, at which a rising `power_of` reaches `power`."""
    low, high = 1, start
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power_of(middle) < power else (low, middle)
    return high


def _critical_pair(alpha: float, power: float) -> tuple[float, float]:
    _check_alpha(alpha)
    if not alpha < power < 1.0:
        message = f"power must lie strictly between alpha ({alpha:g}) and 1, got {power}"
        raise ConfigError(message)
    z_power = normal_critical(abs(2.0 * power - 1.0)) if power != 0.5 else 0.0
    return normal_critical(1.0 - alpha), math.copysign(z_power, power - 0.5)


def _flip_rate(negative_rate: float, positive_rate: float) -> float:
    check_fraction(negative_rate, "negative_rate")
    check_fraction(positive_rate, "positive_rate")
    check_fraction(negative_rate + positive_rate, "the sum of negative_rate and positive_rate")
    return negative_rate + positive_rate


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        message = f"alpha must lie strictly between 0 and 1, got {alpha}"
        raise ConfigError(message)


def _check_sd(sd: float) -> None:
    if not 0.0 < sd < math.inf:
        message = f"sd must be above 0 and finite, got {sd}"
        raise ConfigError(message)


def _check_n(n: int, least: int = 1) -> None:
    if n < least:
        message = f"n must be at least {least}, got {n}"
        raise ConfigError(message)
