from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.shapley_series import SeriesShapley, stretches

RNG = np.random.default_rng(0)
X, BACKGROUND = RNG.normal(size=(4, 6, 2)), RNG.normal(size=(9, 6, 2))
TABLE = RNG.normal(size=(40, 1, 14))
WEIGHTS = RNG.normal(size=(6, 2)) / 100


def linear(x):
    p = 0.5 + (x * WEIGHTS).sum((1, 2))
    return np.stack([p, 1 - p], axis=1)


def product(x):
    """A probability in which no number counts by itself."""
    p = 1 / (1 + np.exp(-(x[:, 1, 0] * x[:, 4, 1] + x[:, 2, 0])))
    return np.stack([p, 1 - p], axis=1)


def test_values_of_a_linear_classifier_in_closed_form():
    explainer = SeriesShapley(
        linear, BACKGROUND, segments=6, background=9, pairs=3
    )  # any order gives the same
    found = explainer.explain(X, [0, 1, 1, 0])
    sign = np.array([1, -1, -1, 1])[:, None, None]
    assert np.allclose(found, sign * WEIGHTS * (X - BACKGROUND.mean(0)), atol=1e-7)


def test_values_are_means_over_all_orders():
    explainer = SeriesShapley(product, BACKGROUND, segments=2, background=3)  # four players
    found = explainer.explain(X[:1], [0])
    expected = np.zeros(4)
    for order in permutations(range(4)):
        present = np.zeros(4, bool)
        worth = product(explainer.background)[:, 0].mean()
        for player in order:
            present[player] = True
            given_rows = np.where(present[explainer.players], X[0], explainer.background)
            now = product(given_rows)[:, 0].mean()
            expected[player] += (now - worth) / 24
            worth = now
    assert np.allclose(found[0], (expected / 3)[explainer.players], atol=1e-7)  # three steps a player


@pytest.mark.parametrize("options", [{}, {"segments": 3}, {"segments": 6, "pairs": 4}, {"background": 1}])
def test_values_add_up(options):
    explainer = SeriesShapley(product, BACKGROUND, **options)
    found = explainer.explain(X)
    p = product(X)
    classes = p.argmax(1)
    rise = p[range(4), classes] - product(explainer.background)[:, classes].mean(0)
    assert np.allclose(found.sum((1, 2)), rise, atol=1e-6)
    assert np.array_equal(found, explainer.explain(X, batch_size=5))


def test_columns_of_a_table_are_players():
    flat = TABLE[:, 0]
    forest = RandomForestClassifier(10, max_depth=3, random_state=0).fit(flat, flat[:, 3] + flat[:, 7] > 0)
    explainer = SeriesShapley(forest, TABLE)
    assert explainer.players.tolist() == [list(range(14))]
    assert not explainer.plan.is_exact
    found = explainer.explain(TABLE[:8])
    p = forest.predict_proba(flat[:8])
    classes = p.argmax(1)
    rise = p[range(8), classes] - forest.predict_proba(explainer.background[:, 0])[:, classes].mean(0)
    assert np.allclose(found.sum((1, 2)), rise, atol=1e-6)
    assert set(np.argsort(np.abs(found).mean((0, 1)))[-2:]) == {3, 7}
    assert SeriesShapley(forest, TABLE[..., :12]).plan.is_exact


@given(st.integers(1, 30), st.integers(1, 5), st.data())
def test_stretches_are_of_nearly_one_length(time, channels, data):
    segments = data.draw(st.integers(1, time))
    players = stretches(time, channels, segments)
    sizes = np.bincount(players.ravel())
    assert len(sizes) == segments * channels
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(players, axis=0) >= 0).all()


def test_few_players_by_default():
    for time, channels, players in ((50, 1, 8), (50, 3, 6), (50, 30, 60), (3, 1, 3), (1, 7, 7)):
        explainer = SeriesShapley(linear, np.zeros((2, time, channels)))
        assert explainer.players.max() + 1 == players


def test_a_seed_decides_rows_and_orders():
    first, again, other = (
        SeriesShapley(product, BACKGROUND, pairs=2, background=2, seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.explain(X), again.explain(X))
    assert not np.allclose(first.explain(X), other.explain(X))
    assert len(SeriesShapley(product, BACKGROUND, background=100).background) == 9


def test_bad_input():
    for options, said in (
        ({"segments": 7}, "segments of SeriesShapley must be from 1 to the 6 steps, got 7"),
        ({"background": 0}, "background of SeriesShapley must be at least 1, got 0"),
        ({"pairs": 0}, "pairs of orders must be at least 1, got 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            SeriesShapley(linear, BACKGROUND, **options)
    with pytest.raises(DataError, match="training must have"):
        SeriesShapley(linear, BACKGROUND[:, :5]).explain(X)
