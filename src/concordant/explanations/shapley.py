r"""Shapley values of a game of n players: what each brings to the value of all of them together.

A player's value is what it adds to the players before it, averaged over all orders in which they may come:

.. math:: \phi_i = \sum_{S \subseteq N \setminus i} \frac{|S|!\,(n - |S| - 1)!}{n!}\,[v(S + i) - v(S)],
    \qquad \sum_i \phi_i = v(N) - v(\emptyset)

This is linear in the values of the coalitions S, so that a plan says once which coalitions are wanted and with which
weights; then it serves any number of games at a time. Up to 12 players all coalitions are taken and the values are exact;
beyond, orders are drawn in pairs of an order and its reverse, and the spread over pairs gives standard errors.

L. S. Shapley (1953), A value for n-person games. R. Mitchell, J. Cooper, E. Frank, G. Holmes (2022), Sampling permutations
for Shapley value estimation, JMLR 23 (orders in pairs).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_EXACT = 12
"""Players up to which all coalitions are taken: 4,096 of them."""

PAIRS = 25
"""Pairs of orders that are drawn where nothing else is said."""


@dataclass(frozen=True, eq=False)
class ShapleyPlan:
    """Which coalitions are valued, and how their values become those of the players.

    Parameters
    ----------
    coalitions
        Who is in each, all different, shape ``(n_coalitions, n)``.
    weights
        Shape ``(n, n_coalitions)``: the values of the players are ``values @ weights.T``.
    orders
        The orders that were drawn, shape ``(2 * pairs, n)``: the second half are the reverses of the first. None where
        all coalitions are taken.
    paths
        For each order the coalitions of its first 0, 1, ..., n players, shape ``(2 * pairs, n + 1)``; or None.
    """

    coalitions: NDArray[np.bool_]
    weights: NDArray[np.float64]
    orders: NDArray[np.intp] | None = None
    paths: NDArray[np.intp] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether all coalitions are taken."""
        return self.orders is None

    def shapley(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the values of the players.

        Parameters
        ----------
        values
            The value of each coalition in each game, shape ``(..., n_coalitions)``.

        Returns
        -------
        array of shape ``(..., n)``
        """
        return np.asarray(np.asarray(values, np.float64) @ self.weights.T)

    def variances(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the variances that come from having drawn some orders only, zero where all coalitions are taken.

        Parameters
        ----------
        values
            As for `shapley`.

        Returns
        -------
        array of shape ``(..., n)``
            Infinite for a single pair of orders, which has no spread.
        """
        values = np.asarray(values, np.float64)
        shape = (*values.shape[:-1], self.weights.shape[0])
        if self.orders is None or self.paths is None:
            return np.zeros(shape)
        n_pairs = len(self.orders) // 2
        if n_pairs < 2:
            return np.full(shape, np.inf)
        added = np.diff(values[..., self.paths], axis=-1)  # in the order of coming
        by_player = np.take_along_axis(added, np.broadcast_to(self.orders.argsort(1), added.shape), axis=-1)
        pairs = (by_player[..., :n_pairs, :] + by_player[..., n_pairs:, :]) / 2
        return np.asarray(pairs.var(axis=-2, ddof=1) / n_pairs)


def shapley_plan(n: int, *, pairs: int | None = None, seed: int = 0) -> ShapleyPlan:
    """Plan the Shapley values of n players: exactly up to 12 of them, by orders in pairs beyond.

    Parameters
    ----------
    n
        Players, at least 1.
    pairs
        Pairs of an order and its reverse to draw, at least 1, whatever n is; by default none up to 12 players and 25 beyond.
    seed
        Decides the orders.

    Raises
    ------
    ConfigError
        If a number is too small.

    Examples
    --------
    >>> plan = shapley_plan(3)  # gloves: a left one, and two right ones, of which a pair is worth 1
    >>> worth = [left and (right or other) for left, right, other in plan.coalitions]
    >>> plan.shapley(worth).round(4).tolist()
    [0.6667, 0.1667, 0.1667]
    """
    if n < 1:
        message = f"Shapley values need at least 1 player, got {n}"
        raise ConfigError(message)
    if pairs is not None and pairs < 1:
        message = f"pairs of orders must be at least 1, got {pairs}"
        raise ConfigError(message)
    if pairs is None and n <= MOST_EXACT:
        return _exact(n)
    return _sampled(n, PAIRS if pairs is None else pairs, np.random.default_rng(seed))


def _exact(n: int) -> ShapleyPlan:
    """Take all coalitions; coalition c has player i where bit i of c is set."""
    coalitions = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
    size = coalitions.sum(1)
    # |S|! (n - |S| - 1)! / n! for S without the player; with it, S has one more than the others
    weight = np.array([1 / (n * comb(n - 1, k)) for k in range(n)])
    with_player = weight[np.maximum(size - 1, 0)]
    without = weight[np.minimum(size, n - 1)]
    return ShapleyPlan(coalitions, np.where(coalitions.T, with_player, -without))


def _sampled(n: int, pairs: int, rng: np.random.Generator) -> ShapleyPlan:
    drawn = rng.permuted(np.tile(np.arange(n), (pairs, 1)), axis=1)
    orders = np.concatenate([drawn, drawn[:, ::-1]])
    position = orders.argsort(1)
    passed = np.arange(n + 1)[:, None] > position[:, None, :]  # (orders, n + 1, n)
    coalitions, at = np.unique(passed.reshape(-1, n), axis=0, return_inverse=True)
    paths = at.reshape(len(orders), n + 1)
    weights = np.zeros((n, len(coalitions)))
    np.add.at(weights, (orders, paths[:, 1:]), 1 / len(orders))
    np.add.at(weights, (orders, paths[:, :-1]), -1 / len(orders))
    return ShapleyPlan(coalitions, weights, orders, paths)
