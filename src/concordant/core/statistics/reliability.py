"""Agreement between raters, judges or repeated runs, beyond what chance would give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from concordant.core.errors import DataError
from concordant.core.statistics.bootstrap import BootstrapMethod, Seed, bootstrap
from concordant.core.statistics.validation import Floats, check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from concordant.core.statistics.estimate import Estimate

Measurement = Literal["nominal", "ordinal", "interval", "ratio"]


def krippendorff_alpha(ratings: ArrayLike, measurement: Measurement = "nominal") -> float:
    r"""Krippendorff's alpha: one minus observed over expected disagreement.

    .. math:: \alpha = 1 - \frac{\sum_u \frac{1}{m_u - 1} \sum_{i \ne j} \delta^2(r_{ui}, r_{uj})}
        {\frac{1}{N - 1} \sum_{a \ne b} \delta^2(r_a, r_b)}

    where unit u has :math:`m_u` ratings (units with fewer than two are left out), N is their total number,
    and :math:`\delta` is 0/1 for nominal ratings, the difference of mid-ranks for ordinal, the difference for
    interval, and :math:`(a - b) / (a + b)` for ratio ratings.

    Parameters
    ----------
    ratings
        Shape (units, raters): numbers, NaN where a rating is missing. Code labels as numbers.
    measurement
        "nominal" (default), "ordinal", "interval" or "ratio".

    Returns
    -------
    float
        1 for perfect agreement, 0 for chance; NaN where all ratings are equal, or no unit has two.

    Raises
    ------
    DataError
        If the shape is not (units, raters), or ratio ratings are below 0.

    References
    ----------
    K. Krippendorff (2011), Computing Krippendorff's alpha-reliability, University of Pennsylvania.

    Examples
    --------
    >>> round(krippendorff_alpha([[1, 1], [2, 2], [3, 3], [3, 4], [1, 1]]), 4)
    0.7429
    """
    counts, scale = _rating_counts(ratings, measurement)
    return _alpha(counts, scale, measurement)


def krippendorff_alpha_estimate(
    ratings: ArrayLike,
    measurement: Measurement = "nominal",
    *,
    level: float = 0.95,
    method: BootstrapMethod = "bca",
    n_replicates: int = 2000,
    seed: Seed = 0,
) -> Estimate:
    """Estimate Krippendorff's alpha with a bootstrap interval over units.

    Parameters
    ----------
    ratings, measurement
        As in `krippendorff_alpha`.
    level, method, seed
        As in `bootstrap`.
    n_replicates
        Resamples of the units; default 2000. A resample in which all ratings are equal counts as alpha 1.

    Raises
    ------
    DataError
        As in `krippendorff_alpha`; also where alpha is not defined.

    Examples
    --------
    >>> estimate = krippendorff_alpha_estimate([[1, 1], [2, 2], [3, 3], [3, 4], [1, 1]] * 4, n_replicates=200)
    >>> round(estimate.value, 3), estimate.low < estimate.value < estimate.high, estimate.n
    (0.721, True, 20)
    """
    counts, scale = _rating_counts(ratings, measurement)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts) or math.isnan(_alpha(counts, scale, measurement)):
        message = "alpha is not defined: it needs units with two ratings or more, and ratings that differ"
        raise DataError(message)

    def statistic(rows: Floats) -> float:
        alpha = _alpha(rows, scale, measurement)
        return 1.0 if math.isnan(alpha) else alpha

    return bootstrap(statistic, counts, level=level, method=method, n_replicates=n_replicates, seed=seed)


def _rating_counts(ratings: ArrayLike, measurement: str) -> tuple[Floats, Floats]:
    """Return how often each unit got each value, shape (units, values), and the values in ascending order."""
    check_choice(measurement, "measurement", ("nominal", "ordinal", "interval", "ratio"))
    matrix = np.asarray(ratings, dtype=np.float64)
    if matrix.ndim != 2:
        message = f"ratings must have shape (units, raters), got {matrix.shape}"
        raise DataError(message)
    given = ~np.isnan(matrix)
    scale, codes = np.unique(matrix[given], return_inverse=True)
    if measurement == "ratio" and scale.size and scale[0] < 0:
        message = f"ratio ratings must be at least 0, got {scale[0]:g}"
        raise DataError(message)
    units = np.broadcast_to(np.arange(len(matrix))[:, None], matrix.shape)[given]
    counts = np.bincount(units * scale.size + codes, minlength=len(matrix) * scale.size)
    return counts.reshape(len(matrix), scale.size).astype(np.float64), scale


def _alpha(counts: Floats, scale: Floats, measurement: str) -> float:
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes >= 2], sizes[sizes >= 2]
    totals: Floats = counts.sum(axis=0)
    pairs: Callable[[Floats], Floats]
    if measurement == "nominal":
        pairs = _nominal_pairs
    elif measurement == "ratio":
        pairs = _ratio_pairs(scale)
    else:  # δ between ordinal values is the difference of their mid-ranks
        pairs = _squared_pairs(scale if measurement == "interval" else np.cumsum(totals) - totals / 2.0)
    observed = float((pairs(counts) / (sizes - 1.0)).sum())
    n = float(totals.sum())
    expected = float(pairs(totals[None, :])[0]) / (n - 1.0) if n > 1 else 0.0
    return 1.0 - observed / expected if expected > 0 else math.nan


def _nominal_pairs(counts: Floats) -> Floats:
    """Return the disagreement summed over all ordered pairs of ratings, for each row of counts."""
    pairs: Floats = counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)
    return pairs


def _squared_pairs(positions: Floats) -> Callable[[Floats], Floats]:
    centred = positions - positions.mean() if positions.size else positions

    def pairs(counts: Floats) -> Floats:
        squared: Floats = 2.0 * (counts.sum(axis=1) * (counts @ centred**2) - (counts @ centred) ** 2)
        return squared

    return pairs


def _ratio_pairs(scale: Floats) -> Callable[[Floats], Floats]:
    sums = scale[:, None] + scale
    squares = ((scale[:, None] - scale) / np.where(sums > 0, sums, 1.0)) ** 2
    return lambda counts: ((counts @ squares) * counts).sum(axis=1)


def cohens_kappa(
    a: ArrayLike, b: ArrayLike, *, weights: Literal["linear", "quadratic"] | None = None
) -> float:
    r"""Cohen's kappa of two raters: :math:`1 - \sum w O / \sum w E`, with O observed and E expected shares.

    Parameters
    ----------
    a, b
        Shape (n,): labels of any comparable type, or numbers, given by each rater to the same items.
    weights
        None (default): all disagreements count alike; "linear" or "quadratic" in the distance of the
        categories in sorted order.

    Returns
    -------
    float
        1 for perfect agreement, 0 for chance; NaN where both raters give one and the same label to all.

    Raises
    ------
    DataError
        If the raters have different numbers of labels, or none.

    References
    ----------
    J. Cohen (1960), A coefficient of agreement for nominal scales, Educational and Psychological Measurement
    20.

    Examples
    --------
    >>> round(cohens_kappa(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"]), 4)
    0.5
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        message = f"both raters must label the same items, got shapes {first.shape} and {second.shape}"
        raise DataError(message)
    categories, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    k = categories.size
    table = np.bincount(codes[: first.size] * k + codes[first.size :], minlength=k * k).reshape(k, k)
    observed = table / first.size
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    if weights is None:
        distance = (distance > 0).astype(np.float64)
    else:
        check_choice(weights, "weights", ("linear", "quadratic"))
        distance = distance if weights == "linear" else distance**2
    chance = float((distance * expected).sum())
    return 1.0 - float((distance * observed).sum()) / chance if chance > 0 else math.nan


def fleiss_kappa(counts: ArrayLike) -> float:
    r"""Fleiss' kappa of many raters: :math:`(\bar P - \bar P_e) / (1 - \bar P_e)`.

    Parameters
    ----------
    counts
        Shape (units, categories): how many raters put each unit into each category; the same number of
        raters, at least two, for all units.

    Returns
    -------
    float
        1 for perfect agreement, 0 for chance; NaN where only one category was used.

    Raises
    ------
    DataError
        If units have different numbers of raters, or fewer than two.

    References
    ----------
    J. L. Fleiss (1971), Measuring nominal scale agreement among many raters, Psychological Bulletin 76.

    Examples
    --------
    >>> round(fleiss_kappa([[3, 0], [2, 1], [0, 3], [1, 2]]), 4)
    0.3333
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        message = f"counts must have shape (units, categories), got {table.shape}"
        raise DataError(message)
    raters = table.sum(axis=1)
    if raters[0] < 2 or (raters != raters[0]).any():
        message = (
            f"all units need the same number of raters, at least 2, got {raters.min():g} to {raters.max():g}"
        )
        raise DataError(message)
    m = raters[0]
    agreement = float((((table * table).sum(axis=1) - m) / (m * (m - 1.0))).mean())
    chance = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return (agreement - chance) / (1.0 - chance) if chance < 1.0 else math.nan
