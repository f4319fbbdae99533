"""Traces of reasoning: the steps that a worked reply shows, and how far the steps of two replies follow one another.

A reply is cut into parts at line ends, semicolons and ends of sentences. A part that gives the answer is no step, and
neither is one without a value; the value of a step is the number it comes to, the last one in it. Two traces are
aligned by the longest sequence of steps that both have in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl

from concordant.core.answers.numbers import number
from concordant.core.answers.reading import ANSWER, HASHES
from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Steps: TypeAlias = Literal["values", "texts"] | Callable[[str], Iterable[Any]]
"""What two steps must share: the number they come to, or their words; or a function from a reply to its steps."""

KINDS = ("values", "texts")
DIGITS = 9
"""Significant digits of a value that count."""

_CUT = "\x1f"
_ENDS = r"[;\n]|[.?!](?:\s+|$)"
_IS_ANSWER = rf"{ANSWER}|{HASHES}|\\boxed"
_ABSENT = -1


def read_steps(replies: pl.Series, steps: Steps = "values") -> pl.Series:
    r"""Return the steps that each reply shows.

    Parameters
    ----------
    replies
        Texts, n of them.
    steps
        ``"values"`` for numbers (default), ``"texts"`` for the words of each step without case and white space, or a
        function from a reply to its steps.

    Returns
    -------
    pl.Series
        n lists of texts, which are equal where two steps are; null where there is no reply.

    Raises
    ------
    ConfigError
        If there is no such kind of step.
    DataError
        If the replies are not texts.

    Examples
    --------
    >>> replies = pl.Series(["6 * 7 = 42 ; 42 - 2 = 40.0 ; answer : 40", "I buy 3 pens.\nThat is $4.50!\n#### 4.5", None])
    >>> read_steps(replies).to_list()
    [['42', '40'], ['3', '4.5'], None]
    """
    if replies.dtype not in (pl.String, pl.Null):
        message = f"steps are read from texts, got {replies.dtype}"
        raise DataError(message)
    replies = replies.cast(pl.String)
    if callable(steps):
        read = [None if text is None else [str(step) for step in steps(text)] for text in replies.to_list()]
        return pl.Series(replies.name, read, dtype=pl.List(pl.String))
    if steps not in KINDS:
        message = f"there are no steps of the kind {steps!r}; {nearest(steps, KINDS)}"
        raise ConfigError(message)
    parts = pl.DataFrame(
        {"row": np.arange(len(replies)), "part": replies.str.replace_all(_ENDS, _CUT).str.split(_CUT)}
    )
    parts = parts.drop_nulls("part").explode("part").filter(~pl.col("part").str.contains(_IS_ANSWER))
    read_part = _values if steps == "values" else _words
    parts = parts.with_columns(read_part(parts["part"]).alias("step")).drop_nulls("step")
    grouped = parts.group_by("row", maintain_order=True).agg("step")
    rows = pl.DataFrame({"row": np.arange(len(replies))}).join(
        grouped, on="row", how="left", maintain_order="left"
    )
    shown = rows.select(pl.when(replies.is_not_null()).then(pl.col("step").fill_null([])))
    return shown.to_series().alias(replies.name)


def common_steps(first: pl.Series, second: pl.Series) -> NDArray[np.int64]:
    r"""Return how many steps two traces have in common, in the same order: the length of their longest common subsequence.

    Parameters
    ----------
    first, second
        Lists of steps, n of each, from :func:`read_steps`; a null has no step.

    Returns
    -------
    array of int, shape ``(n,)``

    Examples
    --------
    >>> a, b = pl.Series([["3", "7", "9"], ["1"]]), pl.Series([["3", "8", "9"], []], dtype=pl.List(pl.String))
    >>> common_steps(a, b).tolist()
    [2, 0]
    """
    if len(first) != len(second):
        message = f"traces are compared in pairs, got {len(first)} and {len(second)}"
        raise DataError(message)
    a, b = _codes(first, second)
    # The usual recurrence, for all rows at once: best[j] is the length for the steps of a so far and the first j of b.
    best = np.zeros((len(a), b.shape[1] + 1), dtype=np.int64)
    for step in a.T:
        same = (step[:, None] == b) & (step[:, None] != _ABSENT)
        before, best = best, best.copy()
        for j in range(b.shape[1]):
            longer = np.maximum(best[:, j], before[:, j + 1])
            best[:, j + 1] = np.where(same[:, j], before[:, j] + 1, longer)
    return best[:, -1]


def _values(parts: pl.Series) -> pl.Series:
    values = number(parts)
    plain = pl.Series([None if v is None else f"{v:.{DIGITS}g}" for v in values.to_list()], dtype=pl.String)
    return plain.replace("-0", "0")


def _words(parts: pl.Series) -> pl.Series:
    words = parts.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars(" ,.:")
    return words.to_frame("words").select(pl.when(pl.col("words") != "").then("words")).to_series()


def _codes(first: pl.Series, second: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both as whole numbers, padded on the right, equal where the steps are."""
    steps = pl.concat([first.alias("steps"), second.alias("steps")]).fill_null([]).cast(pl.List(pl.String))
    known = steps.explode().drop_nulls().unique()
    lengths = steps.list.len().to_numpy()
    width = int(lengths.max(initial=0))
    table = np.full((len(steps), width), _ABSENT, dtype=np.int64)
    flat = steps.filter(steps.list.len() > 0).explode()
    codes = flat.replace_strict(known, np.arange(len(known)), return_dtype=pl.Int64)
    table[np.arange(width) < lengths[:, None]] = codes.to_numpy()
    n = len(first)
    widest = [int(lengths[part].max(initial=0)) for part in (slice(None, n), slice(n, None))]
    return table[:n, : widest[0]], table[n:, : widest[1]]
