r"""How a mask is applied to a series: what is not kept is replaced, or taken out of the attention, or both.

Replacing draws from a normal distribution of the training series, step by step and channel by channel, so that what
stands in is about as large as what was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from concordant.explanations.series_model import SeriesModel

Masking: TypeAlias = Literal["auto", "attention", "input", "both"]


@dataclass(frozen=True)
class Baseline:
    """What stands in for what is not kept: normal numbers with the moments of some series.

    Attributes
    ----------
    mean, std
        By step and channel, shape ``(time, channel)``.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Baseline:
        """Return the moments of series of shape ``(n, time, channel)``; one series has no spread.

        Examples
        --------
        >>> import torch
        >>> Baseline.of(torch.tensor([[[1.0]], [[3.0]]]))
        Baseline(mean=tensor([[2.]]), std=tensor([[1.4142]]))
        """
        return cls(x.mean(0), x.std(0) if len(x) > 1 else torch.zeros_like(x[0]))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n draws, shape ``(n, time, channel)``, on the device of the moments."""
        drawn = torch.randn(
            (n, *self.mean.shape), generator=generator, device=generator.device, dtype=self.mean.dtype
        )
        return self.mean + self.std * drawn.to(self.mean.device)


def masking_of(masking: Masking, model: SeriesModel, n_channels: int) -> Masking:
    """Return how masks are applied: as asked, or as TimeX does for this classifier.

    Attention alone for one channel and a classifier that takes `keep` (the input is then left as it is), both for
    several channels, and the input alone for any other classifier.

    Raises
    ------
    ConfigError
        If the name is unknown, or the classifier has no attention that could be masked.
    """
    if masking not in get_args(Masking):
        message = f"masking must be one of {', '.join(get_args(Masking))}, got {masking!r}"
        raise ConfigError(message)
    if masking == "auto":
        if not model.takes_keep:
            return "input"
        return "attention" if n_channels == 1 else "both"
    if masking != "input" and not model.takes_keep:
        message = (
            f"masking {masking!r} needs a classifier whose forward takes keep, a weight a step for its attention, and the "
            f"{type(model.module).__name__} does not: use masking='input'"
        )
        raise ConfigError(message)
    return masking


def masked(
    x: Tensor, mask: Tensor, masking: Masking, baseline: Baseline, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    r"""Return masked series, and the weights of their steps in the attention.

    .. math:: x' = m \odot x + (1 - m) \odot b,\; b \sim N(\mu, \sigma), \qquad k_t = \min\left(1, \sum_d m_{td}\right)

    Parameters
    ----------
    x
        Series, shape ``(n, time, channel)``.
    mask
        What is kept, in [0, 1], shape of `x`.
    masking
        ``"attention"`` leaves the series as they are, ``"input"`` gives no weights, ``"both"`` does both.
    baseline
        What stands in.
    generator
        Source of the draws.

    Returns
    -------
    series of the shape of `x`, weights of shape ``(n, time)`` or None
    """
    keep = None if masking == "input" else mask.sum(-1).clamp(max=1)
    if masking == "attention":
        return x, keep
    return mask * x + (1 - mask) * baseline.draw(len(x), generator), keep
