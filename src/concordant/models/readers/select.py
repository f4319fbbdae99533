"""Which rows of a table are meant: those with some values, and those of one model.

A table holds several models in one of two ways: a column `model`, or a column of its own for each model, with
what that model answered: ``{"question": ..., "small": {"solution": ..., "is_correct": ...}, "large":
{...}}``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from concordant.core.errors import DataError, nearest
from concordant.models.readers.aliases import ALIASES, fold, is_output

if TYPE_CHECKING:
    from pathlib import Path

MODEL_NAMES = ("model", "model_name", "model_id")


def keep_where(table: pl.DataFrame, path: Path, where: tuple[tuple[str, str], ...]) -> pl.DataFrame:
    """Keep the rows whose columns have the given values, numbers compared as numbers and all else as text.

    Raises
    ------
    DataError
        If there is no such column, or no such row.
    """
    for name, wanted in where:
        if name not in table.columns:
            message = f"{path}: there is no column {name!r}; {nearest(name, table.columns)}"
            raise DataError(message)
        kept = table.filter(_equals(table[name], wanted))
        if kept.is_empty():
            values = table[name].unique(maintain_order=True).head(1000)
            values = values.cast(pl.String, strict=False).drop_nulls()
            message = f"{path}: no row has {wanted!r} in column {name!r}; {nearest(wanted, values)}"
            raise DataError(message)
        table = kept
    return table


def keep_model(table: pl.DataFrame, path: Path, name: str | None, used: set[str]) -> pl.DataFrame:
    """Keep the behaviour of one model.

    Parameters
    ----------
    table
        The rows of the file.
    path
        The file, for messages.
    name
        The model, or None where the file is to hold only one.
    used
        Columns that the user has given a meaning: they are no models.

    Raises
    ------
    DataError
        If there is no such model, or several and none is named; the message lists them.
    """
    by_column = _model_column(table, used)
    values = pl.Series([], dtype=pl.String)
    if by_column is not None:
        values = table[by_column].unique(maintain_order=True).drop_nulls()
    nested = _nested_models(table, used)
    if name is None:
        if len(values) > 1:
            raise DataError(_say_which(path, values.to_list()))
        if not nested or any(is_output(column) for column in table.columns):
            return table
        if len(nested) > 1:
            raise DataError(_say_which(path, nested))
        name = nested[0]
    elif name in values:
        return table.filter(pl.col(str(by_column)) == name)
    elif name not in table.columns:
        known = [*values, *nested]
        message = f"{path} holds no model {name!r}; {nearest(name, known or table.columns)}"
        raise DataError(message)
    rest = table.drop({*nested, name})
    if not isinstance(table[name].dtype, pl.Struct):
        return rest.with_columns(output=table[name])
    return rest.with_columns(table[name].struct.unnest().get_columns())


def _equals(values: pl.Series, wanted: str) -> pl.Series:
    if values.dtype.is_numeric():
        try:
            number = float(wanted)
        except ValueError:
            number = math.nan
        return values.cast(pl.Float64).eq(number) & (not math.isnan(number))
    if values.dtype == pl.Boolean:
        return values.cast(pl.String) == wanted.lower()
    return values.cast(pl.String, strict=False) == wanted


def _model_column(table: pl.DataFrame, used: set[str]) -> str | None:
    folded = {fold(column): column for column in reversed(table.columns) if column not in used}
    found = next((folded[name] for name in MODEL_NAMES if name in folded), None)
    return found if found is not None and table[found].dtype in (pl.String, pl.Categorical, pl.Enum) else None


def _nested_models(table: pl.DataFrame, used: set[str]) -> list[str]:
    roles = {*ALIASES["output"], *ALIASES["correct"]}
    return [
        name
        for name, dtype in table.schema.items()
        if name not in used
        and isinstance(dtype, pl.Struct)
        and any(fold(field.name) in roles for field in dtype.fields)
    ]


def _say_which(path: Path, models: list[str]) -> str:
    first = models[0]
    return f"{path} holds {len(models)} models: {', '.join(models)}; say which, as in {path.name}#{first}"
