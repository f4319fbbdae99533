"""Token log-probabilities and policy gradients against other routes and hand-worked cases."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses import (
    answer_mask,
    critic_loss,
    generalized_advantages,
    grpo_advantages,
    kl_estimate,
    policy_gradient,
    rloo_advantages,
    sequence_log_probability,
    sft_nll,
    token_log_probabilities,
    token_rewards,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LOGITS = draw(3, 5, 7)
TOKENS = torch.randint(7, (3, 5), generator=torch.Generator().manual_seed(0))
MASK = answer_mask(torch.tensor([1, 2, 3]), torch.tensor([5, 4, 3]), 5)


def test_sft_is_the_cross_entropy_with_ignored_labels():
    labels = torch.where(MASK, TOKENS, -100)
    theirs = cross_entropy(LOGITS[:, :-1].reshape(-1, 7), labels[:, 1:].reshape(-1))
    assert torch.allclose(sft_nll(LOGITS, TOKENS, MASK), theirs)
    each = sft_nll(LOGITS, TOKENS, MASK, reduction="none")
    assert each.shape == MASK.shape
    assert (each[~MASK] == 0).all()
    assert torch.allclose(each.sum(), sft_nll(LOGITS, TOKENS, MASK, reduction="sum"))


def test_the_first_token_never_counts():
    everything = torch.ones_like(MASK)
    labels = TOKENS[:, 1:].reshape(-1)
    assert torch.allclose(
        sft_nll(LOGITS, TOKENS, everything), cross_entropy(LOGITS[:, :-1].reshape(-1, 7), labels)
    )
    assert everything.all()  # the caller's mask is left alone
    assert sft_nll(LOGITS, TOKENS, ~everything).item() == 0.0


def test_sequences_sum_and_mean():
    tokens = torch.log_softmax(LOGITS, -1)
    by_hand = torch.stack(
        [
            sum((tokens[i, t - 1, TOKENS[i, t]] for t in range(5) if MASK[i, t]), torch.zeros(()))
            for i in range(3)
        ]
    )
    assert torch.allclose(sequence_log_probability(LOGITS, TOKENS, MASK), by_hand)
    mean = sequence_log_probability(LOGITS, TOKENS, MASK, mean=True)
    assert torch.allclose(mean, by_hand / torch.tensor([4, 2, 1]))
    assert token_log_probabilities(LOGITS[:, :1], TOKENS[:, :1]).tolist() == [[0.0]] * 3


def test_rloo_by_its_definition():
    rewards = draw(4, 5)
    others = torch.stack([rewards[:, [j for j in range(5) if j != i]].mean(-1) for i in range(5)], dim=1)
    assert torch.allclose(rloo_advantages(rewards), rewards - others)


def test_grpo_by_hand_and_invariances():
    # mean 1, deviations (-1, 1), s = sqrt 2
    got = grpo_advantages(torch.tensor([[0.0, 2.0]]).double(), epsilon=0.0)
    assert got.tolist()[0] == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)])
    rewards = draw(4, 5)
    assert torch.allclose(
        grpo_advantages(rewards, epsilon=0.0), grpo_advantages(3 * rewards + 2, epsilon=0.0)
    )
    k = 5
    assert torch.allclose(grpo_advantages(rewards, scaled=False) * k / (k - 1), rloo_advantages(rewards))


@pytest.mark.parametrize(("kind", "exact"), [("k1", True), ("k2", False), ("k3", True)])
def test_kl_estimates_in_expectation(kind, exact):
    p, q = draw(6).log_softmax(-1), (draw(6) + 0.1 * draw(6, seed=1)).log_softmax(-1)
    truth = (p.exp() * (p - q)).sum()
    expectation = (p.exp() * kl_estimate(p, q, kind)).sum()
    assert torch.allclose(expectation, truth, rtol=1e-9 if exact else 0.2)
    if kind != "k1":
        assert (kl_estimate(p, q, kind) >= 0).all()


def test_token_rewards_put_the_score_at_the_last_answer_token():
    kl = torch.ones(3, 5).double()
    got = token_rewards(torch.tensor([10.0, 20.0, 30.0]).double(), kl, MASK, beta=0.1)
    assert got[0].tolist() == pytest.approx([0, -0.1, -0.1, -0.1, 9.9])
    assert got[1].tolist() == pytest.approx([0, 0, -0.1, 19.9, 0])
    assert got[2].tolist() == [0.0] * 5  # an empty answer


def test_generalized_advantages_by_their_sums():
    rewards, values = draw(2, 5), draw(2, 5, seed=1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 1, 0]])
    got = generalized_advantages(rewards, values, mask, discount=0.9, trace=0.8)
    for row in range(2):
        steps = [t for t in range(5) if mask[row, t]]
        v = {t: values[row, t] if t in steps else 0.0 for t in range(7)}
        deltas = {t: rewards[row, t] + 0.9 * v[t + 1] - v[t] for t in steps}
        for t in steps:
            assert got[row, t] == pytest.approx(
                sum((0.9 * 0.8) ** (u - t) * deltas[u] for u in steps if u >= t)
            )
    assert (got[mask == 0] == 0).all()
    whole = generalized_advantages(rewards, values, torch.ones(2, 5), trace=1.0)
    assert torch.allclose(
        whole + values, rewards.flip(1).cumsum(1).flip(1)
    )  # the returns, whatever the values


def test_policy_gradient_is_reinforce_without_old():
    log_p, advantages = draw(3, 5).requires_grad_(), draw(3, seed=1)
    policy_gradient(log_p, advantages, MASK).backward()
    assert torch.allclose(log_p.grad, -advantages[:, None] * MASK / MASK.sum())


def test_clipping_by_hand():
    # ratios 2, 2, 0.5, 0.5 and 1.1: with A > 0 only a high ratio is clipped, with A < 0 only a low one
    ratio = torch.tensor([[2.0, 2.0, 0.5, 0.5, 1.1]]).double()
    gains = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0]]).double()
    log_p = ratio.log().requires_grad_()
    loss = policy_gradient(log_p, gains, torch.ones(1, 5), old=torch.zeros(1, 5).double(), clip=(0.2, 0.3))
    assert loss.item() == pytest.approx(-(1.3 - 2.0 + 0.5 - 0.8 + 1.1) / 5)
    loss.backward()
    assert (log_p.grad != 0).tolist() == [[False, True, True, False, True]]


def test_averages_over_tokens_and_sequences():
    log_p, advantages = draw(3, 5), torch.tensor([1.0, 2.0, 4.0]).double()
    assert policy_gradient(log_p, advantages, MASK).item() == pytest.approx(-(4 * 1 + 2 * 2 + 0) / 6)
    by_row = policy_gradient(log_p, advantages, MASK, average="sequences")
    assert by_row.item() == pytest.approx(-(1 + 2 + 0) / 3)


def test_totals_are_the_gradient_of_the_expected_reward():
    # E[r] over answers of one token, each drawn once, at the uniform distribution over five
    logits, gains = torch.zeros(5).double().requires_grad_(), draw(5)
    (exact,) = torch.autograd.grad((logits.softmax(-1) * gains).sum(), logits)
    log_p = logits.log_softmax(-1)[:, None]
    loss = policy_gradient(log_p, gains, torch.ones(5, 1), average="totals")
    assert torch.allclose(torch.autograd.grad(loss, logits)[0], -exact)
    assert policy_gradient(draw(3, 5), torch.ones(3), MASK, average="totals").item() == pytest.approx(-6 / 3)


def test_the_loss_of_a_critic_by_hand():
    values = torch.tensor([[1.0, 0.0, 5.0]]).double().requires_grad_()
    returns, old = torch.tensor([[0.0, 2.0, 9.0]]).double(), torch.tensor([[0.5, -0.5, 0.0]]).double()
    mask = torch.tensor([[1, 1, 0]])
    assert critic_loss(values, returns, mask).item() == pytest.approx((1 + 4) / 4)
    # Within 0.2 of the old values they may be 0.7 and -0.3: errors 0.49 < 1 and 5.29 > 4, where no gradient is.
    loss = critic_loss(values, returns, mask, old=old, clip=0.2)
    assert loss.item() == pytest.approx((1 + 5.29) / 4)
    loss.backward()
    assert values.grad.tolist() == [[0.5, 0.0, 0.0]]
    assert gradcheck(lambda x: critic_loss(x, draw(3, 5, seed=1), MASK), (draw(3, 5).requires_grad_(),))


def test_what_padding_holds_does_not_matter():
    log_p = draw(3, 5).masked_fill(~MASK, -math.inf).requires_grad_()
    loss = policy_gradient(log_p, draw(3, seed=1), MASK, old=draw(3, 5, seed=2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_p.grad).all()


def test_gradients():
    log_p, old = (0.05 * draw(3, 5)).requires_grad_(), 0.05 * draw(3, 5, seed=1)
    assert gradcheck(lambda x: policy_gradient(x, draw(3, seed=2), MASK, old=old), (log_p,))
    assert gradcheck(lambda x: kl_estimate(x, old).sum(), (log_p,))
    assert gradcheck(lambda x: sft_nll(x, TOKENS, MASK), (LOGITS.clone().requires_grad_(),))


def test_bad_input():
    with pytest.raises(DataError, match=r"got \(3, 5, 7\) and \(3, 4\)"):
        token_log_probabilities(LOGITS, TOKENS[:, :4])
    with pytest.raises(DataError, match="prompt_lengths <= lengths <= 4"):
        answer_mask(torch.tensor([3]), torch.tensor([2]), 4)
    with pytest.raises(DataError, match="sft_nll needs tensors of one shape"):
        sft_nll(LOGITS, TOKENS, MASK[:1])
    for advantages in (rloo_advantages, grpo_advantages):
        with pytest.raises(DataError, match=r"at least 2 samples, got shape \(4, 1\)"):
            advantages(torch.zeros(4, 1))
    with pytest.raises(ConfigError, match="'k1', 'k2' or 'k3', got 'k4'"):
        kl_estimate(TOKENS, TOKENS, "k4")
    with pytest.raises(DataError, match=r"one score a row, shape \(3,\), got \(2,\)"):
        token_rewards(torch.zeros(2), torch.zeros(3, 5), MASK)
    with pytest.raises(ConfigError, match="trace of generalized_advantages must be from 0 to 1"):
        generalized_advantages(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2), trace=1.1)
    with pytest.raises(DataError, match=r"advantages must have shape \(3,\) or \(3, 5\), got \(5,\)"):
        policy_gradient(draw(3, 5), torch.zeros(5), MASK)
    with pytest.raises(ConfigError, match="critic_loss needs the old values where it clips"):
        critic_loss(draw(3, 5), draw(3, 5), MASK, clip=0.2)
    with pytest.raises(ConfigError, match="'sequences' or 'totals', got 'rows'"):
        policy_gradient(draw(3, 5), torch.zeros(3), MASK, average="rows")
    with pytest.raises(ConfigError, match="clip_high of policy_gradient must be greater than 0"):
        policy_gradient(draw(3, 5), torch.zeros(3), MASK, clip=(0.2, 0.0))
