"""Shapley values: by hand, against the definition over all orders, and what every game must satisfy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError
from concordant.explanations.shapley import PAIRS, shapley_plan

GAMES = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.floats(-10, 10), min_size=2**n, max_size=2**n),
    )
)


def over_all_orders(values, n):
    """Return Shapley values by their definition: what a player adds, averaged over all orders."""
    phi = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        before = 0
        for player in order:
            phi[player] += values[before | 1 << player] - values[before]
            before |= 1 << player
    return phi / len(orders)


def value_of(plan, values):
    """Return the values of a plan's coalitions, from those of all in the order of their bits."""
    return np.asarray(values)[plan.coalitions @ (1 << np.arange(plan.coalitions.shape[1]))]


def test_by_hand() -> None:
    # an airport: runways of costs 1, 2 and 4 for three planes; the first third is shared by all, ...
    plan = shapley_plan(3)
    cost = np.where(plan.coalitions, [1.0, 2.0, 4.0], 0.0).max(1)
    assert plan.shapley(cost) == pytest.approx([1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2 + 2])


def test_one_player_has_it_all() -> None:
    plan = shapley_plan(1)
    assert plan.shapley(value_of(plan, [2.0, 5.0])).tolist() == [3.0]


@given(GAMES)
@settings(max_examples=40, deadline=None)
def test_exact_values_are_those_of_the_definition(game) -> None:
    n, values = game
    plan = shapley_plan(n)
    assert plan.is_exact
    assert len(plan.coalitions) == 2**n
    assert plan.shapley(value_of(plan, values)) == pytest.approx(over_all_orders(values, n), abs=1e-9)
    assert plan.variances(value_of(plan, values)).tolist() == [0.0] * n


@given(GAMES, st.sampled_from([None, 1, 2, 7]))
@settings(max_examples=60, deadline=None)
def test_values_add_up_to_what_all_have(game, pairs) -> None:
    n, values = game
    plan = shapley_plan(n, pairs=pairs)
    assert plan.shapley(value_of(plan, values)).sum() == pytest.approx(values[-1] - values[0], abs=1e-9)


def test_a_player_that_adds_nothing_has_nothing_and_equal_players_have_the_same() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=2**2)
    plan = shapley_plan(4)  # players 0 and 1 matter by how many they are; 2 adds nothing; 3 adds one
    game = values[plan.coalitions[:, :2].sum(1)] + plan.coalitions[:, 3]
    phi = plan.shapley(game)
    assert phi[0] == pytest.approx(phi[1])
    assert phi[2:] == pytest.approx([0.0, 1.0], abs=1e-12)


def test_twelve_players_are_exact_and_thirteen_are_sampled() -> None:
    plan = shapley_plan(12)
    assert plan.is_exact
    assert plan.weights.sum(1) == pytest.approx(np.zeros(12), abs=1e-9)
    more = shapley_plan(13)
    assert not more.is_exact
    assert more.orders is not None
    assert len(more.orders) == 2 * PAIRS
    assert len(more.coalitions) < 2 * PAIRS * 14  # the empty and the whole are there but once


def test_orders_come_with_their_reverses_and_pass_through_their_coalitions() -> None:
    plan = shapley_plan(5, pairs=3, seed=4)
    assert plan.orders is not None
    assert plan.paths is not None
    assert (plan.orders[3:] == plan.orders[:3, ::-1]).all()
    for order, path in zip(plan.orders, plan.paths, strict=True):
        for k, c in enumerate(path):
            assert set(np.flatnonzero(plan.coalitions[c])) == set(order[:k].tolist())
    assert len(np.unique(plan.coalitions, axis=0)) == len(plan.coalitions)
    assert (shapley_plan(5, pairs=3, seed=4).orders == plan.orders).all()


def test_an_additive_game_is_exact_from_one_pair() -> None:
    plan = shapley_plan(20, pairs=1)
    worth = np.arange(20.0)
    assert plan.shapley(plan.coalitions @ worth) == pytest.approx(worth)
    assert np.isinf(plan.variances(plan.coalitions @ worth)).all()  # one pair has no spread


def test_pairs_cancel_games_of_two() -> None:
    # interactions of two players: a player meets each other player in exactly one order of a pair
    rng = np.random.default_rng(1)
    between = np.triu(rng.normal(size=(6, 6)), 1)
    plan = shapley_plan(6, pairs=2)
    game = ((plan.coalitions @ between) * plan.coalitions).sum(1)
    assert plan.shapley(game) == pytest.approx((between + between.T).sum(1) / 2)
    assert plan.variances(game) == pytest.approx(np.zeros(6), abs=1e-12)


def test_the_variance_is_that_of_the_means_of_pairs() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=2**4)
    plan = shapley_plan(4, pairs=6, seed=1)
    game = value_of(plan, values)
    assert plan.orders is not None
    by_order = []
    for order in plan.orders.tolist():
        phi, before = np.zeros(4), 0
        for player in order:
            phi[player] = values[before | 1 << player] - values[before]
            before |= 1 << player
        by_order.append(phi)
    pairs = (np.array(by_order[:6]) + np.array(by_order[6:])) / 2
    assert plan.shapley(game) == pytest.approx(pairs.mean(0))
    assert plan.variances(game) == pytest.approx(pairs.var(0, ddof=1) / 6)


def test_sampling_nears_the_exact_values_as_its_errors_say() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(8, 2**6))
    exact = shapley_plan(6)
    truth = exact.shapley(np.stack([value_of(exact, row) for row in values]))
    z = []
    for seed in range(40):
        plan = shapley_plan(6, pairs=20, seed=seed)
        game = np.stack([value_of(plan, row) for row in values])
        z.append((plan.shapley(game) - truth) / np.sqrt(plan.variances(game)))
    assert 0.8 < np.square(z).mean() < 1.4  # of t with 19 degrees of freedom it is 1.12


def test_many_games_at_once_are_the_games_one_by_one() -> None:
    rng = np.random.default_rng(4)
    for plan in (shapley_plan(4), shapley_plan(4, pairs=3)):
        games = rng.normal(size=(2, 3, len(plan.coalitions)))
        assert plan.shapley(games).shape == plan.variances(games).shape == (2, 3, 4)
        assert plan.shapley(games)[1, 2] == pytest.approx(plan.shapley(games[1, 2]))
        assert plan.variances(games)[1, 2] == pytest.approx(plan.variances(games[1, 2]))


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 player, got 0"):
        shapley_plan(0)
    with pytest.raises(ConfigError, match="pairs of orders must be at least 1, got 0"):
        shapley_plan(3, pairs=0)
