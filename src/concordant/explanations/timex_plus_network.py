r"""What TimeX++ trains and what for: masks, series that are made of them, and how near those stay to the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import elu

from concordant.explanations.mask_generator import MaskGenerator
from concordant.learn.losses.reduction import same_shape
from concordant.learn.networks.mlp import MLP
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from torch import Tensor

HIDDEN = 32
"""Width between the maps of the small networks, as in the release."""


class TimeXPlusNetwork(nn.Module):
    """The network that writes masks, the one that makes series of them, and two that see series as normal numbers.

    Parameters
    ----------
    n_channels, length
        Of the series.
    size
        Of the network that writes masks: layers, feedforward and dropout.
    seed
        Decides all initial weights.

    Examples
    --------
    >>> import torch
    >>> net = TimeXPlusNetwork(2, 6, {}, seed=0)
    >>> x = torch.zeros(3, 6, 2)
    >>> net.made(x, torch.ones_like(x)).shape
    torch.Size([3, 6, 2])
    """

    def __init__(self, n_channels: int, length: int, size: dict[str, Any], seed: int) -> None:
        super().__init__()
        mask_seed, made_seed, *normal_seeds = child_seeds(seed, 4)
        numbers = n_channels * length
        self.masks = MaskGenerator(n_channels, length, **size, seed=mask_seed)
        self.blend = MLP(2, 1, hidden=(HIDDEN,), activation=elu, seed=made_seed)
        self.normal_of_series, self.normal_of_made = (
            MLP(numbers, 2 * numbers, hidden=(HIDDEN,), activation=elu, seed=normal_seed)
            for normal_seed in normal_seeds
        )

    def made(self, x: Tensor, mask: Tensor) -> Tensor:
        """Make series of series and masks, number by number; all of shape ``(batch, time, channel)``."""
        result: Tensor = self.blend(torch.stack([x, mask], dim=-1))[..., 0]
        return result

    def normal_loss(self, made: Tensor, x: Tensor) -> Tensor:
        """Return how far series that are made are from those of a batch, both seen as normal numbers."""
        mean, log_variance = self.normal_of_made(made.flatten(1)).chunk(2, dim=-1)
        of_batch = self.normal_of_series(x.flatten(1)).mean(0, keepdim=True).expand(len(x), -1)
        return normal_divergence(mean, log_variance, *of_batch.chunk(2, dim=-1))


def jensen_shannon_loss(logits: Tensor, reference: Tensor) -> Tensor:
    r"""Return the Jensen-Shannon divergence of predictions from others, row by row, mean over rows, nats.

    .. math:: H\left(\tfrac{p + q}{2}\right) - \tfrac12 H(p) - \tfrac12 H(q) \in [0, \log 2]

    Parameters
    ----------
    logits, reference
        Of shape ``(n, classes)``.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[50.0, 0.0]])
    >>> jensen_shannon_loss(logits, logits).item(), round(jensen_shannon_loss(logits, -logits).item(), 4)
    (0.0, 0.6931)
    """
    same_shape("jensen_shannon_loss", logits=logits, reference=reference)
    p, q = logits.softmax(-1), reference.softmax(-1)
    tiny = torch.finfo(p.dtype).tiny  # the slope of the entropy at 0 is infinite
    mixed, first, second = (torch.special.entr(r.clamp(min=tiny)).sum(-1) for r in ((p + q) / 2, p, q))
    divergence: Tensor = (mixed - (first + second) / 2).mean()
    return divergence


def normal_divergence(
    mean: Tensor, log_variance: Tensor, reference_mean: Tensor, reference_log_variance: Tensor
) -> Tensor:
    r"""Return the divergence of normal numbers from others, mean over all numbers, nats.

    .. math:: \mathrm{KL}(N_1 \| N_2) = \tfrac12\left[\ell_2 - \ell_1 - 1
        + \frac{e^{\ell_1} + (\mu_1 - \mu_2)^2}{e^{\ell_2}}\right], \qquad \ell = \log\sigma^2

    Parameters
    ----------
    mean, log_variance, reference_mean, reference_log_variance
        Tensors of one shape.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> zero = torch.zeros(2)
    >>> normal_divergence(zero + 2.0, zero, zero, zero).item()
    2.0
    """
    same_shape(
        "normal_divergence",
        mean=mean,
        log_variance=log_variance,
        reference_mean=reference_mean,
        reference_log_variance=reference_log_variance,
    )
    squared = log_variance.exp() + (mean - reference_mean).square()
    apart = reference_log_variance - log_variance - 1 + squared * torch.exp(-reference_log_variance)
    result: Tensor = apart.mean() / 2
    return result
