"""Whether a classifier that is fed with the explanation alone acts as it did.

What an explanation calls least important is replaced by normal numbers with the moments of the training series, and
taken out of the attention where there is any; what the classifier then does is compared with the true classes and with
what it did before. Explanations of all explainers keep equally many numbers, so that size does not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.importance_order import most_important as most_important
from concordant.explanations.importance_order import shuffled_masks as shuffled_masks
from concordant.explanations.masking import Baseline, Masking, masked, masking_of
from concordant.explanations.saliency_metrics import saliency_scores
from concordant.explanations.series_model import Series, SeriesModel, as_series_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor, nn

QUANTILES = (0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
"""Shares that are dropped, as in the paper."""


@dataclass(frozen=True)
class OcclusionCurve:
    """What a classifier does with the most important numbers alone, one entry a quantile.

    Attributes
    ----------
    quantiles
        Shares of a series that were dropped.
    auroc, auprc
        Of the probabilities against the true classes, mean over classes that occur, in [0, 1].
    accuracy
        Share of series whose class is the true one.
    agreement
        Share of series whose class is the one that the classifier gives the whole series.
    """

    quantiles: tuple[float, ...]
    auroc: tuple[float, ...]
    auprc: tuple[float, ...]
    accuracy: tuple[float, ...]
    agreement: tuple[float, ...]


def occlusion_curve(
    classifier: nn.Module,
    x: Series,
    labels: ArrayLike,
    attribution: ArrayLike,
    *,
    training: Series,
    quantiles: Sequence[float] = QUANTILES,
    seed: int = 0,
) -> OcclusionCurve:
    """Return how well the classifier does when only the most important numbers of each series are kept.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a `SeriesModel`.
    x
        Series, shape ``(n, time, channel)``.
    labels
        True classes, integers of shape ``(n,)``, of at least two kinds.
    attribution
        More is more important, shape of `x`; equal ones are dropped in a random order.
    training
        Series whose moments replace what is dropped, same time and channels.
    quantiles
        Shares that are dropped, in [0, 1].
    seed
        Decides the replacements, the same for all quantiles, and the order of equal attributions.

    Raises
    ------
    DataError
        If shapes differ, or there is only one class.
    ConfigError
        If a quantile is outside [0, 1].

    References
    ----------
    Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_data import freq_shapes
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> data = freq_shapes(16, seed=0)
    >>> model = SeriesTransformer(1, 4, 50, seed=0)
    >>> curve = occlusion_curve(model, data.x, data.labels, data.truth, training=data.x, quantiles=(0.0, 0.5))
    >>> len(curve.auroc)
    2
    """
    model = as_series_model(classifier)
    series, baseline = _checked(model, x, training)
    wanted = np.asarray(labels)
    classes = np.unique(wanted)
    if wanted.shape != (len(series),) or len(classes) < 2:
        message = f"labels must be {len(series)} classes of at least two kinds, got shape {wanted.shape} with {len(classes)}"
        raise DataError(message)
    for quantile in quantiles:
        if not 0 <= quantile <= 1:
            message = f"the quantiles of an occlusion curve must be from 0 to 1, got {quantile}"
            raise ConfigError(message)
    before = model.behaviour(series)[0].argmax(-1)
    columns: dict[str, list[float]] = {"auroc": [], "auprc": [], "accuracy": [], "agreement": []}
    for quantile in quantiles:
        kept = torch.as_tensor(most_important(attribution, 1 - quantile, seed)).to(series)
        if kept.shape != series.shape:
            message = f"the attribution must have the shape of the series {tuple(series.shape)}, got {tuple(kept.shape)}"
            raise DataError(message)
        logits = _logits(model, series, kept, _replacing(model), baseline, seed)
        p, found = logits.softmax(-1).numpy(force=True), logits.argmax(-1)
        values, hits = p[:, classes].T, wanted == classes[:, None]
        columns["auroc"].append(float(_auroc(values, hits).mean()))
        columns["auprc"].append(float(saliency_scores(values, hits).auprc.mean()))
        columns["accuracy"].append(float((found.numpy(force=True) == wanted).mean()))
        columns["agreement"].append(float((found == before).float().mean()))
    return OcclusionCurve(tuple(quantiles), **{name: tuple(values) for name, values in columns.items()})


def label_agreement_rate(
    classifier: nn.Module,
    x: Series,
    masks: Series,
    *,
    training: Series,
    masking: Masking | None = None,
    seed: int = 0,
) -> float:
    """Return the share of series whose class stays the same when only what a mask keeps is left.

    Parameters
    ----------
    classifier, x, training
        As for :func:`occlusion_curve`.
    masks
        What is kept, in [0, 1], shape of `x`.
    masking
        How it is applied, as for :class:`concordant.explanations.TimeX`; by default the input is replaced and the
        attention masked too where the classifier has any.
    seed
        Decides the replacements.

    Raises
    ------
    DataError
        If shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> x = np.ones((4, 50, 1))
    >>> label_agreement_rate(SeriesTransformer(1, 4, 50, seed=0), x, np.ones_like(x), training=x)
    1.0
    """
    model = as_series_model(classifier)
    series, baseline = _checked(model, x, training)
    kept = torch.as_tensor(masks).to(series)
    if kept.shape != series.shape:
        message = f"masks must have the shape of the series {tuple(series.shape)}, got {tuple(kept.shape)}"
        raise DataError(message)
    how = _replacing(model) if masking is None else masking_of(masking, model, series.shape[-1])
    found = _logits(model, series, kept, how, baseline, seed).argmax(-1)
    return float((found == model.behaviour(series)[0].argmax(-1)).float().mean())


def _auroc(values: NDArray[np.float64], hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of pairs of a hit and another in each row in which the hit is higher; equal ones count half."""
    ordered = np.sort(values, axis=1)
    ranks = np.stack(
        [
            np.searchsorted(row, of, "left") + np.searchsorted(row, of, "right") + 1
            for row, of in zip(ordered, values, strict=True)
        ]
    )
    n_hits = hits.sum(1)
    above = (ranks * hits).sum(1) / 2 - n_hits * (n_hits + 1) / 2
    result: NDArray[np.float64] = above / (n_hits * (hits.shape[1] - n_hits))
    return result


def _checked(model: SeriesModel, x: Series, training: Series) -> tuple[Tensor, Baseline]:
    series, known = model.checked(x), model.checked(training, "training")
    if series.shape[1:] != known.shape[1:]:
        message = (
            f"training must have the (time, channel) {tuple(series.shape[1:])} of the series, "
            f"got {tuple(known.shape[1:])}"
        )
        raise DataError(message)
    return series, Baseline.of(known)


def _replacing(model: SeriesModel) -> Masking:
    return "both" if model.takes_keep else "input"


def _logits(
    model: SeriesModel, x: Tensor, kept: Tensor, masking: Masking, baseline: Baseline, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return model.behaviour(*masked(x, kept, masking, baseline, generator))[0]
