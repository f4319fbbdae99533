"""The runner: asks models the variants of relations, each question once, and records every answer as it comes.

A batch model gets its rows in batches, in a worker thread. A concurrent model gets many prompts in flight. Episodes of
either kind are kept in flight together, and what they ask is merged. Whatever happens to one item ends as an output or
as a recorded error; what concerns all of them (a wrong key, a model that raises on everything) stops the run with one
sentence, and what was recorded until then is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.batches import ask_in_batches
from concordant.core.flight import ask_in_flight, play_in_flight
from concordant.core.model import ConcurrentModel
from concordant.core.sink import Sink

if TYPE_CHECKING:
    from concordant.core.cache import AnswerCache
    from concordant.core.passes import Pass, Progress
    from concordant.core.store import Store


async def run(
    passes: list[Pass],
    store: Store,
    *,
    cache: AnswerCache | None = None,
    progress: Progress = lambda label, done, total: None,
    retry_errors: bool = False,
) -> dict[str, pl.DataFrame]:
    """Ask every pass what is not recorded yet.

    Parameters
    ----------
    passes
        What to ask; passes of equal keys are asked once.
    store
        Where behaviours are kept; what it holds already is not asked again.
    cache
        Deterministic answers of concurrent models, kept over runs.
    progress
        Called as items are done.
    retry_errors
        Ask again where the store holds an error.

    Returns
    -------
    dict
        The recorded behaviours of each pass by key.

    Raises
    ------
    ModelError
        If a model cannot be used at all.
    """
    results: dict[str, pl.DataFrame] = {}
    try:
        for work in passes:
            if work.key not in results:
                results[work.key] = await _run_pass(work, store, cache, progress, retry_errors=retry_errors)
    finally:
        for model in {id(work.model): work.model for work in passes}.values():
            if isinstance(model, ConcurrentModel):
                await model.aclose()
    return results


async def _run_pass(
    work: Pass, store: Store, cache: AnswerCache | None, progress: Progress, *, retry_errors: bool
) -> pl.DataFrame:
    recorded = store.read(work.key)
    if recorded is not None and retry_errors and "error" in recorded.columns:
        recorded = recorded.filter(~pl.col("error").is_not_null().any().over("item"))
    todo = np.arange(len(work.items))
    if recorded is not None:
        todo = todo[~work.items.ids.is_in(recorded["item"].unique().implode()).to_numpy()]
    if len(todo):
        works = recorded is not None and ("error" not in recorded.columns or recorded["error"].has_nulls())
        sink = Sink(store, work, len(work.items) - len(todo), progress, works=works)
        try:
            if work.episode is not None:
                await play_in_flight(work, work.episode, todo, sink)
            elif isinstance(work.model, ConcurrentModel):
                await ask_in_flight(work, work.model, todo, sink, cache)
            else:
                await ask_in_batches(work, work.model, todo, sink)
        finally:
            sink.flush()
        fresh = store.read(work.key)
        assert fresh is not None
        return fresh
    assert recorded is not None
    return recorded
