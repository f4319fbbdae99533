"""Effect sizes: how large a difference is, in units that do not depend on n."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError
from concordant.core.statistics.critical import normal_critical
from concordant.core.statistics.estimate import Estimate, Interval
from concordant.core.statistics.proportions import newcombe
from concordant.core.statistics.validation import check_fraction, check_level, finite_values, same_length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def cohens_d(a: ArrayLike, b: ArrayLike, *, hedges: bool = True) -> float:
    r"""Difference of two independent means in pooled standard deviations.

    .. math:: d = J \frac{\bar a - \bar b}{s_p}, \quad s_p^2 = \frac{(n_a-1)s_a^2 + (n_b-1)s_b^2}{n_a+n_b-2},
        \quad J = \frac{\Gamma(\nu/2)}{\sqrt{\nu/2}\,\Gamma((\nu-1)/2)}, \quad \nu = n_a+n_b-2

    Parameters
    ----------
    a, b
        Shapes (n_a,) and (n_b,), at least two values each.
    hedges
        Whether to take out the bias of small samples (the factor J, Hedges' g); default True.

    Returns
    -------
    float
        Infinite, or 0 for equal means, where neither sample has any spread.

    References
    ----------
    L. V. Hedges (1981), Distribution theory for Glass's estimator of effect size, Journal of Educational
    Statistics 6.

    Examples
    --------
    >>> round(cohens_d([3, 4, 5], [1, 2, 3], hedges=False), 4), round(cohens_d([3, 4, 5], [1, 2, 3]), 4)
    (2.0, 1.5958)
    """
    first, second = finite_values(a, name="a", min_rows=2), finite_values(b, name="b", min_rows=2)
    df = first.size + second.size - 2
    squares = first.var() * first.size + second.var() * second.size
    return _standardised(float(first.mean() - second.mean()), math.sqrt(squares / df), df, hedges=hedges)


def cohens_dz(a: ArrayLike, b: ArrayLike, *, hedges: bool = True) -> float:
    r"""Mean of the paired differences a - b in their standard deviations, :math:`d_z = J\,\bar d / s_d`.

    Parameters
    ----------
    a, b
        Shape (n,): values of both on the same items, at least two.
    hedges
        Whether to take out the bias of small samples; default True. The degrees of freedom are n - 1.

    Examples
    --------
    >>> round(cohens_dz([3, 4, 6, 5], [2, 4, 4, 4], hedges=False), 4)
    1.2247
    """
    first, second = finite_values(a, name="a", min_rows=2), finite_values(b, name="b", min_rows=2)
    same_length(first, second)
    differences = first - second
    return _standardised(
        float(differences.mean()), float(differences.std(ddof=1)), differences.size - 1, hedges=hedges
    )


def _standardised(difference: float, sd: float, df: int, *, hedges: bool) -> float:
    if sd == 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    if not hedges:
        return difference / sd
    if df < 2:
        message = f"Hedges' correction needs at least 2 degrees of freedom, got {df}"
        raise DataError(message)
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * difference / sd


def cohens_h(p_a: float, p_b: float) -> float:
    r"""Difference of two proportions on the arcsine scale.

    .. math:: h = 2\arcsin\sqrt{p_a} - 2\arcsin\sqrt{p_b}

    Parameters
    ----------
    p_a, p_b
        Proportions, in [0, 1].

    References
    ----------
    J. Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 6.

    Examples
    --------
    >>> round(cohens_h(0.5, 0.25), 4)
    0.5236
    """
    check_fraction(p_a, "p_a")
    check_fraction(p_b, "p_b")
    return 2.0 * math.asin(math.sqrt(p_a)) - 2.0 * math.asin(math.sqrt(p_b))


def proportion_difference(
    successes_a: int, n_a: int, successes_b: int, n_b: int, *, level: float = 0.95
) -> Estimate:
    """Estimate the difference of two independent proportions, a - b, with Newcombe's interval.

    Parameters
    ----------
    successes_a, n_a, successes_b, n_b
        Successes and trials of both groups.
    level
        Confidence level, in (0, 1); default 0.95.

    Examples
    --------
    >>> print(proportion_difference(56, 70, 48, 80))
    0.2 (95% interval 0.05243 to 0.3339, n=150)
    """
    interval_at = partial(_newcombe_interval, successes_a, n_a, successes_b, n_b)
    low, high = interval_at(level)
    p_a, p_b = successes_a / n_a, successes_b / n_b
    stderr = math.sqrt(p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b)
    return Estimate(p_a - p_b, low, high, level, n_a + n_b, None, stderr, "newcombe", interval_at)


def _newcombe_interval(successes_a: int, n_a: int, successes_b: int, n_b: int, level: float) -> Interval:
    low, high = newcombe(successes_a, n_a, successes_b, n_b, level)
    return float(low), float(high)


def risk_ratio(successes_a: int, n_a: int, successes_b: int, n_b: int, *, level: float = 0.95) -> Estimate:
    r"""Estimate the ratio of two independent proportions, a / b, with the log interval of Katz.

    .. math:: \frac{p_a}{p_b} \exp\Big(\pm z
        \sqrt{\tfrac{1}{k_a} - \tfrac{1}{n_a} + \tfrac{1}{k_b} - \tfrac{1}{n_b}}\Big)

    Where a group has no success, 1/2 is added to both successes and 1 to both n, for the ratio as well.

    Parameters
    ----------
    successes_a, n_a, successes_b, n_b
        Successes and trials of both groups; at least one trial each.
    level
        Confidence level, in (0, 1); default 0.95.

    Returns
    -------
    Estimate
        Its `stderr` is that of the logarithm.

    References
    ----------
    D. Katz, J. Baptista, S. P. Azen, M. C. Pike (1978), Obtaining confidence intervals for the risk ratio in
    cohort studies, Biometrics 34.

    Examples
    --------
    >>> print(risk_ratio(56, 70, 48, 80))
    1.333 (95% interval 1.077 to 1.651, n=150)
    """
    check_level(level)
    for k, n in ((successes_a, n_a), (successes_b, n_b)):
        if not 0 <= k <= n or n == 0:
            message = f"successes must lie between 0 and a number of trials above 0, got {k} of {n}"
            raise DataError(message)
    shift = 0.5 if successes_a == 0 or successes_b == 0 else 0.0
    k_a, k_b, m_a, m_b = successes_a + shift, successes_b + shift, n_a + 2 * shift, n_b + 2 * shift
    ratio = (k_a / m_a) / (k_b / m_b)
    log_stderr = math.sqrt(1 / k_a - 1 / m_a + 1 / k_b - 1 / m_b)
    interval_at, p_at = partial(_log_interval, ratio, log_stderr), partial(_log_p_value, ratio, log_stderr)
    low, high = interval_at(level)
    return Estimate(ratio, low, high, level, n_a + n_b, None, log_stderr, "katz", interval_at, p_at)


def _log_interval(ratio: float, log_stderr: float, level: float) -> Interval:
    factor = math.exp(normal_critical(level) * log_stderr)
    return ratio / factor, ratio * factor


def _log_p_value(ratio: float, log_stderr: float, bound: float) -> float:
    from scipy.special import ndtr

    if bound == ratio:
        return 1.0
    if bound <= 0.0 or log_stderr == 0.0:
        return 0.0
    return 2.0 * float(ndtr(-abs(math.log(ratio / bound)) / log_stderr))


def probability_of_superiority(a: ArrayLike, b: ArrayLike) -> float:
    r"""Probability that a random value of `a` is above one of `b`: the area under the curve.

    :math:`P(a > b) + P(a = b) / 2`, by sorting, in n log n.

    Parameters
    ----------
    a, b
        Shapes (n_a,) and (n_b,), at least one value each.

    References
    ----------
    H. B. Mann, D. R. Whitney (1947), Annals of Mathematical Statistics 18.

    Examples
    --------
    >>> probability_of_superiority([2, 3, 4], [1, 3])
    0.75
    """
    first, second = finite_values(a, name="a"), np.sort(finite_values(b, name="b"))
    below = np.searchsorted(second, first, side="left").sum()
    at_most = np.searchsorted(second, first, side="right").sum()
    return float(below + at_most) / (2.0 * first.size * second.size)


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    r"""Cliff's delta, :math:`P(a > b) - P(a < b)`, in [-1, 1].

    Parameters
    ----------
    a, b
        Shapes (n_a,) and (n_b,), at least one value each.

    References
    ----------
    N. Cliff (1993), Dominance statistics: ordinal analyses to answer ordinal questions, Psychological
    Bulletin 114.

    Examples
    --------
    >>> cliffs_delta([2, 3, 4], [1, 3])
    0.5
    """
    return 2.0 * probability_of_superiority(a, b) - 1.0
