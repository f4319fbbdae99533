"""Scaling laws: exact on exact points, two routes that agree, and what is left out is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from concordant.core.errors import ConfigError, DataError
from concordant.versions.scaling import fit_offset_power_law, fit_points, fit_power_law
from concordant.versions.scaling.laws import offset_power_laws, power_laws

N = np.array([25.0, 50, 100, 200, 400, 800, 1600])
SLOW = settings(deadline=None, max_examples=25)


@SLOW
@given(factor=st.floats(1e-3, 1e3), exponent=st.floats(-2, 2))
def test_a_power_law_is_found_again(factor, exponent):
    law = fit_power_law(N, factor * N**exponent)
    assert law.factor == pytest.approx(factor, rel=1e-6)
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.predict(3200.0) == pytest.approx(factor * 3200.0**exponent, rel=1e-6)


@SLOW
@given(floor=st.floats(0, 1), factor=st.floats(0.5, 20), exponent=st.floats(0.2, 1.5))
def test_an_offset_law_is_found_again(floor, factor, exponent):
    values = floor + factor * N**-exponent
    law = fit_offset_power_law(N, values)
    np.testing.assert_allclose(law.predict(N), values, atol=2e-4 * factor)


def test_the_logarithmic_fit_is_that_of_polyfit():
    values = np.array([0.05, 0.07, 0.12, 0.15, 0.27, 0.33, 0.5])
    slope, intercept = np.polyfit(np.log(N), np.log(values), 1)
    law = fit_power_law(N, values)
    assert (law.exponent, np.log(law.factor)) == pytest.approx((slope, intercept))
    residual = np.log(values) - slope * np.log(N) - intercept
    assert law.r_squared == pytest.approx(1 - residual.var() / np.log(values).var())


def test_the_offset_fit_is_that_of_a_general_solver():
    values = 0.1 + 3 * N**-0.6 + 0.01 * np.array([1, -1, 2, -2, 1, 0, -1])
    law = fit_offset_power_law(N, values)
    found, _ = curve_fit(lambda n, e, c, k: e + c * n**-k, N, values, p0=(0.1, 2, 0.5))
    assert (law.floor, law.factor, law.exponent) == pytest.approx(tuple(found), rel=2e-3)


def test_many_curves_are_each_fitted_as_if_alone():
    curves = np.array([2 * N**-0.5, 0.3 * N**0.2])
    factors, exponents = power_laws(N, curves)
    np.testing.assert_allclose([factors, exponents], [[2, 0.3], [-0.5, 0.2]])
    floors, _, exponents = offset_power_laws(N, np.array([0.2 + N**-0.5, 0.4 + 2 * N**-0.9]))
    np.testing.assert_allclose([floors, exponents], [[0.2, 0.4], [0.5, 0.9]], rtol=1e-3)


def test_a_flat_curve_has_a_floor_and_nothing_else():
    law = fit_offset_power_law(N, np.full(len(N), 0.3))
    np.testing.assert_allclose(law.predict(N), 0.3)
    assert fit_power_law(N, np.full(len(N), 0.3)).exponent == pytest.approx(0)


def test_floor_and_factor_are_never_negative():
    law = fit_offset_power_law([1, 2, 4, 8], [1.0, 0.4, 0.05, 0.0])
    assert law.floor == 0
    rising = fit_offset_power_law([1, 2, 4], [0.1, 0.2, 0.3])
    assert rising.factor == 0
    assert rising.floor == pytest.approx(0.2)


def test_zeros_and_saturated_points_are_left_out_and_said():
    n = [0, 25, 50, 100, 200, 10_000]
    fit = fit_points(n, [0.0, 0.1, 0.1 * 2**0.5, 0.2, 0.2 * 2**0.5, 0.99], ceiling=1.0, n_replicates=20)
    assert fit["power"].law.exponent == pytest.approx(0.5)
    assert fit["power"].law.n_points == 4
    assert any("size or value of 0" in note for note in fit.notes)
    assert any("saturated" in note for note in fit.notes)
    assert fit["offset"].law.n_points == 5


def test_the_law_that_made_the_points_comes_nearer_to_the_one_held_out():
    straight = fit_points(N, 0.01 * N**0.5, ceiling=1.0, n_replicates=20)
    assert straight.better == "power"
    assert straight["power"].held_out_error == pytest.approx(0, abs=1e-9)
    floored = fit_points(N, 0.2 + 5 * N**-0.8, n_replicates=20)
    assert not floored.rising
    assert floored.better == "offset"


def test_predictions_are_in_the_unit_of_the_values():
    accuracy = 0.9 - 2 * N**-0.5
    fit = fit_points(N, accuracy, ceiling=1.0, at=[6400], n_replicates=20)
    value, low, high = fit["offset"].predictions[6400]
    assert value == pytest.approx(0.9 - 2 * 6400**-0.5, abs=1e-3)
    assert low <= value + 1e-6
    assert value <= high + 1e-6
    np.testing.assert_allclose(fit["offset"].predict(N), accuracy, atol=1e-3)


def test_the_interval_over_runs_is_as_wide_as_the_runs_differ():
    rng = np.random.default_rng(0)
    exponents = rng.normal(0.5, 0.05, 8)
    n, seeds = np.tile(N, 8), np.repeat(np.arange(8), len(N))
    values = 0.01 * n ** np.repeat(exponents, len(N))
    fit = fit_points(n, values, seeds=seeds, n_replicates=500)
    low, high = fit["power"].intervals["exponent"]
    half = 1.96 * exponents.std(ddof=1) / 8**0.5
    assert low < 0.5 < high
    assert (high - low) / 2 == pytest.approx(half, rel=0.3)
    one = fit_points(N, 0.01 * N**0.5, seeds=np.zeros(len(N)), n_replicates=20)
    low, high = one["power"].intervals["exponent"]
    assert high - low == pytest.approx(0, abs=1e-9)


def test_runs_of_unequal_length_are_drawn_too():
    n, seeds = np.concatenate([N, N[:4]]), np.array([0] * len(N) + [1] * 4)
    fit = fit_points(n, 0.02 * n**0.4, seeds=seeds, n_replicates=30)
    assert fit["power"].intervals["exponent"] == pytest.approx((0.4, 0.4))


def test_the_same_seed_gives_the_same_intervals():
    values = 0.01 * N**0.5 * np.array([1, 1.1, 0.9, 1, 1.05, 0.95, 1])
    first, second, other = (fit_points(N, values, n_replicates=50, seed=s) for s in (3, 3, 4))
    assert first["power"].intervals == second["power"].intervals
    assert first["power"].intervals != other["power"].intervals


@pytest.mark.parametrize(
    ("n", "values", "message"),
    [
        ([1, 2], [1.0], "shape"),
        ([1, 1, 1], [0.1, 0.2, 0.3], "no law can be fitted"),
        ([1, 2], [0.0, 0.0], "no law can be fitted"),
        ([1, float("nan")], [1, 2], "finite"),
    ],
)
def test_points_that_cannot_be_fitted(n, values, message):
    with pytest.raises(DataError, match=message):
        fit_points(n, values)


def test_options_out_of_range():
    with pytest.raises(DataError, match="ceiling is"):
        fit_points(N, 0.01 * N**0.6, ceiling=0.5)
    with pytest.raises(ConfigError, match="above 0, got 0"):
        fit_points(N, N, at=[0])
    with pytest.raises(DataError, match="1 seeds"):
        fit_points(N, N, seeds=[1])
    with pytest.raises(DataError, match="above 0"):
        fit_power_law([1, 2], [0.0, 1.0])
    with pytest.raises(DataError, match="3 or more"):
        fit_offset_power_law([1, 2], [1.0, 0.5])
    with pytest.raises(DataError, match="at least 0"):
        fit_offset_power_law([1, 2, 3], [1.0, 0.5, -0.1])
