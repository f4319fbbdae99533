"""Llama-style models, read and continued with as few operations as they need.

What `transformers` does in a forward pass for every model there is (masks, caches of several kinds, outputs
with many fields) costs more than the arithmetic of a small model. Here is the arithmetic alone, with the
model's own layers: linear maps, gates and embeddings are called as modules, so that adapters and hooks on
them count. Two things are arranged otherwise than in `transformers`, and change rounding only:

- tokens are not padded where they go through linear maps, only where they attend;
- the keys and values of a prompt are kept once for all of its samples, and attended to by all of them in
  one product; those of the new tokens stand in buffers beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import rms_norm, scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
"""Architectures that are this arithmetic: they differ in biases, which belong to the modules, and windows."""

ROTARY = ("default", "linear", "llama3", "yarn")
"""Sorts of rotary positions whose frequencies do not depend on how long a text is."""


def is_llama(model: Any) -> bool:
    """Whether a transformers model is one of `KNOWN`, in single precision, and nothing listens to its parts.

    A hook on a layer would not be called here, so a model that has one is left to its own forward pass.
    """
    if type(model).__name__ not in KNOWN or not type(model).__module__.startswith("transformers."):
        return False
    config = model.config
    rotary = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rotary.get("rope_type", "default")
    return model.dtype == torch.float32 and kind in ROTARY and not any(map(_is_heard, _bypassed(model)))


def _bypassed(model: Any) -> list[Any]:
    parts = [model, model.model, model.model.norm, model.model.rotary_emb]
    for layer in model.model.layers:
        parts += [layer, layer.self_attn, layer.input_layernorm, layer.post_attention_layernorm]
    return parts


def _is_heard(module: Any) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


class LlamaReader:
    """A Llama-style model that reads prompts and is then given one token of each sample at a time.

    Parameters
    ----------
    model
        For which `is_llama` is true.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._layers = model, model.model.layers
        config, attention = model.config, model.model.layers[0].self_attn
        self._size = int(attention.head_dim)
        self._heads, self._groups = int(config.num_attention_heads), int(config.num_key_value_heads)
        self._scale = float(attention.scaling)

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read prompts, not empty, and return the logits behind the last token of each, ``(prompts, vocabulary)``."""
        device = self._model.device
        lengths = torch.tensor([len(row) for row in rows])
        longest, total = int(lengths.max()), int(lengths.sum())
        places = torch.cat([torch.arange(len(row)) for row in rows]).to(device)
        starts = torch.repeat_interleave(torch.arange(len(rows)) * longest, lengths).to(device)
        cells = None if total == len(rows) * longest else starts + places  # of each token in a padded grid
        ids = torch.tensor([token for row in rows for token in row], device=device)
        x = self._model.model.embed_tokens(ids)
        self._prompt: list[tuple[Tensor, Tensor]] = []
        angles = self._angles(places)
        for layer in self._layers:
            query, key, value = self._projected(layer, x, angles)
            query, key, value = (self._grid(t, cells, len(rows), longest) for t in (query, key, value))
            self._prompt.append((key.contiguous(), value.contiguous()))
            repeats = self._heads // self._groups
            if repeats > 1:
                key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
            # The padding is on the right, where no token of the prompt looks.
            seen = scaled_dot_product_attention(query, key, value, is_causal=True, scale=self._scale)
            seen = seen.transpose(1, 2).reshape(len(rows) * longest, -1)
            x = self._added(layer, x, seen if cells is None else seen[cells])
        columns = torch.arange(longest)
        hidden = torch.zeros(len(rows), 1, longest).masked_fill_(
            columns >= lengths[:, None, None], -torch.inf
        )
        self._hidden = None if cells is None else hidden.repeat_interleave(self._groups, dim=0).to(device)
        self._lengths = lengths.to(device)
        return self._logits(x[(lengths.cumsum(0) - 1).to(device)])

    def open(self, samples: int, steps: int) -> None:
        """Make room for the new tokens of `samples` of each prompt."""
        self._samples, self._step = samples, 0
        shape = (len(self._lengths), self._groups, samples, steps, self._size)
        self._new = [(key.new_empty(shape), key.new_empty(shape)) for key, _ in self._prompt]

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each sample, shape ``(prompts * samples,)``; return the logits behind it."""
        prompts, samples, size = len(self._lengths), self._samples, self._size
        repeats = self._heads // self._groups
        x = self._model.model.embed_tokens(tokens)
        angles = self._angles((self._lengths + self._step).repeat_interleave(samples))
        for i, layer in enumerate(self._layers):
            query, key, value = self._projected(layer, x, angles)
            self._write(i, key, value)
            # (prompts, samples, groups, ...) becomes (prompts, groups, samples, ...)
            query = query.view(prompts, samples, self._groups, repeats, size).transpose(1, 2)
            seen = self._attended(i, query.contiguous().view(-1, samples * repeats, size))
            seen = seen.view(prompts, self._groups, samples, repeats * size).transpose(1, 2)
            x = self._added(layer, x, seen.reshape(prompts * samples, -1))
        self._step += 1
        return self._logits(x)

    def keep(self, prompts: Tensor, samples: Tensor) -> None:
        """Go on with some samples of some prompts.

        Parameters
        ----------
        prompts
            Shape ``(p,)``, which prompts.
        samples
            Shape ``(p, s)``, which samples of each.
        """
        self._samples = samples.shape[1]
        self._new = [(_picked(k, prompts, samples), _picked(v, prompts, samples)) for k, v in self._new]
        if prompts.tolist() == list(range(len(self._lengths))):
            return
        self._prompt = [(key[prompts], value[prompts]) for key, value in self._prompt]
        if self._hidden is not None:
            self._hidden = self._hidden.view(-1, self._groups, 1, self._hidden.shape[-1])[prompts].flatten(
                0, 1
            )
        self._lengths = self._lengths[prompts]

    def _write(self, i: int, key: Tensor, value: Tensor) -> None:
        shape = (len(self._lengths), self._samples, self._groups, self._size)
        for buffer, new in zip(self._new[i], (key, value), strict=True):
            buffer[:, :, :, self._step] = new.view(shape).transpose(1, 2)

    def _attended(self, i: int, query: Tensor) -> Tensor:
        """Attend to the prompt and to the new tokens, ``(prompts * groups, samples * repeats, size)``."""
        key, value = (t.flatten(0, 1) for t in self._prompt[i])
        own_key, own_value = (t.flatten(0, 2)[:, : self._step + 1] for t in self._new[i])
        own_query = query.view(len(own_key), -1, self._size)
        longest, scale = key.shape[1], self._scale
        if self._hidden is None:
            old = torch.bmm(query * scale, key.transpose(1, 2))
        else:
            old = torch.baddbmm(self._hidden, query, key.transpose(1, 2), alpha=scale)
        new = torch.bmm(own_query * scale, own_key.transpose(1, 2))
        weights = torch.cat((old.view(*new.shape[:2], longest), new), dim=-1).softmax(dim=-1)
        seen = torch.bmm(weights[..., :longest].reshape(old.shape), value)
        return torch.baddbmm(seen.view(own_query.shape), weights[..., longest:], own_value)

    def _projected(
        self, layer: Any, x: Tensor, angles: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of tokens, each ``(tokens, heads or groups, size)``."""
        attention = layer.self_attn
        x = _normed(layer.input_layernorm, x)
        both = torch.cat((attention.q_proj(x), attention.k_proj(x)), dim=-1).view(len(x), -1, self._size)
        cosine, sine = angles
        turned = torch.addcmul(both * cosine, both.roll(self._size // 2, dims=-1), sine)
        value = attention.v_proj(x).view(len(x), self._groups, self._size)
        return turned[:, : self._heads], turned[:, self._heads :], value

    def _added(self, layer: Any, x: Tensor, seen: Tensor) -> Tensor:
        """Add what was attended to, and what the layer makes of it."""
        x = layer.self_attn.o_proj(seen).add_(x)
        return layer.mlp(_normed(layer.post_attention_layernorm, x)).add_(x)  # type: ignore[no-any-return]

    def _angles(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and signed sines of places, ``(tokens, 1, size)``.

        The half of a head that is rolled to the front enters with a minus.
        """
        cosine, sine = self._model.model.rotary_emb(self._model.model.norm.weight, places[None])
        half = self._size // 2
        sine = torch.cat((-sine[..., :half], sine[..., half:]), dim=-1)
        return cosine[0, :, None], sine[0, :, None]

    def _grid(self, values: Tensor, cells: Tensor | None, rows: int, longest: int) -> Tensor:
        """Put values of tokens into ``(rows, heads, longest, size)``."""
        if cells is not None:
            grid = values.new_zeros(rows * longest, *values.shape[1:])
            grid[cells] = values
            values = grid
        return values.view(rows, longest, -1, self._size).transpose(1, 2)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self._model.lm_head(_normed(self._model.model.norm, x))
        return logits


def _normed(norm: Any, x: Tensor) -> Tensor:
    return rms_norm(x, (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _picked(values: Tensor, prompts: Tensor, samples: Tensor) -> Tensor:
    """Pick from ``(prompts, groups, samples, ...)``."""
    return values[prompts[:, None], :, samples].transpose(1, 2).contiguous()
