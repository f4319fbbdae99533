"""Shares and means in which what is not known counts for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def share(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    """Return ``part / whole``, shape ``(n,)``, NaN where the whole is nothing.

    Examples
    --------
    >>> share(np.array([1, 0]), np.array([4, 0])).tolist()
    [0.25, nan]
    """
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def mean_of_known(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over columns of shape ``(n,)``, NaN counting for nothing; NaN where all of them are.

    Examples
    --------
    >>> mean_of_known([np.array([1.0, np.nan]), np.array([0.0, np.nan])]).tolist()
    [0.5, nan]
    """
    stacked = np.column_stack(columns)
    known = ~np.isnan(stacked)
    return share(np.where(known, stacked, 0.0).sum(axis=1), known.sum(axis=1))
