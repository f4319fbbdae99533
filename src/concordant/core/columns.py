"""Which column of a table is which: the roles of the columns of items, and the form of their values.

An item's column of ids, inputs, references, choices or groups goes by many names in the files people have.
The usual names are recognised here, and data frames of other libraries, arrays and lists become polars
columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import DataError, first_line, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROLES = ("id", "input", "reference", "choices", "group")
ALIASES = {
    "id": ("id", "item", "item_id", "doc_id", "question_id", "key"),
    "input": ("input", "question", "prompt", "query", "text", "messages"),
    "reference": (
        *("reference", "target", "gold", "ground_truth"),
        *("expected", "right_answer", "answer", "label"),
    ),
    "choices": ("choices", "options"),
    "group": ("group", "cluster"),
}


def name_roles(frame: pl.DataFrame, source: str, columns: Mapping[str, str]) -> pl.DataFrame:
    """Rename the columns of `frame` that have a role to the name of the role.

    Parameters
    ----------
    frame
        The table.
    source
        What it came from, for messages.
    columns
        Role to column where the user said so; the usual names are recognised for the others.

    Raises
    ------
    DataError
        If a role or column is not known, or no column is the input.
    """
    renames: dict[str, str] = {}
    for role, column in columns.items():
        if role not in ROLES:
            message = f"{source}: {role!r} is not a role of a column; allowed: {', '.join(ROLES)}"
            raise DataError(message)
        if column not in frame.columns:
            message = f"{source}: there is no column {column!r}; {nearest(column, frame.columns)}"
            raise DataError(message)
        if column in renames:
            message = f"{source}: the column {column!r} is asked to be both {renames[column]} and {role}"
            raise DataError(message)
        renames[column] = role
    lower = {name.lower(): name for name in reversed(frame.columns)}
    for role, aliases in ALIASES.items():
        if role in renames.values():
            continue
        names = (lower[alias] for alias in aliases if alias in lower)
        found = next((name for name in names if name not in renames), None)
        if found is not None:
            renames[found] = role
    if "input" not in renames.values():
        there = ", ".join(frame.columns)
        message = f"{source}: no column is recognised as the input (say which: input=NAME); there are {there}"
        raise DataError(message)
    taken = [role for column, role in renames.items() if role != column and role in frame.columns]
    return frame.drop(role for role in taken if role not in renames).rename(renames)


def to_polars(frame: Any, source: str) -> pl.DataFrame:
    """Turn a polars, pandas or Arrow data frame into a polars one; a `DataError` names the `source`."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    try:
        table = pl.from_pandas(frame) if hasattr(frame, "iloc") else pl.from_arrow(frame)
    except Exception as error:
        what = f"got {type(frame).__name__} ({first_line(error)})"
        message = f"{source}: allowed is a polars, pandas or Arrow data frame, {what}"
        raise DataError(message) from None
    return table if isinstance(table, pl.DataFrame) else table.to_frame()


def to_series(name: str, values: Any) -> pl.Series:
    """Turn a series, array or sequence into a column of that name."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray):
        return array_series(name, values)
    return pl.Series(name, list(values), strict=False)


def array_series(name: str, values: NDArray[Any]) -> pl.Series:
    """Turn an array of shape ``(n, ...)`` into a column of n values (type `Array` from two dimensions on)."""
    if values.dtype == object:
        return pl.Series(name, values.tolist(), strict=False)
    return pl.Series(name, np.ascontiguousarray(values))


def choice_lists(choices: pl.Series, source: str) -> pl.Series:
    """Bring a column of choices to lists of texts; in a CSV file they are JSON arrays."""
    if choices.dtype == pl.String:
        try:
            return choices.str.json_decode(pl.List(pl.String))
        except pl.exceptions.PolarsError:
            message = f"{source}: choices must be lists of texts (in CSV: JSON arrays), got {choices[0]!r}"
            raise DataError(message) from None
    if isinstance(choices.dtype, pl.Array):
        choices = choices.arr.to_list()
    if not isinstance(choices.dtype, pl.List) or choices.dtype.inner.is_nested():
        message = f"{source}: choices must be lists of texts, got {choices.dtype}"
        raise DataError(message)
    return choices.cast(pl.List(pl.String))
