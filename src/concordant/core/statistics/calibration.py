"""Calibration: whether a stated confidence matches how often one is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.validation import Floats, finite_values, is_binary, same_length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityCurve:
    """Confidence beside accuracy, in bins of equal numbers of items.

    Parameters
    ----------
    confidence, accuracy
        Shape (bins,): means within each bin, by ascending confidence.
    n
        Shape (bins,): items in each bin.
    """

    confidence: Floats
    accuracy: Floats
    n: Floats


def reliability_curve(confidences: ArrayLike, correct: ArrayLike, n_bins: int = 10) -> ReliabilityCurve:
    """Group items by confidence into bins of (nearly) equal numbers.

    Items of equal confidence share a bin, so that the curve does not depend on their order; there may then be
    fewer bins.

    Parameters
    ----------
    confidences
        Shape (n,): stated probabilities, in [0, 1].
    correct
        Shape (n,): 0/1 or booleans.
    n_bins
        Wanted number of bins, at least 1; default 10.

    Raises
    ------
    DataError
        If values are missing or out of range.

    Examples
    --------
    >>> curve = reliability_curve([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], n_bins=2)
    >>> curve.confidence.round(4).tolist(), curve.accuracy.tolist()
    ([0.15, 0.85], [0.0, 1.0])
    """
    p, y = _checked(confidences, correct)
    if n_bins < 1:
        message = f"n_bins must be at least 1, got {n_bins}"
        raise ConfigError(message)
    _unique, codes, counts = np.unique(p, return_inverse=True, return_counts=True)
    # A value belongs to the bin in which the middle of its items falls.
    middle = np.cumsum(counts) - counts / 2.0
    bins = np.minimum((middle * n_bins / p.size).astype(np.intp), n_bins - 1)[codes]
    n = np.bincount(bins, minlength=n_bins).astype(np.float64)
    used = n > 0
    confidence = np.bincount(bins, weights=p, minlength=n_bins)[used] / n[used]
    accuracy = np.bincount(bins, weights=y, minlength=n_bins)[used] / n[used]
    return ReliabilityCurve(confidence, accuracy, n[used])


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, n_bins: int = 10) -> float:
    r"""Sum the gaps between confidence and accuracy over bins of equal mass: the expected calibration error.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} |acc_b - conf_b|

    Parameters
    ----------
    confidences, correct, n_bins
        As in `reliability_curve`.

    Returns
    -------
    float
        In [0, 1]; 0 is calibrated. It is biased upwards for small n: compare it at equal n only.

    References
    ----------
    M. P. Naeini, G. Cooper, M. Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
    binning, AAAI. J. Nixon et al. (2019), Measuring calibration in deep learning, CVPR workshops (equal-mass
    bins).

    Examples
    --------
    >>> round(expected_calibration_error([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], n_bins=2), 4)
    0.15
    """
    curve = reliability_curve(confidences, correct, n_bins)
    return float(curve.n @ np.abs(curve.accuracy - curve.confidence) / curve.n.sum())


def brier_score(probabilities: ArrayLike, correct: ArrayLike) -> float:
    r"""Brier score, :math:`\frac1n \sum_i (p_i - y_i)^2`: a loss, 0 is perfect.

    Parameters
    ----------
    probabilities
        Shape (n,): stated probabilities, in [0, 1].
    correct
        Shape (n,): 0/1 or booleans.

    Raises
    ------
    DataError
        If values are missing or out of range.

    References
    ----------
    G. W. Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review
    78.

    Examples
    --------
    >>> round(brier_score([0.9, 0.2], [1, 0]), 4)
    0.025
    """
    p, y = _checked(probabilities, correct)
    return float(((p - y) ** 2).mean())


def _checked(probabilities: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    p, y = finite_values(probabilities, name="probabilities"), finite_values(correct, name="correct")
    same_length(p, y)
    if p.min() < 0.0 or p.max() > 1.0:
        message = f"probabilities must lie between 0 and 1, got {p.min():g} to {p.max():g}"
        raise DataError(message)
    if not is_binary(y):
        message = "correct must hold 0 and 1 only"
        raise DataError(message)
    return p, y
