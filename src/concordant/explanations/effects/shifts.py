"""Splits of observed rows in which the test differs from the training: in dose, or in covariates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.validation import finite_values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def dose_shift_split(
    t: ArrayLike, share: float, *, end: Literal["high", "low"] = "high"
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows for training and for the test, where the test has the highest (or lowest) doses.

    It splits by any number a row: give a covariate, and it is a shift of that covariate.

    Parameters
    ----------
    t
        Doses, shape ``(n,)``.
    share
        Share of the rows for the test, in (0, 1); rows with one dose stay together, so it may be a little less.
    end
        Which doses are kept out of the training.

    Raises
    ------
    ConfigError
        If the share or the end is not allowed.
    DataError
        If so many rows have one dose that no such split is left.

    Examples
    --------
    >>> train, test = dose_shift_split([0.1, 0.9, 0.5, 0.7], 0.25)
    >>> train.tolist(), test.tolist()
    ([0, 2, 3], [1])
    """
    doses = finite_values(t, name="t", min_rows=2)
    if not 0 < share < 1:
        message = f"share of a dose shift must lie strictly between 0 and 1, got {share}"
        raise ConfigError(message)
    if end not in ("high", "low"):
        message = f"end of a dose shift must be 'high' or 'low', got {end!r}"
        raise ConfigError(message)
    along = doses if end == "high" else -doses
    n_train = len(along) - max(1, round(share * len(along)))
    held_out = along > np.sort(along)[max(0, n_train - 1)]
    if not held_out.any():
        edge = doses.max() if end == "high" else doses.min()
        message = f"a dose shift needs doses that differ, but t is {edge:g} for more than a share of {share}"
        raise DataError(message)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
