"""Folding: the events of a unit as one short sequence a group, side by side, instead of one long one.

A unit is whatever has a history (a person, an agent, a chat); a group is what its events have in common (merchant, tool,
topic). Each group of a unit becomes a row in the order of time. The most frequent groups have rows of their own, all
others share the last row, so that nothing new is lost; of each row the latest events are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

By: TypeAlias = "str | pl.Expr | None"
EMPTY, OTHER = -1, -2


@dataclass(frozen=True)
class Folded:
    """Events as rows of units, by their place in the table.

    Attributes
    ----------
    events
        The table that was folded.
    units
        The units, in the order of the first axis.
    names
        Groups that have a row of their own somewhere.
    index
        Row number in `events`, shape ``(units, rows, length)``, from the left in the order of time; -1 is padding.
    groups
        Place in `names` of the group of each row, shape ``(units, rows)``; `EMPTY` without events, `OTHER` for the row that
        the other groups share.
    counts
        Events of each row before the earliest were dropped, shape ``(units, rows)``.
    """

    events: pl.DataFrame
    units: pl.Series
    names: pl.Series
    index: NDArray[np.int64]
    groups: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True at events, shape ``(units, rows, length)``."""
        return self.index >= 0

    def values(self, column: str, *, padding: float = 0.0) -> NDArray[Any]:
        """Return a column of numbers in the folded shape ``(units, rows, length)``.

        Raises
        ------
        DataError
            If there is no such column.
        """
        if column not in self.events.columns:
            message = f"the events have no column {column!r}; {nearest(column, self.events.columns)}"
            raise DataError(message)
        values = self.events[column].to_numpy()
        if not len(values):
            return np.full(self.index.shape, padding)
        return np.where(self.mask, values[self.index], padding)

    def frame(self) -> pl.DataFrame:
        """Return one row a unit and group: unit, ``group`` (null for the others), ``count``, and ``events``, row numbers."""
        unit, row = np.nonzero(self.groups != EMPTY)
        codes = self.groups[unit, row]
        named = pl.Series("group", np.maximum(codes, 0), dtype=pl.UInt32)
        lists = [line[line >= 0].tolist() for line in self.index[unit, row]]
        return pl.DataFrame({self.units.name: self.units.gather(unit)}).with_columns(
            self.names.gather(named).alias("group").zip_with(pl.Series(codes >= 0), pl.Series([None])),
            pl.Series("count", self.counts[unit, row]),
            pl.Series("events", lists, dtype=pl.List(pl.Int64)),
        )


def fold(
    events: pl.DataFrame,
    by: By,
    *,
    unit: str,
    time: str,
    max_groups: int = 64,
    max_len: int = 16,
    known: Sequence[Any] | pl.Series | None = None,
    before: Any = None,
    history: Any = None,
    units: Sequence[Any] | pl.Series | None = None,
) -> Folded:
    """Fold a table of events by unit and group.

    Parameters
    ----------
    events
        One row an event, in any order.
    by
        Column, or expression, of the group; None for one row a unit. A missing group is among the others.
    unit, time
        Columns of the unit and of the time, which is a number, date or date and time, none missing. Events of one time keep
        the order of the table.
    max_groups
        Groups of a unit with a row of their own: the most frequent, among equals the ones seen last.
    max_len
        Events of a row: the latest.
    known
        Groups that may have a row of their own, such as those of the training data (:func:`frequent_groups`); all of them
        by default.
    before
        Events at this time or later are left out: one time for all, or a table with the unit and a column ``before``.
        What is known only after a decision must not be read before it.
    history
        Keep events within this long before `before`, or before the unit's last event and with it, if that is not given.
    units
        The units to fold, in this order; those without events have empty rows. All by default, sorted.

    Raises
    ------
    DataError
        If a column is missing, a time is, or `before` lacks a unit.
    ConfigError
        If `max_groups` or `max_len` is below 1.

    Examples
    --------
    >>> calls = pl.DataFrame(
    ...     {"run": ["a"] * 5, "at": [1, 2, 3, 4, 5], "tool": ["search", "read", "search", "run", "search"]}
    ... )
    >>> folded = fold(calls, "tool", unit="run", time="at", max_groups=1, max_len=2)
    >>> folded.index.tolist()  # the latest two searches, and the others
    [[[2, 4], [1, 3]]]
    >>> folded.counts.tolist(), folded.names.to_list()
    ([[3, 2]], ['search'])
    """
    for name, number in (("max_groups", max_groups), ("max_len", max_len)):
        if number < 1:
            message = f"{name} of fold must be at least 1, got {number}"
            raise ConfigError(message)
    for column in (unit, time, *([by] if isinstance(by, str) else [])):
        if column not in events.columns:
            message = f"the events have no column {column!r}; {nearest(column, events.columns)}"
            raise DataError(message)
    group = pl.lit(0) if by is None else pl.col(by) if isinstance(by, str) else by
    table = events.select(unit=pl.col(unit), time=pl.col(time), group=group).with_row_index("row")
    missing = table["time"].null_count() + table["unit"].null_count()
    if missing:
        message = f"every event must have a {unit} and a {time}, but {missing} are missing"
        raise DataError(message)
    table = _within(table, unit, before, history)
    order = pl.Series(
        unit, events[unit].unique().sort() if units is None else units, dtype=events[unit].dtype
    )
    ranked = _ranked(table, known, max_groups)
    numbers = pl.DataFrame({"unit": order, "number": np.arange(len(order))})
    table = (
        table.join(ranked, on=["unit", "group"], how="left", maintain_order="left")
        .with_columns(pl.col("place").fill_null(max_groups))
        .join(numbers, on="unit", how="inner", maintain_order="left")
        .with_columns(line=pl.col("number") * (max_groups + 1) + pl.col("place"))
        .sort("time", maintain_order=True)
        .sort("line", maintain_order=True)  # two sorts of one key each are faster than one of both
    )
    return _laid_out(events, order, table, max_groups, max_len)


def frequent_groups(events: pl.DataFrame, by: str, n: int) -> pl.Series:
    """Return the n groups with most events, the most frequent first; count them in training data only.

    Examples
    --------
    >>> frequent_groups(pl.DataFrame({"tool": ["a", "b", "b", None]}), "tool", 1).to_list()
    ['b']
    """
    counted = events.select(pl.col(by).drop_nulls().value_counts()).unnest(by)
    return counted.sort(["count", by], descending=[True, False])[by].head(n)


def _within(table: pl.DataFrame, unit: str, before: Any, history: Any) -> pl.DataFrame:
    """Keep the events before a time, and not longer before it than the history."""
    if isinstance(before, pl.DataFrame):
        table = table.join(
            before.select(unit=pl.col(unit), before=pl.col("before")),
            on="unit",
            how="left",
            maintain_order="left",
        )
        if table["before"].null_count():
            lacking = table.filter(pl.col("before").is_null())["unit"][0]
            message = f"before must have a time for every {unit}, got none for {lacking!r}"
            raise DataError(message)
    elif before is not None:
        table = table.with_columns(before=pl.lit(before))
    if before is not None:
        table = table.filter(pl.col("time") < pl.col("before"))
    if history is not None:
        end = pl.col("before") if before is not None else pl.col("time").max().over("unit")
        table = table.filter(pl.col("time") >= end - history)
    return table


def _ranked(table: pl.DataFrame, known: Sequence[Any] | pl.Series | None, max_groups: int) -> pl.DataFrame:
    """Return the place of each group that has a row of its own, by unit."""
    named = table.filter(pl.col("group").is_not_null())
    if known is not None:
        named = named.filter(pl.col("group").is_in(pl.Series(known, dtype=table["group"].dtype).implode()))
    return (
        named.group_by("unit", "group")
        .agg(pl.len().alias("count"), pl.col("time").max().alias("last"))
        .sort("unit", "count", "last", "group", descending=[False, True, True, False])
        .with_columns(place=pl.int_range(pl.len()).over("unit"))
        .filter(pl.col("place") < max_groups)
        .select("unit", "group", "place")
    )


def _laid_out(
    events: pl.DataFrame, units: pl.Series, table: pl.DataFrame, max_groups: int, max_len: int
) -> Folded:
    """Lay sorted events out by unit, row and position, with no more rows and positions than are used."""
    unit, place = (table[name].to_numpy().astype(np.int64) for name in ("number", "place"))
    line = table["line"].to_numpy()
    starts = np.flatnonzero(np.diff(line, prepend=-1))
    sizes = np.diff(starts, append=len(line))
    from_end = np.repeat(starts + sizes, sizes) - np.arange(len(line))  # 1 at the latest
    kept = from_end <= max_len
    position = np.repeat(np.minimum(sizes, max_len), sizes) - from_end
    has_others = bool((place == max_groups).any())
    n_rows = 1 + (int(place[place < max_groups].max(initial=0)) if not has_others else max_groups)
    shape = (len(units), n_rows)
    index = np.full((*shape, int(np.minimum(sizes, max_len).max(initial=1))), -1, dtype=np.int64)
    index[unit[kept], place[kept], position[kept]] = table["row"].to_numpy()[kept]
    counts = np.zeros(shape, dtype=np.int64)
    counts[unit[starts], place[starts]] = sizes
    firsts = table[starts]
    own = firsts.filter(pl.col("place") < max_groups)
    names = own["group"].unique().sort().alias("group")
    codes = own.join(pl.DataFrame({"group": names, "code": np.arange(len(names))}), on="group", how="left")
    groups = np.full(shape, EMPTY, dtype=np.int64)
    groups[unit[starts], place[starts]] = OTHER
    groups[codes["number"].to_numpy(), codes["place"].to_numpy()] = codes["code"].to_numpy()
    return Folded(events, units, names, index, groups, counts)
