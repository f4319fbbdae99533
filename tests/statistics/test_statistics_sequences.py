"""Confidence sequences: what they are by definition. Their coverage is in test_statistics_coverage.py."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import (
    confidence_sequence,
    normal_mixture_sequence,
    paired_confidence_sequence,
    wilson,
)


def betting_by_definition(x, level, resolution):
    """The hedged capital of each candidate mean, with plain loops: the slow route."""
    alpha = 1 - level
    lows, highs = [], []
    wealth = {(m, side): 1.0 for m in range(resolution + 1) for side in (1, -1)}
    total, squares, variance = 0.5, 0.25, 0.25
    low, high = 0.0, 1.0
    for t, value in enumerate(x, start=1):
        bet = math.sqrt(2 * math.log(2 / alpha) / (variance * t * math.log(t + 1)))
        for (m, side), capital in wealth.items():
            mean = m / resolution
            room = mean if side == 1 else 1 - mean
            stake = min(bet, 0.5 / room) if room > 0 else bet
            wealth[m, side] = capital * (1 + side * stake * (value - mean))
        low = max([low] + [m / resolution for m in range(resolution) if wealth[m, 1] >= 2 / alpha])
        high = min([high] + [m / resolution for m in range(1, resolution + 1) if wealth[m, -1] >= 2 / alpha])
        lows.append(low)
        highs.append(high)
        total += value
        squares += (value - total / (t + 1)) ** 2
        variance = squares / (t + 1)
    return lows, highs


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_betting_is_its_definition(level):
    x = np.random.default_rng(0).beta(1, 3, 120)
    low, high = confidence_sequence(x, level=level, resolution=50)
    slow_low, slow_high = betting_by_definition(x, level, 50)
    assert low == pytest.approx(slow_low, abs=1e-12)
    assert high == pytest.approx(slow_high, abs=1e-12)
    assert low[-1] > 0
    assert high[-1] < 1


def test_a_finer_grid_only_sharpens():
    x = np.random.default_rng(1).random(300)
    coarse, fine = (confidence_sequence(x, resolution=r) for r in (100, 1000))
    assert (coarse[0] <= fine[0] + 1e-12).all()
    assert (coarse[1] >= fine[1] - 1e-12).all()
    assert (fine[0] - coarse[0]).max() <= 0.0101


def test_blocks_of_time_do_not_matter():
    x = np.random.default_rng(2).random(500)
    whole, _ = confidence_sequence(x, resolution=20_000)  # one row a block
    parts, _ = confidence_sequence(x, resolution=200)  # many rows a block
    assert (np.floor(whole * 200 + 1e-6) / 200 == pytest.approx(parts, abs=1e-9)) or np.abs(
        whole - parts
    ).max() < 0.0051


@given(
    x=st.lists(st.floats(0, 1), min_size=1, max_size=60),
    method=st.sampled_from(["betting", "empirical-bernstein"]),
)
@settings(max_examples=40, deadline=None)
def test_ordered_narrowing_and_symmetric(x, method):
    low, high = confidence_sequence(x, method=method, resolution=100)
    assert (low >= 0).all()
    assert (low <= high).all()
    assert (high <= 1).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()
    flipped_low, flipped_high = confidence_sequence(1 - np.array(x), method=method, resolution=100)
    assert flipped_low == pytest.approx(1 - high, abs=0.011)
    assert flipped_high == pytest.approx(1 - low, abs=0.011)


@pytest.mark.parametrize("method", ["betting", "empirical-bernstein"])
def test_bounds_scale(method):
    x = np.random.default_rng(3).random(200)
    low, high = confidence_sequence(x, method=method)
    scaled_low, scaled_high = confidence_sequence(20 * x - 10, bounds=(-10, 10), method=method)
    assert scaled_low == pytest.approx(20 * low - 10, abs=0.021)
    assert scaled_high == pytest.approx(20 * high - 10, abs=0.021)


def test_never_much_narrower_than_the_interval_for_one_look():
    x = (np.random.default_rng(4).random(1000) < 0.3).astype(float)
    low, high = confidence_sequence(x)
    one_low, one_high = wilson(x.sum(), 1000)
    assert 1.0 < (high[-1] - low[-1]) / (one_high - one_low) < 2.0


def test_betting_is_the_narrower_for_few_values_and_rare_events():
    for rate, n in ((0.5, 100), (0.05, 500)):
        x = (np.random.default_rng(4).random((20, n)) < rate).astype(float)
        widths = {
            method: np.mean([np.subtract(*confidence_sequence(row, method=method))[-1] for row in x])
            for method in ("betting", "empirical-bernstein")
        }
        assert widths["empirical-bernstein"] < widths["betting"] < 0  # low - high


def test_drift_keeps_the_last_interval():
    x = np.r_[np.zeros(300), np.ones(3000)]
    low, high = confidence_sequence(x, resolution=100)
    assert (low <= high).all()
    assert low[-1] <= high[-1] <= 0.1


def test_paired_is_the_sequence_of_differences():
    rng = np.random.default_rng(5)
    a, b = rng.random(100), rng.random(100)
    pair = paired_confidence_sequence(a, b)
    single = confidence_sequence(a - b, bounds=(-1, 1))
    assert (pair[0] == single[0]).all()
    assert (pair[1] == single[1]).all()


def test_normal_mixture_by_hand():
    # t = tightest_at = 1: rho^2 = 5.9915 + ln 6.9915 = 7.9362, and the formula of the docstring.
    low, high = normal_mixture_sequence([2.0], sigma=3.0, tightest_at=1)
    rho2 = -2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))
    half = 3 * math.sqrt(2 * (1 + rho2) / rho2 * math.log(math.sqrt(1 + rho2) / 0.05))
    assert (low[0], high[0]) == pytest.approx((2 - half, 2 + half), rel=1e-12)


def test_normal_mixture_is_tightest_where_asked():
    widths = []
    for tightest_at in (100, 500, 2500):
        low, high = normal_mixture_sequence(np.zeros(500), sigma=1.0, tightest_at=tightest_at)
        widths.append(high[-1] - low[-1])
    assert widths[1] == min(widths)


def test_normal_mixture_estimates_the_scale():
    x = np.random.default_rng(6).normal(0.0, 2.0, 2000)
    low, high = normal_mixture_sequence(x)
    assert np.isinf(low[:49]).all()
    assert np.isfinite(low[49:]).all()
    known_low, known_high = normal_mixture_sequence(x[-1:].repeat(2000), sigma=1.0)
    assert high[-1] - low[-1] == pytest.approx((known_high[-1] - known_low[-1]) * x.std(), rel=1e-9)
    far_low, far_high = normal_mixture_sequence(x + 1e6)  # the running variance must not lose its digits
    assert far_high[-1] - far_low[-1] == pytest.approx(high[-1] - low[-1], rel=1e-6)


def test_bad_input():
    with pytest.raises(DataError, match="between 0 and 1, got 0 to 2"):
        confidence_sequence([0.0, 2.0])
    with pytest.raises(DataError, match="1 of 2 are missing"):
        confidence_sequence([0.0, math.nan])
    with pytest.raises(ConfigError, match="low < high"):
        confidence_sequence([0.0], bounds=(1, 0))
    with pytest.raises(ConfigError, match="method must be one of betting"):
        confidence_sequence([0.0], method="hoeffding")
    with pytest.raises(ConfigError, match="resolution"):
        confidence_sequence([0.0], resolution=1)
    with pytest.raises(DataError, match="equally many rows"):
        paired_confidence_sequence([0.0], [0.0, 1.0])
    with pytest.raises(DataError, match="between 0 and 1, got 2 to 2"):
        paired_confidence_sequence([2.0], [1.5])
    with pytest.raises(ConfigError, match="sigma must be above 0"):
        normal_mixture_sequence([1.0], sigma=0.0)
    with pytest.raises(ConfigError, match="burn_in at least 2"):
        normal_mixture_sequence([1.0], burn_in=1)
