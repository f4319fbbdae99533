"""Ensembles and interpolated weights: closed forms, the ends, and versions that do not fit together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.learn import MLP
from concordant.versions.averages import ensemble_log_probabilities, interpolated_weights

shares = st.floats(0, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), shares)
def test_an_ensemble_is_the_mean_probability(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    old, new = (5 * torch.randn(3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    found = ensemble_log_probabilities(old, new, share=share)
    assert torch.allclose(found.exp(), (1 - share) * old.softmax(-1) + share * new.softmax(-1), atol=1e-12)
    assert torch.allclose(found.exp().sum(-1), torch.ones(3, dtype=torch.float64))


def test_ends_of_an_ensemble() -> None:
    old, new = torch.tensor([[0.0, -torch.inf]]), torch.tensor([[1.0, 2.0]])
    assert torch.allclose(ensemble_log_probabilities(old, new, share=0.0), old)
    assert torch.allclose(ensemble_log_probabilities(old, new, share=1.0), new.log_softmax(-1))
    # certain of the first class, and e/(1 + e) for the second: half of the latter remains
    found = ensemble_log_probabilities(old, new)
    assert found[0, 1].exp().item() == pytest.approx(0.5 * new.softmax(-1)[0, 1].item())


def test_interpolated_linear_maps_answer_in_between() -> None:
    old, new, between = (MLP(3, 2, hidden=(), seed=seed) for seed in range(3))
    between.load_state_dict(interpolated_weights(old.state_dict(), new.state_dict(), share=0.25))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(between(x), 0.75 * old(x) + 0.25 * new(x), atol=1e-6)


def test_ends_of_the_line_and_counters() -> None:
    old = {"weight": torch.tensor([1.0, 2.0]), "steps": torch.tensor(3)}
    new = {"weight": torch.tensor([5.0, 6.0]), "steps": torch.tensor(9)}
    for share, end in ((0.0, old), (1.0, new)):
        found = interpolated_weights(old, new, share=share)
        assert torch.equal(found["weight"], end["weight"])
        assert found["steps"] == 9
    found["steps"] += 1
    assert new["steps"] == 9  # a copy


def test_what_does_not_fit() -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="share of the new version must be from 0 to 1"):
            ensemble_log_probabilities(torch.zeros(1, 2), torch.zeros(1, 2), share=share)
        with pytest.raises(ConfigError, match="share of the new version must be from 0 to 1"):
            interpolated_weights({}, {}, share=share)
    with pytest.raises(DataError, match=r"one vocabulary, got logits old \(1, 2\) and new \(1, 3\)"):
        ensemble_log_probabilities(torch.zeros(1, 2), torch.zeros(1, 3))
    narrow, wide = (MLP(3, 2, hidden=(width,)).state_dict() for width in (4, 5))
    with pytest.raises(DataError, match=r"'layers.0.bias' with \(4,\) in the old one and \(5,\) in the new"):
        interpolated_weights(narrow, wide)
    with pytest.raises(DataError, match=r"'a' with \(1,\) in the old one and no such weight in the new one"):
        interpolated_weights({"a": torch.zeros(1)}, {})
