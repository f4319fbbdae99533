"""Log-probabilities of the tokens of rows, each prefix that rows share read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # this module is itself imported only when a transformers model is used
from transformers.cache_utils import Cache, DynamicLayer

from concordant.models.prefix_trees import common, trees
from concordant.models.reading import additive, cache_name, forward_options
from concordant.models.tokens import batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from concordant.models.prefix_trees import Tree

HEADER = 16
"""Tokens that all rows must have in common, to be read before the others and kept as keys and values."""

BATCH_TOKENS = 2**16
"""Tokens of a batch. Where trees are long, or many logits are needed, it is less, by the two numbers below."""

TOKENS_OF_A_CELL, TOKENS_OF_A_LOGIT = 1 / 512, 1 / 1024


@torch.inference_mode()
def score_trees(
    model: Any, rows: Sequence[Sequence[int]], starts: Sequence[int], size: int
) -> list[NDArray[np.float64]]:
    """Score the ends of rows.

    Parameters
    ----------
    model
        A transformers model that takes masks and places; see `concordant.models.reading.reads_masks`.
    rows
        Token ids.
    starts
        The first token of each row that is scored, at least 1.
    size
        Most trees in one forward pass.

    Returns
    -------
    list of arrays of shape ``(len(row) - start,)``
        Log-probability of each token after all tokens before it, in nats.
    """
    scores = [np.zeros(0)] * len(rows)
    scored = [i for i, (row, start) in enumerate(zip(rows, starts, strict=True)) if start < len(row)]
    if not scored:
        return scores
    header = _header([list(rows[i]) for i in scored], min(starts[i] for i in scored))
    parts = [rows[i][len(header) :] for i in scored]
    firsts = [starts[i] - len(header) for i in scored]
    grown = trees(parts)
    if len(grown) == 1 and header:  # read but once anyway
        header, parts, firsts = [], [rows[i] for i in scored], [starts[i] for i in scored]
        grown = trees(parts)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    kept = [len(tree) - min(path[firsts[i] - 1] for i, path in tree.paths.items()) for tree in grown]
    costs = [
        max(len(tree) + len(header), len(tree) ** 2 * TOKENS_OF_A_CELL, k * vocabulary * TOKENS_OF_A_LOGIT)
        for tree, k in zip(grown, kept, strict=True)
    ]
    before = _read_header(model, header) if header else None
    for batch in batches(list(map(int, costs)), size, BATCH_TOKENS):
        most = max(kept[t] for t in batch)
        logits = _logits([grown[t] for t in batch], model, before, most)
        totals = logits.logsumexp(dim=-1)
        members = [(b, i, path) for b, t in enumerate(batch) for i, path in grown[t].paths.items()]
        sizes = [len(grown[t]) for t in batch]
        at = [(b, node - sizes[b] + most) for b, i, path in members for node in path[firsts[i] - 1 :]]
        row, column = torch.tensor(at, device=logits.device).T
        targets = torch.tensor(
            [t for _, i, _ in members for t in parts[i][firsts[i] :]], device=logits.device
        )
        found = (logits[row, column, targets] - totals[row, column]).double().cpu().numpy()
        ends = np.cumsum([len(parts[i]) - firsts[i] for _, i, _ in members])
        for (_, i, _), values in zip(members, np.split(found, ends[:-1]), strict=True):
            scores[scored[i]] = values
    return scores


def _header(rows: list[list[int]], first: int) -> list[int]:
    """Return the tokens that all rows begin with, where they are many, without the last token before the scored ones."""
    length = min(common(min(rows), max(rows)), first - 1)  # the least and the greatest share least
    return rows[0][:length] if length >= HEADER else []


def _read_header(model: Any, header: list[int]) -> list[tuple[Tensor, Tensor]]:
    """Return the keys and values of a header, of each layer."""
    cache = Cache(layer_class_to_replicate=DynamicLayer)
    ids = torch.tensor([header], device=model.device)
    options = {"logits_to_keep": 1} if "logits_to_keep" in forward_options(model) else {}
    model(input_ids=ids, use_cache=True, **{cache_name(model): cache}, **options)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _logits(
    grown: Sequence[Tree], model: Any, before: list[tuple[Tensor, Tensor]] | None, kept: int
) -> Tensor:
    """Return the logits of the last `kept` nodes of each tree, ``(trees, kept, vocabulary)``, in single precision."""
    longest = max(map(len, grown))
    past = 0 if before is None else before[0][0].shape[2]
    ids = np.zeros((len(grown), longest), np.int64)
    places = np.zeros((len(grown), longest), np.int64)
    hidden = np.ones((len(grown), longest, past + longest), bool)
    for b, tree in enumerate(grown):  # on the right, so that what is scored is side by side
        start = longest - len(tree)
        ids[b, start:], places[b, start:] = tree.tokens, tree.depths
        hidden[b, start:, :past] = False
        hidden[b, start:, past + start :] = ~tree.ancestors()
    inputs = {
        "input_ids": torch.from_numpy(ids).to(model.device),
        "position_ids": torch.from_numpy(places + past).to(model.device),
        "attention_mask": additive(torch.from_numpy(hidden), model)[:, None],
    }
    options: dict[str, Any] = {"use_cache": False}
    if before is not None:
        layers = [_Before(key, value, len(grown)) for key, value in before]
        options = {"use_cache": True, cache_name(model): Cache(layers=layers)}
    if "logits_to_keep" in forward_options(model):
        options["logits_to_keep"] = kept
    logits: Tensor = model(**inputs, **options).logits[:, -kept:].float()
    return logits


class _Before(DynamicLayer):  # type: ignore[misc]
    """The keys and values of a header before those of each of several trees."""

    def __init__(self, keys: Tensor, values: Tensor, rows: int) -> None:
        super().__init__()
        self.keys, self.values = (t.expand(rows, -1, -1, -1) for t in (keys, values))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat((self.keys, key_states), dim=2), torch.cat((self.values, value_states), dim=2)
