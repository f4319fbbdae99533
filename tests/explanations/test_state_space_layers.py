"""State-space layers: the scan by two routes, spectra, spectra that are held, norms by depth, and soft sorting."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    FalconMambaConfig,
    FalconMambaForCausalLM,
    Mamba2Config,
    Mamba2Model,
    MambaConfig,
    MambaForCausalLM,
)
from transformers.utils import logging

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.explanations.mechanisms.definite_layers import definite, product_norm, undo_definite
from concordant.explanations.mechanisms.depth_norms import token_norms
from concordant.explanations.mechanisms.scan import (
    linear_recurrence,
    selective_scan,
    with_selective_scan,
)
from concordant.explanations.mechanisms.soft_sort import SoftSort, looks_only_back, soft_permutation
from concordant.explanations.mechanisms.spectra import spectrum_report, symmetric_eigenvalues
from concordant.explanations.mechanisms.state_space_layers import state_space_layers, write_read_matrices

logging.set_verbosity_error()  # that there are no kernels for this machine

SIZE = {"vocab_size": 16, "hidden_size": 8, "state_size": 3, "num_hidden_layers": 2, "time_step_rank": 2}


def mamba():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MambaForCausalLM(MambaConfig(**SIZE, use_cache=False)).eval()


def linear(n_inputs, n_outputs, **more):
    with torch.random.fork_rng():
        return nn.Linear(n_inputs, n_outputs, **more)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scan_inputs(batch=2, time=6, channels=3, states=2):
    x, b, c = (
        drawn(batch, time, channels),
        drawn(batch, time, states, seed=1),
        drawn(batch, time, states, seed=2),
    )
    delta = nn.functional.softplus(drawn(batch, time, channels, seed=3))
    return x, delta, -drawn(channels, states, seed=4).exp(), b, c


IDS = torch.tensor([[1, 5, 3, 2, 9, 9, 4], [7, 7, 2, 1, 0, 3, 11]])


# -- the scan -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["sequential", "doubling"])
@pytest.mark.parametrize("time", [1, 2, 7, 8])
def test_the_scan_is_the_sum_it_stands_for(route, time):
    x, delta, a, b, c = scan_inputs(time=time)
    until = delta.cumsum(1)
    expected = torch.zeros_like(x)
    for t in range(time):
        for i in range(t + 1):
            decay = torch.exp((until[:, t] - until[:, i])[..., None] * a)
            written = (delta[:, i] * x[:, i])[..., None] * b[:, i, None]
            expected[:, t] += (decay * written * c[:, t, None]).sum(-1)
    torch.testing.assert_close(selective_scan(x, delta, a, b, c, route=route), expected)


@pytest.mark.parametrize("route", ["sequential", "doubling"])
def test_the_gradient_of_the_scan(route):
    inputs = [part.requires_grad_() for part in scan_inputs(batch=1, time=4)]
    assert torch.autograd.gradcheck(partial(selective_scan, route=route), inputs)


def test_the_scan_refuses_what_does_not_fit():
    x, delta, a, b, c = scan_inputs()
    with pytest.raises(
        ConfigError, match=r"b of selective_scan must have the shape \(2, 6, 2\), got \(2, 5, 2\)"
    ):
        selective_scan(x, delta, a, b[:, :5], c)
    with pytest.raises(ConfigError, match="'fast'"):
        linear_recurrence(x, x, route="fast")


def test_mamba_gives_the_same_with_our_scan():
    model = mamba()
    expected = model(IDS).logits
    ours = with_selective_scan(copy.deepcopy(model))
    torch.testing.assert_close(ours(IDS).logits, expected)
    for one in (model, ours):
        one.zero_grad()
        one(IDS).logits.logsumexp(-1).sum().backward()
    for parameter, other in zip(model.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(other.grad, parameter.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours(IDS, use_cache=True).logits, expected)
    copied = copy.deepcopy(ours)
    copied.backbone.layers[0].mixer.D.data.zero_()
    assert not torch.equal(copied(IDS).logits, ours(IDS).logits)
    with pytest.raises(ConfigError, match="holds no MambaMixer"):
        with_selective_scan(linear(2, 2))


def test_half_precision_scans_in_single_precision():
    model = mamba().bfloat16()
    expected = model(IDS).logits
    torch.testing.assert_close(with_selective_scan(model)(IDS).logits, expected, rtol=0.02, atol=0.02)


# -- spectra ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 100))
def test_eigenvalues_are_those_of_the_large_matrix(states, channels, seed):
    s_b, s_c = drawn(states, channels, seed=seed), drawn(states, channels, seed=seed + 1)
    product = s_c.T @ s_b
    every = torch.linalg.eigvalsh((product + product.T) / 2)
    found = symmetric_eigenvalues(s_b, s_c)
    assert len(found) == min(2 * states, channels)
    padded = torch.cat([found, torch.zeros(channels - len(found), dtype=found.dtype)]).sort().values
    torch.testing.assert_close(padded, every, rtol=1e-9, atol=1e-9)


def test_kinds_by_hand():
    first, second = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    # [[0, 1], [1, 0]] / 2 has the eigenvalues -1/2 and 1/2.
    pairs = {
        "same": (first, 2 * first),
        "other": (first, -first),
        "across": (first, second),
        "none": (0 * first, first),
    }
    report = spectrum_report(pairs)
    table = report.table()
    assert table["kind"].to_list() == ["positive", "negative", "mixed", "zero"]
    assert table["largest"].to_list() == [2.0, 0.0, 0.5, 0.0]
    assert table["smallest"].to_list() == [0.0, -1.0, -0.5, 0.0]
    assert table["trace"].to_list() == [2.0, -1.0, 0.0, 0.0]
    assert table["n_zero"].to_list() == [2, 2, 1, 3]
    assert table["positive_share"].to_list() == [1.0, 0.0, 0.5, None]
    assert report.shares == dict.fromkeys(("positive", "negative", "mixed", "zero"), 0.25)


def test_the_tolerance_follows_the_precision():
    read = drawn(3, 20).float()
    pair = (read + 0.05 * drawn(3, 20, seed=1).float(), read)
    assert spectrum_report({"a": pair}).shares["mixed"] == 1
    rounded = tuple(part.bfloat16() for part in pair)
    assert spectrum_report({"a": rounded}).shares["positive"] == 1
    assert spectrum_report({"a": pair}, tolerance=0.05).shares["positive"] == 1


def test_layers_of_models():
    model = mamba()
    report = spectrum_report(model)
    assert list(report.eigenvalues) == ["backbone.layers.0.mixer", "backbone.layers.1.mixer"]
    assert report.channels == dict.fromkeys(report.eigenvalues, 16)
    mixer = model.backbone.layers[0].mixer
    s_b, s_c = write_read_matrices(mixer)
    # B and C are what the projection gives behind the rows for the step.
    x = drawn(4, 16).float()
    torch.testing.assert_close(mixer.x_proj(x)[:, 2:].detach(), torch.cat([x @ s_b.T, x @ s_c.T], 1))
    assert list(state_space_layers(mixer)) == [""]
    with torch.random.fork_rng():
        falcon = FalconMambaForCausalLM(FalconMambaConfig(**SIZE))
        second = Mamba2Model(
            Mamba2Config(
                vocab_size=8,
                hidden_size=8,
                num_heads=4,
                head_dim=4,
                state_size=4,
                n_groups=1,
                num_hidden_layers=1,
            )
        )
    assert len(state_space_layers(falcon)) == 2
    with pytest.raises(ModelError, match="Mamba-2 B and C pass a SiLU"):
        spectrum_report(second)
    with pytest.raises(ModelError, match="a Linear has no layer with x_proj, dt_proj and A_log"):
        spectrum_report(linear(2, 2))


def test_learnt_scales_belong_to_the_matrices():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.x_proj, self.dt_proj = linear(3, 1 + 2 * 2, bias=False), linear(1, 3)
            self.A_log = nn.Parameter(torch.zeros(3, 2))
            self.b_layernorm, self.c_layernorm = nn.RMSNorm(2), nn.RMSNorm(2)

    layer = Layer()
    plain = write_read_matrices(layer)
    layer.b_layernorm.weight.data = torch.tensor([2.0, -1.0])
    scaled = write_read_matrices(layer)
    torch.testing.assert_close(scaled[0], torch.tensor([[2.0], [-1.0]]) * plain[0])
    torch.testing.assert_close(scaled[1], plain[1])


def test_bad_spectra():
    one = torch.ones(2, 3)
    for pairs, said in (
        ({}, "at least one pair"),
        ({"a": (one, one[:1])}, r"'a' must be of one shape.*\(2, 3\) and \(1, 3\)"),
        ({"a": (one, one * torch.nan)}, "'a' must be finite"),
    ):
        with pytest.raises(DataError, match=said):
            spectrum_report(pairs)
    with pytest.raises(ConfigError, match="tolerance"):
        spectrum_report({"a": (one, one)}, tolerance=1.0)


# -- spectra that are held ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["positive", "negative", "mixed"])
def test_training_does_not_change_the_kind(kind):
    model = definite(mamba(), kind)
    before = [
        matrix.clone()
        for layer in state_space_layers(model).values()
        for matrix in write_read_matrices(layer)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(IDS).logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()).backward()
        optimizer.step()
    after = [matrix for layer in state_space_layers(model).values() for matrix in write_read_matrices(layer)]
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    report = spectrum_report(model)
    assert report.shares[kind] == 1
    signs = {"positive": (3, 0), "negative": (0, 3), "mixed": (2, 1)}[kind]
    assert report.table().select("n_positive", "n_negative").rows() == [signs, signs]


def test_the_size_of_the_product_is_kept():
    model = mamba()
    steps = model.backbone.layers[0].mixer.x_proj.weight[:2].clone()
    before = [product_norm(*write_read_matrices(layer)) for layer in state_space_layers(model).values()]
    definite(model, "negative")
    after = [product_norm(*write_read_matrices(layer)) for layer in state_space_layers(model).values()]
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(model.backbone.layers[0].mixer.x_proj.weight[:2], steps)
    unmatched = definite(mamba(), "negative", match=False)
    s_b, s_c = write_read_matrices(unmatched.backbone.layers[0].mixer)
    assert s_c[:, :3].diagonal().tolist() == [1, 1, 1]
    assert not s_c.tril(-1).any()
    torch.testing.assert_close(s_b, -(torch.tensor(2.0).log() + 0.7) * s_c)
    torch.testing.assert_close(product_norm(s_b, s_c), torch.linalg.norm(s_c.T @ s_b))


def test_letting_go_keeps_the_weights():
    model = definite(mamba(), "mixed", floor=0.2)
    held = model(IDS).logits
    names = set(mamba().state_dict())
    with pytest.raises(ConfigError, match="parametrized already"):
        definite(model, "positive")
    assert set(undo_definite(model).state_dict()) == names
    torch.testing.assert_close(model(IDS).logits, held)
    with pytest.raises(ConfigError, match="held by definite"):
        undo_definite(model)


def test_shrinking_with_the_skip_turned_is_growing():
    """A layer that is held negative is one held positive whose skip and output projection are negated."""
    positive, negative = definite(mamba(), "positive"), definite(mamba(), "negative")
    for layer in state_space_layers(negative).values():
        layer.D.data.neg_()
        layer.out_proj.weight.data.neg_()
    assert torch.equal(positive(IDS).logits, negative(IDS).logits)


def test_what_definite_refuses():
    with pytest.raises(ConfigError, match=r"no kind 'positiv'.*did you mean positive"):
        definite(mamba(), "positiv")
    with pytest.raises(ConfigError, match="floor"):
        definite(mamba(), "positive", floor=-1.0)
    with torch.random.fork_rng():
        narrow = MambaForCausalLM(MambaConfig(**SIZE | {"hidden_size": 4, "state_size": 9}))
    with pytest.raises(ConfigError, match=r"'backbone\.layers\.0\.mixer' has 9 and 8"):
        definite(narrow, "positive")


# -- norms by depth -----------------------------------------------------------------------------------------


def test_norms_are_those_of_the_hidden_states():
    model = mamba()
    rows = [[1, 5, 3, 2], [7, 7], [2, 2, 2]]
    found = token_norms(model, rows, batch_size=2)
    assert found.rows.tolist() == [0] * 4 + [1] * 2 + [2] * 3
    assert found.positions.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2]
    for row, ids in enumerate(rows):
        alone = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        embedded = model.backbone.embeddings(torch.tensor([ids]))
        expected = torch.stack([embedded, *alone[:2]]).norm(dim=-1)[:, 0]
        torch.testing.assert_close(found.norms[:, found.rows == row], expected.detach())
    torch.testing.assert_close(found.growth.sum(), (found.norms[-1] / found.norms[0]).log().mean())
    assert found.table()["depth"].to_list() == [0, 1, 2]
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(DataError, match="at least one token"):
        token_norms(model, [[1], []])
    with pytest.raises(ModelError, match="no list of layers"):
        token_norms(linear(2, 2), [[1]])


# -- soft sorting -------------------------------------------------------------------------------------------


def test_a_cold_permutation_sorts_and_a_hot_one_averages():
    scores = drawn(3, 5)
    tokens = drawn(3, 5, 2, seed=1)
    order = scores.argsort(-1)
    cold = soft_permutation(scores, temperature=1e-4)
    torch.testing.assert_close(cold @ tokens, tokens.gather(1, order[..., None].expand(-1, -1, 2)))
    hot = soft_permutation(scores, temperature=1e6)
    torch.testing.assert_close(
        hot @ tokens, tokens.mean(1, keepdim=True).expand(-1, 5, -1), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(soft_permutation(scores).sum(-1), torch.ones(3, 5, dtype=scores.dtype))
    # By hand: scores 0 and 1 at temperature 1; the second row is that of score 1, the last in order.
    by_hand = torch.tensor([[1.0, torch.e**-1], [torch.e**-1, 1.0]]) / (1 + torch.e**-1)
    torch.testing.assert_close(soft_permutation(torch.tensor([[0.0, 1.0]]))[0], by_hand)
    with pytest.raises(ConfigError, match="temperature"):
        soft_permutation(scores, temperature=0.0)


def test_the_order_is_learnt_and_does_not_depend_on_the_order_given():
    steps = linear(4, 3)
    sorts = SoftSort(lambda x: x + x.mean(1, keepdim=True), steps, channels=4, n_steps=3, seed=5)
    tokens = drawn(2, 6, 4).float()
    torch.testing.assert_close(sorts(tokens), sorts(tokens[:, torch.tensor([3, 1, 0, 5, 4, 2])]))
    sorts(tokens).square().sum().backward()
    assert sorts.score.grad.abs().sum() > 0


def test_causal_blocks_are_not_reordered():
    steps = linear(8, 2)
    with pytest.raises(ConfigError, match="tokens of a MambaForCausalLM cannot be reordered: later tokens"):
        SoftSort(mamba(), steps, channels=8, n_steps=2)
    mixer = mamba().backbone.layers[0].mixer
    assert looks_only_back(mixer, 8)
    with pytest.raises(ConfigError, match="one_way=True"):
        SoftSort(mixer, steps, channels=8, n_steps=2)
    assert SoftSort(mixer, steps, channels=8, n_steps=2, one_way=True)(torch.ones(1, 4, 8)).shape == (1, 4, 8)
