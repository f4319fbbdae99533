"""Causal models of any architecture, read and continued through their own forward pass.

A *reader* reads prompts, makes room for samples of each, and is then given one token of each sample at a
time. `LlamaReader` is one for a few architectures; `ForwardReader` one for all whose cache holds keys and
values and nothing else. `reader_of` says which one a model can have. It does not rely on names alone: a model
is first made to read two short rows both ways, and where the logits are not those of its plain forward pass,
it has none, and is left to ``transformers.generate``.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from concordant.models.llama import LlamaReader, is_llama

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

PROBE = ((3, 1, 4, 1, 5, 9, 2, 6), (2, 7, 1, 8))
"""Two rows that a model is tried with: no matter which tokens, but of different lengths."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
"""How far logits may be apart by rounding, in standard deviations of the logits."""


class Reader(Protocol):
    """A model that reads prompts and is then given one token of each sample at a time."""

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read prompts, not empty; return the logits behind the last token of each, ``(prompts, vocabulary)``."""
        ...

    def open(self, samples: int, steps: int) -> None:
        """Make room for up to `steps` new tokens of `samples` of each prompt."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each sample, the samples of a prompt side by side; return the logits behind each."""
        ...

    def keep(self, prompts: Tensor, samples: Tensor) -> None:
        """Go on with the samples ``samples[i]`` of the prompt ``prompts[i]`` for each i."""
        ...


def reader_of(model: Any) -> Callable[[], Reader] | None:
    """Return what makes a reader of a model, or None where only ``transformers.generate`` can be trusted with it.

    None is for models that keep something else than keys and values (state-space models), that look at a
    window only, that have no places to be told (ALiBi), and for attention that takes no mask of its own
    (flash attention).
    """
    if not keeps_all(model):
        return None
    if is_llama(model) and _reads_rightly(lambda: LlamaReader(model), model):
        return lambda: LlamaReader(model)
    return (lambda: ForwardReader(model)) if reads_masks(model) else None


def reads_masks(model: Any) -> bool:
    """Whether the forward pass of a model keeps to the masks and places it is given, in and before its cache."""
    takes_masks = model.config.get_text_config()._attn_implementation in ("sdpa", "eager")
    return takes_masks and keeps_all(model) and _reads_rightly(lambda: ForwardReader(model), model)


def keeps_all(model: Any) -> bool:
    """Whether each layer of a model attends to all tokens before, and keeps their keys and values."""
    config = model.config.get_text_config()
    if (
        model.config.is_encoder_decoder
        or getattr(model, "_is_stateful", False)
        or getattr(config, "alibi", False)
    ):
        return False
    taken = forward_options(model)
    if not {"attention_mask", "position_ids"} <= taken or not taken & {"cache", "past_key_values"}:
        return False
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return False
    try:
        layers = DynamicCache(config=model.config).layers
    except Exception:  # a configuration that no cache can be made of
        return False
    return all(type(layer) is DynamicLayer for layer in layers)


def forward_options(model: Any) -> frozenset[str]:
    """Return the names of what the forward pass of a model takes."""
    return frozenset(inspect.signature(model.forward).parameters)


def cache_name(model: Any) -> str:
    """Return what the forward pass of a model calls its cache."""
    return "cache" if "cache" in forward_options(model) else "past_key_values"


def additive(hidden: Tensor, model: Any) -> Tensor:
    """Return what is added to attention scores: nothing, or the least number where something is hidden."""
    least = torch.finfo(model.dtype).min
    return torch.zeros(hidden.shape, dtype=model.dtype).masked_fill_(hidden, least).to(model.device)


class ForwardReader:
    """A model that reads through its own forward pass.

    Parameters
    ----------
    model
        For which `keeps_all` is true.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        taken = forward_options(model)
        self._cache_name = cache_name(model)
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in taken else {}

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read prompts; see `Reader.read`."""
        device = self._model.device
        longest = max(map(len, rows))
        lengths = torch.tensor([len(row) for row in rows])
        # Padded on the left, so that all rows end at the same place, with a token that is surely there.
        ids = torch.tensor([[row[0]] * (longest - len(row)) + list(row) for row in rows], device=device)
        padding = longest - lengths
        places = (torch.arange(longest) - padding[:, None]).clamp(min=0).to(device)
        self._cache = Cache(layer_class_to_replicate=_Keys)
        self._hidden = additive(torch.arange(longest) < padding[:, None], self._model)[:, None, None]
        before = torch.ones(longest, longest, dtype=torch.bool).triu(1)
        mask = torch.minimum(self._hidden, additive(before, self._model)[None, None])
        self._lengths, self._places = lengths.to(device), lengths.to(device)
        return self._forward(ids, places, mask)

    def open(self, samples: int, steps: int) -> None:
        """Make room; see `Reader.open`."""
        self._samples = samples
        for layer in self._cache.layers:
            layer.open(samples, steps)
        room = self._hidden.new_zeros(*self._hidden.shape[:-1], steps)
        self._hidden = torch.cat((self._hidden, room), dim=-1).repeat_interleave(samples, dim=0)
        self._places = self._lengths.repeat_interleave(samples)

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each sample; see `Reader.step`."""
        seen = self._cache.layers[0].length + 1
        logits = self._forward(tokens[:, None], self._places[:, None], self._hidden[..., :seen])
        self._places = self._places + 1
        return logits

    def keep(self, prompts: Tensor, samples: Tensor) -> None:
        """Go on with some samples; see `Reader.keep`."""
        rows = (prompts[:, None] * self._samples + samples).flatten()
        self._samples = samples.shape[1]
        self._hidden, self._places = self._hidden[rows], self._places[rows]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]

    def _forward(self, ids: Tensor, places: Tensor, mask: Tensor) -> Tensor:
        inputs = {"input_ids": ids, "position_ids": places, "attention_mask": mask, "use_cache": True}
        logits: Tensor = self._model(**inputs, **{self._cache_name: self._cache}, **self._options).logits
        return logits[:, -1]


class _Keys(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer: as the prompts left them, and from `open` on in buffers that are written into."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self._is_open = False

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        start, self.length = self.length, self.length + key_states.shape[2]
        self.is_initialized = True
        if not self._is_open:
            self.keys, self.values = key_states, value_states
            return key_states, value_states
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_seq_length(self) -> int:
        return self.length

    def open(self, samples: int, steps: int) -> None:
        self.keys, self.values = (_roomy(values, samples, steps) for values in (self.keys, self.values))
        self._is_open = True


def _roomy(values: Tensor, samples: int, steps: int) -> Tensor:
    """Repeat each row of ``(rows, heads, length, size)``, with room for further steps."""
    rows, heads, length, size = values.shape
    buffer = values.new_empty(rows, samples, heads, length + steps, size)
    buffer[:, :, :, :length] = values[:, None]
    return buffer.flatten(0, 1)


@torch.inference_mode()
def _reads_rightly(make: Callable[[], Reader], model: Any) -> bool:
    """Whether a reader finds what the plain forward pass finds for each row alone: behind prompts and samples."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    rows = [[token % vocabulary for token in row] for row in PROBE]
    further = [[row[0], row[1]] for row in rows]  # a first and a second new token of each
    try:
        reader = make()
        found = [reader.read(rows)]
        reader.open(2, 2)
        found += [
            reader.step(torch.tensor([row[0] for row in further for _ in range(2)], device=model.device))[::2]
        ]
        reader.keep(torch.tensor([1, 0], device=model.device), torch.tensor([[0], [1]], device=model.device))
        found += [reader.step(torch.tensor([row[1] for row in further[::-1]], device=model.device)).flip(0)]
    except Exception:
        return False
    for k, (row, more) in enumerate(zip(rows, further, strict=True)):
        ids = torch.tensor([row + more], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(row) - 1 :].double()
        spread = float(logits.std())
        apart = max(
            float((step[k].double() - there).abs().max()) for step, there in zip(found, logits, strict=True)
        )
        if not apart <= TOLERANCE.get(model.dtype, 0.2) * spread:
            return False
    return True
