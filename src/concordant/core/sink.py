"""The sink: collects what comes of one pass and hands it to the store every few seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from concordant.core.passes import Pass, Progress
    from concordant.core.store import Store

FLUSH_SECONDS = 3.0
FLUSH_ROWS = 200_000


class Sink:
    """Collects behaviours of one pass.

    Parameters
    ----------
    store, work
        Where they go, and the pass they belong to.
    done
        How many of its items are recorded already.
    progress
        Told as items are done.
    works
        Whether the model has answered in an earlier run, so that the items are at fault when it fails and not it.
    """

    def __init__(self, store: Store, work: Pass, done: int, progress: Progress, *, works: bool) -> None:
        self.works = works
        self.stopped = False
        """Whether no further batch is to be asked."""
        self._store = store
        self._work = work
        self._frames: list[pl.DataFrame] = []
        self._rows: list[dict[str, Any]] = []
        self._waiting = 0
        self._done = done
        self._last = time.monotonic()
        self._progress = progress
        progress(work.label, done, len(work.items))

    def add_rows(self, item: str, rows: list[dict[str, Any]]) -> None:
        """Take the samples of one item."""
        self._rows += [{"item": item, "sample": sample, **row} for sample, row in enumerate(rows)]
        self._count(1, len(rows))

    def add_frame(self, ids: pl.Series, frame: pl.DataFrame) -> None:
        """Take the samples of many items, those of an item together."""
        n = self._work.request.n
        item = ids if n == 1 else ids.gather(np.repeat(np.arange(len(ids)), n))
        sample = pl.Series("sample", np.tile(np.arange(n, dtype=np.int64), len(ids)))
        self._frames.append(pl.DataFrame([item.alias("item"), sample, *frame]))
        self._count(len(ids), len(frame))

    def _count(self, items: int, rows: int) -> None:
        self._done += items
        self._waiting += rows
        self._progress(self._work.label, self._done, len(self._work.items))
        if self._waiting >= FLUSH_ROWS or time.monotonic() - self._last > FLUSH_SECONDS:
            self.flush()

    def drop(self) -> None:
        """Forget what is not recorded yet."""
        self._rows, self._frames, self._waiting = [], [], 0

    def flush(self) -> None:
        """Record what was collected."""
        if self._rows:
            self._frames.append(pl.DataFrame(self._rows, infer_schema_length=None))
        if self._frames:
            frame = self._frames[0]
            if len(self._frames) > 1:
                frame = pl.concat(self._frames, how="diagonal_relaxed", rechunk=True)
            self._store.append(self._work.key, frame)
        self.drop()
        self._last = time.monotonic()
