"""What several answers to one item have in common: pairs that agree, and the answer that most give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.shares import share

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

MISSING = -1
"""Code of a behaviour that is missing: an error, or not asked."""

UNPARSED = -2
"""Code of an output in which no answer was found."""


def coded(answers: pl.Series, n: int, unparsed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a code of each answer, equal for equal answers.

    Parameters
    ----------
    answers
        The answers, ``n_items * n`` of them, the samples of an item together.
    n
        Samples of each item.
    unparsed
        Shape ``(n_items, n)``: where there is an output without an answer.

    Returns
    -------
    np.ndarray
        Shape ``(n_items, n)``: at least 0, or `UNPARSED`, or else `MISSING` where the answer is null.
    """
    codes = (answers.hash().to_numpy() >> np.uint64(1)).astype(np.int64).reshape(-1, n)
    nothing = np.where(unparsed, UNPARSED, MISSING)
    return np.where(answers.is_null().to_numpy().reshape(-1, n), nothing, codes)


def votes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many answers of its item each answer equals, itself included; 0 where there is none.

    Examples
    --------
    >>> votes(np.array([[7, 8, 7, MISSING]])).tolist()
    [[2, 1, 2, 0]]
    """
    counts = np.zeros(codes.shape, np.int64)
    for sample in range(codes.shape[1]):
        counts += codes == codes[:, sample, None]
    return np.where(codes >= 0, counts, 0)


def pairwise_agreement(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Return the share of pairs of answers that are equal, shape ``(n_items,)``; NaN where there is no pair.

    With :math:`m_a` of m answers being a it is :math:`\sum_a m_a (m_a - 1) / (m (m - 1))`, the unbiased
    estimate of the probability that two further answers agree. An output in which no answer was found differs
    from every answer; whether two such outputs agree cannot be said, and they are no pair.

    Examples
    --------
    >>> pairwise_agreement(np.array([[7, 7, 8], [7, MISSING, 7], [7, MISSING, MISSING]])).round(3).tolist()
    [0.333, 1.0, nan]
    """
    m, unread = (codes != MISSING).sum(axis=1), (codes == UNPARSED).sum(axis=1)
    same = np.maximum(votes(codes) - 1, 0).sum(axis=1)
    return share(same, m * (m - 1) - unread * (unread - 1))


def most_voted(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which answers are the most frequent of their item, several where they tie; ``(n_items, n)``."""
    counts = votes(codes)
    most: NDArray[np.bool_] = (counts > 0) & (counts == counts.max(axis=1, keepdims=True, initial=0))
    return most


def n_distinct(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many different answers an item has, shape ``(n_items,)``; NaN where it has none."""
    counts = votes(codes)
    found = np.divide(1.0, counts, out=np.zeros(counts.shape), where=counts > 0).sum(axis=1).round()
    return np.where(found > 0, found, np.nan)
