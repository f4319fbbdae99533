"""Passing at least once, or every time, in k samples: unbiased from n samples of which c passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.validation import Floats


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    r"""Probability that at least one of k samples passes, :math:`1 - \binom{n-c}{k} / \binom{n}{k}`.

    Parameters
    ----------
    n
        Samples drawn for each item, at least `k`; any shape.
    c
        How many of them passed; broadcast against `n`.
    k
        Samples allowed, at least 1.

    Returns
    -------
    ndarray
        In [0, 1], of the broadcast shape; its mean over items is unbiased.

    Raises
    ------
    DataError
        If `c` is not between 0 and `n`, or an `n` is below `k`.

    References
    ----------
    M. Chen et al. (2021), Evaluating large language models trained on code, arXiv 2107.03374.

    Examples
    --------
    >>> pass_at_k(10, [0, 3, 10], 2).round(4).tolist()
    [0.0, 0.5333, 1.0]
    """
    drawn, passed = _samples(n, c, k)
    return 1.0 - _share_of_subsets(drawn - passed, drawn, k)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    r"""Probability that all of k samples pass, :math:`\binom{c}{k} / \binom{n}{k}`: reliability, not luck.

    Parameters
    ----------
    n
        Samples drawn for each item, at least `k`; any shape.
    c
        How many of them passed; broadcast against `n`.
    k
        Samples that must all pass, at least 1.

    Returns
    -------
    ndarray
        In [0, 1], of the broadcast shape; its mean over items is unbiased.

    Raises
    ------
    DataError
        If `c` is not between 0 and `n`, or an `n` is below `k`.

    References
    ----------
    S. Yao, N. Shinn, P. Razavi, K. Narasimhan (2024), tau-bench, arXiv 2406.12045.

    Examples
    --------
    >>> pass_hat_k(10, [0, 3, 10], 2).round(4).tolist()
    [0.0, 0.0667, 1.0]
    """
    drawn, passed = _samples(n, c, k)
    return _share_of_subsets(passed, drawn, k)


def _share_of_subsets(part: Floats, whole: Floats, k: int) -> Floats:
    """Return C(part, k) / C(whole, k) as a product of k fractions, which neither overflows nor cancels."""
    share = np.ones(part.shape)
    for i in range(k):
        share *= np.maximum(part - i, 0.0) / (whole - i)
    return share


def _samples(n: ArrayLike, c: ArrayLike, k: int) -> tuple[Floats, Floats]:
    if k < 1:
        message = f"k must be at least 1, got {k}"
        raise ConfigError(message)
    drawn, passed = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64))
    if not (drawn >= k).all():
        message = f"every item needs at least k = {k} samples, got {drawn.min():g}"
        raise DataError(message)
    if not ((passed >= 0) & (passed <= drawn)).all():
        message = "the number of samples that passed must lie between 0 and the number drawn"
        raise DataError(message)
    return drawn, passed
