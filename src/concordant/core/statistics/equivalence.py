"""Two one-sided tests: showing that nothing changed, instead of failing to show that something did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError
from concordant.core.statistics.estimate import Estimate
from concordant.core.statistics.means import estimate_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether a value is shown to lie within a margin.

    Parameters
    ----------
    estimate
        What was tested.
    margin
        (low, high): values between them count as equivalent.
    p_value
        The larger of the two one-sided p values.
    alpha
        Bound on the chance of showing equivalence where there is none.
    low, high
        The interval at level 1 - 2 alpha, which lies within the margin exactly when equivalence is shown.
    is_shown
        Whether `p_value` is below `alpha`.
    """

    estimate: Estimate
    margin: tuple[float, float]
    p_value: float
    alpha: float
    low: float
    high: float
    is_shown: bool


def equivalence(
    values: Estimate | ArrayLike,
    margin: float | tuple[float, float],
    *,
    alpha: float = 0.05,
    clusters: ArrayLike | None = None,
) -> Equivalence:
    """Two one-sided tests (TOST) that a true value lies within a margin.

    The p value is the larger of those of *value > low* and *value < high*, both from the interval of the
    estimate: t for means, Tango for paired proportions, Wilson for a proportion, and so on. Not showing
    equivalence is no evidence of a difference.

    Parameters
    ----------
    values
        An `Estimate` (of a paired difference, a proportion, ...), or values of shape (n,) whose mean is
        tested.
    margin
        A number m > 0 for (-m, m), or (low, high) on the scale of the estimate.
    alpha
        Level of the test, in (0, 0.5); default 0.05.
    clusters
        Labels of rows that belong together, where `values` are values.

    Raises
    ------
    ConfigError
        If the margin is empty, or `alpha` out of range.

    References
    ----------
    D. J. Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability, Journal of Pharmacokinetics and Biopharmaceutics 15.

    Examples
    --------
    >>> found = equivalence([0.01, -0.02, 0.00, 0.01, -0.01, 0.02], margin=0.05)
    >>> found.is_shown, round(found.p_value, 5)
    (True, 0.00024)
    """
    low, high = margin if isinstance(margin, tuple) else (-margin, margin)
    if not low < high:
        message = f"margin must be a number above 0 or a pair (low, high) with low < high, got {margin}"
        raise ConfigError(message)
    if not 0.0 < alpha < 0.5:
        message = f"alpha must lie strictly between 0 and 0.5, got {alpha}"
        raise ConfigError(message)
    estimate = values if isinstance(values, Estimate) else estimate_mean(values, clusters=clusters)
    p_value = max(estimate.p_value(low, "greater"), estimate.p_value(high, "less"))
    interval = estimate.interval_at(1.0 - 2.0 * alpha)
    return Equivalence(estimate, (low, high), p_value, alpha, *interval, p_value < alpha)
