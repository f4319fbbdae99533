"""Reading outputs: readers one after the other, and what stands behind the mark of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ANSWER = r"(?i:\banswer)[*_]*(?:\s+(?i:is|was)\b|\s*[:=])"
"""The mark of an answer in prose: "Answer: 18", "**Answer**: 18", "the answer is 18"."""

HASHES = r"####"
"""The mark of an answer in GSM8K and what is trained on it."""

_BOXED = r"\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}"


def first_found(
    frame: pl.DataFrame, readers: Sequence[Callable[[pl.DataFrame], pl.Series]], dtype: pl.DataType
) -> pl.Series:
    """Apply each reader to the rows of `frame` where the readers before it found nothing.

    Parameters
    ----------
    frame
        The rows; those without a `text` are null in the result.
    readers
        Functions from rows to one value a row, null where nothing is found.
    dtype
        Type of the result.
    """
    found = pl.repeat(None, len(frame), dtype=dtype, eager=True)
    for read in readers:
        left = (found.is_null() & frame["text"].is_not_null()).arg_true()
        if left.is_empty():
            break
        found = found.scatter(left, read(frame[left]).cast(dtype))
    return found


def marked(texts: pl.Series, mark: str) -> pl.Series:
    """Return what follows the last mark up to the end of its line, null where there is none."""
    lines = texts.str.extract_all(rf"(?:{mark})[*_\s]*[^\n]*").list.last()
    return lines.str.replace(rf"(?s)^.*(?:{mark})[*_\s]*", "")


def boxed(texts: pl.Series) -> pl.Series:
    r"""Return what is in the last ``\boxed{}``, without the LaTeX commands for spaces, fonts and units."""
    inner = texts.str.extract_all(_BOXED).list.last().str.replace(r"(?s)^\\boxed\s*\{(.*)\}$", "${1}")
    inner = inner.str.replace_all(r"\\[!,;: ]|[{}]|\\(?:text|mathrm|mathbf|textbf)\b", "")
    return inner.str.replace_all(r"\\([$%])", "${1}").str.strip_chars()


def as_text(outputs: pl.Series, what: str) -> pl.Series:
    """Return plain values as texts, or say that `what` cannot be read from them."""
    if outputs.dtype.is_nested() or outputs.dtype in (pl.Binary, pl.Object):
        message = f"{what} are read from texts or plain values, got {outputs.dtype}"
        raise DataError(message)
    return outputs.cast(pl.String)
