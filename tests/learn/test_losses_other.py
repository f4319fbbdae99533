"""Divergence, contrastive, density and relational losses against closed forms, other routes and hand-worked cases."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.autograd import gradcheck
from torch.distributions import Categorical, Normal, kl_divergence

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses import (
    cosine_gram,
    gaussian_nll,
    gram_loss,
    info_nce,
    info_nce_of_scores,
    masked_distillation,
    masked_kl,
    pairwise_jensen_shannon,
    pairwise_jensen_shannon_loss,
    soft_bounds,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


P, Q, R = draw(2, 3, 5), draw(2, 3, 5, seed=1), draw(2, 3, 5, seed=2)
MASK = torch.tensor([[1, 0, 1], [0, 1, 1]], dtype=torch.bool)
PADDING = torch.tensor([[1, 1, 0], [1, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(("direction", "first", "second"), [("forward", P, Q), ("reverse", Q, P)])
def test_kl_is_that_of_torch_distributions(direction, first, second):
    reference = kl_divergence(Categorical(logits=first), Categorical(logits=second))
    assert torch.allclose(masked_kl(P, Q, None, direction, reduction="none"), reference)
    real = PADDING & MASK
    assert torch.allclose(
        masked_kl(P, Q, MASK, direction, padding=PADDING), reference[real].sum() / PADDING.sum()
    )
    assert torch.allclose(
        masked_kl(P, Q, MASK, direction, padding=PADDING, reduction="sum"), reference[real].sum()
    )


def test_kl_parts_add_up_and_shift_of_logits_does_not_matter():
    whole = masked_kl(P, Q, padding=PADDING)
    assert torch.allclose(
        masked_kl(P, Q, MASK, padding=PADDING) + masked_kl(P, Q, ~MASK, padding=PADDING), whole
    )
    assert torch.allclose(masked_kl(P + 7, Q - 1000, padding=PADDING), whole)
    assert masked_kl(P, P).item() == 0.0


def test_kl_with_impossible_tokens():
    p = torch.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    q = torch.tensor([[0.0, 1.0, -math.inf]], requires_grad=True)
    value = masked_kl(p, q)
    # Over two tokens: p = (1/2, 1/2), q = (1, e) / (1 + e); KL = log((1 + e) / 2) - 1/2
    assert value.item() == pytest.approx(math.log((1 + math.e) / 2) - 0.5, rel=1e-6)
    value.backward()
    assert torch.isfinite(p.grad).all()
    assert torch.isfinite(q.grad).all()


def test_nothing_but_padding_is_zero():
    assert masked_kl(P, Q, padding=torch.zeros_like(PADDING)).item() == 0.0


def test_distillation_is_the_mixture_of_two_divergences():
    expected = masked_kl(Q, P, MASK, padding=PADDING) + masked_kl(R, P, ~MASK, padding=PADDING)
    assert torch.allclose(masked_distillation(P, Q, R, MASK, padding=PADDING), expected)
    half = masked_distillation(P, Q, R, torch.full(MASK.shape, 0.5))
    assert torch.allclose(half, (masked_kl(Q, P) + masked_kl(R, P)) / 2)


def test_distillation_trains_the_student_only():
    student, old, new = (x.clone().requires_grad_() for x in (P, Q, R))
    masked_distillation(student, old, new, MASK, reduction="sum").backward()
    assert old.grad is None
    assert new.grad is None
    # The slope of KL(p || q) in the logits of q is q - p.
    teacher = torch.where(MASK[..., None], Q, R).softmax(-1)
    assert torch.allclose(student.grad, P.softmax(-1) - teacher)


def test_info_nce_by_hand_and_symmetric():
    scores = torch.tensor([[1.0, 0.0], [2.0, 3.0]]).double()
    rows = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(-1))]
    columns = [math.log(1 + math.exp(1)), math.log(1 + math.exp(-3))]
    assert info_nce_of_scores(scores, reduction="none").tolist() == pytest.approx(rows)
    both = [(r + c) / 2 for r, c in zip(rows, columns, strict=True)]
    assert info_nce_of_scores(scores, symmetric=True, reduction="none").tolist() == pytest.approx(both)


def test_info_nce_scale_and_temperature():
    q, k = draw(6, 4), draw(6, 4, seed=1)
    assert torch.allclose(info_nce(q, k), info_nce(3 * q, 5 * k))
    assert torch.allclose(info_nce(q, k, cosine=False, temperature=2.0), info_nce_of_scores(q @ k.T / 2))
    assert torch.allclose(info_nce(q, k, temperature=1e9), torch.tensor(math.log(6)).double())
    assert torch.allclose(info_nce(q, k, symmetric=True), info_nce(k, q, symmetric=True))
    assert info_nce(torch.eye(6), torch.eye(6), temperature=1e-3).item() < 1e-6


def test_gaussian_nll_is_that_of_torch_distributions():
    mean, log_variance, target = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2)
    reference = -Normal(mean, (log_variance / 2).exp()).log_prob(target)
    assert torch.allclose(gaussian_nll(mean, log_variance, target, reduction="none"), reference)
    bounded = gaussian_nll(mean, log_variance, target, bounds=(-50.0, 50.0))
    assert torch.allclose(bounded, reference.mean())


def test_soft_bounds_keep_a_slope_and_may_be_learned():
    low, high = (torch.tensor([x, x]).double().requires_grad_() for x in (-3.0, 1.0))
    far = torch.tensor([-20.0, 20.0]).double().requires_grad_()
    bent = soft_bounds(far, low, high)
    assert -3.0 < bent[0] < -2.99
    assert 0.99 < bent[1] < 1.0 + math.log1p(math.exp(-4))
    bent.sum().backward()
    assert (far.grad > 0).all()
    assert low.grad[0] > 0.9
    assert high.grad[1] > 0.9
    grid = torch.linspace(-30, 30, 500).double()
    assert (soft_bounds(grid, -3, 1).diff() > 0).all()


def test_gram_is_torch_cosine_similarity():
    z = draw(4, 3)
    reference = torch.cosine_similarity(z[:, None], z[None, :], dim=-1)
    assert torch.allclose(cosine_gram(z), reference)


def test_gram_loss_by_hand_and_invariances():
    # cosines off the diagonal: 0 against 1/sqrt 2, at two of four places
    a, b = torch.eye(2).double(), torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()
    assert gram_loss(a, b).item() == pytest.approx(0.25)
    assert gram_loss(a, b, reduction="none").shape == (2, 2)
    z, turn = draw(5, 3), torch.linalg.qr(draw(3, 3, seed=1)).Q
    assert gram_loss(z @ turn * 4, z).item() == pytest.approx(0.0, abs=1e-28)
    assert gram_loss(torch.zeros(3, 2), torch.zeros(3, 7)).item() == 0.0


def test_pairwise_js_is_that_of_scipy():
    p = draw(5, 4).softmax(-1)
    got = pairwise_jensen_shannon(p)
    for i in range(5):
        for j in range(5):
            assert got[i, j].item() == pytest.approx(jensenshannon(p[i], p[j]) ** 2, abs=1e-14)


def test_pairwise_js_of_certain_predictions_has_a_finite_slope():
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0], [0.0, 0.0]], requires_grad=True)
    loss = pairwise_jensen_shannon_loss(logits.softmax(-1), torch.eye(3))
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert pairwise_jensen_shannon(torch.eye(2).double())[0, 1].item() == pytest.approx(math.log(2))


GRADIENTS = {
    "forward": (lambda p, q: masked_kl(p, q, MASK, padding=PADDING), (P, Q)),
    "reverse": (lambda p, q: masked_kl(p, q, MASK, "reverse", padding=PADDING), (P, Q)),
    "distillation": (lambda s: masked_distillation(s, Q, R, MASK), (P,)),
    "info_nce": (
        lambda q, k: info_nce(q, k, temperature=0.5, symmetric=True),
        (draw(4, 3), draw(4, 3, seed=1)),
    ),
    "gaussian": (
        lambda m, v, low, high: gaussian_nll(m, v, draw(3, 2, seed=2), bounds=(low, high)),
        (
            draw(3, 2),
            draw(3, 2, seed=1),
            torch.tensor([-2.0, -1.0]).double(),
            torch.tensor([1.0, 2.0]).double(),
        ),
    ),
    "gram": (gram_loss, (draw(4, 3), draw(4, 2, seed=1))),
    "js": (
        lambda a, b: pairwise_jensen_shannon_loss(a.softmax(-1), b.softmax(-1)),
        (draw(4, 3), draw(4, 2, seed=1)),
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, inputs = GRADIENTS[name]
    assert gradcheck(function, tuple(x.clone().requires_grad_() for x in inputs))


def test_bad_input():
    with pytest.raises(DataError, match=r"masked_kl needs tensors of one shape, got logits_p \(2, 3, 5\)"):
        masked_kl(P, Q[..., :4])
    with pytest.raises(DataError, match=r"mask must have one value a token, shape \(2, 3\), got \(3,\)"):
        masked_kl(P, Q, MASK[0])
    with pytest.raises(DataError, match="padding must have one value a token"):
        masked_distillation(P, Q, R, MASK, padding=PADDING[:1])
    with pytest.raises(ConfigError, match="'forward' or 'reverse', got 'both'"):
        masked_kl(P, Q, MASK, "both")
    with pytest.raises(DataError, match=r"info_nce needs queries and keys of shape \(n, d\), got \(3,\)"):
        info_nce(torch.zeros(3), torch.zeros(3))
    with pytest.raises(DataError, match=r"square matrix of scores, got shape \(2, 3\)"):
        info_nce_of_scores(torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="temperature of info_nce must be greater than 0"):
        info_nce(torch.zeros(2, 3), torch.zeros(2, 3), temperature=0.0)
    with pytest.raises(DataError, match="gaussian_nll needs tensors of one shape"):
        gaussian_nll(torch.zeros(2), torch.zeros(1), torch.zeros(2))
    with pytest.raises(ConfigError, match="the lower bound must be below the upper one"):
        soft_bounds(torch.zeros(2), 1.0, -1.0)
    with pytest.raises(DataError, match="the same items on both sides, got 2 and 3 rows"):
        gram_loss(torch.zeros(2, 2), torch.zeros(3, 2))
    with pytest.raises(DataError, match="one row an item"):
        pairwise_jensen_shannon(torch.zeros(2))
