from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError
from concordant.explanations.series_data import (
    SETS,
    freq_shapes,
    low_var_detect,
    narma,
    seq_comb_mv,
    seq_comb_uv,
)


def runs(mask):
    """Return (start, end) of the stretches of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("name", SETS)
def test_shapes_classes_and_seeds(name):
    data = SETS[name](11, seed=3)
    assert data.x.shape == data.truth.shape
    assert (data.x.dtype, data.labels.dtype, data.truth.dtype) == (np.float32, np.int64, bool)
    assert np.bincount(data.labels).tolist() == [2, 2, 2, 5]  # the last class takes the rest
    assert (np.diff(data.labels) >= 0).all()
    again, other = SETS[name](11, seed=np.random.default_rng(3)), SETS[name](11, seed=4)
    assert np.array_equal(data.x, again.x)
    assert not np.array_equal(data.x, other.x)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_spikes_without_noise_are_all_there_is(seed):
    data = freq_shapes(8, seed, noise=0.0)
    for x, label, truth in zip(data.x[..., 0], data.labels, data.truth[..., 0], strict=True):
        period, sign = (10, 10, 17, 17)[label], (-1, 1, -1, 1)[label]
        windows = runs(truth)
        centres = [start + 1 for start, _ in windows]
        assert all(end - start == 3 for start, end in windows)
        assert set(np.diff(centres)) <= {period}
        for start, end in windows:
            assert x[start:end].tolist() == [1.75 * sign, 2.0 * sign, 1.75 * sign]
        assert (x[~truth] == 0).all()
        assert centres[0] < 50 - period  # the first centre is the start, or the second where the start is 0
        assert centres[-1] + period > 48  # the next one would not fit


def test_a_spike_at_an_end_is_left_out_whole():
    starts = [
        runs(row)[0][0] for row in freq_shapes(400, 0).truth[:100, :, 0]
    ]  # period 10, starts from 0 to 39
    assert min(starts) == 0  # centre 1
    assert 9 in starts  # centre 0 is left out, so the first one is at 10: steps 9 to 11
    assert max(starts) <= 38


def test_noise_is_everywhere():
    data = freq_shapes(400, 0)
    assert np.isclose(data.x[~data.truth].std(), 0.25, atol=0.01)
    assert np.isclose(data.x[data.truth & (data.labels == 1)[:, None, None]].mean(), 5.5 / 3, atol=0.02)


def test_narma_is_the_source_with_its_slice_and_not_the_textbook():
    length, order = 40, 2
    u = np.random.default_rng(5).uniform(0, 0.5, length + order)
    slip, textbook = np.zeros(length + order), np.zeros(length + order)
    for i in range(order, length + order):
        for y, window in ((slip, slice(i - order, order)), (textbook, slice(i - order, i))):
            y[i] = 0.3 * y[i - 1] + 0.05 * y[i - 1] * y[window].sum() + 1.5 * u[i - order] * u[i] + 0.1
    ours = narma(length, np.random.default_rng(5))
    assert np.allclose(ours, slip[order:])
    assert np.abs(ours - textbook[order:]).max() > 1e-3
    # Stationary mean: (0.1 + 1.5 / 16) / 0.7.
    assert np.isclose(narma(20_000, np.random.default_rng(0)).mean(), (0.1 + 1.5 / 16) / 0.7, atol=0.01)


@pytest.mark.parametrize(("make", "least", "most"), [(seq_comb_uv, 10, 19), (seq_comb_mv, 15, 29)])
def test_two_stretches_and_their_directions(make, least, most):
    data = make(40, seed=1)
    assert not data.truth[data.labels == 0].any()
    for x, label, truth in zip(data.x, data.labels, data.truth, strict=True):
        if label == 0:
            continue
        stretches = [(start, end, c) for c in range(x.shape[1]) for start, end in runs(truth[:, c])]
        stretches.sort()
        if x.shape[1] > 1:
            (first, second) = stretches
            assert first[2] != second[2]
            assert second[0] >= first[1]
            rises = {1: [False, False], 2: [True, True], 3: [True, False]}[label]
            for (start, end, channel), rise in zip(stretches, rises, strict=True):
                values = x[start:end, channel]
                assert least <= end - start <= most
                assert (values[-1] > values[0]) == rise
                middle = (end - start) // 2
                assert values[middle] == 0  # the line goes through 0 there, and the wave is odd
                assert np.allclose(
                    values[middle + 1 : middle + 5], -values[middle - 1 : middle - 5 : -1], atol=1e-5
                )
        else:
            assert 2 * least <= truth.sum() <= 2 * most
            assert stretches[0][0] < 100


def test_background_is_nearly_free_of_noise():
    data = seq_comb_uv(40, seed=0)
    quiet = data.x[data.labels == 0]
    assert 0.05 < quiet.min() < quiet.max() < 0.75  # 0.1 to (0.1 + 1.5 / 4) / 0.7 and a little noise


def test_a_quiet_stretch_on_one_of_two_channels():
    data = low_var_detect(80, seed=2)
    for x, label, truth in zip(data.x, data.labels, data.truth, strict=True):
        channel, sign = divmod(int(label), 2)
        ((start, end),) = runs(truth[:, channel])
        assert truth.sum() == end - start
        assert 10 <= end - start <= 19
        assert 20 <= start < 160
        assert np.isclose(x[start:end, channel].mean(), (-1.5, 1.5)[sign], atol=0.2)
        assert x[start:end, channel].std() < 0.25
        assert x[~truth[:, channel], channel].std() > 0.7


def test_bad_input():
    with pytest.raises(ConfigError, match="n of freq_shapes must be at least 4, got 3"):
        freq_shapes(3, 0)
    with pytest.raises(ConfigError, match="length of freq_shapes must be at least 18, got 17"):
        freq_shapes(4, 0, length=17)
    with pytest.raises(ConfigError, match="length of seq_comb must be at least 80, got 50"):
        seq_comb_uv(4, 0, length=50)
    with pytest.raises(ConfigError, match="length of low_var_detect must be at least 61, got 60"):
        low_var_detect(4, 0, length=60)
