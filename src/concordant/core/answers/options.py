"""The option that an output chooses: its letter, or its text whatever the order of the options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.answers.reading import ANSWER, HASHES, as_text, boxed, first_found, marked
from concordant.core.answers.texts import normalized
from concordant.core.errors import DataError
from concordant.core.prompts import LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from concordant.core.items import Items

_OPEN, _CLOSE = r"""[\s*_("'`$\[{<]*""", r"""[\s*_)"'`$\]}>.,:]*"""
_WORD = r"(?:(?i:option|choice)\s+)?"
_ALONE = rf"^{_OPEN}{_WORD}{_OPEN}([A-Za-z]){_CLOSE}$"
# behind the mark of an answer: "B", "(B) Paris", "B because", "b)", but not "a dog"
_LEADING = rf"^{_OPEN}{_WORD}{_OPEN}(?:([A-Z])(?:\W|$)|([a-z])[)\]*])"
# "B) Paris", "B. Paris", "**B**" at the start of a line; "(B)" and "option B" within one
_LABEL = r"(?m)^[\s*_(\[]*([A-Z])[*_]*(?:[)\]]|[.:](?:[\s*_]|$)|\s*$)"
_INLINE = r"\(([A-Z])\)|\*\*([A-Z])\*\*|(?i:option|choice)\s+([A-Z])\b"


def letter(outputs: pl.Series, choices: pl.Series | int = 26) -> pl.Series:
    """Find the letter of the option that each output chooses.

    Read are, in this order: a letter alone (``B``, ``(b)``, ``**B.**``); an output that is the text of one
    option; what is marked as the answer ("Answer: B", "the answer is (B)", "Answer: Paris"); the letter that
    labels a line or stands in brackets, where there is only one.

    Parameters
    ----------
    outputs
        Texts, n of them; integers are the positions of options, from 0.
    choices
        The options of each row, a list of texts; or the number of options, 1 to 26.

    Returns
    -------
    pl.Series
        n upper-case letters, null where none of the options is chosen.

    Raises
    ------
    DataError
        If the outputs are neither texts nor integers, or the choices do not fit them.

    Examples
    --------
    >>> letter(pl.Series(["(B)", "The answer is C.", "maybe"]), 4).to_list()
    ['B', 'C', None]
    >>> letter(pl.Series(["Rome"]), pl.Series([["Paris", "Rome"]])).to_list()
    ['B']
    """
    found = position(outputs, choices)
    names = found.replace_strict(range(len(LETTERS)), list(LETTERS), default=None, return_dtype=pl.String)
    return names.alias(outputs.name)


def choice(outputs: pl.Series, items: Items) -> pl.Series:
    """Find the text of the option that each output chooses, so that it does not depend on their order.

    Parameters
    ----------
    outputs
        As for `letter`.
    items
        The items asked, one for each output, with their `choices`.

    Returns
    -------
    pl.Series
        n texts, null where none of the options is chosen.

    Raises
    ------
    DataError
        If the items have no choices, or are not as many as the outputs.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> items = Items.from_records([{"input": "Capital of Italy?", "choices": ["Paris", "Rome"]}])
    >>> choice(pl.Series(["The answer is (B)."]), items).to_list()
    ['Rome']
    """
    if items.choices is None:
        message = "the items have no choices, so no option can be found in an output"
        raise DataError(message)
    found = position(outputs, items.choices)
    return items.choices.list.get(found, null_on_oob=True).alias(outputs.name)


def position(outputs: pl.Series, choices: pl.Series | int) -> pl.Series:
    """Find the position, from 0, of the option that each output chooses; arguments as for `letter`."""
    if isinstance(choices, int):
        if not 1 <= choices <= len(LETTERS):
            message = f"the number of choices must be 1 to {len(LETTERS)}, got {choices}"
            raise DataError(message)
        frame = pl.DataFrame({"text": outputs}).with_columns(count=pl.lit(choices))
    elif len(choices) != len(outputs):
        message = f"there are {len(outputs)} outputs for the choices of {len(choices)} items"
        raise DataError(message)
    else:
        count = choices.list.len().cast(pl.Int64).fill_null(0)
        frame = pl.DataFrame({"text": outputs, "choices": choices, "count": count})
    if outputs.dtype.is_integer():
        chosen = pl.when(pl.col("text").is_between(0, pl.col("count") - 1)).then("text").cast(pl.Int64)
        return frame.select(chosen).to_series()
    frame = frame.with_columns(as_text(outputs, "options").str.strip_chars().alias("text"))
    readers = [
        lambda rows: _by_letter(rows, _ALONE),
        _by_very_text,
        _by_like_text,
        lambda rows: _by_answer(rows, boxed(rows["text"])),
        lambda rows: _by_answer(rows, marked(rows["text"], HASHES)),
        lambda rows: _by_answer(rows, marked(rows["text"], ANSWER)),
        lambda rows: _by_only_letter(rows, _LABEL),
        lambda rows: _by_only_letter(rows, _INLINE),
    ]
    return first_found(frame, readers, pl.Int64())


def _by_answer(rows: pl.DataFrame, answers: pl.Series) -> pl.Series:
    """Read what is marked as the answer: a letter alone, the text of an option, or a letter at its start."""
    rows = rows.with_columns(answers.alias("text"))
    readers = [
        lambda left: _by_letter(left, _ALONE),
        _by_very_text,
        _by_like_text,
        lambda left: _by_letter(left, _LEADING),
    ]
    return first_found(rows, readers, pl.Int64())


def _by_letter(rows: pl.DataFrame, pattern: str) -> pl.Series:
    groups = rows["text"].str.extract_groups(pattern).struct.unnest()
    return _of_letter(rows, groups.select(pl.coalesce(pl.all())).to_series())


def _by_only_letter(rows: pl.DataFrame, pattern: str) -> pl.Series:
    """Read the letter that a pattern finds, where it finds only one."""
    labels = rows["text"].str.extract_all(pattern).list.eval(pl.element().str.extract(r"([A-Z])[^A-Za-z]*$"))
    found = labels.list.unique()
    return _of_letter(rows, found.list.first().set(found.list.len() != 1, None))


def _of_letter(rows: pl.DataFrame, letters: pl.Series) -> pl.Series:
    codes = dict(zip(LETTERS, range(len(LETTERS)), strict=True))
    found = letters.str.to_uppercase().replace_strict(codes, default=None, return_dtype=pl.Int64)
    return found.set(found >= rows["count"], None)


def _by_very_text(rows: pl.DataFrame) -> pl.Series:
    """Read the very text of an option; the first where several have it."""
    return _by_text(rows, lambda texts: texts.str.strip_chars(), most=len(LETTERS))


def _by_like_text(rows: pl.DataFrame) -> pl.Series:
    """Read the normalised text of an option, where only one has it."""
    return _by_text(rows, normalized, most=1)


def _by_text(rows: pl.DataFrame, form: Callable[[pl.Series], pl.Series], most: int) -> pl.Series:
    if "choices" not in rows.columns:
        return pl.repeat(None, len(rows), dtype=pl.Int64, eager=True)
    count = rows["count"].to_numpy()
    row = np.repeat(np.arange(len(rows)), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    options = rows["choices"].filter(rows["count"] > 0).explode().cast(pl.String)
    same = (form(options) == form(rows["text"])[row]).fill_null(False).to_numpy()
    row, place = row[same][::-1], place[same][::-1]  # from the last to the first, so that the first one stays
    found = np.full(len(rows), -1)
    found[row] = place
    found[np.bincount(row, minlength=len(rows)) > most] = -1
    return pl.Series(found).replace(-1, None)


def named_option(names: pl.Series, choices: pl.Series) -> pl.Series:
    """Find the option that each reference names: by its text, its letter, or its position from 0.

    A column says it in one way: the first of the three ways that reads all of it is taken, so that in items
    whose options are themselves numbers a position stays a position. Where no way reads all of it, each row
    is read in the first way that can; positions only if none of those left is out of range, since then they
    may count from 1.

    Parameters
    ----------
    names
        References, n of them: texts, letters or integers.
    choices
        The options of each row, a list of texts.

    Returns
    -------
    pl.Series
        Positions of the options from 0, null where no option is named.

    Examples
    --------
    >>> options = pl.Series([["4", "2", "0"], ["x", "y", "z"]])
    >>> named_option(pl.Series([2, 0]), options).to_list()
    [2, 0]
    >>> named_option(pl.Series(["2", "z"]), options).to_list()
    [1, 2]
    """
    if names.dtype.is_float() and (names.drop_nulls() % 1 == 0).all():  # integers of a column that had gaps
        names = names.cast(pl.Int64)
    text = as_text(names, "the options that references name").str.strip_chars()
    count = choices.list.len().cast(pl.Int64).fill_null(0)
    frame = pl.DataFrame({"text": text, "choices": choices, "count": count})
    by_text = first_found(frame, [_by_very_text, _by_like_text], pl.Int64())
    if by_text.null_count() == text.null_count():
        return by_text
    by_letter = _by_letter(frame, _ALONE)
    place = text.cast(pl.Int64, strict=False)
    by_place = place.set((place < 0) | (place >= count), None)
    for found in (by_letter, by_place):
        if found.null_count() == text.null_count():
            return found
    either = by_text.fill_null(by_letter)
    left = either.is_null() & place.is_not_null()
    return either if by_place.filter(left).has_nulls() else either.fill_null(by_place)
