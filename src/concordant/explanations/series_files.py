"""Series, or rows of a table, from the files people have them in: ``.ts``, ``.npz``, ``.parquet`` and ``.csv``.

======== =====================================================================================================
.ts      the text form of the UCR and UEA archives, with classes
.npz     ``x`` of shape ``(n, time, channel)``, or ``(n, time)`` for one channel, or ``(n, column)`` beside names in
         ``columns`` for a table; where there are any, labels, ``classes`` and ``channels`` (names), and ``truth``
.parquet columns of lists are the channels of series; without any, columns of numbers are those of a table
.csv     a table
======== =====================================================================================================

Labels are in ``label``, ``y``, ``class`` or ``target``, or where the user says.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import DataError, first_line, nearest
from concordant.core.tables import read_table
from concordant.explanations.classifiers import checked_series
from concordant.explanations.series_set import SeriesSet
from concordant.explanations.ts_files import read_ts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORMATS = (".ts", ".npz", ".parquet", ".pq", ".csv")
LABELS = ("label", "labels", "y", "class", "target")


def read_series(
    path: str | Path, *, labels: str | None = None, columns: Sequence[str] | None = None
) -> SeriesSet:
    """Read series of one length, or a table.

    Parameters
    ----------
    path
        The file; its suffix says what it is.
    labels
        Column, or array of an ``.npz``, with the true classes; by default the first of ``label``, ``labels``, ``y``,
        ``class`` and ``target`` that is there.
    columns
        Of a table, those that are taken, in this order: what a classifier was fitted on. By default all but the
        labels.

    Raises
    ------
    DataError
        If the file cannot be read, series have several lengths, or a value is missing or no number; row and column are
        named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text(chr(10).join(["age,dose,label", "31,0.5,well", "40,2,ill"]))
    ...     data = read_series(Path(folder, "a.csv"))
    >>> data.x.shape, data.channels, data.labels.tolist(), data.classes
    ((2, 1, 2), ('age', 'dose'), [1, 0], ('ill', 'well'))
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        message = f"{path}: series are read from {', '.join(FORMATS)}, got {suffix or 'no suffix'}"
        raise DataError(message)
    if suffix == ".ts":
        return _of_ts(path, labels)
    if suffix == ".npz":
        return _of_npz(path, labels, columns)
    frame = read_table(path)
    name = _label_name(path, frame.columns, labels)
    numbers, classes = (None, ()) if name is None else class_numbers(frame[name].to_list(), f"{path}: {name}")
    inputs = frame if name is None else frame.drop(name)
    lists = [column for column in inputs.columns if isinstance(inputs[column].dtype, pl.List | pl.Array)]
    if lists and columns is None:
        x = _of_lists(path, inputs.select(lists))
        return SeriesSet(path.stem, x, tuple(lists), numbers, classes)
    x = _of_columns(path, inputs, columns)
    return SeriesSet(path.stem, x, tuple(columns or inputs.columns), numbers, classes, is_table=True)


def class_numbers(values: Any, where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the number of the class of each row, and the names of the classes in their order.

    Parameters
    ----------
    values
        Texts, integers or whole floats, one a row.
    where
        What they are called in errors.

    Raises
    ------
    DataError
        If one is missing, or is no class but a measured number.

    Examples
    --------
    >>> class_numbers([2.0, 10.0, 2.0], "y")
    (array([0, 1, 0]), ('2', '10'))
    """
    listed = np.asarray(values).tolist() if isinstance(values, np.ndarray) else list(values)
    for row, value in enumerate(listed):
        if value is None or value != value:  # NaN
            message = f"{where} has no class in row {row}"
            raise DataError(message)
        if isinstance(value, float) and not value.is_integer():
            message = f"{where} must hold classes, got {value} in row {row}"
            raise DataError(message)
    names = {value: class_name(value) for value in set(listed)}
    is_number = all(isinstance(value, int | float) for value in names)
    order = sorted(set(names.values()), key=int if is_number else str)
    place = {name: i for i, name in enumerate(order)}
    return np.array([place[names[value]] for value in listed], np.int64), tuple(order)


def class_name(value: Any) -> str:
    """Return how a class is written: ``1`` for 1, 1.0 and True.

    Examples
    --------
    >>> class_name(np.float64(1.0)), class_name("up")
    ('1', 'up')
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool | float) and float(value).is_integer():
        value = int(value)
    return str(value)


def with_classes(data: SeriesSet, classes: Sequence[Any] | None, n_classes: int, model: str) -> SeriesSet:
    """Return a set whose labels count the classes as a classifier does.

    Where the classifier names no classes and the set has other than `n_classes` of them, integer labels are taken for
    the numbers themselves, from 0.

    Parameters
    ----------
    data
        The set.
    classes
        Names of the classifier's classes in its order, or None where it has none.
    n_classes
        How many it has.
    model
        What errors call it.

    Raises
    ------
    DataError
        If the set has a class that the classifier does not know.

    Examples
    --------
    >>> data = SeriesSet("a", np.zeros((2, 3, 1)), ("x",), np.array([0, 1]), ("down", "up"))
    >>> with_classes(data, ["up", "level", "down"], 3, "it").labels.tolist()
    [2, 0]
    """
    if classes is not None and len(classes) != n_classes:
        message = f"{model} names {len(classes)} classes and gives {n_classes} probabilities"
        raise DataError(message)
    if classes is None:
        numbers = [str(i) for i in range(n_classes)]
        if len(data.classes) == n_classes:
            return data
        if not set(data.classes) <= set(numbers):
            message = (
                f"{data.name} has {len(data.classes)} classes, {', '.join(data.classes)}, and {model} tells "
                f"{n_classes} apart"
            )
            raise DataError(message)
        classes = numbers
    names = tuple(class_name(name) for name in classes)
    unknown = [name for name in data.classes if name not in names]
    if unknown and data.labels is not None:
        message = f"{data.name} has the class {unknown[0]!r}, and {model} knows {', '.join(names)}"
        raise DataError(message)
    if data.labels is None:
        return replace(data, classes=names)
    places = np.array([names.index(name) for name in data.classes], np.int64)
    return replace(data, labels=places[data.labels], classes=names)


def spread_rows(n: int, limit: int | None) -> NDArray[np.intp]:
    """Return the numbers of at most `limit` of n rows, evenly over them, because files are often sorted by class.

    Examples
    --------
    >>> spread_rows(100, 3).tolist()
    [0, 33, 66]
    """
    return np.arange(n) if limit is None or limit >= n else np.arange(limit) * n // limit


def rows_of(data: SeriesSet, rows: NDArray[np.intp]) -> SeriesSet:
    """Return some rows of a set."""
    return replace(
        data,
        x=data.x[rows],
        labels=None if data.labels is None else data.labels[rows],
        truth=None if data.truth is None else data.truth[rows],
        numbers=np.asarray(rows) if data.numbers is None else data.numbers[rows],
    )


def _of_ts(path: Path, labels: str | None) -> SeriesSet:
    if labels is not None:
        message = (
            f"{path}: a .ts file has its classes at the end of each line, so --labels names nothing there"
        )
        raise DataError(message)
    found = read_ts(path)
    x = checked_series(found.x, str(path))
    return SeriesSet(path.stem, x, _numbered(x), found.labels, found.classes)


def _of_npz(path: Path, labels: str | None, columns: Sequence[str] | None) -> SeriesSet:
    arrays = _arrays(path)
    key = next((key for key in ("x", "X") if key in arrays), None)
    if key is None:
        message = f"{path} must have an array x of shape (n, time, channel), got {', '.join(sorted(arrays)) or 'none'}"
        raise DataError(message)
    name = _label_name(path, [other for other in arrays if other != key], labels)
    numbers: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    x, is_table = arrays[key], "columns" in arrays
    if x.ndim == 2:
        x = x[:, None] if is_table else x[..., None]
    x = checked_series(x, f"x of {path}")
    if name is not None:
        _same_rows(path, name, arrays[name], len(x))
        if "classes" in arrays and arrays[name].dtype.kind in "iu":
            numbers = arrays[name].astype(np.int64)
        else:
            numbers, classes = class_numbers(arrays[name], f"{name} of {path}")
    if "classes" in arrays:
        given = tuple(class_name(value) for value in arrays["classes"].tolist())
        if classes and numbers is not None:
            unknown = [one for one in classes if one not in given]
            if unknown:
                message = f"{name} of {path} has {unknown[0]!r}, which is none of classes: {', '.join(given)}"
                raise DataError(message)
            numbers = np.array([given.index(one) for one in classes], np.int64)[numbers]
        classes = given
        if numbers is not None and not 0 <= numbers.min() <= numbers.max() < len(classes):
            message = f"{name} of {path} must be from 0 to {len(classes) - 1}, the numbers of classes"
            raise DataError(message)
    named = arrays.get("columns" if is_table else "channels")
    channels = _numbered(x) if named is None else tuple(map(str, named.tolist()))
    if len(channels) != x.shape[2]:
        message = f"{path} names {len(channels)} channels, and x has {x.shape[2]}"
        raise DataError(message)
    truth = arrays.get("truth")
    if truth is not None:
        truth = truth[..., None] if truth.ndim == 2 and not is_table else truth
        if truth.shape != x.shape or truth.dtype.kind not in "biu":
            message = f"truth of {path} must be booleans of the shape {x.shape} of x, got {truth.dtype} {truth.shape}"
            raise DataError(message)
        truth = truth.astype(bool)
    data = SeriesSet(path.stem, x, channels, numbers, classes, truth, is_table=is_table)
    if is_table and columns is not None:
        places = [_place(path, column, channels) for column in columns]
        data = replace(
            data,
            x=x[..., places],
            channels=tuple(columns),
            truth=None if truth is None else truth[..., places],
        )
    return data


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or first_line(error)}"
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        why = "it holds Python objects, and only plain arrays are read" if "pickle" in str(error) else None
        message = f"{path} cannot be read: {why or first_line(error)}"
    raise DataError(message)


def _of_lists(path: Path, frame: pl.DataFrame) -> NDArray[Any]:
    lengths = frame.select(pl.all().cast(pl.List(pl.Float64), strict=False).list.len())
    for column in frame.columns:
        dtype = frame[column].dtype
        if not dtype.inner.is_numeric():  # type: ignore[attr-defined]
            message = f"{path}: the column {column!r} must hold lists of numbers, got {dtype}"
            raise DataError(message)
        steps = lengths[column]
        odd = (steps.ne_missing(lengths.to_series(0)[0])).arg_true()
        if len(odd):
            got = steps[odd[0]]
            message = (
                f"{path}: series must have one length, got {'none' if got is None else got} in row {odd[0]} of "
                f"{column!r} and {lengths.to_series(0)[0]} in row 0: pad or cut them first"
            )
            raise DataError(message)
    channels = [np.stack(frame[column].cast(pl.List(pl.Float64)).to_list()) for column in frame.columns]
    x = np.stack(channels, axis=-1).astype(np.float64)
    return checked_series(x, str(path))


def _of_columns(path: Path, frame: pl.DataFrame, columns: Sequence[str] | None) -> NDArray[Any]:
    taken = list(columns or frame.columns)
    for column in taken:
        _place(path, column, frame.columns)
        dtype = frame[column].dtype
        if not (dtype.is_numeric() or dtype == pl.Boolean):
            message = f"{path}: the column {column!r} must hold numbers, got {dtype}: leave it out, or name it as --labels"
            raise DataError(message)
    if not taken:
        message = f"{path} has no column of numbers"
        raise DataError(message)
    numbers = frame.select(pl.col(taken).cast(pl.Float64).fill_null(float("nan")))
    x = numbers.to_numpy()
    wrong = np.argwhere(~np.isfinite(x))
    if len(wrong):
        row, place = wrong[0].tolist()
        message = f"{path}: the column {taken[place]!r} has no finite number in row {row} ({len(wrong)} such in all)"
        raise DataError(message)
    return x[:, None, :]


def _label_name(path: Path, names: Sequence[str], labels: str | None) -> str | None:
    if labels is None:
        return next((name for name in LABELS if name in names), None)
    if labels not in names:
        message = f"{path} has no {labels!r} for the labels; {nearest(labels, names)}"
        raise DataError(message)
    return labels


def _place(path: Path, column: str, columns: Sequence[str]) -> int:
    if column not in columns:
        message = (
            f"{path} has no column {column!r}, which the classifier was fitted on; {nearest(column, columns)}"
        )
        raise DataError(message)
    return list(columns).index(column)


def _same_rows(path: Path, name: str, values: NDArray[Any], n: int) -> None:
    if values.shape != (n,):
        message = f"{name} of {path} must have one class a row, shape ({n},), got {values.shape}"
        raise DataError(message)


def _numbered(x: NDArray[Any]) -> tuple[str, ...]:
    return ("value",) if x.shape[2] == 1 else tuple(f"channel {i}" for i in range(x.shape[2]))
