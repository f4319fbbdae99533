"""Supervised fine-tuning of causal language models: rows of (token ids, length of the prompt), in batches of tokens.

Rows are padded on the right, where a causal model never looks, so no attention mask is needed and the fast path of
attention stays open. Rows of about one length share a batch, so that hardly anything is spent on padding.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses.language import sft_nll

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

Row: TypeAlias = "tuple[Sequence[int], int]"


class TokenBatch(TypedDict):
    """Rows side by side: ``tokens``, ``mask`` and ``real`` of shape ``(batch, time)``, ``rows`` of shape ``(batch,)``."""

    tokens: Tensor
    mask: Tensor
    real: Tensor
    rows: Tensor


class TokenBatches:
    """Rows of tokens in shuffled batches of about one length and at most so many tokens.

    A batch is a mapping: ``tokens`` ``(batch, time)``, padded on the right; ``mask`` of the same shape, true at the
    tokens of the answers; ``real``, true at all but the padding; ``rows`` ``(batch,)``, which rows they are.

    An epoch has every row once. Which rows are together is drawn among those of like length, and the order of the
    batches is drawn too; the number of batches is always the same. Since a batch has rows of one length, and perhaps
    of one kind, ``train(accumulate=...)`` is the way to mix kinds in a step.

    Parameters
    ----------
    rows
        Pairs of token ids and the number of those, from the left, that are the prompt; with 0 all tokens but the
        first are learnt.
    tokens
        Most tokens in a batch, padding included; at least as many as the longest row has.
    group
        Lengths are alike if they round up to the same multiple of this. More mixes rows better, and pads more.
    pad
        What stands behind the end of a row. The model never looks at it.
    shuffle
        Whether each epoch has an order of its own; the longest rows come first otherwise.

    Raises
    ------
    DataError
        If there are no rows, or a row is empty, longer than `tokens` or shorter than its prompt.
    ConfigError
        If `tokens` or `group` is below 1.

    Examples
    --------
    >>> import torch
    >>> batches = TokenBatches([([5, 6, 7], 1), ([5, 8], 1), ([5, 6, 9, 9, 9, 9], 2)], tokens=8)
    >>> len(batches)
    2
    >>> for batch in batches(torch.Generator().manual_seed(0)):
    ...     print(batch["tokens"].tolist(), batch["mask"].int().tolist(), batch["rows"].tolist())
    [[5, 6, 7], [5, 8, 0]] [[0, 1, 1], [0, 1, 0]] [0, 1]
    [[5, 6, 9, 9, 9, 9]] [[0, 0, 1, 1, 1, 1]] [2]
    """

    def __init__(
        self, rows: Iterable[Row], tokens: int = 4096, *, group: int = 4, pad: int = 0, shuffle: bool = True
    ) -> None:
        for name, number in (("tokens", tokens), ("group", group)):
            if number < 1:
                message = f"{name} of TokenBatches must be at least 1, got {number}"
                raise ConfigError(message)
        rows = list(rows)
        lengths = np.array([len(ids) for ids, _ in rows], dtype=np.int64)
        prompts = np.array([prompt for _, prompt in rows], dtype=np.int64)
        check_rows("TokenBatches", lengths, prompts, tokens)
        self.pad, self.shuffle = pad, shuffle
        self.lengths, self.prompts = torch.from_numpy(lengths), torch.from_numpy(prompts)
        self._starts = torch.from_numpy(np.cumsum(lengths) - lengths)
        flat = np.fromiter(chain.from_iterable(ids for ids, _ in rows), np.int64, int(lengths.sum()))
        self._tokens = torch.from_numpy(flat)
        # The longest rows first: a batch is as wide as its first row, and the cut is the same in every epoch.
        self._classes = torch.from_numpy(-(-lengths // group))
        widths = np.minimum(np.sort(-(-lengths // group))[::-1] * group, lengths.max())
        self._cuts = [0]
        while self._cuts[-1] < len(rows):
            fit = max(1, tokens // int(widths[self._cuts[-1]]))
            self._cuts.append(min(self._cuts[-1] + fit, len(rows)))

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __call__(self, generator: torch.Generator) -> Iterator[TokenBatch]:
        """Go through one epoch in an order drawn from the generator."""
        n = len(self.lengths)
        order = torch.randperm(n, generator=generator) if self.shuffle else torch.arange(n)
        order = order[torch.sort(self._classes[order], descending=True, stable=True).indices]
        turns = torch.randperm(len(self), generator=generator) if self.shuffle else torch.arange(len(self))
        for turn in turns.tolist():
            yield self.batch(order[self._cuts[turn] : self._cuts[turn + 1]])

    def batch(self, rows: Tensor) -> TokenBatch:
        """Return the batch of some rows, by their numbers."""
        lengths = self.lengths[rows, None]
        places = torch.arange(int(lengths.max()))
        real = places < lengths
        # Behind the end of a row stands the next one, and behind the last nothing: both become padding.
        source = (self._starts[rows, None] + places).clamp(max=len(self._tokens) - 1)
        return {
            "tokens": torch.where(real, self._tokens[source], self.pad),
            "mask": real & (places >= self.prompts[rows, None]),
            "real": real,
            "rows": rows,
        }


def sft(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Return the mean negative log-likelihood of the tokens of the answers, a loss for :func:`~concordant.learn.train`.

    Parameters
    ----------
    model
        A causal language model of transformers, or any module that gives logits ``(batch, time, vocabulary)`` for
        tokens ``(batch, time)``.
    batch
        From :class:`TokenBatches`: ``tokens`` and ``mask``.

    Returns
    -------
    Tensor
        A scalar, nats a token; see :func:`~concordant.learn.losses.language.sft_nll`.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from concordant.learn import train
    >>> from concordant.learn.loop import own_generator
    >>> small = LlamaConfig(
    ...     vocab_size=8, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> with own_generator(torch.device("cpu"), 0):
    ...     model = LlamaForCausalLM(small)
    >>> counting = TokenBatches([([i, i + 1, i + 2, i + 3], 1) for i in range(5)], tokens=20)
    >>> adam = partial(torch.optim.AdamW, lr=1e-2)
    >>> history = train(model, sft, counting, steps=60, optimizer=adam)
    >>> history.loss[-1] < 0.1
    True
    """
    return sft_nll(logits_of(model, batch["tokens"]), batch["tokens"], batch["mask"])


def answer_nll(model: nn.Module, batches: TokenBatches) -> float:
    """Return the negative log-likelihood of all answers, the mean over their tokens: a loss to validate by.

    Parameters
    ----------
    model
        As for :func:`sft`.
    batches
        The held-out rows. Bind them by ``functools.partial``: ``validate=partial(answer_nll, batches=held_out)``.

    Returns
    -------
    float
        Nats a token; the same however the rows are cut into batches.
    """
    device = next(model.parameters()).device
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches(torch.Generator()):
            tokens, mask = batch["tokens"].to(device), batch["mask"].to(device)
            total += float(sft_nll(logits_of(model, tokens), tokens, mask, reduction="sum"))
            count += int(mask[:, 1:].sum())
    return total / max(1, count)


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return the logits ``(batch, time, vocabulary)`` of a model for tokens padded on the right."""
    # A cache of keys and values is of no use where no token follows.
    caches = hasattr(getattr(model, "config", None), "use_cache")
    output = model(tokens, use_cache=False) if caches else model(tokens)
    logits: Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return logits


def answer_rows(
    tokenizer: Any, prompts: Sequence[Any], answers: Sequence[str]
) -> list[tuple[list[int], int]]:
    """Return rows of prompts with their answers, for :class:`TokenBatches`.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    prompts
        Texts, which are continued as they are, or conversations, lists of ``{"role": ..., "content": ...}``, which
        go through the chat template.
    answers
        What is to be learnt. Behind the answer to a text comes the token that ends a text, if there is one; behind
        an answer in a conversation what the template puts there.

    Returns
    -------
    list of pairs
        Token ids, and how many of them are the prompt's. Prompt and answer are encoded together; where the
        last token of the prompt is joined with the beginning of the answer, the joint token is the answer's.

    Raises
    ------
    DataError
        If there are not as many answers as prompts, or a conversation comes to a tokenizer without a template.
    """
    if len(prompts) != len(answers):
        message = (
            f"answer_rows needs one answer a prompt, got {len(prompts)} prompts and {len(answers)} answers"
        )
        raise DataError(message)
    alone = prompt_rows(tokenizer, prompts)
    both = _encoded(tokenizer, [_rendered(tokenizer, p, a) for p, a in zip(prompts, answers, strict=True)])
    return [(row, _n_common(prompt, row)) for prompt, row in zip(alone, both, strict=True)]


def prompt_rows(tokenizer: Any, prompts: Sequence[Any]) -> list[list[int]]:
    """Return the token ids of prompts, as a model is asked to go on from them; see :func:`answer_rows`."""
    return _encoded(tokenizer, [_rendered(tokenizer, prompt, None) for prompt in prompts])


def _rendered(tokenizer: Any, prompt: Any, answer: str | None) -> str:
    if isinstance(prompt, str):
        begin = tokenizer.bos_token if adds_begin(tokenizer) else ""
        end = "" if answer is None else f"{answer}{tokenizer.eos_token or ''}"
        return f"{begin}{prompt}{end}"
    if getattr(tokenizer, "chat_template", None) is None:
        message = "a conversation needs a tokenizer with a chat template: give texts instead, or set its chat_template"
        raise DataError(message)
    if answer is None:
        return str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))
    whole = [*prompt, {"role": "assistant", "content": answer}]
    return str(tokenizer.apply_chat_template(whole, tokenize=False))


def adds_begin(tokenizer: Any) -> bool:
    """Return whether a tokenizer puts its token of beginning before a text by itself."""
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


def _encoded(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else []


def _n_common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def check_rows(caller: str, lengths: NDArray[np.int64], prompts: NDArray[np.int64], tokens: int) -> None:
    """Raise `DataError` if there are no rows, or one is empty, longer than `tokens` or shorter than its prompt."""
    if len(lengths) == 0:
        message = f"{caller} needs at least one row, got none"
        raise DataError(message)
    wrong = np.flatnonzero((lengths < 1) | (lengths > tokens) | (prompts < 0) | (prompts > lengths))
    if len(wrong):
        row = int(wrong[0])
        message = (
            f"a row of {caller} needs 1 to {tokens} tokens, 0 to all of them the prompt's, got {lengths[row]} tokens "
            f"and a prompt of {prompts[row]} in row {row}"
        )
        raise DataError(message)
