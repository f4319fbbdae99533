"""Answers drawn from a causal language model, all draws from a generator that is given.

Small on purpose, for training on one's own answers; the models of `concordant.models` are faster at generating.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, ModelError
from concordant.learn.losses.reduction import positive
from concordant.learn.sequences import logits_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor, nn


def sample_answers(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    k: int,
    generator: torch.Generator,
    *,
    max_tokens: int = 32,
    temperature: float = 1.0,
    ends: Collection[int] = (),
) -> list[list[list[int]]]:
    """Draw k answers to each prompt from the model's own distribution.

    Parameters
    ----------
    model
        A causal language model of transformers, which is given its cache, or any module that gives logits
        ``(batch, time, vocabulary)`` for tokens, which reads everything anew for each token.
    prompts
        Token ids, at least one each.
    k
        Answers a prompt, at least 1.
    generator
        On the device of the model.
    max_tokens
        Longest answer, at least 1.
    temperature
        What logits are divided by, greater than 0.
    ends
        Tokens that end an answer; the answer has the token that ended it.

    Returns
    -------
    list
        For each prompt k lists of token ids.

    Raises
    ------
    ConfigError
        If a number is outside its range.
    ModelError
        If the model gives what is not a probability.

    Examples
    --------
    >>> import torch
    >>> class Next(torch.nn.Module):
    ...     def forward(self, tokens):
    ...         return 50.0 * torch.nn.functional.one_hot((tokens + 1) % 10, 10)
    >>> sample_answers(Next(), [[3], [1, 7]], 1, torch.Generator().manual_seed(0), max_tokens=4, ends=[9])
    [[[4, 5, 6, 7]], [[8, 9]]]
    """
    if k < 1 or max_tokens < 1:
        message = f"k and max_tokens of sample_answers must be at least 1, got {k} and {max_tokens}"
        raise ConfigError(message)
    positive("sample_answers", temperature=temperature)
    rows = [list(prompt) for prompt in prompts for _ in range(k)]
    reader = (
        _Cached(model, rows) if hasattr(getattr(model, "config", None), "use_cache") else _Anew(model, rows)
    )
    answers: list[list[int]] = [[] for _ in rows]
    open_rows = set(range(len(rows)))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = reader.first()
            while True:
                p = (logits.float() / temperature).softmax(-1)
                if not bool(torch.isfinite(p).all()):
                    message = "the model gives probabilities of tokens that are not finite"
                    raise ModelError(message)
                drawn = torch.multinomial(p, 1, generator=generator)
                for row, token in enumerate(drawn.flatten().tolist()):
                    if row in open_rows:
                        answers[row].append(token)
                        if token in ends or len(answers[row]) == max_tokens:
                            open_rows.discard(row)
                if not open_rows:
                    break
                logits = reader.following(drawn)
    finally:
        model.train(training)
    return [answers[start : start + k] for start in range(0, len(answers), k)]


class _Cached:
    """A transformers model that keeps what it has read; prompts are padded on the left."""

    def __init__(self, model: Any, rows: list[list[int]]) -> None:
        from transformers import DynamicCache

        self.model = model
        taken = inspect.signature(model.forward).parameters
        # Versions of transformers differ in what the cache is called.
        name = "cache" if "cache" in taken else "past_key_values"
        self.options = {name: DynamicCache(config=model.config)}
        self.has_positions = "position_ids" in taken
        device = next(model.parameters()).device
        longest = max(map(len, rows))
        self.tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)
        self.mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)

    def first(self) -> Tensor:
        return self._read(self.tokens, (self.mask.cumsum(-1) - 1).clamp(min=0))

    def following(self, drawn: Tensor) -> Tensor:
        self.mask = torch.cat([self.mask, torch.ones_like(drawn)], dim=1)
        return self._read(drawn, self.mask.sum(-1, keepdim=True) - 1)

    def _read(self, tokens: Tensor, positions: Tensor) -> Tensor:
        options = {**self.options, **({"position_ids": positions} if self.has_positions else {})}
        output = self.model(tokens, attention_mask=self.mask, use_cache=True, **options)
        logits: Tensor = output.logits[:, -1]
        return logits


class _Anew:
    """Any module: each token is drawn from a reading of all rows, padded on the right."""

    def __init__(self, model: nn.Module, rows: list[list[int]]) -> None:
        self.model, self.rows = model, [list(row) for row in rows]
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))

    def first(self) -> Tensor:
        longest = max(map(len, self.rows))
        tokens = torch.tensor([row + [0] * (longest - len(row)) for row in self.rows], device=self.device)
        last = torch.tensor([len(row) - 1 for row in self.rows], device=self.device)
        return logits_of(self.model, tokens)[torch.arange(len(self.rows), device=self.device), last]

    def following(self, drawn: Tensor) -> Tensor:
        for row, token in zip(self.rows, drawn.flatten().tolist(), strict=True):
            row.append(token)
        return self.first()
