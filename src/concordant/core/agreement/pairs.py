"""What all agreements share: that two columns belong together, and where they can be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_pair(a: pl.Series, b: pl.Series) -> None:
    """Raise a `DataError` unless both columns have one value a row."""
    if len(a) != len(b):
        message = f"the two columns compared have {len(a)} and {len(b)} rows; they must have the same"
        raise DataError(message)


def equal(a: pl.Series, b: pl.Series) -> pl.Series:
    """Say where two columns hold equal values; null where either is null.

    Raises
    ------
    DataError
        If values of their types cannot be compared.
    """
    check_pair(a, b)
    if pl.Null in (a.dtype, b.dtype):
        return pl.repeat(None, len(a), dtype=pl.Boolean, eager=True)
    if isinstance(a.dtype, pl.Enum | pl.Categorical) or isinstance(b.dtype, pl.Enum | pl.Categorical):
        a, b = (s.cast(pl.String) if isinstance(s.dtype, pl.Enum | pl.Categorical) else s for s in (a, b))
    try:
        return a == b
    except pl.exceptions.PolarsError:
        message = (
            f"outputs of the types {a.dtype} and {b.dtype} cannot be held against each other; choose how they are"
            " read by a grader (--grade, grade=) or an agreement (agree=)"
        )
        raise DataError(message) from None


def where_judged(a: pl.Series, b: pl.Series, values: pl.Series | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values as floats, NaN where they are null or where either column is null."""
    if isinstance(values, pl.Series):
        values = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return np.where((a.is_null() | b.is_null()).to_numpy(), np.nan, values)
