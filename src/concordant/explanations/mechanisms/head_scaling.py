r"""Turning attention heads up or down while a model runs: the value vectors of a head, times a number.

.. math:: v_h \leftarrow s_h v_h

What a head gives is linear in its values, and its attention is left as it is; so the same is done by scaling what the
output projection reads of the head. With grouped queries several heads share one value vector: scaled is the share of one
head only, and the others that read the same values keep them. A bias of the output projection is not scaled.

Q. Yu, J. Merullo, E. Pavlick (2023), Characterizing mechanisms for factual recall in language models, EMNLP,
arXiv:2310.15910.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import DataError, ModelError
from concordant.core.model import digest
from concordant.explanations.mechanisms.decoder import module_of, n_heads_of
from concordant.models.heads import output_projections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor


@contextlib.contextmanager
def scaled_heads(model: Any, scales: Mapping[tuple[int, int], float] | ArrayLike) -> Iterator[Any]:
    """Scale the values of attention heads in all forward passes of a model, until the context ends.

    Parameters
    ----------
    model
        What is asked: a causal language model of transformers, a `CausalLM`, or what `concordant.load` returns for
        either. It may generate, score and be checked meanwhile; its own fingerprint is another one for as long, so that
        cached answers are not mixed up.
    scales
        ``{(layer, head): s}``: 0 takes a head out, 1 leaves it, more promotes and less than 0 reverses it. Or an array
        of all heads, shape ``(layers, heads)``; or one for each row, shape ``(n, layers, heads)``, where each forward pass
        of the model has those n rows in that order.

    Yields
    ------
    The model as given.

    Raises
    ------
    DataError
        If there is no such head, or scales are not finite numbers.
    ModelError
        If the heads cannot be reached; in a forward pass whose rows are not those that were given scales.

    Examples
    --------
    >>> import concordant as cc
    >>> model = cc.load("pocket:250k-chat-v1")
    >>> with scaled_heads(model, {(1, 1): 0.0, (2, 0): 4.0}):
    ...     _ = model.language_model.generate(["what is the job of sofia ?"])
    """
    module = module_of(model)
    projections = output_projections(module)
    factors = head_factors(scales, len(projections), n_heads_of(module))
    per_row = factors.ndim == 3
    handles = []
    named = [(part, part.fingerprint) for part in _fingerprinted(model)]
    try:
        for layer, projection in enumerate(projections):
            of_layer = factors[..., layer, :]
            if (of_layer != 1).any():
                hook = _scaling(torch.from_numpy(of_layer), layer, per_row=per_row)
                handles.append(projection.register_forward_pre_hook(hook))
        for part, fingerprint in named:
            part.fingerprint = digest(fingerprint, "scaled heads", factors.tobytes())
        yield model
    finally:
        for handle in handles:
            handle.remove()
        for part, fingerprint in named:
            part.fingerprint = fingerprint


def head_factors(
    scales: Mapping[tuple[int, int], float] | ArrayLike, layers: int, heads: int
) -> NDArray[np.float64]:
    """Return what each head is scaled by, shape ``(layers, heads)`` or ``(n, layers, heads)``.

    Raises
    ------
    DataError
        If there is no such head, or scales are not finite numbers.

    Examples
    --------
    >>> head_factors({(1, 0): 5.0}, 2, 2).tolist()
    [[1.0, 1.0], [5.0, 1.0]]
    """
    if isinstance(scales, Mapping):
        factors = np.ones((layers, heads))
        for place, scale in scales.items():
            if len(place) != 2 or not (0 <= place[0] < layers and 0 <= place[1] < heads):
                message = (
                    f"heads are (layer, head), layer 0 to {layers - 1} and head 0 to {heads - 1}, got {place}"
                )
                raise DataError(message)
            factors[place] = scale
    else:
        factors = np.array(scales, dtype=np.float64)
        if factors.ndim not in (2, 3) or factors.shape[-2:] != (layers, heads):
            message = f"scales must end in (layers, heads) {(layers, heads)}, got shape {factors.shape}"
            raise DataError(message)
    if not np.isfinite(factors).all():
        message = "scales of heads must be finite numbers, got some that are not"
        raise DataError(message)
    return factors


def _scaling(factors: Tensor, layer: int, *, per_row: bool) -> Any:
    heads = factors.shape[-1]

    def hook(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        read = inputs[0]
        scale = factors.to(read.device, read.dtype)
        if per_row:
            if read.ndim != 3 or len(read) != len(scale):
                message = (
                    f"scales were given for {len(scale)} rows, and layer {layer} reads {tuple(read.shape)}: "
                    "run the model on those rows in one forward pass"
                )
                raise ModelError(message)
            scale = scale[:, None]
        by_head = read.reshape(*read.shape[:-1], heads, -1) * scale[..., None]
        return (by_head.flatten(-2), *inputs[1:])

    return hook


def _fingerprinted(model: Any) -> list[Any]:
    """Return the model and the language model in it, where they have fingerprints."""
    parts = [model, getattr(model, "language_model", None)]
    return [part for part in parts if isinstance(getattr(part, "fingerprint", None), str)]
