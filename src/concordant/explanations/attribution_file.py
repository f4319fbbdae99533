"""Attributions that are kept as soon as they are made, so that a run that was stopped goes on where it was.

One ``.npz`` file holds for each method its attributions under its name, and its landmarks under ``METHOD/rows``,
``METHOD/cosines`` and ``METHOD/n_near``; ``rows`` are the numbers of the series in their file, and ``kept`` is a JSON
text that tells, by method, the key of what was asked and the seconds it took.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import StoreError
from concordant.core.whole_files import write_whole
from concordant.explanations.explained import LandmarkExamples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS = "rows"
KEPT = "kept"


@dataclass(frozen=True, eq=False)
class Attributed:
    """What one method gave.

    Attributes
    ----------
    attribution
        Shape ``(n, time, channel)``; more is more important.
    seconds
        How long it took, fitting included.
    landmarks
        Where it has any.
    """

    attribution: NDArray[Any]
    seconds: float
    landmarks: LandmarkExamples | None = None


class AttributionFile:
    """A file of attributions of one set.

    Parameters
    ----------
    path
        The file; it need not be there yet.
    rows
        Numbers in the data's file of the series that are explained, shape ``(n,)``.

    Raises
    ------
    StoreError
        If there is a file of that name that it did not write.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = AttributionFile(Path(folder, "a.npz"), np.arange(2))
    ...     file.put("gradient", "key", Attributed(np.ones((2, 3, 1)), 0.5))
    ...     again = AttributionFile(Path(folder, "a.npz"), np.arange(2))
    ...     again.get("gradient", "key").seconds, again.get("gradient", "other")
    (0.5, None)
    """

    def __init__(self, path: Path, rows: NDArray[np.intp]) -> None:
        self.path, self.rows = path, rows
        self._keys: dict[str, dict[str, Any]] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        if path.exists():
            self._read()

    def get(self, method: str, key: str) -> Attributed | None:
        """Return what is kept of a method for a key, or None."""
        about = self._keys.get(method)
        if about is None or about["key"] != key:
            return None
        landmarks = None
        if f"{method}/rows" in self._arrays:
            landmarks = LandmarkExamples(
                *(self._arrays[f"{method}/{part}"] for part in ("rows", "cosines", "n_near"))
            )
        return Attributed(self._arrays[method], float(about["seconds"]), landmarks)

    def put(self, method: str, key: str, made: Attributed) -> None:
        """Keep what a method gave; when this returns it is safe.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        self._forget(method)
        self._keys[method] = {"key": key, "seconds": made.seconds}
        self._arrays[method] = made.attribution
        if made.landmarks is not None:
            for part in ("rows", "cosines", "n_near"):
                self._arrays[f"{method}/{part}"] = getattr(made.landmarks, part)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            **{KEPT: np.array(json.dumps(self._keys)), ROWS: self.rows, **self._arrays},
        )
        try:
            write_whole(self.path, buffer.getvalue())
        except OSError as error:
            message = f"the attributions cannot be written to {self.path}: {error.strerror or error}"
            raise StoreError(message) from None

    def _forget(self, method: str) -> None:
        self._keys.pop(method, None)
        for name in [name for name in self._arrays if name == method or name.startswith(f"{method}/")]:
            del self._arrays[name]

    def _read(self) -> None:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            self._keys = json.loads(arrays.pop(KEPT).item())
            rows = arrays.pop(ROWS)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            message = f"{self.path} is no file of attributions of this package: name another folder"
            raise StoreError(message) from None
        self._arrays = arrays
        if not np.array_equal(rows, self.rows):  # another choice of series: nothing of it is of use
            self._keys, self._arrays = {}, {}
