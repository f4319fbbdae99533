"""Intervals for proportions and for the difference of two independent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from concordant.core.errors import DataError
from concordant.core.statistics.critical import normal_critical
from concordant.core.statistics.validation import Floats, check_level

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Number = TypeVar("Number", float, Floats)


def wilson_bounds(p: Number, n: Number | float, z: float) -> tuple[Number, Number]:
    """Return both ends of the Wilson interval for proportions `p` of `n` at critical value `z`.

    The arithmetic alone, for numbers and arrays; `wilson` is the function to call.
    """
    scale = 1.0 + z * z / n
    centre = (p + z * z / (2.0 * n)) / scale
    half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)) ** 0.5
    return centre - half, centre + half


def wilson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    r"""Wilson score interval of proportions.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Parameters
    ----------
    successes
        How many succeeded; any shape.
    n
        Of how many; broadcast against `successes`. Where it is 0 the interval is (0, 1).
    level
        Confidence level, in (0, 1); default 0.95.

    Returns
    -------
    low, high
        Both ends, in [0, 1], of the broadcast shape.

    Raises
    ------
    DataError
        If a count is negative, or there are more successes than trials.

    References
    ----------
    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    Examples
    --------
    >>> low, high = wilson([8, 0], 10)
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.4902, 0.0], [0.9433, 0.2775])
    """
    k, trials = _counts(successes, n)
    z = normal_critical(level)
    empty = trials == 0
    safe = np.where(empty, 1.0, trials)
    low, high = wilson_bounds(np.where(empty, 0.5, k / safe), safe, z)
    # The ends at no success and at no failure are 0 and 1 exactly, not up to rounding.
    low = np.where(empty | (k == 0), 0.0, low)
    high = np.where(empty | (k == trials), 1.0, high)
    return low, high


def clopper_pearson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Exact (Clopper-Pearson) interval of proportions.

    It covers at least `level` whatever the true proportion. The ends are the beta quantiles B(a/2; k, n-k+1)
    and B(1-a/2; k+1, n-k) with a = 1 - level.

    Parameters
    ----------
    successes
        How many succeeded, k; any shape.
    n
        Of how many; broadcast against `successes`. Where it is 0 the interval is (0, 1).
    level
        Confidence level, in (0, 1); default 0.95.

    Returns
    -------
    low, high
        Both ends, in [0, 1], of the broadcast shape.

    Raises
    ------
    DataError
        If a count is negative, or there are more successes than trials.

    References
    ----------
    C. J. Clopper, E. S. Pearson (1934), The use of confidence or fiducial limits, Biometrika 26.

    Examples
    --------
    >>> low, high = clopper_pearson(8, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.4439, 0.9748)
    """
    from scipy.special import betaincinv

    check_level(level)
    k, trials = _counts(successes, n)
    tail = (1.0 - level) / 2.0
    low = np.where(k > 0, betaincinv(np.maximum(k, 1.0), trials - k + 1.0, tail), 0.0)
    high = np.where(k < trials, 1.0 - betaincinv(np.maximum(trials - k, 1.0), k + 1.0, tail), 1.0)
    return low, high


def newcombe(
    successes_a: ArrayLike, n_a: ArrayLike, successes_b: ArrayLike, n_b: ArrayLike, level: float = 0.95
) -> tuple[Floats, Floats]:
    r"""Newcombe's hybrid score interval of a difference of two independent proportions, a - b.

    With the Wilson limits :math:`(l_a, u_a)` and :math:`(l_b, u_b)` and :math:`d = p_a - p_b`,

    .. math:: d - \sqrt{(p_a - l_a)^2 + (u_b - p_b)^2}, \quad d + \sqrt{(u_a - p_a)^2 + (p_b - l_b)^2}

    Parameters
    ----------
    successes_a, n_a, successes_b, n_b
        Successes and trials of both groups; broadcast; at least one trial each.
    level
        Confidence level, in (0, 1); default 0.95.

    Returns
    -------
    low, high
        Both ends, in [-1, 1], of the broadcast shape.

    Raises
    ------
    DataError
        If a count is negative, there are more successes than trials, or a group has no trial.

    References
    ----------
    R. G. Newcombe (1998), Interval estimation for the difference between independent proportions:
    comparison of eleven methods (method 10), Statistics in Medicine 17.

    Examples
    --------
    >>> low, high = newcombe(56, 70, 48, 80)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0524, 0.3339)
    """
    k_a, trials_a = _counts(successes_a, n_a)
    k_b, trials_b = _counts(successes_b, n_b)
    if not (trials_a.all() and trials_b.all()):
        message = "newcombe needs at least one trial in each group, got a group of 0"
        raise DataError(message)
    p_a, p_b = k_a / trials_a, k_b / trials_b
    low_a, high_a = wilson(k_a, trials_a, level)
    low_b, high_b = wilson(k_b, trials_b, level)
    difference = p_a - p_b
    low = difference - np.hypot(p_a - low_a, high_b - p_b)
    high = difference + np.hypot(high_a - p_a, p_b - low_b)
    return low, high


def _counts(successes: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    k, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    bad = ~((k >= 0) & (k <= trials))
    if bad.any():
        at = int(np.flatnonzero(bad.ravel())[0])
        message = f"successes must lie between 0 and the trials, got {k.flat[at]:g} of {trials.flat[at]:g}"
        raise DataError(message)
    return k, trials
