"""Items: what a model is asked, one row each.

An item has an `id`, an `input` and, where known, a `reference` answer, `choices`, a `group` (items of one
group are one cluster in every interval) and any further columns, which become slices. Items are a polars data
frame with those column names; an array of numbers is a column of type `Array`, so that ``items.array`` is one
numpy array again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.columns import ROLES, array_series, choice_lists, name_roles, to_polars, to_series
from concordant.core.content import content_ids, frame_digest
from concordant.core.errors import DataError, first_line, nearest, require
from concordant.core.tables import frame_of_rows, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ROLES", "Items", "array_series", "content_ids", "frame_digest"]


@dataclass(frozen=True, slots=True)
class Items:
    """A table of items.

    Parameters
    ----------
    frame
        One row an item, with the columns `id` (text, unique), `input`, and optional `reference`, `choices`,
        `group`; further columns are slices. Use the constructors `read`, `from_records`, `from_frame` and
        `from_arrays`.

    Examples
    --------
    >>> items = Items.from_records([{"id": "a", "input": "2 + 2 =", "reference": "4", "topic": "sums"}])
    >>> len(items), items.slices, items.inputs.to_list()
    (1, ('topic',), ['2 + 2 ='])
    """

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        for role in ("id", "input"):
            if role not in self.frame.columns:
                message = f"items have no column {role!r}; {nearest(role, self.frame.columns)}"
                raise DataError(message)
        ids = self.frame["id"]
        if ids.dtype != pl.String or ids.null_count():
            message = "item ids must be texts, one for every item"
            raise DataError(message)
        if ids.n_unique() != len(ids):
            twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
            message = f"{len(twice)} item ids occur more than once, the first is {twice[0]!r}"
            raise DataError(message)

    # -- making items ----------------------------------------------------------------------------------------

    @classmethod
    def read(cls, source: str | Path, *, limit: int | None = None, **columns: str) -> Items:
        """Read items from a file or a hub data set.

        Parameters
        ----------
        source
            A ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` file, or
            ``hf-dataset:NAME[/CONFIG][:SPLIT]`` (needs the extra ``hub``; the split is ``test`` by default).
        limit
            Keep the first `limit` items only.
        columns
            Which column is which: ``input="problem"``, ``reference="solution"``, ``id=``, ``choices=``,
            ``group=``. By default the usual names are recognised (`question`, `prompt`, `target`, `answer`,
            ...).

        Raises
        ------
        DataError
            If the source cannot be read, or has no column for the input.
        """
        name = str(source)
        if name.startswith("hf-dataset:"):
            frame = _hub_dataset(name.removeprefix("hf-dataset:"), limit)
        else:
            frame = read_table(source, limit=limit)
        return cls.from_frame(frame, source=name, **columns)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]], **columns: str) -> Items:
        """Make items from dictionaries; `columns` as in `read`."""
        rows = [dict(record) for record in records]
        if not rows:
            message = "no items were given"
            raise DataError(message)
        return cls.from_frame(frame_of_rows(rows, "the items"), **columns)

    @classmethod
    def from_frame(cls, frame: Any, *, source: str = "the items", **columns: str) -> Items:
        """Make items from a polars, pandas or Arrow data frame; `columns` as in `read`.

        Ids are made from the content of the input where there is no column of ids; equal inputs are told
        apart by a number behind the id, in the order in which they come.
        """
        frame = to_polars(frame, source)
        if frame.is_empty():
            message = f"{source}: there are no rows"
            raise DataError(message)
        renamed = name_roles(frame, source, columns)
        if renamed["input"].null_count():
            empty = renamed["input"].is_null().arg_true() + 1
            message = f"{source}: {len(empty)} items have no input, the first in row {empty[0]}"
            raise DataError(message)
        if "id" not in renamed.columns:
            renamed = renamed.with_columns(id=content_ids(renamed["input"]))
        if renamed["id"].dtype.is_nested():
            message = f"{source}: ids must be texts or numbers, got {renamed['id'].dtype}"
            raise DataError(message)
        renamed = renamed.with_columns(pl.col("id").cast(pl.String))
        if "choices" in renamed.columns:
            renamed = renamed.with_columns(choice_lists(renamed["choices"], source))
        first = [role for role in ROLES if role in renamed.columns]
        try:
            return cls(renamed.select(*first, pl.exclude(first)))
        except DataError as error:
            message = f"{source}: {error}"
            raise DataError(message) from None

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Sequence[Any] | NDArray[Any] | None = None,
        *,
        ids: Sequence[str] | None = None,
        group: Sequence[Any] | None = None,
        slices: Mapping[str, Sequence[Any]] | None = None,
    ) -> Items:
        """Make items from arrays, as scikit-learn takes them.

        Parameters
        ----------
        x
            Inputs: an array of shape ``(n, ...)``, or a data frame of features whose rows become the inputs.
        y
            References, shape ``(n,)``.
        ids, group
            Shape ``(n,)``; ids are the row numbers by default.
        slices
            Further columns, each of shape ``(n,)``.
        """
        if isinstance(x, pl.DataFrame) or hasattr(x, "iloc"):
            inputs = to_polars(x, "the inputs").to_struct("input")
        else:
            x = np.asarray(x)
            inputs = array_series("input", x if x.ndim else x[None])
        n = len(inputs)
        if n == 0:
            message = "no inputs were given"
            raise DataError(message)
        if clash := next((name for name in slices or {} if name in ROLES), None):
            message = f"a slice cannot be called {clash!r}; that is a role of a column"
            raise DataError(message)
        names = np.arange(n) if ids is None else [str(i) for i in ids]
        frame = {"input": inputs}
        for name, values in {"id": names, "reference": y, "group": group, **(slices or {})}.items():
            if values is None:
                continue
            if len(values) != n:
                message = f"{name} has {len(values)} values for {n} inputs"
                raise DataError(message)
            frame[name] = to_series(name, values)
        return cls(pl.DataFrame(frame).select(pl.col("id").cast(pl.String), pl.exclude("id")))

    # -- looking at items ------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[SimpleNamespace]:
        """Go through the items as objects with one attribute a column."""
        return (SimpleNamespace(**row) for row in self.frame.iter_rows(named=True))

    @property
    def ids(self) -> pl.Series:
        """The ids, one text an item."""
        return self.frame["id"]

    @property
    def inputs(self) -> pl.Series:
        """The inputs, one an item."""
        return self.frame["input"]

    @property
    def array(self) -> NDArray[Any]:
        """The inputs as one array of shape ``(n, ...)``; `DataError` where they are not numbers."""
        inputs = self.inputs
        if isinstance(inputs.dtype, pl.List) and inputs.list.len().n_unique() == 1:  # as files hold them
            inputs = inputs.list.to_array(inputs.list.len()[0])
        inner: Any = inputs.dtype
        while isinstance(inner, pl.Array):
            inner = inner.inner
        if not (inner.is_numeric() or inner == pl.Boolean):
            message = f"the inputs are {self.inputs.dtype}, not numbers or arrays of numbers of one shape"
            raise DataError(message)
        return inputs.to_numpy()

    @property
    def reference(self) -> pl.Series | None:
        """The reference answers, or None."""
        return self._optional("reference")

    @property
    def choices(self) -> pl.Series | None:
        """The choices, a list of texts an item, or None."""
        return self._optional("choices")

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The cluster of each item as an integer code, or None where the items have no `group`.

        An item whose group is null is a cluster of its own.
        """
        group = self._optional("group")
        if group is None:
            return None
        codes = group.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        alone = codes == 0
        codes[alone] = codes.max() + 1 + np.arange(alone.sum())
        return codes - 1

    @property
    def slices(self) -> tuple[str, ...]:
        """The names of the further columns."""
        return tuple(name for name in self.frame.columns if name not in ROLES)

    def _optional(self, role: str) -> pl.Series | None:
        return self.frame[role] if role in self.frame.columns else None

    # -- items from items ------------------------------------------------------------------------------------

    def head(self, n: int) -> Items:
        """Return the first `n` items."""
        return Items(self.frame.head(n))

    def rows(self, index: Any) -> Items:
        """Return the items at the given row numbers, or where a Boolean mask is true."""
        index = np.asarray(index)
        return Items(self.frame.filter(index) if index.dtype == bool else self.frame[index])

    def followed_by(self, other: Items) -> Items:
        """Return these items and then those of `other`, which must have the same columns."""
        return Items(pl.concat([self.frame, other.frame], how="vertical_relaxed"))

    def repeat(self, n: int) -> Items:
        """Return every item `n` times in a row, with ids ``id#0`` to ``id#n-1``: one row a sample."""
        index = np.repeat(np.arange(len(self)), n)
        sample = pl.Series(np.tile(np.arange(n), len(self)))
        return Items(self.frame[index].with_columns(id=pl.format("{}#{}", "id", sample)))

    def replace(self, **columns: Any) -> Items:
        """Return the same items with other values in some columns (``input=...``, any slice)."""
        for name, values in columns.items():
            if len(values) != len(self):
                message = f"{name} has {len(values)} values for {len(self)} items"
                raise DataError(message)
        return Items(self.frame.with_columns(to_series(name, values) for name, values in columns.items()))

    def digest(self) -> str:
        """Return a digest of ids, inputs, references, choices and groups, equal for equal data."""
        return frame_digest(self.frame.select(role for role in ROLES if role in self.frame.columns))


def _hub_dataset(name: str, limit: int | None) -> pl.DataFrame:
    datasets = require("datasets", "hub", "hub data sets")
    path, _, split = name.partition(":")
    parts = [path] if Path(path).is_dir() else path.split("/")
    config = parts.pop() if len(parts) == 3 else None
    try:
        table = datasets.load_dataset("/".join(parts), config, split=split or "test").with_format("arrow")[:]
    except Exception as error:
        message = f"hf-dataset:{name} cannot be loaded: {first_line(error)}"
        raise DataError(message) from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame if limit is None else frame.head(limit)
