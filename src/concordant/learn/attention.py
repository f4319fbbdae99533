"""Who may look where, in the form that the attention of a transformers model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


def attention_mask(model: Any, allowed: Tensor) -> Tensor:
    """Return a mask for the attention of a transformers model.

    Parameters
    ----------
    model
        The model.
    allowed
        True where a token (second axis) may look at another (third), shape ``(batch, time, time)``.

    Returns
    -------
    Tensor
        Shape ``(batch, 1, time, time)``: true and false for fused attention, else what is added to the scores.
    """
    allowed = allowed[:, None]
    if getattr(model.config, "_attn_implementation", None) == "sdpa":
        return allowed
    dtype = next(model.parameters()).dtype  # other kernels add the mask to the scores
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
