"""Rank agreement: Kendall's tau-b and Spearman's rho, for one long pair or many short rankings at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.core.statistics.validation import Floats

_BLOCK = 2**20
_SHORT = 64  # rankings up to this long are compared pair by pair, all rows at once


def kendall_tau_b(a: ArrayLike, b: ArrayLike) -> float | Floats:
    r"""Kendall's tau-b, which corrects for ties.

    With C concordant and D discordant pairs of m = k (k - 1) / 2, of which :math:`T_a` are tied in a and
    :math:`T_b` in b,

    .. math:: \tau_b = \frac{C - D}{\sqrt{(m - T_a)(m - T_b)}}

    Parameters
    ----------
    a, b
        Shape (k,) for one pair of rankings (k log k), or (rows, k) for many (vectorised for k up to 64).

    Returns
    -------
    float, or ndarray of shape (rows,)
        In [-1, 1]; NaN where a ranking is constant.

    Raises
    ------
    DataError
        If the shapes differ, or values are missing.

    References
    ----------
    M. G. Kendall (1945), The treatment of ties in ranking problems, Biometrika 33.
    W. R. Knight (1966), A computer method for calculating Kendall's tau with ungrouped data, JASA 61.

    Examples
    --------
    >>> round(kendall_tau_b([1, 2, 3, 4], [1, 2, 4, 3]), 4)
    0.6667
    >>> kendall_tau_b([[1, 2, 3], [1, 2, 2]], [[3, 2, 1], [1, 2, 3]]).round(4).tolist()
    [-1.0, 0.8165]
    """
    first, second = _rankings(a, b)
    if first.ndim == 1:
        return _tau_of_pair(first, second)
    rows, k = first.shape
    if k > _SHORT:
        return np.array([_tau_of_pair(x, y) for x, y in zip(first, second, strict=True)])
    left, right = np.triu_indices(k, 1)
    tau = np.empty(rows)
    step = max(1, _BLOCK // max(1, left.size))
    for start in range(0, rows, step):
        some = slice(start, start + step)
        x = np.sign(first[some][:, left] - first[some][:, right])
        y = np.sign(second[some][:, left] - second[some][:, right])
        tau[some] = _ratio((x * y).sum(axis=1), np.abs(x).sum(axis=1), np.abs(y).sum(axis=1))
    return tau


def spearman_rho(a: ArrayLike, b: ArrayLike) -> float | Floats:
    r"""Spearman's rho: the correlation of ranks, tied values sharing their mean rank.

    Parameters
    ----------
    a, b
        Shape (k,) for one pair of rankings, or (rows, k) for many.

    Returns
    -------
    float, or ndarray of shape (rows,)
        In [-1, 1]; NaN where a ranking is constant.

    Raises
    ------
    DataError
        If the shapes differ, or values are missing.

    References
    ----------
    C. Spearman (1904), The proof and measurement of association between two things, American Journal of
    Psychology 15.

    Examples
    --------
    >>> round(spearman_rho([1, 2, 3, 4], [1, 2, 4, 3]), 4)
    0.8
    """
    first, second = _rankings(a, b)
    x, y = mean_ranks(first), mean_ranks(second)
    x -= x.mean(axis=-1, keepdims=True)
    y -= y.mean(axis=-1, keepdims=True)
    rho = _ratio((x * y).sum(axis=-1), (x * x).sum(axis=-1), (y * y).sum(axis=-1))
    return float(rho) if first.ndim == 1 else rho


def mean_ranks(values: ArrayLike) -> Floats:
    """Return the ranks along the last axis, from 1, tied values sharing the mean of theirs.

    Examples
    --------
    >>> mean_ranks([10, 30, 20, 20]).tolist()
    [1.0, 4.0, 2.5, 2.5]
    """
    array = np.asarray(values, dtype=np.float64)
    order = np.argsort(array, axis=-1, kind="stable")
    sorted_values = np.take_along_axis(array, order, axis=-1)
    k = array.shape[-1]
    positions = np.broadcast_to(np.arange(k), array.shape)
    new = np.ones(array.shape, dtype=bool)
    new[..., 1:] = sorted_values[..., 1:] != sorted_values[..., :-1]
    ends = np.ones(array.shape, dtype=bool)
    ends[..., :-1] = new[..., 1:]
    first = np.maximum.accumulate(np.where(new, positions, 0), axis=-1)
    backwards = np.where(ends, positions, k)[..., ::-1]
    last = np.minimum.accumulate(backwards, axis=-1)[..., ::-1]
    ranks = np.empty(array.shape)
    np.put_along_axis(ranks, order, (first + last) / 2.0 + 1.0, axis=-1)
    return ranks


def _rankings(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim not in (1, 2):
        message = f"rankings must both have shape (k,) or (rows, k), got {first.shape} and {second.shape}"
        raise DataError(message)
    if first.shape[-1] < 1:
        message = f"rankings must have at least one column, got shape {first.shape}"
        raise DataError(message)
    missing = int(np.isnan(first).sum() + np.isnan(second).sum())
    if missing:
        message = f"rankings must not have missing values, got {missing}"
        raise DataError(message)
    return first, second


def _ratio(numerator: Floats, first: Floats, second: Floats) -> Floats:
    denominator = np.sqrt(first * second)
    usable = denominator > 0
    ratio = np.where(usable, numerator / np.where(usable, denominator, 1.0), np.nan)
    return np.clip(ratio, -1.0, 1.0)


def _tau_of_pair(x: Floats, y: Floats) -> float:
    n = x.size
    pairs = n * (n - 1) // 2
    a = np.unique(x, return_inverse=True)[1].astype(np.int64)
    b = np.unique(y, return_inverse=True)[1].astype(np.int64)
    tied_a, tied_b = _tied_pairs(a), _tied_pairs(b)
    both = a * (int(b.max()) + 1) + b
    tied_both = _tied_pairs(np.unique(both, return_inverse=True)[1])
    # Sorted by a, then b, a pair is discordant exactly when b is out of order.
    discordant = _inversions(b[np.argsort(both, kind="stable")])
    score = pairs - tied_a - tied_b + tied_both - 2 * discordant
    untied = (pairs - tied_a) * (pairs - tied_b)  # Python's integers: it may not fit 64 bits
    return max(-1.0, min(1.0, score / math.sqrt(untied))) if untied else math.nan


def _tied_pairs(codes: NDArray[np.int64]) -> int:
    counts = np.bincount(codes)
    return int((counts * (counts - 1) // 2).sum())


def _inversions(codes: NDArray[np.int64]) -> int:
    """Count the pairs i < j with codes[i] > codes[j], bit by bit from the highest.

    Two codes are out of order at the highest bit in which they differ: so, among codes that agree in all
    higher bits and stand in their first order, every 0 is out of order with the ones before it.
    """
    total = 0
    arranged = codes
    for bit in reversed(range(int(codes.max()).bit_length())):
        ones = (arranged >> bit) & 1
        before = np.cumsum(ones) - ones
        prefix = arranged >> (bit + 1)
        start = np.empty(prefix.size, dtype=bool)
        start[0] = True
        np.not_equal(prefix[1:], prefix[:-1], out=start[1:])
        group = np.cumsum(start) - 1
        total += int(((before - before[start][group]) * (1 - ones)).sum())
        arranged = arranged[np.argsort(arranged >> bit, kind="stable")]
    return total
