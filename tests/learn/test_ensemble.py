"""The ensemble against separate members with the same weights: outputs, gradients and whole training steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import relu

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses import gaussian_nll
from concordant.learn.networks import MLP, Ensemble


def members(n=3, hidden=(8, 8)):
    return [MLP(4, 6, hidden=hidden, seed=seed).double() for seed in range(n)]


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def test_outputs_shared_and_own_inputs():
    separate = members()
    ensemble = Ensemble.of(separate).double()
    shared, own = inputs(5, 4), inputs(3, 5, 4)
    assert torch.allclose(ensemble(shared), torch.stack([m(shared) for m in separate]))
    assert torch.allclose(ensemble(own), torch.stack([m(x) for m, x in zip(separate, own, strict=True)]))


def test_linear_members_and_activation():
    separate = [MLP(4, 6, hidden=(5,), activation=relu, seed=s) for s in range(2)]
    assert torch.allclose(Ensemble.of(separate)(torch.ones(1, 4))[1], separate[1](torch.ones(1, 4)))
    assert Ensemble(2, 4, 6, hidden=())(torch.ones(3, 4)).shape == (2, 3, 6)


def test_members_there_and_back():
    ensemble = Ensemble(3, 4, 6, hidden=(7,), seed=1)
    again = Ensemble.of([ensemble.member(i) for i in range(3)])
    for (name, first), second in zip(ensemble.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second), name


def nll(output, target):
    mean, log_variance = output.chunk(2, dim=-1)
    return gaussian_nll(mean, log_variance, target, bounds=(-10.0, 2.0), reduction="none")


@pytest.mark.parametrize(
    "optimizer", [torch.optim.AdamW, torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)]
)
@pytest.mark.parametrize("own", [False, True])
def test_training_steps_equal_those_of_separate_members(optimizer, own):
    separate = members()
    ensemble = Ensemble.of(separate).double()
    together = optimizer(ensemble.parameters(), lr=1e-2)
    apart = [optimizer(m.parameters(), lr=1e-2) for m in separate]
    x = inputs(3, 16, 4) if own else inputs(16, 4)
    y = x[..., :3] * 2
    for _ in range(5):
        together.zero_grad()
        nll(ensemble(x), y.expand(3, 16, 3)).mean(dim=(1, 2)).sum().backward()
        together.step()
        for index, (member, alone) in enumerate(zip(separate, apart, strict=True)):
            alone.zero_grad()
            x_i, y_i = (x[index], y[index]) if own else (x, y)
            nll(member(x_i), y_i).mean().backward()
            alone.step()
    for index, member in enumerate(separate):
        for mine, theirs in zip(
            ensemble.member(index).double().parameters(), member.parameters(), strict=True
        ):
            assert torch.allclose(mine.double(), theirs, rtol=1e-5, atol=1e-7)


def test_members_start_apart_and_from_the_seed():
    first, again, other = Ensemble(2, 3, 1, seed=0), Ensemble(2, 3, 1, seed=0), Ensemble(2, 3, 1, seed=1)
    assert torch.equal(first.weights[0], again.weights[0])
    assert not torch.equal(first.weights[0], other.weights[0])
    assert not torch.equal(first.weights[0][0], first.weights[0][1])
    # Uniform in plus or minus 1 / sqrt(inputs): nothing outside, and a spread of bound / sqrt 3.
    wide = Ensemble(1, 400, 300, hidden=()).weights[0]
    assert wide.abs().max() <= 0.05
    assert wide.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.01)


def test_bad_input():
    with pytest.raises(DataError, match=r"inputs of shape \(n, 4\) or \(2, n, 4\), got \(3, 5, 4\)"):
        Ensemble(2, 4, 1)(torch.zeros(3, 5, 4))
    with pytest.raises(DataError, match=r"got \(5, 3\)|got \(2, 5, 3\)"):
        Ensemble(2, 4, 1)(torch.zeros(5, 3))
    with pytest.raises(DataError, match="members of the same widths, got no members"):
        Ensemble.of([])
    with pytest.raises(DataError, match=r"same widths, got \(4, 1\), \(4, 2\)"):
        Ensemble.of([MLP(4, 1, hidden=()), MLP(4, 2, hidden=())])
    with pytest.raises(ConfigError, match="widths of Ensemble must be at least 1, got 0"):
        Ensemble(0, 4, 1)
    with pytest.raises(ConfigError, match="widths of MLP must be at least 1, got 4, 0, 1"):
        MLP(4, 1, hidden=(0,))
