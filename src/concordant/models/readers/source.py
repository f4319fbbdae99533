"""What a user writes to name recorded behaviour: a file, and which part and which columns of it are meant.

``PATH[?key=value&...][#MODEL]``, as in ``trials.csv?id=problem,variation&where=run:1#gpt-4o``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from concordant.core.errors import ConfigError, nearest

COLUMN_OPTIONS = {
    "id": "item",
    "sample": "sample",
    "input": "input",
    "output": "output",
    "reference": "reference",
    "choices": "choices",
    "correct": "correct",
    "score": "score",
    "logprob": "logprob",
    "tokens": "tokens",
    "latency_s": "latency_s",
    "error": "error",
    "group": "group",
}
"""The options that name a column, and the column of the records each becomes."""

OTHER_OPTIONS = ("where", "model", "rows", "scorer", "filter", "format")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of recorded behaviour, and what of it is meant.

    Parameters
    ----------
    path
        The file.
    columns
        Column of the records to column of the file; several joined by commas for `item` and `sample`; empty
        to leave it out.
    where
        ``(column, value)`` pairs that rows must have.
    model
        Name of the model whose behaviour is meant.
    rows
        Where the rows are inside a JSON document, as a JSON pointer with an optional first slash.
    scorer
        Which scorer of an Inspect log grades, ``NAME`` or ``NAME.KEY`` for a scorer of several values.
    filter
        Which filter of an lm-eval log is meant.
    format
        The format, where it is not to be recognised.
    """

    path: Path
    columns: dict[str, str] = field(default_factory=dict)
    where: tuple[tuple[str, str], ...] = ()
    model: str | None = None
    rows: str | None = None
    scorer: str | None = None
    filter: str | None = None
    format: str | None = None


def parse_source(text: str) -> Source:
    """Take a source apart.

    A file whose name holds a ``?`` or ``#`` is found, too: the longest beginning that is a file is the path.
    In names and values ``%26`` stands for ``&``, ``%23`` for ``#`` and ``%25`` for ``%``.

    Raises
    ------
    ConfigError
        If an option is not known, or is not of the form ``key=value``.

    Examples
    --------
    >>> source = parse_source("trials.csv?id=problem,variation&where=run:1#gpt-4o")
    >>> source.path.name, source.columns, source.where, source.model
    ('trials.csv', {'item': 'problem,variation'}, (('run', '1'),), 'gpt-4o')
    """
    path, rest = _split_path(text)
    columns: dict[str, str] = {}
    where: list[tuple[str, str]] = []
    others: dict[str, str] = {}
    options, _, name = rest.removeprefix("?").partition("#")
    if name:
        name, _, behind = name.partition("?")
        others["model"] = unquote(name)
        options = "&".join(part for part in (options, behind) if part)
    for option in filter(None, options.split("&")):
        key, equals, value = option.partition("=")
        key, value = unquote(key), unquote(value)
        if not equals:
            message = f"{text}: allowed behind the '?' is key=value&key=value, got {option!r}"
            raise ConfigError(message)
        if key in COLUMN_OPTIONS:
            columns[COLUMN_OPTIONS[key]] = value
        elif key == "where":
            column, colon, wanted = value.partition(":")
            if not colon:
                message = f"{text}: allowed is where=COLUMN:VALUE, got where={value}"
                raise ConfigError(message)
            where.append((column, wanted))
        elif key in OTHER_OPTIONS:
            others[key] = value
        else:
            message = f"{text}: there is no option {key!r}; {nearest(key, [*COLUMN_OPTIONS, *OTHER_OPTIONS])}"
            raise ConfigError(message)
    return Source(Path(path), columns, tuple(where), **others)


def _split_path(text: str) -> tuple[str, str]:
    if Path(text).is_file():
        return text, ""
    marks = [i for i, letter in enumerate(text) if letter in "?#"]
    for mark in reversed(marks):
        if Path(text[:mark]).is_file():
            return text[:mark], text[mark:]
    return (text[: marks[0]], text[marks[0] :]) if marks else (text, "")
