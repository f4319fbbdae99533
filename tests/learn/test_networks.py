from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.learn.networks import (
    MLP,
    HyperNetwork,
    TransformerEncoder,
    bound_spectral_norm,
    straight_through,
    straight_through_one_hot,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def encoder(**options):
    return TransformerEncoder(3, width=16, heads=4, layers=2, seed=0, **options).double().eval()


def test_encoder_attention_is_that_of_torch():
    block = encoder().blocks[0]
    attention = nn.utils.skip_init(nn.MultiheadAttention, 16, 4, batch_first=True).double()
    with torch.no_grad():
        attention.in_proj_weight.copy_(block.queries_keys_values.weight)
        attention.in_proj_bias.copy_(block.queries_keys_values.bias)
        attention.out_proj.weight.copy_(block.merge.weight)
        attention.out_proj.bias.copy_(block.merge.bias)
    x, padding = draw(2, 6, 16).double(), torch.arange(6) < torch.tensor([[6], [4]])
    theirs, _ = attention(x, x, x, key_padding_mask=~padding, need_weights=False)
    ours = block._attention(x, padding, None)
    assert torch.allclose(ours[padding], theirs[padding])


def test_keep_multiplies_the_attention_after_its_softmax():
    block, x, keep = encoder().blocks[0], draw(2, 5, 16).double(), draw(2, 5).double().sigmoid()
    q, k, v = block.queries_keys_values(x).chunk(3, dim=-1)
    heads = []
    for head in range(4):
        of = slice(4 * head, 4 * head + 4)
        attention = (q[..., of] @ k[..., of].mT / 2).softmax(-1)  # square root of the width of a head: 2
        heads.append(attention * keep[:, :, None] * keep[:, None, :] @ v[..., of])
    assert torch.allclose(block._attention(x, None, keep), block.merge(torch.cat(heads, dim=-1)))


def test_encoder_ignores_padding_and_future():
    x = draw(1, 6, 3).double()
    padding = torch.tensor([[1, 1, 1, 1, 0, 0]], dtype=torch.bool)
    changed = x.clone()
    changed[:, 4:] = 50
    for options in ({}, {"causal": True}):
        model = encoder(**options)
        first, second = model(x, padding=padding), model(changed, padding=padding)
        assert torch.allclose(first[:, :4], second[:, :4])
        assert torch.allclose(first[:, :4], model(x[:, :4]))  # what is not there might as well be cut off
    causal = encoder(causal=True)
    assert torch.allclose(causal(x)[:, :4], causal(changed)[:, :4])
    assert not torch.allclose(encoder()(x)[:, :4], encoder()(changed)[:, :4])
    assert torch.isfinite(encoder()(x, padding=torch.zeros(1, 6, dtype=torch.bool))).all()


def test_encoder_knows_positions_and_learns_from_keep():
    x = torch.ones(1, 4, 3).double()
    hidden = encoder()(x)
    assert not torch.allclose(hidden[:, 0], hidden[:, 1])
    keep = torch.ones(1, 4, dtype=torch.float64, requires_grad=True)
    encoder()(draw(1, 4, 3).double(), keep=keep).square().sum().backward()
    assert (keep.grad != 0).all()


def test_hypernetwork_starts_near_its_target_and_trains_away():
    target = MLP(2, 1, hidden=(5,), seed=3)
    before = [weight.clone() for weight in target.parameters()]
    net = HyperNetwork(target, 4, hidden=(16,), spread=0.0, seed=0)
    x, task = draw(7, 2), draw(4)
    assert torch.allclose(net(task, x), target(x))
    net = HyperNetwork(target, 4, hidden=(16,), seed=0)
    tasks, xs = draw(2, 4, seed=1), draw(2, 7, 2, seed=2)
    ys = torch.stack([xs[0, :, :1], -xs[1, :, :1]])  # two tasks that no one network can do
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (net(tasks, xs) - ys).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 < losses[0]
    assert all(torch.equal(a, b) for a, b in zip(before, target.parameters(), strict=True))
    assert len(list(net.parameters())) == len(list(net.body.parameters()))


def test_hypernetwork_several_conditions_are_one_at_a_time():
    net = HyperNetwork(MLP(2, 1, hidden=(5,)), 4, spread=1.0, seed=0)
    tasks, xs = draw(3, 4), draw(3, 7, 2, seed=1)
    together = net(tasks, xs)
    for task, x, expected in zip(tasks, xs, together, strict=True):
        assert torch.allclose(net(task, x), expected, atol=1e-6)
    assert not torch.allclose(net(tasks[0], xs[0]), net(tasks[1], xs[0]))


def test_spectral_bound_is_that_of_the_singular_values():
    model = MLP(6, 5, hidden=(8,), seed=0)
    for layer in model.layers:
        layer.weight.data.mul_(5)
    full = [layer.weight.detach().clone() for layer in model.layers]
    bound_spectral_norm(model, 2.0, warm_up=500)
    for layer, weight in zip(model.layers, full, strict=True):
        sigma = torch.linalg.matrix_norm(weight, 2)
        assert sigma > 2
        assert torch.allclose(layer.weight, weight * 2 / sigma, rtol=1e-4)


def test_spectral_bound_one_is_torchs_where_it_binds_and_nothing_where_not():
    weight = draw(5, 4) * 3
    ours, theirs = (nn.utils.skip_init(nn.Linear, 4, 5) for _ in range(2))
    for layer in (ours, theirs):
        layer.weight.data.copy_(weight)
    bound_spectral_norm(ours, 1.0, warm_up=500)
    with torch.random.fork_rng():
        nn.utils.parametrizations.spectral_norm(theirs, n_power_iterations=500)
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-4)
    small = nn.utils.skip_init(nn.Linear, 4, 5)
    small.weight.data.copy_(weight / 100)
    assert torch.equal(bound_spectral_norm(small).weight, weight / 100)


def test_spectral_bound_holds_while_training():
    model = bound_spectral_norm(MLP(3, 1, hidden=(16,), seed=0), 1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    x = draw(64, 3)
    for _ in range(100):
        optimizer.zero_grad()
        (model(x) - 20 * x[:, :1]).square().mean().backward()
        optimizer.step()
    model.eval()
    for layer in model.layers:
        assert torch.linalg.matrix_norm(layer.weight, 2) < 1.02
    assert torch.equal(model(x), model(x))


def test_masks_are_exact_and_drawn_with_their_probability():
    probability = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).expand(20_000, 5)
    mask = straight_through(
        torch.logit(probability), generator=torch.Generator().manual_seed(0), temperature=0.3
    )
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    # Five standard errors of a proportion of 20,000.
    assert (
        (mask.mean(0) - probability[0]).abs() <= 5 * (probability[0] * (1 - probability[0]) / 20_000).sqrt()
    ).all()


def test_one_hots_are_exact_and_drawn_with_their_probability():
    p = torch.tensor([0.2, 0.5, 0.3])
    drawn = straight_through_one_hot(p.log().expand(20_000, 3), generator=torch.Generator().manual_seed(0))
    assert (drawn.sum(-1) == 1).all()
    assert ((drawn.mean(0) - p).abs() <= 5 * (p * (1 - p) / 20_000).sqrt()).all()


def test_mask_slopes_are_those_of_the_soft_choice():
    logits = draw(6).requires_grad_()
    straight_through(logits, temperature=0.5).sum().backward()
    soft = torch.sigmoid(logits.detach() / 0.5)
    assert torch.allclose(logits.grad, soft * (1 - soft) / 0.5)
    logits.grad = None
    pick = draw(6, seed=1)
    (straight_through_one_hot(logits) * pick).sum().backward()
    again = logits.detach().requires_grad_()
    (again.softmax(-1) * pick).sum().backward()
    assert torch.allclose(logits.grad, again.grad)


def test_mask_learns_what_to_keep():
    logits, generator = torch.zeros(4, requires_grad=True), torch.Generator().manual_seed(0)
    worth = torch.tensor([1.0, -1.0, 1.0, -1.0])
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (-worth * straight_through(logits.expand(8, 4), generator=generator)).mean(0).sum().backward()
        optimizer.step()
    assert straight_through(logits).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_bad_input():
    with pytest.raises(ConfigError, match="multiple of the 3 heads, got 16"):
        TransformerEncoder(3, width=16, heads=3)
    with pytest.raises(ConfigError, match=r"dropout must be from 0 to below 1, got 1\.0"):
        TransformerEncoder(3, dropout=1.0)
    with pytest.raises(DataError, match=r"the encoder needs shape \(batch, time, 3\), got \(4, 3\)"):
        encoder()(torch.zeros(4, 3).double())
    with pytest.raises(DataError, match=r"keep must have shape \(batch, time\) \(1, 4\), got \(4,\)"):
        encoder()(torch.zeros(1, 4, 3).double(), keep=torch.ones(4))
    with pytest.raises(ConfigError, match="parameters and no buffers, got one with buffers"):
        HyperNetwork(nn.BatchNorm1d(3), 2)
    with pytest.raises(ConfigError, match="got one with no parameters"):
        HyperNetwork(nn.ReLU(), 2)
    with pytest.raises(DataError, match=r"a condition must have shape \(2,\) or \(n, 2\), got \(3,\)"):
        HyperNetwork(MLP(1, 1, hidden=()), 2).weights(torch.zeros(3))
    with pytest.raises(ConfigError, match=r"bound must be greater than 0 .* got nan and 1"):
        bound_spectral_norm(MLP(1, 1), math.nan)
    with pytest.raises(ConfigError, match="a ReLU without any"):
        bound_spectral_norm(nn.ReLU())
    with pytest.raises(ConfigError, match="temperature of straight_through must be greater than 0"):
        straight_through(torch.zeros(2), temperature=0.0)
