"""McNemar's test: whether two models on the same items differ in how often they are right."""

from __future__ import annotations

import math
from dataclasses import dataclass

from concordant.core.errors import DataError
from concordant.core.statistics.proportions import clopper_pearson
from concordant.core.statistics.validation import Alternative, check_alternative


@dataclass(frozen=True, slots=True)
class McNemar:
    """What the items on which two models differ say about the models.

    Parameters
    ----------
    n_negative, n_positive
        Items that went from right to wrong, and from wrong to right.
    p_exact
        Exact p value of the alternative.
    p_mid
        Mid-p value: less conservative, its error rate is close to the nominal one.
    odds_ratio
        ``n_negative / n_positive``: above 1 when more was lost than won; NaN without flips.
    low, high
        Exact (Clopper-Pearson) interval of the odds ratio at `level`.
    level
        Confidence level of the interval.
    """

    n_negative: int
    n_positive: int
    p_exact: float
    p_mid: float
    odds_ratio: float
    low: float
    high: float
    level: float


def mcnemar(
    n_negative: int, n_positive: int, *, alternative: Alternative = "two-sided", level: float = 0.95
) -> McNemar:
    r"""Exact McNemar test of the flips between two models.

    If neither model is better, each of the :math:`n = n_- + n_+` flips is negative with probability 1/2, so
    that :math:`n_- \sim \mathrm{Bin}(n, 1/2)`; the p values are its tail probabilities, the mid-p value
    counts the observed outcome half. Items on which both are right or both wrong carry no information.

    Parameters
    ----------
    n_negative
        Items that went from right to wrong; at least 0.
    n_positive
        Items that went from wrong to right; at least 0.
    alternative
        "two-sided" (default); "greater": more negative flips than positive ones; "less": fewer.
    level
        Confidence level of the interval of the odds ratio, in (0, 1); default 0.95.

    Raises
    ------
    DataError
        If a count is negative.

    References
    ----------
    Q. McNemar (1947), Note on the sampling error of the difference between correlated proportions,
    Psychometrika 12. M. W. Fagerland, S. Lydersen, P. Laake (2013), The McNemar test for binary matched-pairs
    data: mid-p and asymptotic are better than exact conditional, BMC Medical Research Methodology 13.

    Examples
    --------
    >>> test = mcnemar(12, 4)
    >>> round(test.p_exact, 4), round(test.p_mid, 4), test.odds_ratio
    (0.0768, 0.049, 3.0)
    """
    from scipy.special import bdtr

    check_alternative(alternative)
    if n_negative < 0 or n_positive < 0:
        message = f"numbers of flips must be at least 0, got {n_negative} negative and {n_positive} positive"
        raise DataError(message)
    n = n_negative + n_positive
    if alternative == "two-sided":
        k = min(n_negative, n_positive)
        half = float(bdtr(k, n, 0.5))
        here = half - (float(bdtr(k - 1, n, 0.5)) if k else 0.0)
        p_exact = min(1.0, 2.0 * half)
        p_mid = 2.0 * half - here if n_negative != n_positive else 1.0 - here / 2.0
    else:
        k = n_positive if alternative == "greater" else n_negative
        p_exact = float(bdtr(k, n, 0.5))
        p_mid = (p_exact + (float(bdtr(k - 1, n, 0.5)) if k else 0.0)) / 2.0
    if n == 0:
        p_exact = p_mid = 1.0
    low, high = clopper_pearson(n_negative, n, level)
    return McNemar(
        n_negative,
        n_positive,
        p_exact,
        p_mid,
        _odds(n_negative, n_positive),
        _odds(float(low), 1.0 - float(low)),
        _odds(float(high), 1.0 - float(high)),
        level,
    )


def _odds(against: float, favour: float) -> float:
    if favour == 0:
        return math.nan if against == 0 else math.inf
    return against / favour
