"""Over-dispersion: whether success rates over variations differ more than chance would make them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class OverDispersion:
    """How much the success rates of groups vary, beside what binomial noise alone would give.

    Parameters
    ----------
    ratio
        D: variance of the rates over the variance expected from noise; about 1 when the groups are alike.
    sd
        Standard deviation of the rates over groups.
    sd_binomial
        The standard deviation that noise alone would give.
    p_value
        Of the chi-square test that all groups have the same rate.
    correlation
        Intraclass correlation rho of the beta-binomial model (ANOVA estimator); 0 when alike, below 0 by
        chance.
    mean
        Overall success rate.
    lowest, highest
        The lowest and highest rate of a group.
    n_groups
        Number of groups.
    """

    ratio: float
    sd: float
    sd_binomial: float
    p_value: float
    correlation: float
    mean: float
    lowest: float
    highest: float
    n_groups: int


def over_dispersion(successes: ArrayLike, trials: ArrayLike) -> OverDispersion:
    r"""Compare the spread of success rates over groups (variations of a problem) with binomial noise.

    .. math:: D = \frac{\mathrm{sd}_v(p_v)^2}{\mathrm{mean}_v\, p(1-p)/n_v}, \qquad
        X^2 = \sum_v \frac{(k_v - n_v p)^2}{n_v p (1-p)} \sim \chi^2_{V-1}

    with p the pooled rate and :math:`n_v` trials in group v. For equal :math:`n_v`, :math:`X^2 = (V - 1) D`.

    Parameters
    ----------
    successes
        Shape (V,): successes of each group; at least two groups.
    trials
        Shape (V,) or one number: trials of each group, at least one.

    Returns
    -------
    OverDispersion
        Where nothing or everything succeeded, `ratio` and `correlation` are NaN and the p value is 1.

    Raises
    ------
    DataError
        If counts are out of range, or there are fewer than two groups.

    References
    ----------
    J. K. Lindsey (1999), Response surfaces for overdispersion in the study of the conditions for fish eggs
    hatching, Biometrics 55 (the index). M. S. Ridout, C. G. B. Demetrio, D. Firth (1999), Estimating
    intraclass correlation for binary data, Biometrics 55 (the correlation).

    Examples
    --------
    >>> found = over_dispersion([41, 59, 21, 60, 26, 31], 60)
    >>> round(found.ratio, 1), round(found.sd, 3), round(found.sd_binomial, 3)
    (20.8, 0.279, 0.061)
    """
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    if k.ndim != 1 or k.size < 2:
        message = f"over-dispersion needs at least two groups, got shape {k.shape}"
        raise DataError(message)
    bad = ~((k >= 0) & (k <= n) & (n > 0))
    if bad.any():
        at = int(np.argmax(bad))
        message = f"group {at} must have between 0 and all of its trials succeed, got {k[at]:g} of {n[at]:g}"
        raise DataError(message)
    from scipy.special import chdtrc

    groups = k.size
    rates = k / n
    p = float(k.sum() / n.sum())
    noise = p * (1.0 - p)
    spread = float(rates.var(ddof=1))
    expected = noise * float((1.0 / n).mean())
    if noise > 0.0:
        chi_square = float(((k - n * p) ** 2 / (n * noise)).sum())
        p_value, ratio = float(chdtrc(groups - 1, chi_square)), spread / expected
    else:
        p_value, ratio = 1.0, math.nan
    return OverDispersion(
        ratio=ratio,
        sd=math.sqrt(spread),
        sd_binomial=math.sqrt(expected),
        p_value=p_value,
        correlation=_intraclass(k, n, p),
        mean=p,
        lowest=float(rates.min()),
        highest=float(rates.max()),
        n_groups=groups,
    )


def _intraclass(k: np.ndarray, n: np.ndarray, p: float) -> float:
    """Return the one-way ANOVA estimator (MSB - MSW) / (MSB + (n0 - 1) MSW) for binary outcomes."""
    total, groups = float(n.sum()), k.size
    if total <= groups:
        return math.nan
    between = float((n * (k / n - p) ** 2).sum()) / (groups - 1)
    within = float((k * (1.0 - k / n)).sum()) / (total - groups)
    n0 = (total - float((n * n).sum()) / total) / (groups - 1)
    scale = between + (n0 - 1.0) * within
    return (between - within) / scale if scale > 0 else math.nan
