"""Pairs from groups: of several answers to one prompt, the best and the worst by some score."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Extremes(NamedTuple):
    """The two ends of each group.

    Parameters
    ----------
    best, worst
        Position of the highest and of the lowest score in each group, the first where several share it, shape
        ``(groups,)``.
    apart
        Whether the two scores differ, shape ``(groups,)``. Where they do not, all of the group are equal and
        there is no pair to learn from.
    """

    best: NDArray[np.intp]
    worst: NDArray[np.intp]
    apart: NDArray[np.bool_]


def extremes(scores: ArrayLike) -> Extremes:
    """Return the best and the worst member of each group.

    Parameters
    ----------
    scores
        Shape ``(groups, k)``, k at least 1, more is better; a missing score (NaN) is never chosen.

    Returns
    -------
    Extremes
        A group without two different scores is not `apart`.

    Raises
    ------
    DataError
        If the scores are not a table with at least one column.

    Examples
    --------
    >>> best, worst, apart = extremes([[0.2, 0.9, 0.1], [0.5, 0.5, 0.5]])
    >>> best.tolist(), worst.tolist(), apart.tolist()
    ([1, 0], [2, 0], [True, False])
    """
    table = _table(scores)
    known = ~np.isnan(table)
    best = np.where(known, table, -np.inf).argmax(axis=1)
    worst = np.where(known, table, np.inf).argmin(axis=1)
    rows = np.arange(len(table))
    return Extremes(best, worst, table[rows, best] > table[rows, worst])


def top_order(a: ArrayLike, b: ArrayLike) -> NDArray[np.bool_]:
    """Return in which groups two scores agree on what is best and on what is worst.

    That is all that a pair of extremes depends on. Where several members share an end, the two scores must name
    the same ones.

    Parameters
    ----------
    a, b
        Two scores of the same members, shape ``(groups, k)``.

    Returns
    -------
    ndarray of bool, shape ``(groups,)``

    Raises
    ------
    DataError
        If the shapes differ, or scores are missing.

    References
    ----------
    Wang et al., "CREAM: Consistency Regularized Self-Rewarding Language Models", ICLR 2025.

    Examples
    --------
    >>> top_order([[1, 2, 3, 4], [1, 2, 3, 4]], [[1, 3, 2, 4], [2, 1, 3, 4]]).tolist()
    [True, False]
    """
    first, second = _table(a), _table(b)
    if first.shape != second.shape:
        message = f"two scores of the same groups must have one shape, got {first.shape} and {second.shape}"
        raise DataError(message)
    missing = int(np.isnan(first).sum() + np.isnan(second).sum())
    if missing:
        message = f"scores of which the order is compared must not be missing, got {missing} missing"
        raise DataError(message)

    def same(end: np.ufunc) -> NDArray[np.bool_]:
        there = [table == end.reduce(table, axis=1, keepdims=True) for table in (first, second)]
        agree: NDArray[np.bool_] = (there[0] == there[1]).all(axis=1)
        return agree

    return same(np.maximum) & same(np.minimum)


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 1:
        message = f"scores of groups must have shape (groups, k) with k at least 1, got {table.shape}"
        raise DataError(message)
    return table
