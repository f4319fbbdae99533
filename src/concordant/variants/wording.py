"""The wording of an item: the text that a rewriting rewrites, and putting another one in its place.

In a conversation it is the last turn of the user; the turns before it stay as they are.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.prompts import holds_messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from concordant.core.items import Items


def is_worded(items: Items) -> bool:
    """Whether the inputs are texts or conversations."""
    return items.inputs.dtype == pl.String or holds_messages(items.inputs.dtype)


def wording(items: Items, relation: str) -> pl.Series:
    """Return the texts that can be rewritten, one an item.

    Parameters
    ----------
    items
        Items whose inputs are texts or lists of messages.
    relation
        Who asks, for messages.

    Raises
    ------
    DataError
        If the inputs are something else, or a conversation has no turn of the user.
    """
    if not is_worded(items):
        message = f"{relation} rewrites texts or lists of messages, and the inputs are {items.inputs.dtype}"
        raise DataError(message)
    if items.inputs.dtype == pl.String:
        return items.inputs
    texts = []
    for name, turns in zip(items.ids.to_list(), items.inputs.to_list(), strict=True):
        asked = _last_user_turn(turns)
        if asked is None:
            message = f"{relation}: item {name!r} has no turn of the user to rewrite"
            raise DataError(message)
        texts.append(turns[asked]["content"])
    return pl.Series("input", texts, pl.String)


def reword(items: Items, texts: Iterable[str | None]) -> pl.Series:
    """Return the inputs with other texts in the place of their wording; None leaves the item out (null)."""
    new = pl.Series("input", texts if isinstance(texts, pl.Series) else list(texts), pl.String)
    if items.inputs.dtype == pl.String:
        return new
    conversations: list[list[Any] | None] = []
    for turns, text in zip(items.inputs.to_list(), new.to_list(), strict=True):
        if text is None:
            conversations.append(None)
            continue
        asked = _last_user_turn(turns)
        reworded = [{**turn, "content": text} if i == asked else turn for i, turn in enumerate(turns)]
        conversations.append(reworded)
    return pl.Series("input", conversations, items.inputs.dtype)


def _last_user_turn(turns: list[dict[str, Any]]) -> int | None:
    return next((i for i in reversed(range(len(turns))) if turns[i]["role"] == "user"), None)


def fields_of(template: str, known: Collection[str], what: str) -> set[str]:
    """Return the fields that a template names.

    Parameters
    ----------
    template
        A text with fields in braces: ``"Please answer: {input}"``.
    known
        The fields there are.
    what
        What the template is, as the subject of the messages.

    Raises
    ------
    ConfigError
        If the braces do not match, or a field is not known.
    """
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        message = f"{what} {template!r} cannot be read: {error}"
        raise ConfigError(message) from None
    for name in sorted(fields):
        if name not in known:
            message = f"{what} {template!r} has an unknown field {{{name}}}; {nearest(name, known)}"
            raise ConfigError(message)
    return fields


def fill(template: str, columns: Mapping[str, Sequence[Any]], what: str) -> list[str]:
    """Fill a template once for every row of `columns`; arguments and errors as for `fields_of`.

    Examples
    --------
    >>> fill("{n} apples", {"n": [1, 2]}, "the template")
    ['1 apples', '2 apples']
    """
    used = sorted(fields_of(template, columns, what))
    rows = zip(*(columns[name] for name in used), strict=True) if used else [()] * _length(columns)
    try:
        return [template.format_map(dict(zip(used, row, strict=True))) for row in rows]
    except (ValueError, TypeError) as error:
        message = f"{what} {template!r} cannot be filled: {error}"
        raise ConfigError(message) from None


def _length(columns: Mapping[str, Sequence[Any]]) -> int:
    return len(next(iter(columns.values()), ()))
