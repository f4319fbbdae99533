"""Two-sided critical values of the normal and Student's t distribution, remembered between calls."""

from __future__ import annotations

from functools import lru_cache

from concordant.core.statistics.validation import check_level


@lru_cache(maxsize=4096)
def normal_critical(level: float) -> float:
    """Return z such that a standard normal lies within ±z with probability `level`.

    Examples
    --------
    >>> round(normal_critical(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    check_level(level)
    return -float(ndtri((1.0 - level) / 2.0))


@lru_cache(maxsize=16384)
def t_critical(level: float, df: float) -> float:
    """Return t such that Student's t with `df` degrees of freedom lies within ±t with probability `level`.

    Examples
    --------
    >>> round(t_critical(0.95, 9), 4)
    2.2622
    """
    from scipy.special import stdtrit

    check_level(level)
    return -float(stdtrit(df, (1.0 - level) / 2.0))
