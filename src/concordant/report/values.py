"""Inputs and outputs of any kind as compact text: chats, numbers, arrays, records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

MAX_NUMBERS = 16


def shown(value: Any) -> str:
    """Return any input or output as compact text; it is not yet made inert.

    Parameters
    ----------
    value
        A text, a number, the turns of a conversation, an array, a series, a mapping, or nothing.

    Examples
    --------
    >>> shown([{"role": "user", "content": "2 + 2?"}])
    'user: 2 + 2?'
    >>> shown([0.25, 0.75]), shown({"age": 31.0, "sex": "f"}), shown(float("nan"))
    ('0.25 0.75', 'age: 31 · sex: f', 'not a number')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, pl.Series):
        value = value.to_numpy() if _is_numeric(value.dtype) and not value.null_count() else value.to_list()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _array(value)
    if isinstance(value, Mapping):
        return " · ".join(f"{name}: {shown(entry)}" for name, entry in value.items() if entry is not None)
    if isinstance(value, Sequence | np.ndarray):
        return _sequence(list(value))
    return str(value)


def _sequence(values: list[Any]) -> str:
    if values and all(isinstance(v, Mapping) and {"role", "content"} <= v.keys() for v in values):
        return "\n".join(f"{shown(turn['role'])}: {shown(turn['content'])}" for turn in values)
    if values and all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in values):
        return _array(np.asarray(values, dtype=float))
    if any(isinstance(v, Mapping | Sequence) and not isinstance(v, str) for v in values):
        return json.dumps([shown(v) for v in values], ensure_ascii=False)
    return " | ".join(shown(v) for v in values)


def _array(values: np.ndarray[Any, Any]) -> str:
    flat = values.ravel()
    text = " ".join(_number(float(v)) for v in flat[:MAX_NUMBERS])
    if flat.size <= MAX_NUMBERS:
        return text
    shape = "×".join(str(size) for size in values.shape)
    finite = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
    spread = f", {_number(float(finite.min()))} to {_number(float(finite.max()))}" if finite.size else ""
    return f"{text} … ({shape} numbers{spread})"


def _number(value: float) -> str:
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}" if value != int(value) or abs(value) >= 1e15 else str(int(value))


def _is_numeric(dtype: Any) -> bool:
    while isinstance(dtype, pl.Array):
        dtype = dtype.inner
    return bool(dtype.is_numeric())
