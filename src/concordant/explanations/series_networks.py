"""Small classifiers of series that come with their own scale: what ``concordant explain fit`` trains.

Each channel is brought to mean 0 and standard deviation 1 of the training series inside the network, so that who uses
it gives series as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from concordant.explanations.series_transformer import SeriesTransformer
from concordant.learn.networks.mlp import checked_widths
from concordant.learn.randomness import Seed, generator_of, linear, uniform

if TYPE_CHECKING:
    from torch import Tensor

KERNELS = (7, 5, 3)


class Standardised(nn.Module):
    """A network behind a scale of each channel, which is the identity until :meth:`scale_to` is called.

    Parameters
    ----------
    network
        Maps ``(batch, time, channel)`` to logits, and has a ``latent_module``.
    n_channels
        Channels of the series.

    Examples
    --------
    >>> import torch
    >>> model = StandardisedTransformer(SeriesTransformer(1, 2, 20, seed=0), 1)
    >>> model.scale_to(torch.tensor([[[1.0], [3.0]]]))
    >>> model.mean.item(), model(torch.zeros(4, 20, 1)).shape
    (2.0, torch.Size([4, 2]))
    """

    def __init__(self, network: nn.Module, n_channels: int) -> None:
        super().__init__()
        self.network = network
        self.latent_module = f"network.{network.latent_module}"
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(n_channels))
        self.register_buffer("std", torch.ones(n_channels))

    def scale_to(self, x: Tensor) -> None:
        """Take the mean and the spread of each channel from series of shape ``(n, time, channel)``."""
        self.mean.copy_(x.mean((0, 1)))
        spread = x.std((0, 1))
        self.std.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))


class StandardisedTransformer(Standardised):
    """A `SeriesTransformer` behind a scale; what is masked out of its attention is masked as there."""

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return logits, shape ``(batch, classes)``."""
        logits: Tensor = self.network((x - self.mean) / self.std, keep)
        return logits


class StandardisedConvolution(Standardised):
    """A `SeriesConvolution` behind a scale."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, shape ``(batch, classes)``."""
        logits: Tensor = self.network((x - self.mean) / self.std)
        return logits


class SeriesConvolution(nn.Module):
    """Three convolutions along time, the mean over time of what the last one finds, and a linear map to logits.

    Parameters
    ----------
    n_channels, n_classes
        Widths of the two ends.
    width
        Filters of the first and the last convolution; the middle one has twice as many.
    seed
        A number or a generator for the initial weights.

    References
    ----------
    Wang, Yan and Oates, "Time series classification from scratch with deep neural networks: a strong baseline", 2017.

    Examples
    --------
    >>> import torch
    >>> SeriesConvolution(2, 3, seed=0)(torch.zeros(4, 20, 2)).shape
    torch.Size([4, 3])
    """

    latent_module = "pool"
    """Name of the module whose output is the latent."""

    def __init__(self, n_channels: int, n_classes: int, *, width: int = 32, seed: Seed = 0) -> None:
        super().__init__()
        checked_widths("SeriesConvolution", n_channels, n_classes, width)
        generator = generator_of(seed)
        widths = (n_channels, width, 2 * width, width)
        layers: list[nn.Module] = []
        for before, after, kernel in zip(widths[:-1], widths[1:], KERNELS, strict=True):
            layers += [_convolution(before, after, kernel, generator), nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = linear(width, n_classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, channel)`` to logits ``(batch, classes)``."""
        logits: Tensor = self.head(self.pool(self.layers(x.transpose(1, 2))))
        return logits


def _convolution(before: int, after: int, kernel: int, generator: torch.Generator) -> nn.Conv1d:
    layer = nn.Conv1d(before, after, kernel, padding=kernel // 2, device="meta").to_empty(device="cpu")
    layer.weight = uniform((after, before, kernel), before * kernel, generator)
    layer.bias = uniform((after,), before * kernel, generator)
    return layer


def series_transformer(**options: Any) -> StandardisedTransformer:
    """Make a `SeriesTransformer` of its options, behind a scale."""
    return StandardisedTransformer(SeriesTransformer(**options), options["n_channels"])


def series_convolution(**options: Any) -> StandardisedConvolution:
    """Make a `SeriesConvolution` of its options, behind a scale."""
    return StandardisedConvolution(SeriesConvolution(**options), options["n_channels"])
