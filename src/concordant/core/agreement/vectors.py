"""Agreement of vectors, one of them a row: probabilities over classes, rankings, scores of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.agreement.pairs import check_pair
from concordant.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_OFF = 0.02  # how far the sum of rounded probabilities may be from 1


def total_variation(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    r"""Return one minus the total variation of two distributions.

    .. math:: 1 - \frac{1}{2} \sum_k |p_k - q_k|

    Parameters
    ----------
    a, b
        Probabilities over classes: columns of arrays or lists of floats, n of them each, of the same length
        in a row. They are scaled to sum to 1, from which they may be off by 0.02.

    Raises
    ------
    DataError
        If the values are no probabilities, or of different lengths.

    Examples
    --------
    >>> total_variation(pl.Series([[0.5, 0.5]]), pl.Series([[0.25, 0.75]])).tolist()
    [0.75]
    """
    agreement: NDArray[np.float64] = np.full(len(a), np.nan)
    for rows, p, q in _vectors(a, b):
        p, q = _distributions(rows, p), _distributions(rows, q)
        agreement[rows] = 1 - np.abs(p - q).sum(axis=1) / 2
    return agreement.clip(0.0, 1.0)


def jensen_shannon(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    r"""Return one minus the Jensen-Shannon divergence of two distributions, in units of its greatest value.

    .. math:: 1 - \frac{1}{\ln 2} \cdot \frac{1}{2} \sum_k
        \left(p_k \ln \frac{p_k}{m_k} + q_k \ln \frac{q_k}{m_k}\right), \quad m = (p + q) / 2

    Parameters
    ----------
    a, b
        As for `total_variation`.

    References
    ----------
    J. Lin (1991), Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory
    37.

    Examples
    --------
    >>> jensen_shannon(pl.Series([[1.0, 0.0]]), pl.Series([[0.0, 1.0]])).tolist()
    [0.0]
    """
    from scipy.special import rel_entr

    agreement: NDArray[np.float64] = np.full(len(a), np.nan)
    for rows, p, q in _vectors(a, b):
        p, q = _distributions(rows, p), _distributions(rows, q)
        middle = (p + q) / 2
        divergence = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
        agreement[rows] = 1 - divergence / np.log(2)
    return agreement.clip(0.0, 1.0)


def rank(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    r"""Return the agreement of two rankings: Kendall's tau-b brought to [0, 1].

    .. math:: (\tau_b + 1) / 2

    Parameters
    ----------
    a, b
        Scores or ranks of the same candidates (arrays or lists of numbers), or names of candidates in their
        order (lists of texts); n of them each. Where a vector is constant, or the names are not the same
        ones, the rows agree if they are equal and else cannot be judged.

    Examples
    --------
    >>> rank(pl.Series([[1, 2, 3], [1, 2, 3]]), pl.Series([[10, 20, 30], [3, 2, 1]])).tolist()
    [1.0, 0.0]
    >>> rank(pl.Series([["x", "y", "z"]]), pl.Series([["x", "z", "y"]])).round(4).tolist()
    [0.6667]
    """
    from concordant.core.statistics.ranks import kendall_tau_b

    check_pair(a, b)
    named = [isinstance(s.dtype, pl.List | pl.Array) and s.dtype.inner == pl.String for s in (a, b)]
    if any(named) and pl.Null not in (a.dtype, b.dtype):
        if not all(named):
            message = f"rankings by name and by number cannot be compared: {a.dtype} and {b.dtype}"
            raise DataError(message)
        a, b = _places(a, b)
    agreement: NDArray[np.float64] = np.full(len(a), np.nan)
    for rows, x, y in _vectors(a, b):
        judged = ~(np.isnan(x) | np.isnan(y)).any(axis=1)
        tau = np.full(len(rows), np.nan)
        if judged.any() and x.shape[1] > 1:
            tau[judged] = kendall_tau_b(x[judged], y[judged])
        agreement[rows] = np.where((x == y).all(axis=1), 1.0, (tau + 1) / 2)
    return agreement.clip(0.0, 1.0)


def _vectors(
    a: pl.Series, b: pl.Series
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Give the rows that have vectors of one length, with both as arrays of shape ``(rows, length)``."""
    check_pair(a, b)
    if pl.Null in (a.dtype, b.dtype):
        return
    a, b = _as_lists(a), _as_lists(b)
    lengths, others = (s.list.len().cast(pl.Int64).fill_null(-1).to_numpy() for s in (a, b))
    both = (lengths >= 0) & (others >= 0)
    if (odd := np.flatnonzero(both & (lengths != others))).size:
        sizes = f"{lengths[odd[0]]} and {others[odd[0]]}"
        message = (
            f"row {odd[0] + 1}: vectors of {sizes} values are compared; they must be as long as each other"
        )
        raise DataError(message)
    for length in np.unique(lengths[both & (lengths > 0)]):
        rows = np.flatnonzero(both & (lengths == length))
        x, y = (s[rows].explode().cast(pl.Float64).to_numpy().reshape(-1, length) for s in (a, b))
        yield rows, x, y


def _as_lists(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Array):
        series = series.arr.to_list()
    if not isinstance(series.dtype, pl.List) or not (
        series.dtype.inner.is_numeric() or series.dtype.inner == pl.Null
    ):
        message = f"vectors must be arrays or lists of numbers, got {series.dtype}"
        raise DataError(message)
    return series


def _distributions(rows: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    total = p.sum(axis=1, keepdims=True)
    if (odd := np.flatnonzero((p < 0).any(axis=1) | (np.abs(total[:, 0] - 1) > _OFF))).size:
        row = p[odd[0]].tolist()
        message = f"row {rows[odd[0]] + 1}: probabilities must be at least 0 and sum to 1, got {row}"
        raise DataError(message)
    scaled: NDArray[np.float64] = p / total
    return scaled


def _places(a: pl.Series, b: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Turn orders of names into the places of the same names; null where they do not rank the same names."""
    a, b = (s.arr.to_list() if isinstance(s.dtype, pl.Array) else s for s in (a, b))
    frame = pl.DataFrame({"a": a, "b": b}).with_row_index("row")
    size = pl.col("a").list.len()
    once = (pl.col("a").list.n_unique() == size) & (pl.col("b").list.n_unique() == size)
    ranked = frame.filter(once & (pl.col("b").list.len() == size))
    left, right = (
        ranked.select("row", name=side, **{side: pl.int_ranges(0, size)}).explode("name", side)
        for side in ("a", "b")
    )
    places = (
        left.join(right, on=["row", "name"])
        .sort("row", "a")
        .group_by("row", maintain_order=True)
        .agg("a", "b")
    )
    same = frame.select("row", size=size, same=pl.col("a") == pl.col("b"))
    both = same.join(places, on="row", how="left", maintain_order="left")
    itself = pl.int_ranges(0, "size")
    complete = pl.col("a").list.len() == pl.col("size")
    chosen = [pl.when(complete).then(side).when("same").then(itself).alias(side) for side in ("a", "b")]
    found = both.select(chosen)
    return found["a"], found["b"]
