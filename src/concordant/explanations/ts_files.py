"""Series from ``.ts`` files, the text form of the UCR and UEA archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledSeries:
    """Series and their classes.

    Attributes
    ----------
    x
        Shape ``(n, time, channel)``.
    labels
        Numbers of the classes, shape ``(n,)``.
    classes
        Their names, by number.
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def read_ts(path: str | Path, *, classes: Sequence[str] | None = None) -> LabelledSeries:
    """Read a ``.ts`` file of series of one length, with classes and without time stamps.

    Parameters
    ----------
    path
        The file: lines of ``@name value``, then ``@data``, then a series a line, its channels and at last its class
        separated by colons, the values of a channel by commas.
    classes
        Names of the classes, in order; by default those of the ``@classLabel`` line.

    Raises
    ------
    DataError
        If the file cannot be read, or has time stamps, missing values, series of several lengths or no classes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> text = "@classLabel true up down" + chr(10) + "@data" + chr(10) + "1,2,3:down"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.ts").write_text(text)
    ...     data = read_ts(Path(folder, "a.ts"))
    >>> data.x.shape, data.labels.tolist(), data.classes
    ((1, 3, 1), [1], ('up', 'down'))
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not a text of UTF-8'}"
        raise DataError(message) from None
    names = tuple(classes) if classes is not None else None
    rows: list[list[list[float]]] = []
    labels: list[int] = []
    in_data = False
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        if not in_data:
            key, *values = line.split()
            if key.lower() == "@timestamps" and values[:1] == ["true"]:
                message = f"{path} has time stamps, which are not read: give series of evenly spaced steps"
                raise DataError(message)
            if key.lower() == "@classlabel" and values[:1] == ["true"] and names is None:
                names = tuple(values[1:])
            in_data = key.lower() == "@data"
            continue
        if not names:
            message = f"{path} names no classes: a line @classLabel true NAME NAME is expected before @data"
            raise DataError(message)
        *channels, label = line.split(":")
        if label not in names:
            message = f"line {number} of {path} has class {label!r}, expected one of {', '.join(names)}"
            raise DataError(message)
        labels.append(names.index(label))
        rows.append([_values(channel, number, path) for channel in channels])
        lengths = {len(channel) for channel in (*rows[-1], *rows[0])}
        if len(lengths) > 1 or len(rows[-1]) != len(rows[0]) or not channels:
            message = (
                f"line {number} of {path} has {len(rows[-1])} channels of {_lengths(rows[-1])} steps and the first series "
                f"{len(rows[0])} of {_lengths(rows[0])}: series of one length are expected"
            )
            raise DataError(message)
    if not rows or not names:
        message = f"{path} has no series after @data"
        raise DataError(message)
    return LabelledSeries(np.asarray(rows, np.float32).transpose(0, 2, 1), np.asarray(labels), names)


def _values(channel: str, number: int, path: str | Path) -> list[float]:
    try:
        return [float(value) for value in channel.split(",")]
    except ValueError:
        odd = next((value for value in channel.split(",") if not _is_number(value)), channel)
        what = "a missing value" if odd.strip() == "?" else f"{odd.strip()!r}"
        message = f"line {number} of {path} has {what}, expected numbers alone"
        raise DataError(message) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lengths(channels: list[list[float]]) -> str:
    return " and ".join(str(n) for n in sorted({len(channel) for channel in channels})) or "no"
