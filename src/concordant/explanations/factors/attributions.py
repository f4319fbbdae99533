r"""What each factor of a row adds to what a model says of it: additive attributions of four kinds of model.

All but the last share out ``f(x) - E f(b)`` over background rows b, and are Shapley values of the game in which a factor
that is absent has the value of a background row:

.. math:: v(S) = E_b\, f(x_S, b_{\bar S}), \qquad \sum_j \phi_j(x) = f(x) - E_b\, f(b)

For a linear model this is :math:`w_j (x_j - E\,b_j)`. A leaf of a tree is a box: it pays its value where all factors lie
inside. Of a row and a background row, with U the factors that only the row has inside and V those that only the other has,
it adds :math:`(u-1)!\,v!/(u+v)!` times its value to each factor of U, takes :math:`u!\,(v-1)!/(u+v)!` from each of V, and
is out of play where neither has some factor inside: exact, without going through sets of factors.

S. M. Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees, Nature Machine
Intelligence 2. E. Strumbelj, I. Kononenko (2014), Explaining prediction models and individual predictions with feature
contributions, Knowledge and Information Systems 41 (orders drawn with background rows).
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import nn

Floats = np.ndarray[Any, np.dtype[np.float64]]
MOST_FACTORS = 62
"""Of a tree: who is inside a box is kept in the bits of one number."""

BLOCK = 2**22
"""Leaves times rows times background rows that are looked at together."""


def linear_attribution(model: Any, x: ArrayLike, background: ArrayLike) -> Floats:
    """Return the exact Shapley values of a linear model.

    Parameters
    ----------
    model
        A fitted linear regressor of scikit-learn: its ``coef_`` has one number a factor.
    x
        Rows to explain, shape ``(n, n_factors)``.
    background
        Rows that absent factors are taken from, shape ``(n_background, n_factors)``.

    Returns
    -------
    array of shape ``(n, n_factors)``

    Raises
    ------
    ModelError
        If the model has no such coefficients.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0, 0], [1, 0], [0, 1]], [0, 2, -1])
    >>> linear_attribution(model, [[1, 1]], [[0, 0], [0, 1]]).round(6).tolist()
    [[2.0, -0.5]]
    """
    rows, others = _tables(x, background)
    coefficients = np.asarray(getattr(model, "coef_", np.nan), np.float64).squeeze()
    if coefficients.shape != (rows.shape[1],):
        message = (
            f"a {type(model).__name__} has no coefficient for each of {rows.shape[1]} factors of one output"
        )
        raise ModelError(message)
    return np.asarray(coefficients * (rows - others.mean(0)))


def tree_attribution(model: Any, x: ArrayLike, background: ArrayLike) -> Floats:
    """Return the exact Shapley values of a regression tree, a forest of them, or gradient boosting.

    Parameters
    ----------
    model
        A fitted regressor of scikit-learn: a decision or extra tree, a forest of them, or ``GradientBoostingRegressor``.
    x, background
        As for `linear_attribution`; at most 62 factors.

    Returns
    -------
    array of shape ``(n, n_factors)``

    Raises
    ------
    ModelError
        If the model is no such regressor of one output.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> model = DecisionTreeRegressor(random_state=0).fit([[0, 0], [1, 0], [0, 1], [1, 1]], [0, 0, 0, 1])
    >>> tree_attribution(model, [[1, 1]], [[0, 0]]).tolist()
    [[0.5, 0.5]]
    """
    rows, others = _tables(x, background)
    if rows.shape[1] > MOST_FACTORS:
        message = f"trees are explained over at most {MOST_FACTORS} factors, got {rows.shape[1]}"
        raise ConfigError(message)
    trees, scale = _trees(model)
    # Trees compare single-precision numbers with their thresholds.
    rows, others = (table.astype(np.float32).astype(np.float64) for table in (rows, others))
    return scale * sum((_of_tree(tree, rows, others) for tree in trees), np.zeros(rows.shape))


def permutation_attribution(
    predict: Callable[[NDArray[np.float64]], Any],
    x: ArrayLike,
    background: ArrayLike,
    *,
    pairs: int = 10,
    seed: int = 0,
) -> Floats:
    """Estimate the Shapley values of any function of rows, by orders in pairs, each with a background row of its own.

    Parameters
    ----------
    predict
        Numbers of shape ``(n,)`` for rows of shape ``(n, n_factors)``.
    x, background
        As for `linear_attribution`.
    pairs
        Orders for each row, each with its reverse; ``2 * pairs * (n_factors + 1)`` evaluations a row.
    seed
        Of the orders and background rows.

    Returns
    -------
    array of shape ``(n, n_factors)``
        Their sums over factors are exact for the background rows that were drawn.

    Examples
    --------
    >>> permutation_attribution(lambda x: x[:, 0] * x[:, 1], [[1.0, 1.0]], [[0.0, 0.0]], pairs=1).tolist()
    [[0.5, 0.5]]
    """
    rows, others = _tables(x, background)
    if pairs < 1:
        message = f"pairs of permutation_attribution must be at least 1, got {pairs}"
        raise ConfigError(message)
    rng = np.random.default_rng(seed)
    n, m = rows.shape
    total = np.zeros((n, m))
    for _ in range(pairs):
        position = rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
        drawn = others[rng.integers(len(others), size=n)]
        for place in (position, m - 1 - position):
            told = place < np.arange(m + 1)[:, None, None]  # (m + 1, n, m)
            mixed = np.where(told, rows, drawn).reshape(-1, m)
            values = np.asarray(predict(mixed), np.float64).reshape(m + 1, n)
            total += np.take_along_axis(np.diff(values, axis=0).T, place, axis=1)
    return total / (2 * pairs)


def gradient_attribution(model: nn.Module, x: ArrayLike) -> Floats:
    r"""Return gradient times input, :math:`x_j\,\partial f/\partial x_j`: not Shapley values, unless the model is linear.

    Parameters
    ----------
    model
        A torch module with one output a row.
    x
        As for `linear_attribution`, measured from the row that stands for "nothing known", such as z-scores.

    Returns
    -------
    array of shape ``(n, n_factors)``
    """
    import torch

    parameter = next(iter(model.parameters()), torch.zeros(()))
    rows = torch.as_tensor(np.asarray(x), dtype=parameter.dtype, device=parameter.device).requires_grad_()
    (gradient,) = torch.autograd.grad(model(rows).sum(), rows)
    return np.asarray((rows * gradient).detach().cpu().double().numpy())


def _tables(x: ArrayLike, background: ArrayLike) -> tuple[Floats, Floats]:
    rows, others = np.asarray(x, np.float64), np.asarray(background, np.float64)
    if rows.ndim != 2 or others.ndim != 2 or rows.shape[1] != others.shape[1] or not len(others):
        message = f"rows and background must be tables of the same factors, got shapes {rows.shape} and {others.shape}"
        raise DataError(message)
    if not (np.isfinite(rows).all() and np.isfinite(others).all()):
        message = "rows and background must be finite numbers, got some that are not"
        raise DataError(message)
    return rows, others


def _trees(model: Any) -> tuple[list[Any], float]:
    """Return the trees of a model of scikit-learn, and what each is multiplied by."""
    single = getattr(model, "tree_", None)
    trees = (
        [single]
        if single is not None
        else [part.tree_ for part in np.ravel(getattr(model, "estimators_", [])) if hasattr(part, "tree_")]
    )
    boosted = hasattr(model, "learning_rate")
    if not trees or trees[0].n_outputs != 1 or hasattr(model, "classes_"):
        message = (
            f"a {type(model).__name__} is no tree regressor of scikit-learn whose leaves are known; "
            "explain its predict by permutation_attribution"
        )
        raise ModelError(message)
    return trees, float(model.learning_rate) if boosted else 1 / len(trees)


def _of_tree(tree: Any, x: Floats, background: Floats) -> Floats:
    low, high, values = _boxes(tree, x.shape[1])
    bits = 1 << np.arange(x.shape[1], dtype=np.int64)
    inside, other = (
        ((table > low[:, None]) & (table <= high[:, None])) @ bits for table in (x, background)
    )  # (leaves, n) and (leaves, n_background)
    table = _inverse_binomials(x.shape[1])
    phi = np.empty(x.shape)
    step = max(1, BLOCK // other.size)
    for start in range(0, len(x), step):
        phi[start : start + step] = _of_boxes(inside[:, start : start + step], other, values, bits, table)
    return phi / len(background)


def _of_boxes(
    inside: NDArray[np.int64],
    other: NDArray[np.int64],
    values: Floats,
    bits: NDArray[np.int64],
    table: Floats,
) -> Floats:
    """Sum what each box adds over background rows; who is inside of the rows and of the others is told by bits."""
    leaf, row, drawn = np.nonzero((inside[:, :, None] | other[:, None, :]) == bits.sum())
    ours, theirs = inside[leaf, row] & ~other[leaf, drawn], other[leaf, drawn] & ~inside[leaf, row]
    u, v = np.bitwise_count(ours).astype(np.intp), np.bitwise_count(theirs).astype(np.intp)
    # (u - 1)! v! / (u + v)! is 1 / (u * C(u + v, u))
    gained = table[u + v, u] / np.maximum(u, 1) * values[leaf]
    lost = table[u + v, v] / np.maximum(v, 1) * values[leaf]
    added = [np.where(ours & bit, gained, 0) - np.where(theirs & bit, lost, 0) for bit in bits]
    return np.stack([np.bincount(row, part, inside.shape[1]) for part in added], axis=1)


def _inverse_binomials(most: int) -> Floats:
    """Return 1 / C(n, k) for all n up to `most`, zero where k is above n."""
    return np.array([[1 / comb(n, k) if k <= n else 0.0 for k in range(most + 1)] for n in range(most + 1)])


def _boxes(tree: Any, n_factors: int) -> tuple[Floats, Floats, Floats]:
    """Return the leaves of a tree as boxes, open below and closed above, with their values."""
    low, high, values = [], [], []
    stack = [(0, np.full(n_factors, -np.inf), np.full(n_factors, np.inf))]
    while stack:
        node, below, above = stack.pop()
        left, right = tree.children_left[node], tree.children_right[node]
        if left == right:
            low.append(below)
            high.append(above)
            values.append(tree.value[node].item())
            continue
        factor, threshold = tree.feature[node], tree.threshold[node]
        upper, lower = above.copy(), below.copy()
        upper[factor] = min(upper[factor], threshold)
        lower[factor] = max(lower[factor], threshold)
        stack += [(left, below, upper), (right, lower, above)]
    return np.array(low), np.array(high), np.array(values)
