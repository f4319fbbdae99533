"""Worlds with known effects, errors of curves, and splits by dose."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.effects import (
    average_effect_error,
    average_squared_error,
    binary,
    dose_shift_split,
    dosed,
    effect_error,
    ihdp,
    integrated_squared_error,
    synthetic,
    uniform_grid,
)
from concordant.explanations.effects.simulators import read_ihdp, synthetic_outcome, synthetic_tendency

SHARED = Path(__file__).parents[3] / "shared" / "data" / "transtee" / "ihdp.csv"
IHDP = Path(os.environ.get("CONCORDANT_IHDP", SHARED))


def test_the_synthetic_world_by_hand():
    x1, x2, x3, x4, x5, x6 = 0.2, 0.4, 0.6, 0.5, 0.1, 0.9
    x = np.array([[x1, x2, x3, x4, x5, x6]])
    tendency = (10 * math.sin(0.6) + 0.6**3) / (1 + 0.3**2)
    tendency += math.sin(0.3) * (1 + math.exp(0.5 - 0.3)) + 0.36 + 2 * math.sin(0.5) + 0.2 - 6.5
    assert synthetic_tendency(x)[0] == pytest.approx(tendency, rel=1e-12)
    level = 0.25**2 + 4 * 0.9**3 / (1 + 2 * 0.36) * math.sin(0.5)
    wanted = math.cos(2 * math.pi * (0.25 - 0.5)) * level
    assert synthetic_outcome(x, np.array([0.5]), h=2.0)[0] == pytest.approx(wanted, abs=1e-12)


def test_doses_depend_on_covariates_and_noise_has_its_size():
    world = synthetic(0, n_train=20_000, test_h=2.0, train_h=2.0)
    logit = np.log(world.train.t / (2 - world.train.t))
    assert (logit - synthetic_tendency(world.train.x)).std() == pytest.approx(0.5, abs=0.01)
    assert (world.train.y - world.outcome(world.train.x, world.train.t)).std() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(world.train.t, synthetic_tendency(world.train.x))[0, 1] > 0.7


def test_a_shift_of_doses_leaves_the_outcomes_of_a_dose_alone():
    whole, short = synthetic(3, train_h=2.0, test_h=2.0), synthetic(3, train_h=1.75, test_h=2.0)
    x, grid = whole.test.x, whole.grid()
    assert (whole.truth(x, grid) == short.truth(x, grid)).all()
    assert short.train.t.max() < 1.75 < short.test.t.max()
    assert (short.train.x == whole.train.x).all()


def test_truth_has_a_row_a_unit_and_a_column_a_dose():
    world = synthetic(1, n_test=4)
    truth = world.truth(world.test.x, [0.1, 0.9])
    assert truth.shape == (4, 2)
    assert truth[2, 1] == world.outcome(world.test.x[2:3], np.array([0.9]))[0]


def test_binary_and_dosed_worlds():
    world = binary(0)
    low, high = (synthetic_outcome(world.test.x, np.full(200, dose)) for dose in (0.1, 0.5))
    assert np.allclose(world.truth(world.test.x, [0, 1]), np.column_stack([low, high]))
    world = dosed(0)
    which, dose = world.train.t.T
    assert set(which) == {0.0, 1.0, 2.0}
    assert np.bincount(which.astype(int)).min() > 100
    assert ((dose >= 0) & (dose <= 1)).all()
    at_zero = world.truth(world.test.x, [0.0], treatment=0), world.truth(world.test.x, [0.0], treatment=1)
    assert at_zero[0].shape == (200, 1)
    assert not np.allclose(*at_zero)


def test_good_doses_are_given_more_often_where_there_is_selection():
    gains = []
    for selection in (0.0, 4.0):
        world = dosed(0, n_train=4000, selection=selection)
        given_ = world.outcome(world.train.x, world.train.t)
        random = world.outcome(world.train.x, world.train.t[np.random.default_rng(0).permutation(4000)])
        gains.append(given_.mean() - random.mean())
    assert abs(gains[0]) < 0.05 < gains[1]


@pytest.mark.skipif(not IHDP.is_file(), reason="the covariates of IHDP are not beside this checkout")
def test_ihdp():
    x = read_ihdp(IHDP)
    assert x.shape == (747, 25)
    assert (x.min(0) == 0).all()
    assert (x.max(0) <= 1).all()
    world = ihdp(IHDP, 0, train_h=1.9, test_h=2.0)
    assert (len(world.train.x), len(world.test.x)) == (471, 276)
    assert world.train.t.min() > 0.1
    assert world.test.t.max() < 2
    # The first unit of the file, by hand, at a sixth of h: the sine is 1.
    row, centre = x[0], x[:, [3, *range(6, 15)]].mean()
    level = math.tanh(5 * (row[[3, *range(6, 15)]].mean() - centre))
    level += math.exp(0.2 * (row[0] - row[5])) / (0.1 + min(row[1], row[2], row[4]))
    assert world.outcome(x[:1], np.array([2 / 6]))[0] == pytest.approx(level / (1.2 - 1 / 6), rel=1e-12)


def test_what_is_no_table_of_ihdp(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        ihdp(tmp_path / "none.csv", 0)
    (tmp_path / "small.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="25 covariates"):
        ihdp(tmp_path / "small.csv", 0)


def test_worlds_follow_their_seed_and_refuse_what_is_not_positive():
    assert (synthetic(5).train.y == synthetic(5).train.y).all()
    assert (synthetic(5).train.y != synthetic(6).train.y).all()
    for wrong in ({"n_train": 0}, {"test_h": -1.0}):
        with pytest.raises(ConfigError, match="must be above 0"):
            synthetic(0, **wrong)


def test_errors_by_hand():
    estimated, true = [[1.0, 2.0], [3.0, 2.0]], [[1.0, 1.0], [1.0, 3.0]]
    assert average_squared_error(estimated, true) == 0.5  # means 2, 2 against 1, 2
    assert integrated_squared_error(estimated, true) == 1.5  # 0, 1, 4, 1
    assert effect_error([0.0, 2.0], [3.0, -2.0]) == pytest.approx(math.sqrt(12.5))
    assert average_effect_error([0.0, 2.0], [3.0, -2.0]) == 0.5
    with pytest.raises(DataError, match="one shape"):
        effect_error([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match=r"\(n, doses\)"):
        average_squared_error([1.0], [1.0])


def test_a_uniform_grid_and_the_doses_of_units_weigh_regions_differently():
    grid, own = uniform_grid(0, 1, 5), np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    wrong_at_the_end = lambda t: np.where(t > 0.9, 1.0, 0.0)[None]  # noqa: E731
    assert average_squared_error(wrong_at_the_end(grid), np.zeros((1, 5))) == pytest.approx(0.2)
    assert average_squared_error(wrong_at_the_end(own), np.zeros((1, 5))) == pytest.approx(0.2)
    own[3] = 1.0
    assert average_squared_error(wrong_at_the_end(own), np.zeros((1, 5))) == pytest.approx(0.4)
    with pytest.raises(ConfigError, match="low < high"):
        uniform_grid(1, 1)


@settings(max_examples=25, deadline=None)
@given(
    doses=st.lists(st.integers(0, 50), min_size=4, max_size=60),
    share=st.floats(0.05, 0.9),
    end=st.sampled_from(["high", "low"]),
)
def test_a_dose_shift_parts_the_rows_at_one_dose(doses, share, end):
    t = np.array(doses, float)
    try:
        train, test = dose_shift_split(t, share, end=end)
    except DataError:
        return
    assert sorted([*train, *test]) == list(range(len(t)))
    assert len(test) <= max(1, round(share * len(t)))
    assert len(train)
    assert t[train].max() < t[test].min() if end == "high" else t[train].min() > t[test].max()


def test_a_dose_shift_that_cannot_be():
    with pytest.raises(DataError, match="doses that differ"):
        dose_shift_split([1.0, 1.0, 1.0], 0.5)
    with pytest.raises(ConfigError, match="share"):
        dose_shift_split([1.0, 2.0], 1.0)
    with pytest.raises(ConfigError, match="'high' or 'low'"):
        dose_shift_split([1.0, 2.0], 0.5, end="top")
