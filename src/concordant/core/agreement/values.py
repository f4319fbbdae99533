"""Agreement of single values: equal as they are, or in the answer that is read out of them.

Where an answer is read out of an output (a number, a letter, a JSON document), an output that has none
disagrees with one that has; two outputs that have none agree if they are the same, and else cannot be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core import answers
from concordant.core.agreement.pairs import check_pair, equal, where_judged
from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def exact(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    """Whether two values are equal as they are; of any type, with the same type on both sides.

    Examples
    --------
    >>> exact(pl.Series(["a", "b", None]), pl.Series(["a", "B", "c"])).tolist()
    [1.0, 0.0, nan]
    """
    return where_judged(a, b, equal(a, b))


def normalized(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    """Whether two texts are equal but for case, white space, punctuation and articles.

    See `concordant.core.answers.normalized` for what is left out.

    Examples
    --------
    >>> normalized(pl.Series(["The cat."]), pl.Series(["cat"])).tolist()
    [1.0]
    """
    return where_judged(a, b, equal(answers.normalized(a), answers.normalized(b)))


def choice(a: pl.Series, b: pl.Series, *, choices: pl.Series | None = None) -> NDArray[np.float64]:
    """Whether two outputs choose the same option: the same letter, or else the same text.

    Parameters
    ----------
    a, b
        Texts, n of them each.
    choices
        The options of each row (lists of texts), in the order in which both were asked. Without them the
        letters are compared, and "B" cannot be told to be the text of an option.

    Examples
    --------
    >>> a, b = pl.Series(["(B)", "Rome"]), pl.Series(["The answer is B.", "A"])
    >>> choice(a, b).tolist()
    [1.0, 0.0]
    >>> choice(a, b, choices=pl.Series([["Rome", "Oslo"], ["Rome", "Oslo"]])).tolist()
    [1.0, 1.0]
    """
    letters = [answers.letter(s, 26 if choices is None else choices) for s in (a, b)]
    same = _same_answer(a, b, *letters)
    return where_judged(a, b, same.fill_null(equal(answers.normalized(a), answers.normalized(b))))


def number(
    a: pl.Series, b: pl.Series, *, tolerance: float = 1e-6, absolute: float = 1e-9
) -> NDArray[np.float64]:
    r"""Whether two numbers, or the numbers that two outputs give as answers, are equal within a tolerance.

    .. math:: |a - b| \le \max(\text{tolerance} \cdot \max(|a|, |b|), \text{absolute})

    Parameters
    ----------
    a, b
        Numbers, or texts of which `concordant.core.answers.number` reads the answer; n of them each.
    tolerance
        Relative tolerance, at least 0.
    absolute
        Absolute tolerance in the unit of the numbers, at least 0.

    Examples
    --------
    >>> number(pl.Series(["#### 1,000", "12", "12"]), pl.Series(["1000.0", "13", "none"])).tolist()
    [1.0, 0.0, 0.0]
    """
    check_pair(a, b)
    if tolerance < 0 or absolute < 0:
        message = f"tolerances must be at least 0, got tolerance={tolerance} and absolute={absolute}"
        raise ConfigError(message)
    x, y = answers.number(a), answers.number(b)
    left, right = x.to_numpy(), y.to_numpy()
    with np.errstate(invalid="ignore"):
        bound = np.maximum(tolerance * np.maximum(np.abs(left), np.abs(right)), absolute)
        close = np.isfinite(bound) & (np.abs(left - right) <= bound)
    close |= (left == right) | (np.isnan(left) & np.isnan(right))
    return where_judged(a, b, _same_answer(a, b, x, y, pl.Series(close)))


def json(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    """Whether two JSON documents hold the same values, whatever their layout and the order of their keys.

    Examples
    --------
    >>> json(pl.Series(['{"a": 1, "b": 2}']), pl.Series(['{"b":2.0,"a":1}'])).tolist()
    [1.0]
    """
    check_pair(a, b)
    return where_judged(a, b, _same_answer(a, b, answers.json_canonical(a), answers.json_canonical(b)))


def label(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    """Whether two class labels are the same, whatever type they have: 1, 1.0 and "1" are one label.

    Examples
    --------
    >>> label(pl.Series(["1", "cat "]), pl.Series(["1", "cat"])).tolist()
    [1.0, 1.0]
    >>> label(pl.Series([1, 0]), pl.Series(["1", "one"])).tolist()
    [1.0, 0.0]
    """
    return where_judged(a, b, same_label(a, b))


def same_label(a: pl.Series, b: pl.Series) -> pl.Series:
    """Say where two columns hold the same label; null where either is null."""
    a, b = (
        s if _is_number(s) or s.dtype.is_nested() else s.cast(pl.String).str.strip_chars() for s in (a, b)
    )
    if _is_number(a) == _is_number(b):
        return equal(a, b)
    numbers, texts = (a, b) if _is_number(a) else (b, a)
    if numbers.dtype == pl.Boolean:
        truth = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
        read = texts.str.to_lowercase().replace_strict(truth, default=None, return_dtype=pl.Boolean)
    else:
        read = texts.cast(pl.Float64, strict=False)
        numbers = numbers.cast(pl.Float64)
    same = equal(numbers, read).fill_null(False)
    return same.set(a.is_null() | b.is_null(), None)


def _is_number(labels: pl.Series) -> bool:
    return labels.dtype.is_numeric() or labels.dtype == pl.Boolean


def _same_answer(
    a: pl.Series, b: pl.Series, x: pl.Series, y: pl.Series, same: pl.Series | None = None
) -> pl.Series:
    """Say where the answers x and y of the outputs a and b are the same (or equal), null if unknown."""
    same = equal(x, y) if same is None else same.set(x.is_null() | y.is_null(), None)
    same = same.set(x.is_null() != y.is_null(), False)
    alike = equal(a, b) if a.dtype == b.dtype else pl.repeat(False, len(a), eager=True)
    return same.fill_null(alike.set(~alike, None))
