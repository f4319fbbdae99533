"""Writing a report to its file, or saying in one sentence why it cannot be written."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from concordant.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the file system refuses into a `StoreError` that names the file."""
    try:
        yield
    except OSError as error:
        message = f"the report cannot be written to {path}: {error.strerror or error}"
        raise StoreError(message) from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 with line feeds, on every system; `StoreError` where it cannot be written."""
    with writing(path):
        Path(path).write_text(text, encoding="utf-8", newline="\n")
