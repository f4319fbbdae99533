"""A table as a file has it into records: canonical columns first, further columns under their own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from concordant.core.content import content_ids
from concordant.core.errors import DataError, nearest
from concordant.models.readers.aliases import ALIASES, fold
from concordant.models.readers.casts import CASTS, Misfit, as_id
from concordant.models.readers.select import keep_model, keep_where

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.models.readers.source import Source

ROLES = tuple(ALIASES)
"""The canonical columns of records, in their order."""

EXACT = {role: {role} for role in ROLES} | {"item": {"item", "id"}}
"""Names that mean their role and nothing else: there, a value that does not fit is an error."""


def to_records(table: pl.DataFrame, source: Source, *, guess: bool) -> pl.DataFrame:
    """Turn a table into records.

    Parameters
    ----------
    table
        The rows of a file.
    source
        What is meant: which rows, which columns.
    guess
        Whether columns are recognised by their usual names; otherwise by the canonical ones alone.

    Raises
    ------
    DataError
        If a column is missing, or a value does not fit.
    """
    path = source.path
    named = {role: [name for name in value.split(",") if name] for role, value in source.columns.items()}
    _check_names(table, path, named)
    used = {name for names in named.values() for name in names}
    table = keep_where(table, path, source.where)
    table = keep_model(table, path, source.model, used)
    # Several columns that make one id together stay beside it; one column that is the id is the id.
    taken = {names[0] for names in named.values() if len(names) == 1}
    columns = {
        role: _named(table, path, role, names) for role, names in named.items() if names and role != "sample"
    }
    folded = {fold(name) if guess else name: name for name in reversed(table.columns) if name not in used}
    for role in ROLES:
        if role in named or role == "sample":
            continue
        for alias in ALIASES[role] if guess else (role,):
            name = folded.get(alias)
            column = None if name is None or name in taken else _guessed(table[name], path, role, alias)
            if name is not None and column is not None:
                columns[role] = column
                taken.add(name)
                break
    if "output" not in columns:
        grade = columns.get("score", columns.get("correct"))
        if grade is None or "output" in named:
            raise DataError(_unrecognised(path, "the output", "output=NAME", table))
        columns["output"] = grade
    if "item" not in columns:
        columns["item"] = _content_items(path, table, columns.get("input"))
    order = named["sample"] if "sample" in named else _guessed_order(table, columns["item"], folded)
    if "sample" not in named:
        taken.update(order)
    columns["sample"] = _numbered(path, columns["item"], [table[name] for name in order])
    rest = [table[name] for name in table.columns if name not in taken and name not in ROLES]
    return pl.DataFrame([*(columns[role].alias(role) for role in ROLES if role in columns), *rest])


def _check_names(table: pl.DataFrame, path: Path, named: dict[str, list[str]]) -> None:
    for role, names in named.items():
        if len(names) > 1 and role not in ("item", "sample"):
            message = f"{path}: only id= and sample= may name several columns, got {role}={','.join(names)}"
            raise DataError(message)
        for name in names:
            if name not in table.columns:
                message = f"{path}: there is no column {name!r}; {nearest(name, table.columns)}"
                raise DataError(message)


def _named(table: pl.DataFrame, path: Path, role: str, names: list[str]) -> pl.Series:
    """Give a role to the columns that the user named."""
    try:
        if role == "item":
            ids = pl.DataFrame([as_id(table[name]) for name in names])
            return ids.select(pl.concat_str(names, separator="/")).to_series()
        return CASTS[role](table[names[0]])
    except Misfit as misfit:
        message = f"{path}: {','.join(names)} cannot be the column {role}: {misfit}"
        raise DataError(message) from None


def _guessed(values: pl.Series, path: Path, role: str, alias: str) -> pl.Series | None:
    """Give a role to a column with a usual name, if its values fit."""
    try:
        return CASTS[role](values)
    except Misfit as misfit:
        if alias not in EXACT[role]:
            return None
        message = f"{path}, column {values.name}, {misfit}"
        raise DataError(message) from None


def _content_items(path: Path, table: pl.DataFrame, inputs: pl.Series | None) -> pl.Series:
    if inputs is None:
        raise DataError(_unrecognised(path, "the id or the input", "id=NAME or input=NAME", table))
    if inputs.null_count():
        message = f"{path}: row {int(inputs.is_null().arg_true()[0]) + 1} has neither an id nor an input"
        raise DataError(message)
    return content_ids(inputs).str.head(16)  # without the number that would tell equal inputs apart


def _guessed_order(table: pl.DataFrame, items: pl.Series, folded: dict[str, str]) -> list[str]:
    """Find the column that numbers the samples of an item: it must tell the rows of an item apart."""
    repeated = items.n_unique() < len(items)
    for alias in ALIASES["sample"]:
        name = folded.get(alias)
        if name is None or not (repeated or alias in EXACT["sample"]):
            continue
        numbered = pl.DataFrame([items.alias("item"), table[name].alias("sample")])
        if alias in EXACT["sample"] or not numbered.is_duplicated().any():
            return [name]
    return []


def _numbered(path: Path, items: pl.Series, order: list[pl.Series]) -> pl.Series:
    """Give the rows of each item their numbers from 0, in the order of some columns or else of the file."""
    if items.n_unique() == len(items):
        return pl.zeros(len(items), dtype=pl.Int64, eager=True)
    keys = [series.alias(f"key{i}") for i, series in enumerate(order)]
    frame = pl.DataFrame([items.alias("item"), *keys])
    if keys and (twice := frame.is_duplicated()).any():
        row = frame.row(int(twice.arg_true()[0]))
        sample = ", ".join(str(value) for value in row[1:])
        message = f"{path}: item {row[0]!r} has several rows of sample {sample}; sample= must tell them apart"
        raise DataError(message)
    frame = frame.with_row_index("row")
    if keys:
        frame = frame.sort([key.name for key in keys], maintain_order=True)
    numbered = frame.select("row", number=pl.int_range(pl.len(), dtype=pl.Int64).over("item"))
    return numbered.sort("row")["number"]


def _unrecognised(path: Path, what: str, option: str, table: pl.DataFrame) -> str:
    names = ", ".join(table.columns)
    return f"{path}: no column is recognised as {what} (say which: {option}); there are {names}"
