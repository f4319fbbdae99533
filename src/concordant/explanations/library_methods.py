"""Attributions of captum behind the protocol of explainers: for series, with baselines from the training series, seeded.

They explain the logit of a class, and need the extra ``explain``. Those that draw do so from PyTorch's and NumPy's global
generators; here a seed decides what they draw, and the global state is put back. Rows are gone through in batches of a
fixed size, so that draws are the same for the same series.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from concordant.core.errors import ConfigError, DataError, require
from concordant.core.progress import progress_bars
from concordant.explanations.classifiers import chosen_classes
from concordant.explanations.series_model import Series, SeriesModel, as_series_model, evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from numpy.typing import NDArray

Attribute: TypeAlias = "Callable[[ModuleType, nn.Module, Tensor, Tensor], Tensor]"
"""Maps captum.attr, a module from series to logits, series and classes to attributions of the shape of the series."""

BATCH = 512
"""Passes of the classifier at a time, over rows and draws."""


class LibraryExplainer:
    """An attribution of captum as an explainer.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a `SeriesModel`. It is not changed.
    attribute
        ``attribute(captum.attr, logits, x, classes)`` gives attributions of the shape of `x`.
    shape
        Time and channels of the training series, which `x` must have; by default any.
    draws
        Passes that a row takes, to keep batches small.
    absolute
        Whether the sign is dropped.
    seed
        Decides all draws.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    MissingExtraError
        If captum is not installed.
    ConfigError
        If there is no draw.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> x = torch.ones(3, 20, 1)
    >>> explainer = input_x_gradient(SeriesTransformer(1, 4, 20, seed=0))
    >>> explainer.explain(x).shape
    (3, 20, 1)
    """

    def __init__(
        self,
        classifier: nn.Module,
        attribute: Attribute,
        *,
        shape: tuple[int, ...] | None = None,
        draws: int = 1,
        absolute: bool = False,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        if draws < 1:
            message = f"draws of an attribution must be at least 1, got {draws}"
            raise ConfigError(message)
        self.captum = require("captum.attr", "explain", "attributions of captum")
        self.model, self.attribute, self.shape, self.draws = (
            as_series_model(classifier),
            attribute,
            shape,
            draws,
        )
        self.absolute, self.seed, self.progress = absolute, seed, progress

    def explain(self, x: Series, classes: Series | None = None) -> NDArray[np.float32]:
        """Return attributions of the logit of a class.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.
        classes
            Whose logit, shape ``(n,)``; by default the class that the classifier gives.

        Returns
        -------
        array of the shape of `x`

        Raises
        ------
        DataError
            If the series cannot be used, or have another shape than the training series.
        """
        series = self.model.checked(x)
        if self.shape is not None and series.shape[1:] != self.shape:
            message = f"training must have the (time, channel) {tuple(series.shape[1:])} of the series, got {self.shape}"
            raise DataError(message)
        chosen = chosen_classes(self.model.behaviour(series)[0].numpy(force=True), classes)
        targets = torch.as_tensor(chosen, device=series.device)
        rows_a_pass = max(1, BATCH // self.draws)
        found, logits = [], _Logits(self.model)
        with (
            progress_bars() as tell,
            evaluating(self.model),
            _seeded(self.seed, series.device),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # on its hooks, which are removed again
            for rows, wanted in zip(
                torch.split(series, rows_a_pass), torch.split(targets, rows_a_pass), strict=True
            ):
                given = rows.detach().clone().requires_grad_()
                found.append(self.attribute(self.captum, logits, given, wanted).detach())
                if self.progress:
                    tell("attributing", sum(map(len, found)), len(series))
        attribution = torch.cat(found)
        return (attribution.abs() if self.absolute else attribution).float().numpy(force=True)


def input_x_gradient(
    classifier: nn.Module, *, absolute: bool = False, progress: bool = False
) -> LibraryExplainer:
    """Multiply the slope of the logit by the series."""
    return LibraryExplainer(
        classifier,
        lambda captum, logits, x, classes: captum.InputXGradient(logits).attribute(x, target=classes),
        absolute=absolute,
        progress=progress,
    )


def deep_lift(
    classifier: nn.Module, training: Series, *, absolute: bool = False, progress: bool = False
) -> LibraryExplainer:
    """Pass the difference from the mean training series back, layer by layer.

    Only activations that are modules (``nn.ReLU``) have its rule; functions of tensors are passed by their slope.
    """
    mean = as_series_model(classifier).checked(training, "training").mean(0, keepdim=True)
    return LibraryExplainer(
        classifier,
        lambda captum, logits, x, classes: captum.DeepLift(logits).attribute(
            x, mean.expand_as(x), target=classes
        ),
        shape=tuple(mean.shape[1:]),
        absolute=absolute,
        progress=progress,
    )


def gradient_shap(
    classifier: nn.Module,
    training: Series,
    *,
    draws: int = 20,
    absolute: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> LibraryExplainer:
    """Average slopes at random points on the ways from random training series, times the ways."""
    known = as_series_model(classifier).checked(training, "training")
    return LibraryExplainer(
        classifier,
        lambda captum, logits, x, classes: captum.GradientShap(logits).attribute(
            x, known, n_samples=draws, target=classes
        ),
        shape=tuple(known.shape[1:]),
        draws=draws,
        absolute=absolute,
        seed=seed,
        progress=progress,
    )


def smooth_gradient(
    classifier: nn.Module,
    training: Series,
    *,
    draws: int = 20,
    noise: float = 0.2,
    seed: int = 0,
    progress: bool = False,
) -> LibraryExplainer:
    """Average the absolute slopes of the logit over noisy copies; `noise` in standard deviations of the training series.

    Raises
    ------
    ConfigError
        If the noise is not positive.
    """
    if not noise > 0:
        message = f"noise of smooth gradients must be positive, got {noise}"
        raise ConfigError(message)
    known = as_series_model(classifier).checked(training, "training")
    width = float(noise * known.std())
    return LibraryExplainer(
        classifier,
        lambda captum, logits, x, classes: captum.NoiseTunnel(captum.Saliency(logits)).attribute(
            x, nt_samples=draws, stdevs=width, target=classes
        ),
        shape=tuple(known.shape[1:]),
        draws=draws,
        seed=seed,
        progress=progress,
    )


def feature_ablation(
    classifier: nn.Module,
    training: Series,
    *,
    window: int = 1,
    absolute: bool = False,
    progress: bool = False,
) -> LibraryExplainer:
    """Replace windows of each channel by the mean training series, one after the other, and take what the logit loses.

    Raises
    ------
    ConfigError
        If the window is no number of steps of the series.
    """
    mean = as_series_model(classifier).checked(training, "training").mean(0, keepdim=True)
    _, time, channels = mean.shape
    if not 1 <= window <= time:
        message = f"window of feature ablation must be from 1 to {time} steps, got {window}"
        raise ConfigError(message)
    segments = -(-time // window)
    features = torch.arange(time, device=mean.device)[:, None] // window
    features = (features + segments * torch.arange(channels, device=mean.device))[None]
    return LibraryExplainer(
        classifier,
        lambda captum, logits, x, classes: captum.FeatureAblation(logits).attribute(
            x, mean.expand_as(x), target=classes, feature_mask=features
        ),
        shape=tuple(mean.shape[1:]),
        absolute=absolute,
        progress=progress,
    )


class _Logits(nn.Module):
    """The logits of a classifier alone, as captum wants them."""

    def __init__(self, model: SeriesModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)[0]
        return logits


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let a seed decide what is drawn from the global generators, and put them back as they were."""
    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
