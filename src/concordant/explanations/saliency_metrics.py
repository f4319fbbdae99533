r"""How well attributions find the numbers of a series that are known to make its class.

All metrics are per series: the attribution is brought to [0, 1], steps and channels are one axis, and every distinct
value is a threshold. A series without truth has no figure (NaN), and one whose attribution is constant says nothing
either way: it has the share of the truth as its precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class SaliencyScores:
    """Scores of n attributions, each of shape ``(n,)``, in [0, 1]; NaN for a series without truth.

    Attributes
    ----------
    auprc
        Average precision.
    aup, aur
        Areas under precision and under recall as functions of the threshold.
    """

    auprc: NDArray[np.float64]
    aup: NDArray[np.float64]
    aur: NDArray[np.float64]

    def means(self) -> dict[str, float]:
        """Return the means over series with truth, by name."""
        return {name: float(np.nanmean(getattr(self, name))) for name in ("auprc", "aup", "aur")}


def saliency_scores(attribution: ArrayLike, truth: ArrayLike) -> SaliencyScores:
    r"""Return average precision and the areas under precision and recall.

    With thresholds :math:`s_1 < \cdots < s_k` (the distinct values of an attribution after it is brought to [0, 1]),
    :math:`P(s)` and :math:`R(s)` precision and recall of ``attribution >= s``:

    .. math:: \mathrm{AUPRC} = \sum_i (R(s_i) - R(s_{i+1}))\,P(s_i), \qquad
        \mathrm{AUP} = \int_0^1 P\,ds, \quad \mathrm{AUR} = \int_0^1 R\,ds

    the integrals by trapezoids between thresholds. AUP and AUR mean little where an attribution has few distinct
    values. No loop over series.

    Parameters
    ----------
    attribution
        More is more important, shape ``(n, time, channel)`` or ``(n, ...)``.
    truth
        True at what makes the class, same shape.

    Raises
    ------
    DataError
        If the shapes differ, there are no series, or a number is not finite.

    References
    ----------
    AUP and AUR: Crabbé, van der Schaar, "Explaining Time Series Predictions with Dynamic Masks", 2021.

    Examples
    --------
    >>> scores = saliency_scores([[0.9, 0.1, 0.5, 0.3]], [[1, 0, 0, 1]])
    >>> scores.auprc.round(4).tolist()  # (1/1 + 2/3) / 2
    [0.8333]
    """
    values, hits = _flat(attribution, truth)
    n, size = values.shape
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    spread = high - low
    values = (values - low) / np.where(spread > 0, spread, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    values, hits = np.take_along_axis(values, order, 1), np.take_along_axis(hits, order, 1)
    # Equal values are one threshold: each has the counts at the last of them.
    last = np.ones((n, size), bool)
    last[:, :-1] = values[:, 1:] != values[:, :-1]
    at = np.where(last, np.arange(size), size)
    at = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
    n_hits = np.take_along_axis(hits.cumsum(1), at, 1)
    n_true = hits.sum(1)
    with np.errstate(invalid="ignore"):
        precision, recall = n_hits / (at + 1), n_hits / n_true[:, None]
        auprc = (precision * hits).sum(1) / n_true
    areas = []
    for curve in (precision, recall):
        area = np.trapezoid(curve[:, ::-1], values[:, ::-1], axis=1)
        # A constant attribution has one threshold, which stands for the whole of [0, 1].
        area = np.where(spread[:, 0] > 0, area, curve[:, -1])
        areas.append(np.where(n_true > 0, area, np.nan))
    return SaliencyScores(auprc, *areas)


def intersection_over_union(
    attribution: ArrayLike, truth: ArrayLike, *, quantile: float = 0.9
) -> NDArray[np.float64]:
    r"""Return the overlap of what is most important with the truth, in [0, 1], shape ``(n,)``.

    .. math:: \frac{|A \cap T|}{|A \cup T|}, \qquad A = \{\text{attribution} \ge \text{its quantile}\}

    Parameters
    ----------
    attribution, truth
        As for :func:`saliency_scores`.
    quantile
        In [0, 1], with linear interpolation.

    Raises
    ------
    DataError
        As for :func:`saliency_scores`.
    ConfigError
        If the quantile is outside [0, 1].

    Examples
    --------
    >>> intersection_over_union([[0.9, 0.1, 0.5, 0.3]], [[1, 0, 0, 1]], quantile=0.5).round(4).tolist()
    [0.3333]
    """
    values, hits = _flat(attribution, truth)
    if not 0 <= quantile <= 1:
        message = f"quantile of intersection_over_union must be from 0 to 1, got {quantile}"
        raise ConfigError(message)
    chosen = values >= np.quantile(values, quantile, axis=1, keepdims=True)
    overlap = (chosen & hits).sum(1) / (chosen | hits).sum(1)
    return np.where(hits.any(1), overlap, np.nan)


def _flat(attribution: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[Any]]:
    values, hits = np.asarray(attribution, np.float64), np.asarray(truth).astype(bool)
    if values.shape != hits.shape or values.ndim < 2 or not values.size:
        message = (
            "attribution and truth must have one shape (n, time, channel) with at least one series, "
            f"got {values.shape} and {hits.shape}"
        )
        raise DataError(message)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
        message = f"an attribution must be finite, got a number that is not in row {row}"
        raise DataError(message)
    return values.reshape(len(values), -1), hits.reshape(len(hits), -1)
