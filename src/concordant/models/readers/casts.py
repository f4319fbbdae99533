"""Columns as files have them into the types of records; what does not fit raises `Misfit`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

YES = ("true", "yes", "correct", "right", "pass", "passed", "c", "1", "1.0")
NO = ("false", "no", "incorrect", "wrong", "fail", "failed", "i", "0", "0.0")


class Misfit(Exception):
    """A value that a column of the records cannot take; the message names the row and what is allowed."""


def as_truth(values: pl.Series) -> pl.Series:
    """Cast to Boolean: true and false, 1 and 0, and the usual words for them; an empty text is null."""
    if values.dtype in (pl.Boolean, pl.Null):
        return values.cast(pl.Boolean)
    if values.dtype.is_numeric():
        values = values.cast(pl.Float64).fill_nan(None)
        _check(values, values.is_in([0.0, 1.0]), "true or false, 1 or 0")
        return values == 1.0
    if not _is_text(values):
        raise Misfit(_sentence(values, 0, "true or false, 1 or 0"))
    texts = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    texts = texts.set(texts == "", None)
    _check(values, texts.is_in([*YES, *NO]) | texts.is_null(), "true or false, 1 or 0")
    return texts.is_in(YES)


def as_number(values: pl.Series) -> pl.Series:
    """Cast to Float64; an empty text is null."""
    if values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null):
        return values.cast(pl.Float64)
    if not _is_text(values):
        raise Misfit(_sentence(values, 0, "a number"))
    texts = values.cast(pl.String).str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    _check(values, numbers.is_not_null() | texts.is_null() | (texts == ""), "a number")
    return numbers


def as_count(values: pl.Series) -> pl.Series:
    """Cast to Int64; NaN and an empty text are null."""
    if values.dtype.is_integer():
        return values.cast(pl.Int64)
    return as_number(values).fill_nan(None).cast(pl.Int64, strict=False)


def as_text(values: pl.Series) -> pl.Series:
    """Cast to String, whole numbers without a fraction and nested values as JSON."""
    if values.dtype.is_float():
        is_whole = values.is_null() | (values.is_finite() & (values == values.round()))
        values = values.cast(pl.Int64) if is_whole.all() else values
    if values.dtype.is_nested():
        texts = [None if value is None else json.dumps(value, default=str) for value in values.to_list()]
        return pl.Series(values.name, texts, dtype=pl.String)
    return values.cast(pl.String)


def as_id(values: pl.Series) -> pl.Series:
    """Cast to String, where every row must have a value."""
    if values.dtype.is_nested():
        raise Misfit(_sentence(values, 0, "a text or a number"))
    _check(values, values.is_not_null(), "an id in every row")
    return as_text(values)


def as_error(values: pl.Series) -> pl.Series:
    """Cast to String, null where there is no error: null, an empty text, false or 0."""
    if values.dtype == pl.Boolean or values.dtype.is_integer():
        failed = values.cast(pl.Boolean).fill_null(value=False)
        return pl.select(pl.when(failed).then(pl.lit("error"))).to_series().alias(values.name)
    texts = as_text(values)
    return texts.set(texts.str.strip_chars() == "", None)


def as_choices(values: pl.Series) -> pl.Series:
    """Cast to a list of texts; a text is read as a JSON array."""
    if isinstance(values.dtype, (pl.List, pl.Array)):
        return values.cast(pl.List(pl.String))
    if values.dtype == pl.String:
        try:
            return values.str.json_decode(pl.List(pl.String))
        except pl.exceptions.PolarsError:
            pass
    raise Misfit(_sentence(values, 0, "a list of texts"))


def as_it_is(values: pl.Series) -> pl.Series:
    """Leave a column as it is."""
    return values


CASTS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "item": as_id,
    "input": as_it_is,
    "output": as_it_is,
    "reference": as_it_is,
    "choices": as_choices,
    "correct": as_truth,
    "score": as_number,
    "logprob": as_number,
    "tokens": as_count,
    "latency_s": as_number,
    "error": as_error,
    "group": as_text,
}
"""The cast of each column of the records; `sample` is numbered and not cast."""


def _is_text(values: pl.Series) -> bool:
    return values.dtype in (pl.String, pl.Categorical, pl.Enum)


def _check(values: pl.Series, fits: pl.Series, allowed: str) -> None:
    wrong = (~fits).fill_null(value=False).arg_true()
    if len(wrong):
        raise Misfit(_sentence(values, int(wrong[0]), allowed))


def _sentence(values: pl.Series, row: int, allowed: str) -> str:
    got = values[row]
    text = repr(got.to_list() if isinstance(got, pl.Series) else got)
    return f"row {row + 1}: allowed is {allowed}, got {text[:60]}"
