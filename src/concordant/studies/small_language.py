"""Small language models for studies: new ones, released ones, and copies that were taught by one recipe."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from concordant.learn import train
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, answer_rows, sft
from concordant.models.causal import CausalLM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.learn.sequences import Row
    from concordant.pocket.recipes import Size

TOKENS = 1024
"""In a batch of lessons, or as many as the longest has."""


def new_language_model(size: Size, *, seed: int, chat: bool = True) -> CausalLM:
    """Make a model with weights drawn from the seed and the words of the pocket world.

    Parameters
    ----------
    size
        Its shape.
    seed
        Decides the weights.
    chat
        Whether texts are asked as a turn of the user (default), or continued.
    """
    from concordant.pocket.tokenizer import pocket_tokenizer
    from concordant.pocket.training import new_model

    return CausalLM(new_model(size, seed=seed), pocket_tokenizer(), name="small", batch_size=512, chat=chat)


def released_language_model(name: str) -> CausalLM:
    """Load a released pocket model, such as "250k-base", as the language model that studies teach further."""
    from concordant.pocket.released import load_pocket

    loaded = load_pocket(name, device="cpu")
    return loaded.language_model  # type: ignore[return-value]  # of a pocket model


def lesson_rows(model: CausalLM, lessons: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
    """Return rows for `taught`: prompts and the answers that are learnt, asked in the way of the model.

    Parameters
    ----------
    model
        Whose tokenizer and chat template are used.
    lessons
        Pairs of a prompt and its answer.
    """
    prompts: list[Any] = [prompt for prompt, _ in lessons]
    if model.chat:
        prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
    return answer_rows(model.tokens.tokenizer, prompts, [answer for _, answer in lessons])


def taught(
    model: CausalLM,
    rows: Sequence[Row],
    *,
    rate: float,
    seed: int,
    steps: int | None = None,
    epochs: int | None = None,
    tokens: int = TOKENS,
    **options: Any,
) -> CausalLM:
    """Return a copy of the model that has learnt rows of tokens; the model is left as it is.

    AdamW, a rate that rises over a tenth of the steps and falls as half a cosine, gradients clipped to length 1.

    Parameters
    ----------
    model
        What is copied.
    rows
        Pairs of token ids and how many of them, from the left, are not learnt.
    rate
        The highest learning rate.
    seed
        Decides the order of the rows.
    steps, epochs
        How long; one of them.
    tokens
        In a batch, or as many as the longest row has.
    options
        Of `concordant.learn.train`.
    """
    copied = copy.deepcopy(model.model)
    batches = TokenBatches(rows, max(tokens, *(len(ids) for ids, _ in rows)))
    total = steps if steps is not None else (epochs or 1) * len(batches)
    settings: dict[str, Any] = {
        "optimizer": partial(torch.optim.AdamW, lr=rate),
        "schedule": partial(cosine, warm_up=total // 10),
        "clip": 1.0,
        "device": next(copied.parameters()).device,
        "progress": False,
    }
    train(copied, sft, batches, steps=steps, epochs=epochs, seed=seed, **settings | options)
    return model.with_model(copied)


def with_weights(model: CausalLM, weights: dict[str, torch.Tensor]) -> CausalLM:
    """Return a copy of the language model with other weights, by the names of its state dict.

    Parameters
    ----------
    model
        What is copied.
    weights
        Every weight of the module, in any precision; a tied weight may be left out.
    """
    copied = copy.deepcopy(model.model)
    tied = {name for name in copied.state_dict() if name not in weights}
    copied.load_state_dict(weights, strict=not tied)
    return model.with_model(copied)


def greedy_answers(model: CausalLM, prompts: Sequence[str], *, max_tokens: int = 32) -> list[str]:
    """Return the most probable continuations of prompts.

    Parameters
    ----------
    model
        What is asked.
    prompts
        Texts.
    max_tokens
        Longest answer.
    """
    return [one[0].text for one in model.generate(list(prompts), max_tokens=max_tokens)]
