from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence
from torch.nn.functional import cosine_similarity, kl_div

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.timex_loss import connection_loss, mask_size_loss, scalar_label_loss
from concordant.learn.losses.relational import gram_loss, pairwise_jensen_shannon_loss


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mask_size_is_the_divergence_of_bernoulli_variables():
    log_odds = 3 * draw(4, 5, 2)
    for rate in (0.1, 0.5, 0.9):
        expected = kl_divergence(Bernoulli(logits=log_odds), Bernoulli(torch.tensor(rate).double())).mean()
        assert torch.isclose(mask_size_loss(log_odds, rate), expected)


def test_mask_size_is_least_at_its_rate_and_finite_at_the_ends():
    log_odds = torch.logit(torch.tensor(0.3, dtype=torch.float64)).requires_grad_()
    loss = mask_size_loss(log_odds, 0.3)
    loss.backward()
    assert torch.isclose(loss, torch.zeros_like(loss), atol=1e-12)
    assert torch.isclose(log_odds.grad, torch.zeros_like(loss), atol=1e-12)
    far = torch.tensor([-1e4, 1e4], dtype=torch.float64, requires_grad=True)
    mask_size_loss(far, 0.3).backward()
    assert torch.isfinite(far.grad).all()


def test_jumps_by_hand():
    p = torch.tensor([[[0.0, 1.0], [0.5, 1.0], [0.25, 0.0]]])
    # |0.5|, |0.25| on the first channel, 0 and 1 on the second.
    assert connection_loss(p).item() == pytest.approx(1.75 / 4)
    assert connection_loss(p, "norm").item() == pytest.approx((0.25 + 0.0625 + 1) ** 0.5 / 4)
    assert connection_loss(p[:, :1]).item() == 0.0


def test_jumps_are_along_time_and_not_along_the_batch():
    p = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 6, 3)  # two series, each constant
    assert connection_loss(p).item() == 0.0
    assert connection_loss(p.transpose(0, 1)).item() == 1.0


def test_the_scalar_loss_is_that_of_the_published_code():
    """Its divergence: the mean over pairs and classes of what kl_div gives for log p against the middle."""

    def divergence(p):
        first, second = torch.combinations(torch.arange(len(p))).T
        middle = (p[first] + p[second]) / 2
        return (kl_div(p[first].log(), middle) + kl_div(p[second].log(), middle)) / 2

    p, q = draw(7, 4).softmax(-1), draw(7, 4, seed=1).softmax(-1)
    with pytest.warns(UserWarning, match="reduction: 'mean'"):
        expected = (divergence(p) - divergence(q)).square()
    assert torch.isclose(scalar_label_loss(p, q), expected)


def test_consistency_of_behaviour_and_labels_is_that_of_two_loops():
    z, e = draw(6, 3), draw(6, 5, seed=1)
    p, q = draw(6, 4, seed=2).softmax(-1), draw(6, 4, seed=3).softmax(-1)

    def entropy(r):
        return -(r * r.log()).sum()

    def jensen_shannon(a, b):
        return entropy((a + b) / 2) - entropy(a) / 2 - entropy(b) / 2

    behaviour = label = 0.0
    for i in range(6):
        for j in range(6):
            gap = cosine_similarity(z[i], z[j], dim=0) - cosine_similarity(e[i], e[j], dim=0)
            behaviour += gap.square() / 36
            label += (jensen_shannon(p[i], p[j]) - jensen_shannon(q[i], q[j])).square() / 36
    assert torch.isclose(gram_loss(e, z), behaviour)
    assert torch.isclose(pairwise_jensen_shannon_loss(q, p), label)


def test_gradients():
    log_odds = draw(2, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mask_size_loss(x, 0.3), log_odds)
    for form in ("absolute", "norm"):
        assert torch.autograd.gradcheck(lambda x, form=form: connection_loss(x.sigmoid(), form), log_odds)
    logits, other = draw(4, 3, seed=1).requires_grad_(), draw(4, 3, seed=2).softmax(-1)
    assert torch.autograd.gradcheck(lambda x: scalar_label_loss(x.softmax(-1), other), logits)
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], requires_grad=True)
    scalar_label_loss(certain, certain.detach()).backward()
    assert torch.isfinite(certain.grad).all()


def test_bad_input():
    with pytest.raises(ConfigError, match="rate of mask_size_loss must be from 0 to 1, got 2"):
        mask_size_loss(torch.zeros(2), 2)
    with pytest.raises(DataError, match="scalar_label_loss needs at least two rows, got 1"):
        scalar_label_loss(torch.ones(1, 1), torch.ones(1, 1))
