"""Table files into data frames: JSONL, JSON, CSV, TSV and Parquet, with an error that names the line.

The one place where table and JSON files are read; items and the readers of recorded behaviour stand on it. The fast
native readers of polars do the work; only when one of them refuses a file is it gone through line by line, to
say where it is broken.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import DataError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def table_format(path: Path) -> str:
    """Name the format of a table file by its suffix; a further ``.gz`` is allowed.

    Raises
    ------
    DataError
        If the suffix is not one of the known ones.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FORMATS:
        message = f"{path}: the format is not known by its suffix; allowed: {', '.join(FORMATS)} (and .gz)"
        raise DataError(message)
    return FORMATS[suffixes[-1]]


def read_table(path: str | Path, format: str | None = None, limit: int | None = None) -> pl.DataFrame:
    """Read a table file.

    Parameters
    ----------
    path
        The file.
    format
        ``"jsonl"``, ``"json"``, ``"csv"``, ``"tsv"`` or ``"parquet"``; by default known from the suffix.
    limit
        Read the first `limit` rows only.

    Returns
    -------
    pl.DataFrame
        At least one row.

    Raises
    ------
    DataError
        If the file is missing, empty, not UTF-8 or malformed; the line is named where there are lines.
    """
    path = Path(path)
    _check_there(path)
    format = format or table_format(path)
    frame = _parquet(path, limit) if format == "parquet" else _text_table(path, format, limit)
    if frame.is_empty():
        message = f"{path} holds no rows"
        raise DataError(message)
    return frame


def read_text(path: str | Path) -> str:
    """Read a whole UTF-8 text file (gunzipped if it ends in ``.gz``), or say what is wrong with it."""
    path = Path(path)
    data = _bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte {data[error.start]:#04x}"
        message = f"{path}, line {line}: not UTF-8 text ({byte}); save the file as UTF-8"
        raise DataError(message) from None


def json_document(path: str | Path) -> Any:
    """Read a JSON file; a `DataError` says where it is malformed."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        message = f"{path}, line {error.lineno}, column {error.colno}: malformed JSON: {error.msg}"
        raise DataError(message) from None
    except RecursionError:
        message = f"{path}: malformed JSON: nested too deeply"
        raise DataError(message) from None


def json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Go through the objects of a JSONL file with their line numbers; a `DataError` names a line that is none."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):  # U+2028 may stand in JSON
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            message = f"{path}, line {number}: malformed JSON: {error.msg} (column {error.colno})"
            raise DataError(message) from None
        except RecursionError:
            message = f"{path}, line {number}: malformed JSON: nested too deeply"
            raise DataError(message) from None
        if not isinstance(row, dict):
            message = f"{path}, line {number}: allowed is one JSON object a line, got {type(row).__name__}"
            raise DataError(message)
        yield number, row


def frame_of_rows(rows: list[dict[str, Any]], source: str) -> pl.DataFrame:
    """Make a data frame of dictionaries; a `DataError` names the `source` where they do not fit together."""
    try:
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except (pl.exceptions.PolarsError, TypeError, OverflowError, UnicodeEncodeError) as error:
        message = f"{source}: the rows do not fit into one table: {first_line(error)}"
        raise DataError(message) from None


def _check_there(path: Path) -> None:
    if path.is_dir():
        message = f"{path} is a folder, not a file"
    elif not path.exists():
        message = f"{path}: there is no such file"
    else:
        return
    raise DataError(message)


def _bytes(path: Path) -> bytes:
    _check_there(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path} cannot be read: {error}"
        raise DataError(message) from None
    if not data or data.isspace():
        message = f"{path} is empty"
        raise DataError(message)
    return data


def _parquet(path: Path, limit: int | None) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, n_rows=limit)
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"{path} is not a readable Parquet file: {first_line(error)}"
        raise DataError(message) from None


def _text_table(path: Path, format: str, limit: int | None) -> pl.DataFrame:
    if format == "json":
        return _json_table(path, limit)
    if format == "jsonl":
        try:
            frame = pl.read_ndjson(read_text(path).encode(), infer_schema_length=None)
        except pl.exceptions.PolarsError:
            frame = frame_of_rows([row for _, row in islice(json_lines(path), limit)], str(path))
        return frame if limit is None else frame.head(limit)
    return _separated(path, format, limit)


def _separated(path: Path, format: str, limit: int | None) -> pl.DataFrame:
    text = read_text(path)
    header = text.partition("\n")[0]
    spreadsheet = ";" in header and "," not in header  # as spreadsheets save CSV where the comma is decimal
    separator = "\t" if format == "tsv" else ";" if spreadsheet else ","
    for rows in (10_000, None):  # None for a column that looks like numbers at first and holds text later
        try:
            frame = pl.read_csv(text.encode(), separator=separator, n_rows=limit, infer_schema_length=rows)
        except pl.exceptions.PolarsError as error:
            _check_row_lengths(path, text, separator)
            said = first_line(error)
            continue
        frame = _with_leading_zeros(frame, text, separator)
        if frame.width > 1 and frame[:, -1].has_nulls():  # the end of a torn row would be read as null
            _check_row_lengths(path, text, separator)
            frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
        return frame
    message = f"{path} is not a readable {format.upper()} file: {said}"
    raise DataError(message)


def _with_leading_zeros(frame: pl.DataFrame, text: str, separator: str) -> pl.DataFrame:
    """Give back the zeros to what looks like whole numbers and is none: "007" is a name, not 7."""
    names = [name for name, dtype in frame.schema.items() if dtype.is_integer()]
    if not names or not re.search(rf'(?:^|{separator}|")0[0-9]', text, re.MULTILINE):
        return frame
    raw = pl.read_csv(text.encode(), separator=separator, infer_schema=False, columns=names).head(len(frame))
    zeros = [name for name in names if raw[name].str.contains(r"^0[0-9]").any()]
    return frame.with_columns(raw[name] for name in zeros)


def _json_table(path: Path, limit: int | None) -> pl.DataFrame:
    document = json_document(path)
    rows = document.get("rows") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"{path}: allowed is an array of objects, or an object with such an array under 'rows'"
        raise DataError(message)
    return frame_of_rows(rows[:limit], str(path))


def _check_row_lengths(path: Path, text: str, separator: str) -> None:
    import csv

    expected = None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    for row in reader:
        if expected is None:
            expected = len(row)
        elif row and len(row) != expected:
            message = f"{path}, line {reader.line_num}: {len(row)} fields where the header has {expected}"
            raise DataError(message)
