"""Generators: every draw of `learn` comes from one that the caller named, by itself or by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

Seed: TypeAlias = "int | torch.Generator"


def generator_of(seed: Seed) -> torch.Generator:
    """Return a generator as it is, or a new one on the processor for a number.

    Examples
    --------
    >>> generator_of(3).initial_seed()
    3
    """
    return seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)


def child_seeds(seed: int, n: int) -> list[int]:
    """Return n seeds of streams that have nothing to do with each other, for the parts of one run.

    Examples
    --------
    >>> len(set(child_seeds(0, 3)))
    3
    """
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(n, np.uint64) >> np.uint64(1)]


def uniform(shape: tuple[int, ...], n_inputs: int, generator: torch.Generator) -> nn.Parameter:
    """Return a parameter uniform in plus or minus ``1 / sqrt(n_inputs)``, as PyTorch starts its linear layers."""
    bound = n_inputs**-0.5
    drawn: Tensor = torch.rand(shape, generator=generator) * (2 * bound) - bound
    return nn.Parameter(drawn)


def linear(n_inputs: int, n_outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer with weights from the generator; the global one is left alone."""
    layer = nn.Linear(n_inputs, n_outputs, device="meta").to_empty(device="cpu")
    layer.weight = uniform((n_outputs, n_inputs), n_inputs, generator)
    layer.bias = uniform((n_outputs,), n_inputs, generator)
    return layer
