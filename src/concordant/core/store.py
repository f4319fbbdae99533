"""Where behaviours are kept: in memory, or in a run folder that survives a kill at any moment.

A run folder holds::

    run.json                    what was asked: models, digest of the items, relations, seeds, versions
    items.parquet               the items
    behaviours/KEY-00001.parquet    segments of one pass, each written to a temporary name, synced and renamed
    verdicts/RELATION.parquet   one row an item
    findings.parquet, report.json   what was concluded

A *pass* is one model asked one column of inputs in one way; its key is a digest of the three, so that a resumed run, and a
relation that asks the same question as another, find what is already there. `SCHEMA` is the version of this layout: a later
version of this package reads all earlier ones.
"""

from __future__ import annotations

import errno
import io
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
from filelock import FileLock, Timeout

from concordant.core.errors import StoreError
from concordant.core.items import Items
from concordant.core.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 1


class Store(Protocol):
    """Keeps the behaviours of passes."""

    @property
    def where(self) -> str:
        """Where people find what is kept."""
        ...

    def read(self, key: str) -> pl.DataFrame | None:
        """Return what is recorded of a pass, one row an (item, sample), or None."""
        ...

    def append(self, key: str, frame: pl.DataFrame) -> None:
        """Record more behaviours of a pass; when this returns they are safe."""
        ...


class MemoryStore:
    """Keeps behaviours for as long as the process lives."""

    where = "memory"

    def __init__(self) -> None:
        self._frames: dict[str, list[pl.DataFrame]] = {}

    def read(self, key: str) -> pl.DataFrame | None:
        """Return what is recorded of a pass, or None."""
        frames = self._frames.get(key)
        return None if frames is None else _concatenate(frames)

    def append(self, key: str, frame: pl.DataFrame) -> None:
        """Record more behaviours of a pass."""
        self._frames.setdefault(key, []).append(frame)


class RunFolder:
    """A run kept in a folder.

    Parameters
    ----------
    path
        The folder; made if it is not there.
    resume
        Go on with the run that the folder holds. Without it, a folder that holds a run is refused.

    Raises
    ------
    StoreError
        If the folder cannot be written, holds another run, or is being written by another process.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name, RunFolder(name).opened() as folder:
    ...     folder.append("abc", pl.DataFrame({"item": ["a"], "sample": [0], "output": ["yes"]}))
    ...     folder.read("abc")["output"].to_list()
    ['yes']
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self._resume = resume
        self._counts: dict[str, int] = {}
        self.set_aside: list[Path] = []
        """Torn segments that were found and renamed; their items are asked again."""

    @property
    def where(self) -> str:
        """Return the folder's path."""
        return str(self.path)

    @contextmanager
    def opened(self) -> Iterator[RunFolder]:
        """Hold the folder for writing; a second process that tries is refused."""
        with _explained(self.path):
            (self.path / "behaviours").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                message = f"{self.path} is being written by another run; wait for it or choose another folder"
                raise StoreError(message) from None
        try:
            if (self.path / "run.json").exists() and not self._resume:
                what = "already holds a run; go on with it by --resume, or choose another folder"
                message = f"{self.path} {what}"
                raise StoreError(message)
            yield self
        finally:
            lock.release()

    def describe(self, description: dict[str, Any], items: pl.DataFrame) -> None:
        """Write what is asked; on a resumed run, check that the same is asked of the same items."""
        path = self.path / "run.json"
        if path.exists():
            before = read_description(self.path)
            if before["items"]["digest"] != description["items"]["digest"]:
                digests = f"digest {before['items']['digest']}, now {description['items']['digest']}"
                message = f"{self.path} holds a run over other items ({digests}); choose another folder"
                raise StoreError(message)
        else:
            self.write_table("items", items)
        self.write_json("run", {"schema": SCHEMA, **description})

    def read(self, key: str) -> pl.DataFrame | None:
        """Return what is recorded of a pass; a torn segment is set aside, not deleted."""
        frames = []
        for path in sorted((self.path / "behaviours").glob(f"{key}-*.parquet")):
            self._counts[key] = int(path.stem.rsplit("-", 1)[1])
            try:
                frames.append(pl.read_parquet(path, glob=False))
            except (pl.exceptions.PolarsError, OSError):
                aside = path.with_suffix(".torn")
                path.rename(aside)
                self.set_aside.append(aside)
        return _concatenate(frames) if frames else None

    def append(self, key: str, frame: pl.DataFrame) -> None:
        """Write one segment; when this returns it is on the disk under its final name."""
        self._counts[key] = self._counts.get(key, 0) + 1
        self._replace(self.path / "behaviours" / f"{key}-{self._counts[key]:05d}.parquet", frame)

    def write_table(self, name: str, frame: pl.DataFrame) -> None:
        """Write a table beside the behaviours, such as ``verdicts/versions.flips``."""
        self._replace(self.path / f"{name}.parquet", frame)

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON document beside the behaviours."""
        self._replace(self.path / f"{name}.json", document)

    def _replace(self, path: Path, content: Any) -> None:
        data = _encoded(content)  # in memory first: a full disk is then an OSError that says so
        with _explained(self.path):
            write_whole(path, data)


def _encoded(content: Any) -> bytes:
    if not isinstance(content, pl.DataFrame):
        return json.dumps(content, indent=2, default=str).encode()
    buffer = io.BytesIO()
    content.write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()


def read_description(path: str | Path) -> dict[str, Any]:
    """Read the ``run.json`` of a run folder.

    Raises
    ------
    StoreError
        If the folder holds no run, or one of a later schema than this version reads.
    """
    file = Path(path) / "run.json"
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} holds no readable run: {error}"
        raise StoreError(message) from None
    if not isinstance(description, dict) or description.get("schema", SCHEMA + 1) > SCHEMA:
        message = (
            f"{file} was written by a later version of concordant; this one reads schemas up to {SCHEMA}"
        )
        raise StoreError(message)
    return description


def read_items(path: str | Path) -> Items:
    """Read the items of a run folder.

    Raises
    ------
    StoreError
        If they cannot be read.
    """
    file = Path(path) / "items.parquet"
    try:
        return Items(pl.read_parquet(file, glob=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"{file} cannot be read: {error}"
        raise StoreError(message) from None


def _concatenate(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    frame = pl.concat(frames, how="diagonal_relaxed", rechunk=True)
    if "error" in frame.columns:  # what was asked again: an answer stands before an error
        frame = frame.sort(pl.col("error").is_not_null(), maintain_order=True)
    return frame.unique(["item", "sample"], keep="first", maintain_order=True)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "there is no space left on its disk; free some and go on with --resume",
            errno.EDQUOT: "the disk quota is used up; free some and go on with --resume",
            errno.EACCES: "it is not allowed to write there",
            errno.EPERM: "it is not allowed to write there",
            errno.EROFS: "its file system is read-only",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
            errno.EEXIST: "a part of the path is a file, not a folder",
        }
        reason = reasons.get(error.errno or 0, str(error))
        message = f"the run folder {folder} cannot be written: {reason}; all that was recorded before is kept"
        raise StoreError(message) from error
