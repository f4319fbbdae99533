r"""What each attention head writes, before the output projection mixes the heads.

The heads of a layer stand side by side in what its output projection W reads, so with :math:`h_i` what head i
gives and :math:`W_i` the columns of W that read it, the layer writes :math:`\sum_i W_i h_i` (plus a bias).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense", "wo")
"""What architectures call the output projection of an attention module."""


def output_projections(model: Any) -> list[Any]:
    """Return the output projection of the attention of each layer, in the order of the layers.

    Parameters
    ----------
    model
        A causal transformers model: Llama and its kin (also with grouped queries), GPT-2, and others that name
        their parts alike.

    Raises
    ------
    ModelError
        If they are not found, or not one for each layer.
    """
    found = []
    for name, module in model.named_modules():
        own = name.rpartition(".")[2].lower()
        if "attn" not in own and "attention" not in own:
            continue
        projection = next((getattr(module, p) for p in PROJECTIONS if hasattr(module, p)), None)
        if projection is not None:
            found.append(projection)
    layers = int(model.config.get_text_config().num_hidden_layers)
    if len(found) != layers:
        message = (
            f"the heads of a {type(model).__name__} cannot be reached: {len(found)} of its {layers} layers have an"
            f" attention with an output projection called {', '.join(PROJECTIONS)}"
        )
        raise ModelError(message)
    return found


@contextlib.contextmanager
def recorded_heads(model: Any, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Record what heads give during forward passes.

    Parameters
    ----------
    model
        A causal transformers model, see `output_projections`.
    layers
        Which layers: 0 is the first, -1 the last. (Of `hidden`, layer k + 1 is what stands behind this layer k.)

    Yields
    ------
    dict
        For each of `layers`, as given: a tensor of shape ``(batch, n_heads, n_tokens, d_head)`` of the latest forward
        pass; empty before the first. With grouped queries `n_heads` counts the queries. The hooks that record are
        removed at the end.

    Raises
    ------
    ModelError
        If there is no such layer, or the heads cannot be reached.

    Examples
    --------
    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> with torch.random.fork_rng():
    ...     model = GPT2LMHeadModel(GPT2Config(n_embd=6, n_head=3, n_layer=2, n_positions=8, vocab_size=5)).eval()
    >>> with recorded_heads(model, [-1]) as heads, torch.inference_mode():
    ...     _ = model(torch.tensor([[1, 2, 3, 4]]))
    >>> tuple(heads[-1].shape)
    (1, 3, 4, 2)
    """
    projections = output_projections(model)
    n_heads = int(model.config.get_text_config().num_attention_heads)
    for layer in layers:
        if not -len(projections) <= layer < len(projections):
            message = f"a {type(model).__name__} has layers 0 to {len(projections) - 1}, got {layer}"
            raise ModelError(message)
    heads: dict[int, Tensor] = {}

    def record(layer: int) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            side_by_side = inputs[0].reshape(*inputs[0].shape[:-1], n_heads, -1)
            heads[layer] = side_by_side.transpose(-2, -3)

        return hook

    handles = [projections[layer].register_forward_pre_hook(record(layer)) for layer in layers]
    try:
        yield heads
    finally:
        for handle in handles:
            handle.remove()
