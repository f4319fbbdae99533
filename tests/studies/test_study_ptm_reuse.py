"""The parts of the study of reuse: damage by hand, the hub's counts, and copies that are measured."""

import copy

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.learn import MLP
from concordant.studies import damage
from concordant.studies.ptm_reuse import COPIES, HUB, ORIGINAL, PROBES, Digits, _your_copies


def test_rounding_by_hand():
    # 3 bits: whole numbers from -3 to 3, the scale is 0.9 / 3 = 0.3
    rounded = damage.rounded(torch.tensor([[0.9, 0.44, -0.46], [3.0, 1.4, 0.0]]), 3)
    torch.testing.assert_close(rounded, torch.tensor([[0.9, 0.3, -0.6], [3.0, 1.0, 0.0]]))
    torch.testing.assert_close(damage.rounded(torch.zeros(2, 2), 4), torch.zeros(2, 2))
    with pytest.raises(ConfigError, match="2 bits or more"):
        damage.rounded(torch.ones(2), 1)


def test_more_bits_are_nearer_and_the_original_is_left_alone():
    model = MLP(5, 3, hidden=(8,), seed=0)
    before = copy.deepcopy(model.state_dict())
    apart = []
    for bits in (3, 5, 8):
        other = damage.with_rounded_weights(model, bits)
        pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
        apart.append(max(float((a - b).abs().max()) for a, b in pairs))
    assert apart[0] > apart[1] > apart[2] > 0
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_noise_is_of_its_scale_and_seed():
    model = MLP(200, 100, hidden=(100,), seed=0)
    one, same, other = (damage.with_noisy_weights(model, 0.1, seed=s) for s in (0, 0, 1))
    weight, noisy = model.layers[0].weight.detach(), one.layers[0].weight.detach()
    assert float((noisy - weight).std() / weight.std()) == pytest.approx(0.1, rel=0.05)
    assert torch.equal(noisy, same.layers[0].weight)
    assert not torch.equal(noisy, other.layers[0].weight)


def test_swapped_labels_and_scaled_inputs():
    model, x = MLP(4, 3, seed=0), torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    swapped = damage.with_swapped_outputs(model, 0, 2)(x)
    torch.testing.assert_close(swapped, model(x)[:, [2, 1, 0]])
    torch.testing.assert_close(damage.with_scaled_inputs(model, 2.0)(x), model(2 * x))


def test_other_batches_and_precision_are_the_same_classifier():
    model = MLP(64, 10, hidden=(8,), seed=0)
    x = np.random.default_rng(0).random((20, 64))
    plain = Digits(model).probabilities(x)
    np.testing.assert_allclose(Digits(model, batch=3).probabilities(x), plain, atol=1e-6)
    double = Digits(copy.deepcopy(model).double(), double=True)
    np.testing.assert_allclose(double.probabilities(x), plain, atol=1e-6)
    assert np.array_equal(Digits(model).predict(x), plain.argmax(axis=1))


def test_the_counts_of_the_hub_are_those_of_the_paper():
    # "under 1 % to 17 %" of the abstract of its figure; 62,467 models in 15 tasks
    shares = {task: claimed / models for task, (claimed, models) in HUB.items()}
    assert len(shares) == 15
    assert max(shares, key=shares.get) == "token-classification"
    assert 0.165 < max(shares.values()) < 0.17
    assert min(shares.values()) < 0.01
    assert sum(models for _, models in HUB.values()) == 62_467


def test_full_scale_names_what_it_needs(monkeypatch):
    for name in (ORIGINAL, COPIES, PROBES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ORIGINAL, "hf:somewhere")
    with pytest.raises(ConfigError, match=f"there is no {COPIES} and no {PROBES}"):
        _your_copies()
