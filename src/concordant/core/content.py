"""What data are, told by their content: ids of inputs and digests of tables.

Both are made from the values alone, never from how a table happens to be laid out in memory or which version
of a library wrote it: an id or a digest that is recorded today must be found again next year.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator


def content_ids(inputs: pl.Series) -> pl.Series:
    """Make stable ids (16 hexadecimal digits) from the content of the inputs.

    Equal inputs get ``abc``, ``abc-2``, ``abc-3``, ... in the order in which they come. In nested inputs
    (messages, structs) neither the order of the fields nor a field that is null counts.

    Examples
    --------
    >>> ids = content_ids(pl.Series(["one", "two", "one"]))
    >>> ids[2] == ids[0] + "-2", ids[0] != ids[1]
    (True, True)
    """
    if inputs.dtype == pl.String:
        texts = inputs.to_list()
    else:
        texts = [json.dumps(_without_nulls(v), sort_keys=True, default=str) for v in inputs.to_list()]
    ids = pl.DataFrame({"id": [hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in texts]})
    number = pl.int_range(1, pl.len() + 1).over("id")
    numbered = pl.when(number == 1).then("id").otherwise(pl.format("{}-{}", "id", number))
    return ids.select(numbered.alias("id"))["id"]


def frame_digest(frame: pl.DataFrame) -> str:
    """Return a digest (16 hexadecimal digits) of a data frame: its column names, kinds of values, and values.

    The width of numbers, and whether lists have a fixed length, do not count.

    Examples
    --------
    >>> wide, narrow = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}, schema={"a": pl.Int8})
    >>> frame_digest(wide) == frame_digest(narrow)
    True
    """
    state = hashlib.blake2b(digest_size=8)
    for series in frame.get_columns():
        for part in (series.name.encode(), *_content(series)):
            state.update(len(part).to_bytes(8, "little"))
            state.update(part)
    return state.hexdigest()


def _content(series: pl.Series) -> Iterator[bytes]:
    """Give the values of a column as bytes: their kind, where they are null, and what they are."""
    dtype = series.dtype
    if isinstance(dtype, pl.Array):
        series, dtype = series.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        lengths = series.list.len()
        yield from (b"list", _numbers(lengths, np.int64))
        yield from _content(series.filter(lengths > 0).explode())
    elif isinstance(dtype, pl.Struct):
        yield from (b"struct", _numbers(series.is_null(), np.int8))
        for name in sorted(field.name for field in dtype.fields):
            yield name.encode()
            yield from _content(series.struct.field(name))
    elif dtype == pl.Boolean:
        yield from (b"boolean", _numbers(series, np.int8))
    elif dtype.is_float():
        yield from (b"float", _numbers(series.is_null(), np.int8), _numbers(series, np.float64))
    elif dtype.is_integer() and series.cast(pl.Int64, strict=False).null_count() == series.null_count():
        yield from (b"integer", _numbers(series.is_null(), np.int8), _numbers(series, np.int64))
    elif dtype == pl.Null:
        yield from (b"null", len(series).to_bytes(8, "little"))
    else:
        texts = series.bin.encode("hex") if dtype == pl.Binary else series.cast(pl.String)
        yield from (b"text", _numbers(texts.str.len_bytes(), np.int64))
        yield "".join(texts.drop_nulls().to_list()).encode()


def _numbers(series: pl.Series, dtype: type[np.generic]) -> bytes:
    missing = 0 if series.dtype.is_float() else -1
    kind = pl.Float64 if series.dtype.is_float() else pl.Int64
    return series.cast(kind).fill_null(missing).to_numpy().astype(dtype).tobytes()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value
