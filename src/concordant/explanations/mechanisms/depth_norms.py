"""How large the tokens of a model are from layer to layer, to lay beside what its spectra foretell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch import nn

from concordant.core.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True)
class TokenNorms:
    """Euclidean norms of tokens by depth; made by :func:`token_norms`.

    Parameters
    ----------
    norms
        Shape ``(layers + 1, tokens)``: what goes into the first layer, then what comes out of each, before any last norm.
        The tokens of all rows, one after the other.
    rows, positions
        Shape ``(tokens,)``: of which row a token is, and its place in that row.
    layers
        Names of the layers.
    """

    norms: Tensor
    rows: Tensor
    positions: Tensor
    layers: tuple[str, ...]

    @property
    def growth(self) -> Tensor:
        """Mean over tokens of the logarithm of the growth in each layer, shape ``(layers,)``, nats; below 0 they shrink."""
        return self.norms.log().diff(dim=0).mean(1)

    def table(self) -> pl.DataFrame:
        """One row a depth: ``depth`` (0 is what goes in), ``layer``, and ``mean``, ``smallest`` and ``largest`` norm."""
        return pl.DataFrame(
            {
                "depth": range(len(self.norms)),
                "layer": [None, *self.layers],
                "mean": self.norms.mean(1).tolist(),
                "smallest": self.norms.amin(1).tolist(),
                "largest": self.norms.amax(1).tolist(),
            },
            schema_overrides={"layer": pl.String},
        )


@torch.inference_mode()
def token_norms(model: nn.Module, rows: Sequence[Sequence[int]], *, batch_size: int = 64) -> TokenNorms:
    """Measure the norm of each token behind each layer.

    Parameters
    ----------
    model
        A model of token ids whose layers stand in one list and each add to their tokens, such as the causal language models
        of transformers.
    rows
        Token ids, none empty. Shorter ones are padded on the right, where a causal model does not look.
    batch_size
        Rows a pass.

    Raises
    ------
    DataError
        If there are no rows, or one is empty.
    ModelError
        If the model has no list of layers.

    Examples
    --------
    >>> from transformers import MambaConfig, MambaForCausalLM
    >>> with torch.random.fork_rng():
    ...     model = MambaForCausalLM(
    ...         MambaConfig(vocab_size=8, hidden_size=4, state_size=2, num_hidden_layers=3)
    ...     )
    >>> found = token_norms(model, [[1, 2, 3], [4, 5]])
    >>> found.norms.shape, found.table()["layer"].to_list()[:2], found.positions.tolist()
    (torch.Size([4, 5]), [None, 'backbone.layers.0'], [0, 1, 2, 0, 1])
    """
    if not rows or not all(len(row) for row in rows):
        message = "token_norms needs rows of at least one token"
        raise DataError(message)
    name, layers = _layers(model)
    seen: list[Any] = []
    handles = [
        layers[0].register_forward_pre_hook(
            lambda _, inputs, kwargs: seen.append(_first(inputs, kwargs)), with_kwargs=True
        )
    ]
    handles += [layer.register_forward_hook(lambda _, __, output: seen.append(output)) for layer in layers]
    place = next(model.parameters()).device
    training = model.training
    norms, which = [], []
    try:
        model.eval()
        for start in range(0, len(rows), batch_size):
            part = [torch.as_tensor(row) for row in rows[start : start + batch_size]]
            ids = nn.utils.rnn.pad_sequence(part, batch_first=True)
            lengths = torch.tensor([len(row) for row in part])
            real = torch.arange(ids.shape[1]) < lengths[:, None]
            seen.clear()
            model(ids.to(place))
            states = [state[0] if isinstance(state, tuple) else state for state in seen]
            norms.append(torch.stack([state.float().norm(dim=-1).cpu()[real] for state in states]))
            which.append(real.nonzero() + torch.tensor([start, 0]))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    row, position = torch.cat(which).unbind(1)
    return TokenNorms(torch.cat(norms, 1), row, position, tuple(f"{name}.{i}" for i in range(len(layers))))


def _layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the longest list of modules and its name: the layers."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        message = f"a {type(model).__name__} has no list of layers whose tokens could be measured"
        raise ModelError(message)
    return max(lists, key=lambda found: len(found[1]))


def _first(inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return inputs[0] if inputs else kwargs["hidden_states"]
