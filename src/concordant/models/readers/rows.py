"""Rows of logs that are Python dictionaries into a data frame, and JSON documents into rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Make a data frame of rows whose keys and types may differ.

    A missing key is null. Numbers of several kinds become floats, and whatever else is mixed becomes text: a
    list or an object among texts is written as JSON.

    Examples
    --------
    >>> frame_of([{"a": [1]}, {"a": "x", "b": 2}, {"b": 2.5}]).to_dicts()
    [{'a': '[1]', 'b': None}, {'a': 'x', 'b': 2.0}, {'a': None, 'b': 2.5}]
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) if isinstance(value, (dict, list)) else str for value in values if value is not None}
    if len(kinds) > 1:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    # The strict way takes the type of nested numbers from the first row, and cuts fractions off the others.
    return pl.Series(name, values, strict=False)


def plain_fields(fields: Mapping[str, Any], reserved: Collection[str], prefix: str) -> dict[str, Any]:
    """Return the further fields of a log as columns: what is nested as JSON, a reserved name behind a prefix.

    Examples
    --------
    >>> plain_fields({"topic": "sums", "error": [1]}, {"error"}, "metadata")
    {'topic': 'sums', 'metadata.error': '[1]'}
    """
    plain = {}
    for name, value in fields.items():
        column_name = f"{prefix}.{name}" if name in reserved else name
        plain[column_name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return plain


def rows_of(document: Any, path: Path, pointer: str | None) -> list[dict[str, Any]]:
    """Find the rows in a JSON document.

    Rows are an array of objects; an array of other values, which become the outputs of the items 0, 1, ...;
    or an object, whose keys become the ids and whose values the outputs. Without a `pointer` they are the
    document itself, or what it has under ``rows``.
    """
    if pointer is not None:
        found = _follow(document, path, pointer)
    elif isinstance(document, dict) and "rows" in document:
        found = document["rows"]
    else:
        found = document
    if isinstance(found, list) and found:
        if all(isinstance(row, dict) for row in found):
            return found
        if not any(isinstance(row, dict) for row in found):
            return [{"id": str(i), "output": value} for i, value in enumerate(found)]
    elif isinstance(found, dict) and found:
        if not any(isinstance(value, (dict, list)) for value in found.values()):
            return [{"id": key, "output": value} for key, value in found.items()]
        if pointer is not None and all(isinstance(value, dict) for value in found.values()):
            return [{"id": key, **value} for key, value in found.items()]
        if pointer is not None and all(isinstance(value, list) for value in found.values()):
            return [{"id": key, "output": value} for key, value in found.items()]
    what = (
        f"an object of {_names(found)}" if isinstance(found, dict) else f"{type(found).__name__} without rows"
    )
    message = f"{path}: rows are an array of objects or outputs; here is {what}; say where: rows=NAME/NAME"
    raise DataError(message)


def _follow(document: Any, path: Path, pointer: str) -> Any:
    found = document
    for part in filter(None, pointer.split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            options = found if isinstance(found, dict) else ()
            message = f"{path}: there is no {key!r} on the way rows={pointer}; {nearest(key, options)}"
            raise DataError(message)
    return found


def _names(names: Iterable[str], most: int = 8) -> str:
    known = list(names)
    return ", ".join(known[:most]) + (", ..." if len(known) > most else "")
