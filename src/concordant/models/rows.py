"""From items to what a model takes, and from what it gives back to the rows of the contract.

The two ends of every adapter, so that all of them take the same inputs for the same items and refuse the same
faults in the outputs: too few rows, too many, missing values and NaN, with the items named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl

from concordant.core.columns import array_series, to_series
from concordant.core.errors import ModelError
from concordant.core.prompts import prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.items import Items
    from concordant.core.model import Completion

SHOWN_IDS = 3


def inputs_of(items: Items) -> Any:
    """Return the inputs of items in the form in which models of their kind take them.

    Returns
    -------
    np.ndarray of shape ``(n, ...)``
        For numbers, arrays, and lists of numbers that are all of one length.
    pl.DataFrame of `n` rows
        For tables: inputs that have named fields.
    list of `n` prompts
        For texts and conversations, with the choices of an item rendered behind its question.
    list of `n` values
        For anything else.
    """
    inputs = items.inputs
    dtype = inputs.dtype
    if isinstance(dtype, pl.Struct):
        return inputs.struct.unnest()
    if isinstance(dtype, pl.List) and dtype.inner.is_numeric() and inputs.list.len().n_unique() == 1:
        return inputs.list.to_array(len(inputs[0])).to_numpy()
    if isinstance(dtype, pl.Array) or dtype.is_numeric() or dtype == pl.Boolean:
        return inputs.to_numpy()
    if dtype == pl.String or (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)):
        return prompts(items)
    return inputs.to_list()


@overload
def repeat(rows: pl.DataFrame, n: int) -> pl.DataFrame: ...
@overload
def repeat(rows: Any, n: int) -> Any: ...
def repeat(rows: Any, n: int) -> Any:
    """Repeat each row of an array, data frame or list `n` times, side by side."""
    if n == 1:
        return rows
    if isinstance(rows, pl.DataFrame):
        return rows[np.repeat(np.arange(len(rows)), n)]
    return [row for row in rows for _ in range(n)] if isinstance(rows, list) else np.repeat(rows, n, axis=0)


def answer_frame(
    name: str, items: Items, outputs: Any, *, n: int = 1, probabilities: NDArray[Any] | None = None
) -> pl.DataFrame:
    """Make the answer to `BatchModel.respond` from outputs.

    Parameters
    ----------
    name
        Name of the model, for messages.
    items
        What was asked.
    outputs
        ``len(items) * n`` outputs: an array, series or list.
    n
        Samples of each item, side by side.
    probabilities
        Shape ``(len(items) * n, n_classes)``.

    Raises
    ------
    ModelError
        As `checked`.
    """
    output = to_series("output", outputs.to_numpy() if hasattr(outputs, "iloc") else outputs)
    _check_count(name, items, len(output), n, "outputs")
    columns = [output]
    if probabilities is not None:
        _check_count(name, items, len(probabilities), n, "rows of probabilities")
        columns.append(array_series("probabilities", probabilities.astype(np.float64)))
    return checked(name, items, pl.DataFrame(columns), n)


def completion_frame(
    name: str, items: Items, completions: Sequence[Sequence[Completion]], n: int
) -> pl.DataFrame:
    """Make the answer to `BatchModel.respond` from `n` completions of each item.

    Raises
    ------
    ModelError
        If there are not `n` completions of each item.
    """
    _check_count(name, items, len(completions), 1, "lists of completions")
    short = np.array([len(samples) != n for samples in completions], bool)
    _check_values(name, items, short, 1, f"do not have {n} completions")
    return completion_rows([sample for samples in completions for sample in samples])


def completion_rows(completions: Sequence[Completion]) -> pl.DataFrame:
    """Make one row of each completion; its output is null where it has an error."""
    return pl.DataFrame(
        {
            "output": [None if sample.error is not None else sample.text for sample in completions],
            "logprob": [sample.logprob for sample in completions],
            "tokens": [sample.tokens for sample in completions],
            "error": [sample.error for sample in completions],
        },
        schema={"output": pl.String, "logprob": pl.Float64, "tokens": pl.Int64, "error": pl.String},
    )


def checked(name: str, items: Items, frame: pl.DataFrame, n: int) -> pl.DataFrame:
    """Return an answer to `BatchModel.respond`, or say what is wrong with it.

    Raises
    ------
    ModelError
        If there are too few or too many rows, or outputs are of no type that can be kept, NaN, or missing where no
        error says why.
    """
    _check_count(name, items, len(frame), n, "outputs")
    if frame["output"].dtype == pl.Object:
        strange = next(value for value in frame["output"] if value is not None)
        allowed = "texts, numbers, booleans, lists, arrays and dictionaries of these"
        message = (
            f"model {name!r} returned outputs of the type {type(strange).__name__}; allowed are {allowed}"
        )
        raise ModelError(message)
    failed = (
        frame["error"].is_not_null().to_numpy() if "error" in frame.columns else np.zeros(len(frame), bool)
    )
    _check_values(
        name, items, _missing(frame["output"]) & ~failed, n, "have an output that is missing or NaN"
    )
    if "probabilities" in frame.columns:
        _check_values(name, items, _missing(frame["probabilities"]) & ~failed, n, "have NaN probabilities")
    return frame


def _missing(values: pl.Series) -> NDArray[np.bool_]:
    """Return which values are null, or are or hold NaN."""
    missing: NDArray[np.bool_] = values.is_null().to_numpy()
    if values.dtype.is_float():
        missing = missing | values.is_nan().fill_null(value=False).to_numpy()
    elif isinstance(values.dtype, pl.Array) and _innermost(values.dtype).is_float():
        numbers = values.to_numpy()
        missing = missing | np.isnan(numbers).any(axis=tuple(range(1, numbers.ndim)))
    return missing


def _innermost(dtype: Any) -> pl.DataType:
    while isinstance(dtype, pl.Array):
        dtype = dtype.inner
    return dtype  # type: ignore[no-any-return]


def _check_count(name: str, items: Items, rows: int, n: int, what: str) -> None:
    if rows == len(items) * n:
        return
    samples = "" if n == 1 else f" with {n} samples each"
    where = f"items {items.ids[0]!r} to {items.ids[-1]!r}"
    if rows < len(items) * n:
        where += f", the first without one is {items.ids[rows // n]!r}"
    message = f"model {name!r} returned {rows} {what} for {len(items)} items{samples} ({where})"
    raise ModelError(message)


def _check_values(name: str, items: Items, wrong: NDArray[np.bool_], n: int, what: str) -> None:
    if not wrong.any():
        return
    ids = items.ids.gather(np.flatnonzero(wrong) // n).unique(maintain_order=True)
    first = ", ".join(map(repr, ids[:SHOWN_IDS].to_list())) + (", ..." if len(ids) > SHOWN_IDS else "")
    message = f"model {name!r}: {len(ids)} of {len(items)} items {what} ({first})"
    raise ModelError(message)
