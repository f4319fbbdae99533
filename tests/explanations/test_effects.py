"""TransTEE and its baselines: what their networks compute, members, scales, curves and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.effects import (
    DRNet,
    PlainNet,
    TARNet,
    TransTEE,
    VCNet,
    average_squared_error,
    dosed,
    synthetic,
)
from concordant.explanations.effects.balance import Adversary, reversed_gradient
from concordant.explanations.effects.baseline_networks import HeadsNetwork, PlainNetwork
from concordant.explanations.effects.members import Doses
from concordant.explanations.effects.transtee_network import TransTEENetwork
from concordant.explanations.effects.vcnet_network import VCNetNetwork, grid_density, power_basis

ALL = (TransTEE, PlainNet, TARNet, DRNet, VCNet)
WORLD = synthetic(0, n_train=100, n_test=20)
TRAIN = (WORLD.train.x, WORLD.train.t, WORLD.train.y)


def drawn(members, rows, columns, n_treatments=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(n_treatments, (members, rows), generator=generator)
    doses = Doses(which, torch.rand(members, rows, generator=generator))
    return torch.randn(members, rows, columns, generator=generator), doses


def networks(members, n_treatments=1):
    options = {"dosed": True, "seed": 0}
    yield TransTEENetwork(members, 4, n_treatments, **options)
    yield PlainNetwork(members, 4, n_treatments, **options)
    yield HeadsNetwork(members, 4, n_treatments, **options, sees_dose=False)
    yield HeadsNetwork(members, 4, n_treatments, **options, sees_dose=True)
    if n_treatments == 1:
        yield VCNetNetwork(members, 4, seed=0)


@pytest.mark.parametrize("n_treatments", [1, 3])
def test_members_share_nothing(n_treatments):
    x, doses = drawn(3, 6, 4, n_treatments)
    for network in networks(3, n_treatments):
        before = network(x, doses)
        assert before.shape == (3, 6)
        moved = x.clone()
        moved[1] += 1
        after = network(moved, doses)
        assert torch.equal(before[0], after[0])
        assert torch.equal(before[2], after[2])
        assert not torch.equal(before[1], after[1])
        assert not torch.equal(
            *network(x[:1].expand(3, 6, 4), Doses(*(d[:1].expand(3, 6) for d in doses)))[:2]
        )


def test_rows_share_nothing_and_one_row_will_do():
    x, doses = drawn(2, 6, 4)
    for network in networks(2):
        together = network(x, doses)
        alone = network(x[:, 3:4], Doses(*(part[:, 3:4] for part in doses)))
        assert torch.allclose(together[:, 3:4], alone, atol=1e-6)


def test_only_columns_with_maps_of_their_own_are_told_apart():
    x, doses = drawn(1, 5, 4)
    other = x[..., [1, 0, 3, 2]]
    shared = TransTEENetwork(1, 4, 1, dosed=True, columns="shared", seed=0)
    own = TransTEENetwork(1, 4, 1, dosed=True, columns="own", seed=0)
    assert torch.allclose(shared(x, doses), shared(other, doses), atol=1e-6)
    assert not torch.allclose(own(x, doses), own(other, doses), atol=1e-3)


def test_heads_are_those_of_treatment_and_stratum():
    network = HeadsNetwork(1, 4, 2, dosed=True, strata=5, sees_dose=False, seed=0)
    doses = Doses(torch.tensor([[0, 0, 1, 1, 1]]), torch.tensor([[0.0, 0.39, 0.4, 1.0, 1.7]]))
    assert network.head_of(doses).tolist() == [[0, 1, 7, 9, 9]]
    x = torch.zeros(1, 5, 4)
    said = network(x, doses)[0]
    assert said[3] == said[4]  # one head, and it does not see the dose
    assert said[0] != said[1]
    seeing = HeadsNetwork(1, 4, 2, dosed=True, strata=5, sees_dose=True, seed=0)(x, doses)[0]
    assert seeing[3] != seeing[4]


def test_a_density_has_area_one_and_a_basis_is_smooth_at_its_knots():
    logits = torch.randn(11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    density = grid_density(logits.expand(len(t), -1), t)
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-6)
    assert grid_density(logits, torch.tensor(1.4)) == density[-1]
    assert power_basis(torch.tensor(0.66)).tolist() == pytest.approx([1, 0.66, 0.4356, 0.1089, 0])
    near = power_basis(torch.tensor([0.33, 0.3301]))
    assert near[1, 3] - near[0, 3] < 1e-7


def test_the_adversary_descends_and_the_representation_ascends():
    x = torch.ones(3, requires_grad=True)
    reversed_gradient(x, 2.0).square().sum().backward()
    assert x.grad.tolist() == [-4.0, -4.0, -4.0]
    generator = torch.Generator().manual_seed(0)
    representation = torch.randn(1, 64, 4, generator=generator, requires_grad=True)
    doses = Doses(torch.zeros(1, 64, dtype=torch.long), representation.detach()[..., 0].sigmoid())
    for kind in ("tr", "ptr"):
        adversary = Adversary(1, 4, 1, dosed=True, kind=kind, seed=0)
        loss = adversary(representation, doses, 1.0)
        guess, told = torch.autograd.grad(loss, [adversary.guess.weights[0], representation])
        with torch.no_grad():
            worse = adversary(representation + 0.05 * -told / told.norm(), doses, 1.0)
            adversary.guess.weights[0] -= 0.05 * guess / guess.norm()
            better = adversary(representation, doses, 1.0)
        assert better < loss < worse


@pytest.mark.parametrize("kind", ["tr", "ptr"])
@pytest.mark.parametrize("n_treatments", [1, 3])
def test_balance_hides_what_the_representation_says(kind, n_treatments):
    network = TransTEENetwork(2, 4, n_treatments, dosed=True, balance=kind, seed=0)
    x, doses = drawn(2, 16, 4, n_treatments)
    parts = network.losses(x, doses, torch.zeros(2, 16))
    assert torch.isclose(parts["loss"], parts["error"] + parts["adversary"])
    plain = TransTEENetwork(2, 4, n_treatments, dosed=True, seed=0)
    assert torch.isclose(plain.losses(x, doses, torch.zeros(2, 16))["loss"], parts["error"])


@pytest.mark.parametrize("made", ALL)
def test_fitting_predicting_and_the_same_seed_twice(made):
    first = made(steps=12, seed=3).fit(*TRAIN)
    again = made(steps=12, seed=3).fit(*TRAIN)
    other = made(steps=12, seed=4).fit(*TRAIN)
    said = first.predict(WORLD.test.x, WORLD.test.t)
    assert said.shape == (20,)
    assert (said == again.predict(WORLD.test.x, WORLD.test.t)).all()
    assert (said != other.predict(WORLD.test.x, WORLD.test.t)).any()
    assert np.mean(first.history.loss[-4:]) < first.history.loss[0]


@pytest.mark.parametrize("made", ALL)
def test_units_of_measure_do_not_matter(made):
    x, t, y = TRAIN
    plain = made(steps=8).fit(x, t, y)
    scaled = made(steps=8).fit(1000 * x - 5, 7 * t + 1, 100 * y + 3)
    said = plain.predict(WORLD.test.x, 0.4)
    assert np.allclose(
        scaled.predict(1000 * WORLD.test.x - 5, 7 * 0.4 + 1), 100 * said + 3, rtol=1e-3, atol=0.05
    )


def test_curves_are_means_of_predictions():
    model = TransTEE(steps=10, members=4).fit(*TRAIN)
    x, grid = WORLD.test.x, np.array([0.2, 0.7])
    individual = model.individual_curves(x, grid)
    assert np.allclose(individual[:, 1], model.predict(x, 0.7))
    curve = model.response_curve(x, grid, level=0.9)
    assert np.allclose(curve.mean, individual.mean(0))
    assert curve.members.shape == (4, 2)
    half = 1.6448536269514722 * curve.members.std(0, ddof=1)  # scipy.stats.norm.ppf(0.95)
    assert np.allclose(curve.high - curve.mean, half)
    assert curve.coverage_rate(curve.mean + np.array([0.0, 1e6])) == 0.5
    assert curve.frame().columns == ["dose", "mean", "low", "high"]
    lone = TransTEE(steps=2).fit(*TRAIN).response_curve(x, grid)
    assert np.isinf(lone.high).all()
    assert np.allclose(model.effect(x, 0.7, 0.2), individual[:, 1] - individual[:, 0])


def test_members_see_rows_of_their_own_only_with_the_bootstrap():
    rng = np.random.default_rng(0)
    rows, held_out = TransTEE(members=3)._rows(50, rng)
    assert (rows.shape, len(held_out)) == ((3, 40), 10)
    assert not set(rows.flatten().tolist()) & set(held_out.tolist())
    assert len(set(rows[0].tolist())) < 40
    alike = TransTEE(members=3, bootstrap=False, validation_share=0)._rows(50, rng)
    assert all(sorted(row.tolist()) == list(range(50)) for row in alike[0])
    assert len(alike[1]) == 0


def test_predictions_are_made_in_evaluation_mode():
    model = TransTEE(steps=3, dropout=0.5).fit(*TRAIN)
    assert not any(part.training for part in model.net.modules())
    assert (model.predict(WORLD.test.x, 0.5) == model.predict(WORLD.test.x, 0.5)).all()


def test_a_plain_outcome_is_learnt():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(400, 3)), rng.random(400)
    model = PlainNet(steps=200, learning_rate=2e-2).fit(x, t, x[:, 0] + 2 * t)
    grid = np.linspace(0.1, 0.9, 5)
    assert average_squared_error(model.individual_curves(x, grid), x[:, :1] + 2 * grid) < 0.01


def test_binary_and_dosage():
    t = (WORLD.train.t > 0.5).astype(int)
    for made in (TransTEE, PlainNet, TARNet):
        model = made(kind="binary", steps=5).fit(WORLD.train.x, t, WORLD.train.y)
        assert model.effect(WORLD.test.x, 1, 0).shape == (20,)
    world = dosed(0, n_train=60, n_test=10)
    for made in (TransTEE, PlainNet, TARNet, DRNet):
        model = made(kind="dosage", steps=5).fit(world.train.x, world.train.t, world.train.y)
        curves = [model.individual_curves(world.test.x, [0.5], treatment=k)[:, 0] for k in range(3)]
        assert np.allclose(curves[2], model.predict(world.test.x, [2, 0.5]))
        assert not np.allclose(curves[0], curves[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((3, 2)) * np.nan}, "X must be finite, got nan in row 0, column 0"),
        ({"X": np.zeros(3)}, r"X must have shape \(n, columns\)"),
        ({"X": [["a"]]}, "encode categories first"),
        ({"y": [0.0, 1.0]}, "y must have one number for each of the 3 rows"),
        ({"t": [0.0, 1.0]}, r"must have shape \(n,\) with n = 3"),
        ({"t": [0.5, 0.5, 0.5]}, "treated differently"),
        ({"t": [0.5, np.inf, 0.5]}, "t must be finite"),
    ],
)
def test_rows_that_cannot_be_used(change, message):
    good = {"X": np.arange(6.0).reshape(3, 2), "t": [0.1, 0.2, 0.3], "y": [1.0, 2.0, 3.0]}
    with pytest.raises(DataError, match=message):
        PlainNet(steps=1).fit(**{**good, **change})


def test_options_that_cannot_be():
    for options, message in (
        ({"kind": "continous"}, "did you mean continuous"),
        ({"members": 0}, "members of TransTEE must be at least 1"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"width": 9}, "multiple of its 2 heads"),
        ({"balance": "tt"}, "balance of TransTEE"),
        ({"dropout": 1.0}, "dropout"),
        ({"balance_weight": -1.0}, "balance_weight"),
    ):
        with pytest.raises(ConfigError, match=message):
            TransTEE(**options)
    with pytest.raises(ConfigError, match="continuous treatments"):
        VCNet(kind="binary")
    with pytest.raises(ConfigError, match="strata"):
        DRNet(strata=0)
    with pytest.raises(ConfigError, match="has not been fitted"):
        TransTEE().predict(WORLD.test.x, 0.5)
    model = PlainNet(steps=1).fit(*TRAIN)
    with pytest.raises(DataError, match="6 columns"):
        model.predict(WORLD.test.x[:, :5], 0.5)
    with pytest.raises(ConfigError, match="treatment must be 0"):
        model.response_curve(WORLD.test.x, [0.5], treatment=1)
    two = np.array([0, 1] * 50)
    binary_model = PlainNet(kind="binary", steps=1).fit(WORLD.train.x, two, WORLD.train.y)
    with pytest.raises(DataError, match="one of 0, 1, got 2"):
        binary_model.predict(WORLD.test.x, 2)
