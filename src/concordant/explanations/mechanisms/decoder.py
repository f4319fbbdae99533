"""The parts of a causal language model that are looked at and turned: found by their names, and read in batches."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from concordant.core.errors import DataError, ModelError
from concordant.models.heads import output_projections
from concordant.models.reading import forward_options
from concordant.models.tokens import batches, padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

MLPS = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
"""What architectures call the feed-forward part of a block."""

NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f", "ln_out")
"""What they call the norm between the last block and the unembedding."""


@dataclass(frozen=True)
class Decoder:
    """The parts of a causal language model that write into its residual stream, and what reads it at the end.

    Parameters
    ----------
    module
        The model, of transformers.
    n_heads
        Heads of a layer; with grouped queries, the queries'.
    blocks, projections, mlps
        Of each layer: the whole, the output projection of its attention, its feed-forward part.
    norm
        What the residual stream goes through behind the last block.
    unembedding
        What makes logits of it.
    """

    module: Any
    n_heads: int
    blocks: list[Any]
    projections: list[Any]
    mlps: list[Any]
    norm: Any
    unembedding: Any


def module_of(model: Any) -> Any:
    """Return the transformers model in what `concordant.load` returns, in a `CausalLM`, or as it is.

    Raises
    ------
    ModelError
        If there is none.
    """
    found = getattr(model, "language_model", model)
    if not isinstance(found, nn.Module):
        found = getattr(found, "model", found)
    if not isinstance(found, nn.Module) or not hasattr(found, "config"):
        message = (
            "the inside of a model can be reached where it is a causal language model of transformers, "
            f"got {type(model).__name__}"
        )
        raise ModelError(message)
    return found


def decoder_of(model: Any) -> Decoder:
    """Find the parts of a causal language model.

    Parameters
    ----------
    model
        As for `module_of`: GPT-2, Llama and its kin (also with grouped queries), GPT-NeoX, and others that name their
        parts alike.

    Raises
    ------
    ModelError
        If a part is not found; the names that were looked for are given.
    """
    module = module_of(model)
    projections = output_projections(module)
    names = {id(part): name for name, part in module.named_modules()}
    blocks = [module.get_submodule(names[id(p)].rsplit(".", 2)[0]) for p in projections]
    mlps = [next((getattr(block, name) for name in MLPS if hasattr(block, name)), None) for block in blocks]
    inner = module.base_model
    norm = next((getattr(inner, name) for name in NORMS if hasattr(inner, name)), None)
    unembedding = module.get_output_embeddings()
    for what, found, wanted in (
        ("a feed-forward part of each block", all(mlp is not None for mlp in mlps), ", ".join(MLPS)),
        ("a norm behind the last block", norm is not None, ", ".join(NORMS)),
        ("an output embedding", unembedding is not None, "get_output_embeddings()"),
    ):
        if not found:
            message = f"{what} is needed, looked for as {wanted}, and {type(module).__name__} has none"
            raise ModelError(message)
    return Decoder(module, n_heads_of(module), blocks, projections, mlps, norm, unembedding)


def n_heads_of(module: Any) -> int:
    """Return how many heads a layer has; with grouped queries, those of the queries."""
    return int(module.config.get_text_config().num_attention_heads)


def by_head(projection: Any, n_heads: int) -> Tensor:
    """Return the weight of an output projection by head, ``(n_heads, d_head, d)``.

    Raises
    ------
    ModelError
        If it is not a plain linear map.
    """
    if isinstance(projection, Conv1D):
        weight: Tensor = projection.weight.detach()
    elif isinstance(projection, nn.Linear):
        weight = projection.weight.detach().T
    else:
        message = (
            "the output projection of an attention must be a plain linear map to be split by head, got a "
            f"{type(projection).__name__}; merge adapters, and load weights unquantised"
        )
        raise ModelError(message)
    return weight.reshape(n_heads, -1, weight.shape[-1])


def checked_rows(rows: Sequence[Sequence[int]], position: int, module: Any) -> None:
    """Raise `DataError` if there are no rows, a row does not reach the position, or a token is not in the vocabulary."""
    if position >= 0:
        message = f"a position is counted from the end of each row: -1 or less, got {position}"
        raise DataError(message)
    if len(rows) == 0:
        message = "rows of tokens are needed, got none"
        raise DataError(message)
    n_words = module.get_input_embeddings().weight.shape[0]
    for i, row in enumerate(rows):
        if len(row) < -position:
            message = f"row {i} has {len(row)} tokens, and position {position} needs {-position}"
            raise DataError(message)
        if min(row) < 0 or max(row) >= n_words:
            message = f"tokens must be 0 to {n_words - 1}, got {min(row)} to {max(row)} in row {i}"
            raise DataError(message)


def read_batches(
    module: Any,
    rows: Sequence[Sequence[int]],
    batch_size: int,
    *,
    kept: int = 1,
    within: Callable[[list[int]], AbstractContextManager[Any]] | None = None,
) -> Iterator[tuple[list[int], Tensor]]:
    """Read rows of tokens in batches, padded on the left.

    Parameters
    ----------
    module
        The model, of transformers.
    rows
        Token ids.
    batch_size
        Rows in a forward pass.
    kept
        Positions at the end whose logits are wanted.
    within
        Makes the context of the forward pass of some rows, by their numbers.

    Yields
    ------
    pair
        Which rows, and their logits, shape ``(batch, kept, vocabulary)``.
    """
    taken = forward_options(module)
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in taken:
        options["logits_to_keep"] = kept
    training = module.training
    if training:
        module.eval()
    try:
        for part in batches([len(row) for row in rows], batch_size):
            inputs = padded([rows[i] for i in part], 0, module.device)
            with torch.inference_mode(), within(part) if within else nullcontext():
                logits = module(**{k: v for k, v in inputs.items() if k in taken}, **options).logits
            yield part, logits[:, -kept:]
    finally:
        if training:
            module.train()
