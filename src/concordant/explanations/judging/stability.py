"""Whether an explanation stays what it is: with a little noise on the series, and when it is learnt with other seeds."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.statistics import spearman_rho

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def rank_similarity(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of two attributions, series by series, in [-1, 1], shape ``(n,)``.

    An attribution that is constant in a series ranks nothing: it is like another one that is constant (1), and has
    nothing in common with any other (0).

    Parameters
    ----------
    first, second
        Shape ``(n, ...)``.

    Examples
    --------
    >>> rank_similarity([[1, 2, 3], [5, 5, 5], [5, 5, 5]], [[3, 2, 1], [1, 1, 1], [1, 2, 3]]).tolist()
    [-1.0, 1.0, 0.0]
    """
    a, b = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (first, second))  # type: ignore[arg-type]
    constant = (np.ptp(a, axis=1) == 0) & (np.ptp(b, axis=1) == 0)
    return np.where(constant, 1.0, np.nan_to_num(spearman_rho(a, b), nan=0.0))


def noisy(x: NDArray[Any], std: NDArray[Any], noise: float, generator: np.random.Generator) -> NDArray[Any]:
    """Return series with normal noise on them.

    Parameters
    ----------
    x
        Shape ``(n, time, channel)``.
    std
        Of the training series, shape ``(time, channel)``.
    noise
        Standard deviation of the noise, as a share of theirs.
    generator
        Source of the noise.
    """
    return (x + noise * std * generator.standard_normal(x.shape)).astype(x.dtype)


def seed_similarity(attributions: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the mean rank correlation over all pairs of attributions of the same series, shape ``(n,)``.

    Parameters
    ----------
    attributions
        At least two, each of shape ``(n, ...)``.
    """
    similar: NDArray[np.float64] = np.mean(
        [rank_similarity(first, second) for first, second in combinations(attributions, 2)], axis=0
    )
    return similar
