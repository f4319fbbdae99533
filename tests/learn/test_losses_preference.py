from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses import bradley_terry, dpo, ipo, orpo

LOG2 = math.log(2)


def draws(*shape, seed=0, n=1):
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(n)]
    return made[0] if n == 1 else made


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_bradley_terry_by_hand():
    chosen, rejected = torch.tensor([2.0, -1.0]).double(), torch.tensor([1.0, 1.0]).double()
    # d = 0.5 * (1, -2) - (0.25, 0.5) = (0.25, -1.5)
    got = bradley_terry(
        chosen,
        rejected,
        margin=torch.tensor([0.25, 0.5]).double(),
        scale=0.5,
        label_smoothing=0.1,
        weights=torch.tensor([1.0, 3.0]).double(),
        reduction="none",
    )
    by_hand = [
        w * (-0.9 * math.log(sigmoid(d)) - 0.1 * math.log(sigmoid(-d))) for w, d in ((1, 0.25), (3, -1.5))
    ]
    assert got.tolist() == pytest.approx(by_hand, rel=1e-12)


def test_bradley_terry_slope_is_the_probability_of_being_wrong():
    chosen, rejected = draws(6, n=2)
    chosen.requires_grad_()
    bradley_terry(chosen, rejected, reduction="sum").backward()
    assert torch.allclose(chosen.grad, -torch.sigmoid(rejected - chosen.detach()))


def test_bradley_terry_far_apart_stays_finite():
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    values = bradley_terry(far, torch.zeros(2), label_smoothing=0.0, reduction="none")
    assert values.tolist() == [0.0, 1e4]
    values.sum().backward()
    assert far.grad.tolist() == [0.0, -1.0]


def test_smoothed_minimum_is_at_the_log_odds_of_the_label():
    d = torch.tensor([math.log(0.8 / 0.2)], dtype=torch.float64, requires_grad=True)
    bradley_terry(d, torch.zeros(1).double(), label_smoothing=0.2).backward()
    assert abs(d.grad.item()) < 1e-12


def test_dpo_is_bradley_terry_of_implied_rewards():
    policy_c, policy_r, base_c, base_r = draws(5, n=4)
    direct = dpo(policy_c, policy_r, base_c, base_r, beta=0.3, label=0.8, margin=0.1, reduction="none")
    implied = bradley_terry(
        0.3 * (policy_c - base_c),
        0.3 * (policy_r - base_r),
        margin=0.1,
        label_smoothing=0.2,
        reduction="none",
    )
    assert torch.allclose(direct, implied, rtol=1e-12)


def test_dpo_without_reference_is_with_an_equal_one():
    policy_c, policy_r, base = draws(5, n=3)
    assert torch.allclose(dpo(policy_c, policy_r), dpo(policy_c, policy_r, base, base))


def test_dpo_soft_labels_a_pair():
    policy_c, policy_r = draws(3, n=2)
    labels = torch.tensor([1.0, 0.5, 0.0]).double()
    got = dpo(policy_c, policy_r, label=labels, reduction="none")
    assert torch.allclose(got[0], dpo(policy_c[:1], policy_r[:1]))
    assert torch.allclose(
        got[2], dpo(policy_r[2:], policy_c[2:])
    )  # a label of 0 is the pair the other way round
    swapped = dpo(policy_r, policy_c, label=0.5, reduction="none")
    assert torch.allclose(got[1], swapped[1])


def test_dpo_slope_vanishes_where_the_reward_is_the_label():
    # CREAM's fixed point: beta * log-ratio = log(C / (1 - C)).
    ratio = torch.tensor([math.log(0.9 / 0.1) / 0.1], dtype=torch.float64, requires_grad=True)
    dpo(ratio, torch.zeros(1).double(), label=0.9, beta=0.1).backward()
    assert abs(ratio.grad.item()) < 1e-12


def test_beta_a_pair():
    policy_c, policy_r = draws(2, n=2)
    got = dpo(policy_c, policy_r, beta=torch.tensor([0.1, 2.0]).double(), reduction="none")
    assert torch.allclose(got[1], dpo(policy_c[1:], policy_r[1:], beta=2.0))


def test_ipo_by_hand():
    # log-ratio (-1 - -2) - (-1.5 - -1) = 1.5; target 1 / (2 * 0.25) = 2
    t = [torch.tensor([x]) for x in (-1.0, -2.0, -1.5, -1.0)]
    assert ipo(*t, beta=0.25).item() == pytest.approx(0.25)


def test_orpo_by_hand():
    p, q = 0.6, 0.3
    odds = math.log((p / (1 - p)) / (q / (1 - q)))
    chosen, rejected = (torch.tensor([x], dtype=torch.float64).log() for x in (p, q))
    by_hand = -math.log(p) - 0.2 * math.log(sigmoid(odds))
    assert orpo(chosen, rejected, beta=0.2).item() == pytest.approx(by_hand, rel=1e-12)
    given = orpo(chosen, rejected, beta=0.2, nll=torch.tensor([5.0]).double())
    assert given.item() == pytest.approx(by_hand + math.log(p) + 5.0, rel=1e-12)


@pytest.mark.parametrize("extreme", [0.0, -1e-9, -1e4])
def test_orpo_at_the_ends_has_finite_value_and_slope(extreme):
    chosen = torch.tensor([extreme], requires_grad=True)
    rejected = torch.tensor([-1.0], requires_grad=True)
    value = orpo(chosen, rejected)
    value.backward()
    assert all(torch.isfinite(x).all() for x in (value, chosen.grad, rejected.grad))


LOSSES = {
    "bradley_terry": lambda a, b, w: bradley_terry(
        a, b, margin=0.2, scale=0.7, label_smoothing=0.1, weights=w
    ),
    "dpo": lambda a, b, w: dpo(a, b, a.detach() * 0, b.detach() * 0, label=0.8, weights=w),
    "ipo": lambda a, b, w: ipo(a, b, weights=w),
    "orpo": lambda a, b, w: orpo(-a.exp(), -b.exp(), weights=w),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_and_reductions(name):
    a, b, w = (x.requires_grad_() for x in draws(4, n=3))
    assert gradcheck(LOSSES[name], (a, b, w))


@pytest.mark.parametrize("loss", [bradley_terry, dpo, ipo, orpo])
def test_reductions_agree_and_weights_scale(loss):
    a, b = (-x.abs() for x in draws(4, n=2))
    w = draws(4, seed=3).abs()
    values = loss(a, b, weights=w, reduction="none")
    assert values.shape == a.shape
    assert torch.allclose(values, w * loss(a, b, reduction="none"))
    assert torch.allclose(values.sum(), loss(a, b, weights=w, reduction="sum"))
    assert torch.allclose(values.mean(), loss(a, b, weights=w))


def test_bad_input():
    two, three = torch.zeros(2), torch.zeros(3)
    with pytest.raises(
        DataError, match=r"bradley_terry needs tensors of one shape, got chosen \(2,\) and rejected \(3,\)"
    ):
        bradley_terry(two, three)
    with pytest.raises(DataError, match="both sides of the reference or neither, got no reference_rejected"):
        dpo(two, two, two)
    with pytest.raises(
        DataError, match=r"label must be one number or have the shape of the pairs \(2,\), got \(3,\)"
    ):
        dpo(two, two, label=three)
    with pytest.raises(DataError, match="margin must be one number"):
        bradley_terry(two, two, margin=torch.zeros(2, 2))
    with pytest.raises(DataError, match="weights"):
        ipo(two, two, weights=three)
    with pytest.raises(DataError, match=r"at most 0, got 0\.5"):
        orpo(two + 0.5, two)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigError, match="beta of dpo must be greater than 0"):
            dpo(two, two, beta=wrong)
    with pytest.raises(ConfigError, match="label of dpo must be from 0 to 1"):
        dpo(two, two, label=1.5)
    with pytest.raises(ConfigError, match="label_smoothing of bradley_terry must be from 0 to 1"):
        bradley_terry(two, two, label_smoothing=-0.1)
    with pytest.raises(ConfigError, match="reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        dpo(two, two, reduction="avg")
