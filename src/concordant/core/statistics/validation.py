"""What every statistic asks of its arguments, each answered with one sentence when it does not hold."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from concordant.core.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Alternative = Literal["two-sided", "less", "greater"]


def finite_values(values: ArrayLike, *, name: str = "values", min_rows: int = 1) -> Floats:
    """Return `values` as a one-dimensional float array without NaN or infinities.

    Parameters
    ----------
    values
        Shape (n,): numbers or booleans.
    name
        What the message calls them.
    min_rows
        How many there must be at least.

    Raises
    ------
    DataError
        If they are not numbers, not one-dimensional, too few, or not all finite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        message = f"{name} must be numbers, got {type(values).__name__}"
        raise DataError(message) from None
    if array.ndim != 1:
        message = f"{name} must have one dimension, got shape {array.shape}"
        raise DataError(message)
    if array.size < min_rows:
        message = f"{name} must hold at least {min_rows} numbers, got {array.size}"
        raise DataError(message)
    # One reduction decides the usual case: the sum is finite only if every value is.
    if not math.isfinite(array.sum()):
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            message = f"{name} must be finite, but {bad} of {array.size} are missing, NaN or infinite"
            raise DataError(message)
    return array


def same_length(first: Floats, second: Floats) -> None:
    """Raise `DataError` unless the two arrays of a paired comparison have equally many rows."""
    if first.size != second.size:
        message = f"paired values must have equally many rows, got {first.size} and {second.size}"
        raise DataError(message)


def is_binary(values: Floats) -> bool:
    """Whether all values are 0 or 1."""
    return bool((values * values == values).all())


def check_level(level: float) -> None:
    """Raise `ConfigError` unless the confidence level lies strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        message = f"level must lie strictly between 0 and 1, got {level}"
        raise ConfigError(message)


def check_fraction(value: float, name: str) -> None:
    """Raise `ConfigError` unless `value` lies in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        message = f"{name} must lie between 0 and 1, got {value}"
        raise ConfigError(message)


def check_choice(value: str, name: str, options: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless `value` is one of `options`."""
    if value not in options:
        message = f"{name} must be one of {', '.join(options)}, got {value!r}"
        raise ConfigError(message)


def check_alternative(alternative: str) -> None:
    """Raise `ConfigError` unless `alternative` is two-sided, less or greater."""
    check_choice(alternative, "alternative", ("two-sided", "less", "greater"))
