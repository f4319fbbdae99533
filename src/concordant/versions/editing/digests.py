"""Digests of weights: by which an edit knows the model it was made for, in memory and in files, in any precision.

Numbers of half precision are hashed as the same numbers in single precision, so a model has one digest whether it was
loaded in the precision of its files or in a wider one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from concordant.core.model import digest

if TYPE_CHECKING:
    from torch import Tensor

TIED = "lm_head.weight"
"""The head of a language model, which some files hold although it is the embedding."""


def weights_of(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a model by name, as they are (not copies); tied ones once.

    Examples
    --------
    >>> sorted(weights_of(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    if isinstance(model, Mapping):
        return dict(model)
    kept = model.state_dict().keys()  # leaves out the buffers that are computed anew
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    return tensors | {name: buffer for name, buffer in model.named_buffers() if name in kept}


def tensor_digests(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the digest of each tensor by name."""
    return {name: tensor_digest(tensor) for name, tensor in weights.items()}


def tensor_digest(tensor: Tensor) -> str:
    """Return the digest of the shape and the values of a tensor, the same in half and in single precision.

    Examples
    --------
    >>> import torch
    >>> tensor_digest(torch.ones(2)) == tensor_digest(torch.ones(2, dtype=torch.bfloat16))
    True
    """
    values = tensor.detach().cpu().contiguous()
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    state = hashlib.blake2b(f"{tuple(values.shape)} {values.dtype}".encode(), digest_size=16)
    state.update(values.view(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def model_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a model from those of its tensors; a head that is the embedding counts once."""
    others = {value for name, value in digests.items() if name != TIED}
    counted = {n: value for n, value in digests.items() if n != TIED or value not in others}
    return digest(sorted(counted.items()))
