"""Residuals of weights: differences in float32, further tokens, drift, recovery."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.versions.residuals import add_residual, drift, recovery, residual


def weights(seed, rows=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    drawn = {"model.embed_tokens.weight": (rows, 2), "model.layers.0.w": (2, 2), "model.norm.weight": (2,)}
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in drawn.items()}


@given(st.integers(0, 1000), st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_it_is_base_and_coefficient_times_difference(seed, coefficient):
    base, instruct, updated = weights(seed), weights(seed + 1), weights(seed + 2)
    found = add_residual(updated, residual(instruct, base), coefficient=coefficient)
    for name in base:
        wanted = updated[name] + coefficient * (instruct[name] - base[name])
        assert torch.allclose(found[name], wanted, atol=1e-5)


def test_on_its_own_base_it_gives_the_instruct_model():
    base, instruct = weights(0), weights(1)
    found = add_residual(base, residual(instruct, base))
    assert all(torch.allclose(found[name], instruct[name], atol=1e-6) for name in base)


def test_half_precision_in_and_float32_between():
    base, instruct = weights(0, dtype=torch.bfloat16), weights(1, dtype=torch.bfloat16)
    added = residual(instruct, base)
    assert all(delta.dtype == torch.float32 for delta in added.values())
    name = "model.layers.0.w"
    assert torch.equal(added[name], instruct[name].float() - base[name].float())
    assert add_residual(base, added)[name].dtype == torch.bfloat16


def test_further_tokens_are_all_residual():
    base, instruct, updated = weights(0), weights(1, rows=5), weights(2)
    added = residual(instruct, base)
    name = "model.embed_tokens.weight"
    assert torch.equal(added[name][3:], instruct[name][3:])
    found = add_residual(updated, added)[name]
    assert found.shape == (5, 2)
    assert torch.equal(found[3:], instruct[name][3:])


def test_a_vocabulary_does_not_shrink_and_other_shapes_must_fit():
    with pytest.raises(DataError, match="at least the tokens of the bases, got 3 rows"):
        residual(weights(0), weights(1, rows=4))
    other = weights(1) | {"model.layers.0.w": torch.ones(3, 2)}
    with pytest.raises(DataError, match=r"model\.layers\.0\.w"):
        residual(weights(0), other)


def test_a_coefficient_is_finite():
    with pytest.raises(ConfigError, match="finite"):
        add_residual(weights(0), residual(weights(1), weights(2)), coefficient=math.inf)


def test_tied_weights_stay_one_and_get_the_residual_once():
    def tied(seed):
        state = weights(seed)
        return state | {"lm_head.weight": state["model.embed_tokens.weight"]}

    base, instruct, updated = tied(0), tied(1), tied(2)
    found = add_residual(updated, residual(instruct, base))
    assert torch.equal(found["lm_head.weight"], found["model.embed_tokens.weight"])
    name = "lm_head.weight"
    assert torch.allclose(found[name], updated[name] + instruct[name] - base[name], atol=1e-6)


def test_recovery_by_hand():
    assert recovery(0.6, 0.2, 1.0) == pytest.approx(0.5)
    assert recovery(1.1, 0.0, 1.0) == pytest.approx(1.1)
    assert math.isnan(recovery(0.5, 0.5, 0.5))


def test_drift_by_hand():
    base = {"w": torch.zeros(2)}
    moved = drift({"w": torch.tensor([1.0, 1.0])}, base, {"w": torch.tensor([0.0, 2.0])})
    assert moved.cosine == pytest.approx(math.sqrt(0.5))
    assert moved.length_ratio == pytest.approx(math.sqrt(0.5))
    assert drift(base, base, {"w": torch.ones(2)}) == (0.0, 0.0)
