"""Which format a file has, by its first bytes, its suffix and its first line."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from concordant.core.errors import DataError
from concordant.core.tables import FORMATS as SUFFIXES
from concordant.core.tables import table_format

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "inspect", "lm-eval", "promptfoo")
_LONGEST_LINE = 1 << 26
_ENOUGH = 4096


def recognised(path: Path) -> str:
    """Recognise whether a file is ``jsonl``, ``json``, ``csv``, ``tsv``, ``parquet`` or ``inspect`` (a zip).

    Whether JSON and JSONL are logs of some tool is not said here: that is known from their first object.

    Raises
    ------
    DataError
        If the file is missing or empty, or neither its suffix nor its content tells.
    """
    if not path.exists():
        message = f"{path}: there is no such file"
        raise DataError(message)
    if path.is_file() and not path.stat().st_size:
        message = f"{path} is empty"
        raise DataError(message)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    first, more = _beginning(path)
    if first.startswith(b"PK") or suffix == ".eval":
        return "inspect"
    if first.startswith(b"PAR1"):
        return "parquet"
    if suffix in SUFFIXES and suffix != ".json":
        return SUFFIXES[suffix]
    if first.startswith(b"{") and more and _parsed(first) is not None:
        return "jsonl"
    if first.startswith((b"{", b"[")) or suffix == ".json":
        return "json"
    for separator, name in ((b"\t", "tsv"), (b",", "csv")):
        if separator in first and b"\0" not in first:
            return name
    return table_format(path)


def first_object(path: Path) -> Any:
    """Return what the first line of a file holds as JSON, or None where it holds none."""
    return _parsed(_beginning(path)[0])


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _beginning(path: Path) -> tuple[bytes, bytes]:
    """Return the first line that is not blank and some of what follows; nothing if it cannot be read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first = file.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf").strip()
            while not first and (line := file.readline(_LONGEST_LINE)):
                first = line.strip()
            return first, file.read(_ENOUGH).strip()
    except (OSError, EOFError, zlib.error):
        return b"", b""
