"""What happens to models between training and use, on purpose or not: rounding, other inputs, other labels, more training.

Each function leaves what it is given as it is and returns a damaged copy.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def rounded(weight: Tensor, bits: int) -> Tensor:
    """Round a weight to signed whole numbers of so many bits, with one scale a row.

    Parameters
    ----------
    weight
        Any shape; the rows of a matrix are rounded each by its own scale, other shapes by one.
    bits
        At least 2: the numbers lie between plus and minus :math:`2^{b-1} - 1`.

    Raises
    ------
    ConfigError
        If there are fewer than 2 bits.

    Examples
    --------
    >>> rounded(torch.tensor([1.0, 0.4, -0.6]), 2).tolist()
    [1.0, 0.0, -1.0]
    """
    if bits < 2:
        message = f"weights are rounded to 2 bits or more, got {bits}"
        raise ConfigError(message)
    most = 2 ** (bits - 1) - 1
    largest = weight.abs().amax(dim=-1, keepdim=True) if weight.ndim > 1 else weight.abs().amax()
    scale = (largest / most).clamp(min=torch.finfo(weight.dtype).tiny)
    found: Tensor = torch.round(weight / scale) * scale
    return found


def with_rounded_weights(model: nn.Module, bits: int) -> nn.Module:
    """Return a copy whose matrices are rounded to so many bits; biases and scales stay as they are."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for weight in copied.parameters():
            if weight.ndim > 1:
                weight.copy_(rounded(weight, bits))
    return copied


def with_noisy_weights(model: nn.Module, scale: float, *, seed: int) -> nn.Module:
    """Return a copy with noise on every matrix, of so many times the standard deviation of its weights."""
    copied = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in copied.parameters():
            if weight.ndim > 1:
                noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
                weight.add_(noise, alpha=scale * float(weight.std()))
    return copied


def with_swapped_outputs(model: nn.Module, one: int, other: int) -> Callable[[Tensor], Tensor]:
    """Return the model with two of its outputs in each other's place: labels that were mixed up."""

    def swapped(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        order = torch.arange(logits.shape[-1])
        order[one], order[other] = other, one
        return logits[..., order]

    return swapped


def with_scaled_inputs(model: nn.Module, factor: float) -> Callable[[Tensor], Tensor]:
    """Return the model with its inputs multiplied: another normalisation than in training."""
    return lambda x: model(x * factor)
