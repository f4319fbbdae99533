"""Self-rewarding for causal language models: how they are sampled, scored and trained in the rounds of CREAM.

A model is a :class:`~concordant.models.causal.CausalLM`. Answers are texts; they are scored with the tokens and the chat
template with which they are asked, and with the token that ends an answer left out on both sides of every comparison.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from concordant.learn import train
from concordant.learn.preferences import PreferencePairs, preference_loss
from concordant.learn.schedules import cosine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.models.causal import CausalLM
    from concordant.rewards.cream import Pairs


def sampled_answers(
    model: CausalLM,
    prompts: Sequence[str],
    seed: int,
    *,
    n: int = 5,
    temperature: float = 0.8,
    max_tokens: int = 32,
) -> list[list[str]]:
    """Sample n answers to each prompt."""
    made = model.generate(prompts, n=n, temperature=temperature, max_tokens=max_tokens, seed=seed)
    return [[completion.text for completion in row] for row in made]


def scored_answers(
    model: CausalLM, prompts: Sequence[str], answers: Sequence[Sequence[str]]
) -> list[list[float]]:
    """Return the log-probability of each answer, nats, summed over its tokens; equal answers are scored once."""
    asked = [(i, text) for i, row in enumerate(answers) for text in dict.fromkeys(row)]
    scores = model.score([prompts[i] for i, _ in asked], [text for _, text in asked])
    known = {one: float(score.sum()) for one, score in zip(asked, scores, strict=True)}
    return [[known[i, text] for text in row] for i, row in enumerate(answers)]


def token_counts(model: CausalLM, answers: Sequence[str]) -> list[int]:
    """Return how many tokens each answer has."""
    encoded = model.tokens.tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    return [len(ids) for ids in encoded]


def preference_trained(
    model: CausalLM,
    pairs: Pairs[str, str],
    seed: int,
    *,
    beta: float = 0.1,
    epochs: int = 1,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
) -> CausalLM:
    """Return a copy of the model, trained by DPO on pairs with soft labels; the given model is the reference.

    Parameters
    ----------
    model
        The model at the start of the round.
    pairs
        Of texts, with a label each.
    seed
        Decides the order of the pairs.
    beta, epochs, batch_size, learning_rate
        Of DPO and AdamW, with a cosine schedule and a warm-up of a tenth.
    """
    policy = copy.deepcopy(model.model)
    tokenizer = model.tokens.tokenizer
    prompts: list[Any] = list(pairs.prompts)
    if model.chat:
        prompts = [[{"role": "user", "content": text}] for text in prompts]
    data = PreferencePairs.of_texts(tokenizer, prompts, pairs.chosen, pairs.rejected, label=pairs.labels)
    batches = data.with_reference(policy).batches(batch_size, model=policy)
    steps = epochs * len(batches)
    train(
        policy,
        preference_loss("dpo", beta=beta),
        batches,
        steps=steps,
        optimizer=partial(torch.optim.AdamW, lr=learning_rate, weight_decay=0.01),
        schedule=partial(cosine, warm_up=steps // 10),
        clip=1.0,
        device=next(policy.parameters()).device,
        seed=seed,
        progress=False,
    )
    return model.with_model(policy)
