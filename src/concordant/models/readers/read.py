"""Recorded behaviour into records: which format a file has, and who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.tables import json_document, json_lines, read_table
from concordant.models.readers.formats import FORMATS, first_object, recognised
from concordant.models.readers.inspect_log import inspect_frame, is_inspect, read_eval
from concordant.models.readers.lm_eval import is_lm_eval, lm_eval_frame
from concordant.models.readers.promptfoo import is_promptfoo, promptfoo_frame, promptfoo_results
from concordant.models.readers.records import to_records
from concordant.models.readers.rows import frame_of, rows_of
from concordant.models.readers.source import Source, parse_source

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl


def read_records(source: str | Path) -> pl.DataFrame:
    """Read recorded behaviour into one canonical table.

    Parameters
    ----------
    source
        ``PATH[?key=value&...]`` or ``PATH#MODEL``. The file is JSONL, JSON, CSV, TSV or Parquet, a log of
        Inspect (``.eval`` or ``.json``), a sample file of lm-eval or results of promptfoo; text files may be
        gzipped. The keys:

        - a column of the records (``id``, ``sample``, ``input``, ``output``, ``reference``, ``choices``,
          ``correct``, ``score``, ``logprob``, ``tokens``, ``latency_s``, ``error``, ``group``): the column of
          the file that holds it. ``id`` and ``sample`` may be several, joined by commas; an empty value says
          that the file has none. By default usual names are recognised.
        - ``where=COLUMN:VALUE``, any number of times: only such rows.
        - ``model=NAME``, which ``#NAME`` is short for: only rows whose column `model` is NAME; or, where a
          row holds several models in nested columns, the nested column NAME.
        - ``rows=NAME/NAME``: where in a JSON document the rows are.
        - ``scorer=NAME`` or ``scorer=NAME.KEY``: which scorer of an Inspect log grades; by default its first.
        - ``filter=NAME``: which filter of an lm-eval log is meant; by default its last.
        - ``format=``: the format, where it is not to be recognised by suffix and content.

    Returns
    -------
    pl.DataFrame
        One row a sample of an item. Always there are `item` (text), `sample` (0, 1, ... within the item) and
        `output` (any type; the score or else the grade where a file holds nothing else). Where known: `input`
        (text, or a list of structs with `role` and `content`), `reference` (any type), `choices` (list of
        texts), `correct` (bool), `score` (float), `logprob` (nats), `tokens`, `latency_s`, `error` (text,
        null where all was well), `group` (text). Every further column follows under its own name; `model`
        says who answered. Items without an id get a digest of their input; rows with the same id are its
        samples.

    Raises
    ------
    DataError
        If the file cannot be read (the message names the line), holds several models and none is named, or
        lacks a column.
    ConfigError
        If an option of the source is not known.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "answers.jsonl"
    >>> _ = path.write_text('{"question": "2 + 2?", "answer": "4", "target": "4", "topic": "sums"}')
    >>> read_records(path).select("input", "output", "reference", "topic").row(0)
    ('2 + 2?', '4', '4', 'sums')
    """
    meant = parse_source(str(source))
    format = meant.format or recognised(meant.path)
    if format not in FORMATS:
        message = f"{meant.path}: there is no format {format!r}; {nearest(format, FORMATS)}"
        raise ConfigError(message)
    table, kind = _load(meant, format)
    owners = {"rows": "json", "scorer": "inspect", "filter": "lm-eval"}
    for option, owner in owners.items():
        if getattr(meant, option) is not None and kind != owner:
            message = f"{meant.path}: the option {option} is for {owner} files, and this is a {kind} file"
            raise ConfigError(message)
    return to_records(table, meant, guess=kind not in ("inspect", "lm-eval", "promptfoo"))


def _load(meant: Source, format: str) -> tuple[pl.DataFrame, str]:
    """Read the table of a file, and say which kind of file it turned out to be."""
    path = meant.path
    is_json = recognised(path) == "json"
    if format == "inspect" and not is_json:
        return read_eval(path, meant.scorer), "inspect"
    if format == "json" or (format in ("inspect", "promptfoo") and is_json):
        return _load_json(meant, format)
    if format in ("jsonl", "lm-eval", "promptfoo"):
        first = first_object(path)
        if format == "lm-eval" or is_lm_eval(first):
            return lm_eval_frame(path, json_lines(path), meant.filter), "lm-eval"
        if format == "promptfoo" or is_promptfoo(first):
            return promptfoo_frame(path, [row for _, row in json_lines(path)]), "promptfoo"
    return read_table(path, format), format


def _load_json(meant: Source, format: str) -> tuple[pl.DataFrame, str]:
    path = meant.path
    document = json_document(path)
    if meant.rows is None:
        if is_inspect(document):
            samples = document.get("samples") or []
            return inspect_frame(path, document["eval"], samples, meant.scorer), "inspect"
        results = promptfoo_results(document)
        if results is not None:
            return promptfoo_frame(path, results), "promptfoo"
    if format != "json":
        message = f"{path} is not as {format} writes its logs"
        raise DataError(message)
    return frame_of(rows_of(document, path, meant.rows)), "json"
