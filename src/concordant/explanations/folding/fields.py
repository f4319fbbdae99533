"""Fields of events as numbers: categories that training has seen, amounts as scalars and buckets, time and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_BUCKETS = 16
CLOCK = {"hour": 24, "weekday": 7, "month": 12}


@dataclass(frozen=True)
class EventTable:
    """Events as arrays.

    Attributes
    ----------
    codes
        A category a field, 0 for what training had not, shape ``(events, fields)``.
    numbers
        Standardised amounts, shape ``(events, amounts)``.
    time
        0 at the first event of the training data and 1 at the last, shape ``(events,)``.
    """

    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]
    time: NDArray[np.float32]


class EventFields:
    """What training data say of the fields of events: categories, scales, buckets and the range of time.

    Parameters
    ----------
    time
        Column of the time: a number, date or date and time. Of the last two, hour, weekday and month become categories.
    categories
        Columns of categories.
    amounts
        Columns of numbers, on a scale on which differences mean something (take logarithms of money first). Each becomes a
        scalar and one of 16 buckets with equally many training events.

    Raises
    ------
    ConfigError
        If a column is named twice.

    Examples
    --------
    >>> events = pl.DataFrame({"at": [0, 1, 2], "tool": ["a", "b", "a"], "size": [1.0, 2.0, 3.0]})
    >>> fields = EventFields("at", categories=["tool"], amounts=["size"]).fit(events)
    >>> table = fields.table(events.with_columns(tool=pl.lit("new")))
    >>> table.codes[:, 0].tolist(), table.time.tolist()
    ([0, 0, 0], [0.0, 0.5, 1.0])
    """

    def __init__(self, time: str, *, categories: Sequence[str] = (), amounts: Sequence[str] = ()) -> None:
        self.time, self.categories, self.amounts = time, list(categories), list(amounts)
        named = [time, *self.categories, *self.amounts]
        if len(set(named)) < len(named):
            message = f"each field of events must be named once, got {', '.join(named)}"
            raise ConfigError(message)

    def fit(self, events: pl.DataFrame) -> EventFields:
        """Learn from training events.

        Raises
        ------
        DataError
            If a column is missing, or there is no event.
        """
        self._check(events)
        if not len(events):
            message = "fields of events are learnt from at least one event, got none"
            raise DataError(message)
        self.known = {name: events[name].drop_nulls().unique().sort() for name in self.categories}
        self.clock = list(CLOCK) if isinstance(events[self.time].dtype, pl.Datetime) else []
        if events[self.time].dtype == pl.Date:
            self.clock = ["weekday", "month"]
        numbers = self._numbers(events)
        self.mean, spread = numbers.mean(0), numbers.std(0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.cuts = [
            np.unique(np.quantile(column, np.arange(1, N_BUCKETS) / N_BUCKETS)) for column in numbers.T
        ]
        time = self._seconds(events)
        self.start, self.length = time.min(), float(np.ptp(time)) or 1.0
        sizes = [1 + len(known) for known in self.known.values()]
        self.sizes = [*sizes, *(N_BUCKETS for _ in self.amounts), *(1 + CLOCK[part] for part in self.clock)]
        return self

    def table(self, events: pl.DataFrame) -> EventTable:
        """Return events as arrays, by what was learnt.

        Raises
        ------
        DataError
            If a column is missing, or an amount is.
        """
        self._check(events)
        codes = [_coded(events[name], known) for name, known in self.known.items()]
        numbers = self._numbers(events)
        codes += [np.searchsorted(cuts, column) for cuts, column in zip(self.cuts, numbers.T, strict=True)]
        codes += [getattr(events[self.time].dt, part)().to_numpy() for part in self.clock]
        return EventTable(
            np.stack(codes, 1).astype(np.int64) if codes else np.zeros((len(events), 0), dtype=np.int64),
            ((numbers - self.mean) / self.spread).astype(np.float32),
            ((self._seconds(events) - self.start) / self.length).astype(np.float32),
        )

    def _check(self, events: pl.DataFrame) -> None:
        for name in (self.time, *self.categories, *self.amounts):
            if name not in events.columns:
                message = f"the events have no column {name!r}; {nearest(name, events.columns)}"
                raise DataError(message)

    def _numbers(self, events: pl.DataFrame) -> NDArray[np.float64]:
        columns = [events[name].cast(pl.Float64).to_numpy() for name in self.amounts]
        for name, column in zip(self.amounts, columns, strict=True):
            if not np.isfinite(column).all():
                message = (
                    f"{name} must be a number at every event, but {(~np.isfinite(column)).sum()} are missing"
                )
                raise DataError(message)
        return np.stack(columns, 1) if columns else np.zeros((len(events), 0))

    def _seconds(self, events: pl.DataFrame) -> NDArray[np.float64]:
        column = events[self.time]
        if column.dtype.is_temporal():
            column = column.cast(pl.Datetime("us")).cast(pl.Int64) / 1e6
        return column.cast(pl.Float64).to_numpy()


def _coded(values: pl.Series, known: pl.Series) -> NDArray[np.int64]:
    """Return 1, 2, ... for known values and 0 for others."""
    codes = pl.DataFrame({"value": known, "code": np.arange(1, len(known) + 1)})
    joined = pl.DataFrame({"value": values}).join(codes, on="value", how="left", maintain_order="left")
    return joined["code"].fill_null(0).to_numpy()
