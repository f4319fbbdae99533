"""GRPO and RLOO against TRL 1.16.0, step by step: its sampled tokens, our advantages, divergences, losses and steps.

The constants are in tests/fixtures/trl/online.json, made by make_online.py there. Each generation is used for two
steps, so that in the second the policy has left the one that sampled, and clips.
"""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

import tiny_models
from concordant.learn import (
    answer_mask,
    grpo_advantages,
    kl_estimate,
    policy_gradient,
    rloo_advantages,
    token_log_probabilities,
)
from concordant.learn.sequences import logits_of
from fixtures.trl import case, make_online

RUNS = case.read("online")


def rows_of(step):
    """The prompts and the answers of a step without the padding that TRL puts on the left and on the right."""
    kept = [
        [
            [t for t, real in zip(*row, strict=True) if real]
            for row in zip(step[f"{part}_ids"], step[f"{part}_mask"], strict=True)
        ]
        for part in ("prompt", "completion")
    ]
    return list(zip(*kept, strict=True))


def log_probabilities(model, rows):
    """Of every token, and which count, ``(batch, time)``."""
    time = max(len(p) + len(a) for p, a in rows)
    tokens = torch.tensor([[*p, *a, *[0] * (time - len(p) - len(a))] for p, a in rows])
    starts, ends = (torch.tensor(n) for n in zip(*((len(p), len(p) + len(a)) for p, a in rows), strict=True))
    return token_log_probabilities(logits_of(model, tokens), tokens), answer_mask(starts, ends, time)


def advantages_of(rows, rewards, estimator):
    """TRL shuffles the rows of a generation: the groups are found by their prompts."""
    result = torch.empty(len(rows))
    for prompt in {tuple(p) for p, _ in rows}:
        places = [i for i, (p, _) in enumerate(rows) if tuple(p) == prompt]
        assert len(places) == make_online.SAMPLES
        result[places] = estimator(rewards[places][None])[0]
    return result


def grpo_of_sequences(log_p, old, mask, reference, advantages):
    gain = policy_gradient(log_p, advantages, mask, old=old, clip=(0.1, 0.2), average="sequences")
    # TRL weights the divergence by the ratio to the policy that sampled, which corrects the bias of its gradient.
    divergence = torch.where(mask, kl_estimate(log_p, reference) * (log_p - old).exp(), 0.0).sum(
        -1
    ) / mask.sum(-1)
    return gain + 0.04 * divergence.mean()


def grpo_of_tokens(log_p, old, mask, reference, advantages):
    return policy_gradient(log_p, advantages, mask, old=old, average="tokens")


def rloo(log_p, old, mask, reference, advantages):
    """An answer is one action, as in the paper: one ratio for it, of the sums over its tokens."""
    sums, old_sums = ((values * mask).sum(-1, keepdim=True) for values in (log_p, old))
    return policy_gradient(sums, advantages, torch.ones_like(sums), old=old_sums)


CASES = {
    "grpo_sequences": (grpo_of_sequences, grpo_advantages, 0.0),
    "grpo_tokens": (grpo_of_tokens, lambda rewards: grpo_advantages(rewards, scaled=False), 0.0),
    "rloo": (rloo, rloo_advantages, 0.05),
}


@pytest.mark.parametrize("name", CASES)
def test_trajectory(name):
    loss, estimator, beta = CASES[name]
    run = RUNS[name]
    tokenizer = tiny_models.tokenizer()
    model = case.model()
    before = deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    old = rows = None
    left = 0.0
    for number, step in enumerate(run["steps"]):
        log_p, mask = log_probabilities(model, rows_of(step))
        if number % 2 == 0:
            rows, old = rows_of(step), log_p.detach()
            with torch.no_grad():
                reference, _ = log_probabilities(before, rows)
            texts = tokenizer.batch_decode([answer for _, answer in rows], skip_special_tokens=True)
            rewards = torch.tensor(make_online.reward(texts))
            assert sorted(rewards.tolist()) == pytest.approx(sorted(run["rewards"][number // 2]))
            # The divergence as a part of the reward, in TRL's RLOO: that of the whole answer.
            rewards = rewards - beta * ((old - reference) * mask).sum(-1)
            advantages = advantages_of(rows, rewards, estimator)
        assert rows == rows_of(step)
        assert advantages.tolist() == pytest.approx(step["advantages"], rel=1e-4, abs=1e-5)
        value = loss(log_p, old, mask, reference, advantages)
        assert value.item() == pytest.approx(step["loss"], rel=1e-4, abs=1e-5)
        left = max(left, torch.where(mask, log_p.detach() - old, 0.0).abs().max().item())
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), case.CLIP)
        optimizer.step()
    assert left > 0.2  # the clip was at work
    for key, (distance, along) in case.moved(before, model).items():
        assert distance == pytest.approx(run["moved"][key][0], rel=1e-3), key
        assert along == pytest.approx(run["moved"][key][1], abs=5e-3 * distance), key
