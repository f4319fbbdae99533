"""The study of TransTEE: its worlds, its controls and its errors, at the smallest size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.explanations.effects.simulators import synthetic
from concordant.studies import transtee as module
from concordant.studies.study import Scale
from concordant.studies.transtee import HIGH, IHDP, SIZES, TRAIN_HIGH, Sizes, transtee


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return transtee(Scale.smoke, 1000)


def test_every_method_has_its_figures(measured):
    for name in (
        "transtee",
        "transtee_tr",
        "transtee_ptr",
        "transtee_shared",
        "plain",
        "tarnet",
        "drnet",
        "vcnet",
    ):
        rise = measured[f"{name}.shifted_amse"] - measured[f"{name}.amse"]
        assert measured[f"{name}.shift_rise_gap"] == pytest.approx(rise)
        assert 0 <= measured[f"{name}.amse"] <= measured[f"{name}.mise"]  # of a mean, and the mean of such
    assert 0 <= measured["transtee.coverage_rate"] <= 1
    assert measured["tarnet.average_effect_error"] <= measured["tarnet.effect_error"]


def test_methods_differ_in_nothing_but_their_networks():
    made = module._estimators(Sizes(), 3)
    for estimator in made.values():
        for name in (
            "steps",
            "batch_size",
            "validation_share",
            "weight_decay",
            "schedule",
            "seed",
            "members",
        ):
            assert getattr(estimator, name) == getattr(made["plain"], name)
    assert {**made["transtee"].architecture, "columns": "shared"} == made["transtee_shared"].architecture
    assert {**made["transtee"].architecture, "balance": "ptr"} == made["transtee_ptr"].architecture
    rates = {made[name].learning_rate for name in made if name.startswith("transtee")}
    assert len(rates) == 1
    assert "vcnet" not in module._estimators(Sizes(), 3, kind="binary")


def test_errors_of_one_who_knows_are_none():
    world = synthetic(0, n_train=50, n_test=30, train_h=HIGH, test_h=HIGH)

    class Knows:
        def fit(self, x, t, y):
            assert (len(x), len(t), len(y)) == (50, 50, 50)

        def individual_curves(self, x, grid):
            return world.truth(x, grid)

    class Adds(Knows):
        def individual_curves(self, x, grid):
            return world.truth(x, grid) + np.where(np.asarray(grid) > 1.9, 1.0, 0.0)

    assert module._curve_errors(Knows(), world) == {"amse": 0, "mise": 0, "own_dose_amse": 0}
    found = module._curve_errors(Adds(), world)
    assert found["amse"] == pytest.approx((world.grid() > 1.9).mean())
    assert found["own_dose_amse"] == pytest.approx((world.test.t > 1.9).mean())


def test_the_shift_is_the_papers_and_full_needs_real_covariates(monkeypatch):
    assert (TRAIN_HIGH, HIGH) == (1.75, 2.0)
    assert SIZES[Scale.full].steps == 1500 * -(-471 // 128)
    monkeypatch.delenv(IHDP, raising=False)
    with pytest.raises(ConfigError, match=IHDP):
        transtee.function(Scale.full, 0)


def test_ihdp_is_measured_where_its_file_is_named(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.arange(480), np.zeros(480), 1 + rng.random((480, 25))])
    (tmp_path / "ihdp.csv").write_text(
        "\r".join(["a," * 26 + "z", *(",".join(map(str, row)) for row in rows)])
    )
    monkeypatch.setenv(IHDP, str(tmp_path / "ihdp.csv"))
    monkeypatch.setitem(module.SIZES, Scale.pocket, Sizes(40, 10, 40, 1, 2))
    found = transtee(Scale.pocket, 1000)
    assert np.isfinite(found["ihdp_transtee.shift_rise_gap"])
