"""Intervals hold the truth as often as they say, by simulation with fixed seeds."""

import numpy as np
import pytest

from concordant.core.statistics import (
    bootstrap,
    bootstrap_mean,
    confidence_sequence,
    estimate_mean,
    normal_mixture_sequence,
    paired_confidence_sequence,
    paired_difference,
    proportion_difference,
)

DRAWS = 2000


def coverage(draw, truth, draws=DRAWS, seed=0):
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(draws):
        estimate = draw(rng)
        hits += estimate.low <= truth <= estimate.high
    return hits / draws


def mixed_sizes(rng, n_clusters):
    return np.repeat(np.arange(n_clusters), rng.integers(1, 8, n_clusters))


def clustered_means(rng):
    groups = mixed_sizes(rng, 60)
    return estimate_mean(rng.normal(size=60)[groups] + rng.normal(size=groups.size), clusters=groups)


def clustered_rates(rng):
    groups = mixed_sizes(rng, 60)
    return estimate_mean(rng.random(groups.size) < rng.beta(3, 2, 60)[groups], clusters=groups)


def paired_rates(rng):
    kind = rng.choice(4, size=150, p=[0.5, 0.15, 0.1, 0.25])
    return paired_difference((kind == 0) | (kind == 1), (kind == 0) | (kind == 2))


# Name: how an estimate is drawn, and the truth. Proportions are discrete: their coverage swings with n.
CASES = {
    "wilson, p = 0.3, n = 100": (lambda rng: estimate_mean(rng.random(100) < 0.3), 0.3),
    "wilson, p = 0.04, n = 1000": (lambda rng: estimate_mean(rng.random(1000) < 0.04), 0.04),
    "t, normal, n = 8": (lambda rng: estimate_mean(rng.normal(2.0, 3.0, 8)), 2.0),
    "t, uniform, n = 30": (lambda rng: estimate_mean(rng.random(30)), 0.5),
    "t, exponential, n = 400": (lambda rng: estimate_mean(rng.exponential(size=400)), 1.0),
    "ideal bca, exponential, n = 100": (lambda rng: bootstrap_mean(rng.exponential(size=100)), 1.0),
    "drawn bca, gamma, n = 80": (
        lambda rng: bootstrap_mean(rng.gamma(4, size=80), n_replicates=2000, seed=rng),
        4.0,
    ),
    "cluster t, 60 clusters of 1 to 7": (clustered_means, 0.0),
    "cluster wilson, 60 clusters of 1 to 7": (clustered_rates, 0.6),
    "tango, n = 150": (paired_rates, 0.05),
    "newcombe, n = 80 and 120": (
        lambda rng: proportion_difference(rng.binomial(80, 0.7), 80, rng.binomial(120, 0.5), 120),
        0.2,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_intervals_cover(name):
    draw, truth = CASES[name]
    assert 0.935 <= coverage(draw, truth) <= 0.965


def test_bootstrap_of_a_correlation_covers():
    def draw(rng):
        x = rng.normal(size=80)
        y = x + rng.normal(size=80)
        return bootstrap(correlation, x, y, n_replicates=1000, seed=rng)

    def correlation(a, b, axis):
        a = a - a.mean(axis=axis, keepdims=True)
        b = b - b.mean(axis=axis, keepdims=True)
        return (a * b).sum(axis=axis) / np.sqrt((a * a).sum(axis=axis) * (b * b).sum(axis=axis))

    assert 0.92 <= coverage(draw, np.sqrt(0.5), draws=400) <= 0.975


def test_ignoring_clusters_would_not_cover():
    """The power of this file: a wrong interval is found out."""

    def draw(rng):
        groups = mixed_sizes(rng, 60)
        return estimate_mean(rng.normal(size=60)[groups] + 0.2 * rng.normal(size=groups.size))

    assert coverage(draw, 0.0, draws=500) < 0.75


class TestAtAllTimes:
    """A sequence covers only if it covers at every time; an ordinary interval does not."""

    @pytest.mark.parametrize(
        ("draw", "truth"),
        [
            (lambda rng: (rng.random(400) < 0.1).astype(float), 0.1),
            (lambda rng: (rng.random(400) < 0.5).astype(float), 0.5),
            (lambda rng: rng.beta(2, 1, 400), 2 / 3),
        ],
        ids=["rate 0.1", "rate 0.5", "beta"],
    )
    @pytest.mark.parametrize("method", ["betting", "empirical-bernstein"])
    def test_bounded_means(self, draw, truth, method):
        rng = np.random.default_rng(0)
        hits = 0
        for _ in range(1000):
            low, high = confidence_sequence(draw(rng), method=method, resolution=200)
            hits += bool(((low <= truth) & (truth <= high)).all())
        assert hits / 1000 >= 0.95

    def test_paired_differences(self):
        rng = np.random.default_rng(1)
        hits = 0
        for _ in range(1000):
            a, b = rng.random(300) < 0.6, rng.random(300) < 0.5
            low, high = paired_confidence_sequence(a, b, resolution=200)
            hits += bool(((low <= 0.1) & (high >= 0.1)).all())
        assert hits / 1000 >= 0.95

    def test_normal_mixture_with_known_scale(self):
        rng = np.random.default_rng(2)
        hits = 0
        for _ in range(DRAWS):
            low, high = normal_mixture_sequence(rng.normal(1.0, 2.0, 1000), sigma=2.0)
            hits += bool(((low <= 1.0) & (high >= 1.0)).all())
        assert hits / DRAWS >= 0.95

    def test_normal_mixture_with_estimated_scale(self):
        rng = np.random.default_rng(3)
        hits = 0
        for _ in range(DRAWS):
            low, high = normal_mixture_sequence(rng.gamma(3, size=1000))
            hits += bool(((low <= 3.0) & (high >= 3.0)).all())
        assert hits / DRAWS >= 0.95

    def test_looking_all_the_time_at_an_ordinary_interval_does_not_cover(self):
        rng = np.random.default_rng(4)
        t = np.arange(1, 1001)
        z = np.abs(np.cumsum(rng.normal(size=(500, 1000)), axis=1)) / np.sqrt(t)
        assert (z[:, 49:] < 1.96).all(axis=1).mean() < 0.8
