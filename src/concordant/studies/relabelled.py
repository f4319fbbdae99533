"""The same language model with its hidden units in another order: it says the same, and shares no coordinates.

What another beginning would do to a merge, at no cost: every function of the weights that goes by position is lost, and
what the model says is unchanged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from concordant.core.errors import ModelError
from concordant.learn.randomness import generator_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

EMBEDDING = "model.embed_tokens.weight"
READS = ("embed_tokens", "lm_head", "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
"""Weights that have hidden units as their columns."""

WRITES = ("o_proj", "down_proj", "norm")
"""Weights that have hidden units as their rows."""


def relabelled(weights: Mapping[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    """Return the weights of a Llama-style model with hidden and inner units in an order drawn from a seed.

    Parameters
    ----------
    weights
        State dictionary.
    seed
        Decides the orders.

    Raises
    ------
    ModelError
        If a weight is not one of a Llama-style model.

    Examples
    --------
    >>> weights = {"model.embed_tokens.weight": torch.tensor([[1.0, 2.0, 3.0]]), "model.norm.weight": torch.ones(3)}
    >>> sorted(relabelled(weights, seed=0)["model.embed_tokens.weight"][0].tolist())
    [1.0, 2.0, 3.0]
    """
    if EMBEDDING not in weights:
        message = f"hidden units can be put in another order in Llama-style models only, got one without {EMBEDDING!r}"
        raise ModelError(message)
    generator = generator_of(seed)
    hidden = torch.randperm(weights[EMBEDDING].shape[1], generator=generator)
    inner: dict[str, Tensor] = {}
    result: dict[str, Tensor] = {}
    for name, weight in weights.items():
        part = next((part for part in (*READS, *WRITES) if part in name), None)
        if part is None:
            message = (
                f"hidden units can be put in another order in Llama-style models only, got a weight {name!r}"
            )
            raise ModelError(message)
        is_bias = name.endswith("bias")
        ordered = weight
        if part in READS and not is_bias:
            ordered = ordered[:, hidden]
        elif part in WRITES:
            ordered = ordered[hidden]
        if part in ("gate_proj", "up_proj", "down_proj"):
            layer = re.sub(r"(gate|up|down)_proj.*", "", name)
            if layer not in inner:
                inner[layer] = torch.randperm(
                    weights[f"{layer}down_proj.weight"].shape[1], generator=generator
                )
            if part != "down_proj":
                ordered = ordered[inner[layer]]
            elif not is_bias:
                ordered = ordered[:, inner[layer]]
        result[name] = ordered.clone()
    return result
