"""Adjusted p values for many tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.validation import Floats


def holm(p: ArrayLike) -> Floats:
    r"""Adjust p values by Holm's step-down procedure, which bounds the chance of any false alarm.

    With the m p values in ascending order, :math:`\tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)
    p_{(j)})`. It holds under any dependence; for gates.

    Parameters
    ----------
    p
        Shape (n,): p values in [0, 1]. NaN stands for a test that was not made: it stays NaN and is not
        counted.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted p values, in the order of `p`.

    Raises
    ------
    DataError
        If a p value lies outside [0, 1].

    References
    ----------
    S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005]).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    values, made, order = _ordered(p)
    m = order.size
    steps = np.maximum.accumulate(values[made][order] * np.arange(m, 0, -1)) if m else np.empty(0)
    return _restored(values, made, order, steps)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    r"""Adjust p values by the procedure of Benjamini and Hochberg: it bounds the share of false discoveries.

    With the m p values in ascending order, :math:`\tilde p_{(i)} = \min_{j \ge i} \min(1, m p_{(j)} / j)`. It
    holds for independent and positively dependent tests; for finding the slices worth a look.

    Parameters
    ----------
    p
        Shape (n,): p values in [0, 1]. NaN stands for a test that was not made: it stays NaN and is not
        counted.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted p values, in the order of `p`.

    Raises
    ------
    DataError
        If a p value lies outside [0, 1].

    References
    ----------
    Y. Benjamini, Y. Hochberg (1995), Controlling the false discovery rate, Journal of the Royal Statistical
    Society B 57.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).tolist()
    [0.02, 0.04, 0.04, 0.02]
    """
    values, made, order = _ordered(p)
    m = order.size
    ratios = values[made][order] * m / np.arange(1, m + 1)
    return _restored(values, made, order, np.minimum.accumulate(ratios[::-1])[::-1] if m else ratios)


def _ordered(p: ArrayLike) -> tuple[Floats, np.ndarray, np.ndarray]:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1:
        message = f"p must have one dimension, got shape {values.shape}"
        raise DataError(message)
    made = ~np.isnan(values)
    outside = made & ~((values >= 0.0) & (values <= 1.0))
    if outside.any():
        message = f"p values must lie between 0 and 1, got {values[outside][0]:g}"
        raise DataError(message)
    return values, made, np.argsort(values[made], kind="stable")


def _restored(values: Floats, made: np.ndarray, order: np.ndarray, steps: Floats) -> Floats:
    adjusted = np.full(values.shape, np.nan)
    adjusted[np.flatnonzero(made)[order]] = np.minimum(steps, 1.0)
    return adjusted
