"""The runner: asks models the variants of relations, each question once, and records every answer as it comes.

A batch model gets its rows in batches, in a worker thread. A concurrent model gets many prompts in flight.
Episodes of either
kind are kept in flight together and what they ask is merged. Whatever happens to one item ends as an output or as a recorded
error; what concerns all of them (a wrong key, a model that raises on everything) stops the run with one
sentence, and what was recorded until then is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.episode import Episode, Merger, Speaker
from concordant.core.errors import ConcordantError, ModelError
from concordant.core.items import Items, frame_digest
from concordant.core.model import BatchModel, Completion, ConcurrentModel, Model, Request, digest
from concordant.core.prompts import prompts

if TYPE_CHECKING:
    from concordant.core.cache import AnswerCache
    from concordant.core.store import Store

FLUSH_SECONDS = 3.0
FLUSH_ROWS = 200_000
GIVE_UP_AFTER = 20
"""A model whose first answers are all errors is not asked any further."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One model asked one column of inputs in one way.

    Parameters
    ----------
    label
        What progress bars call it.
    model, items, request, episode
        Who is asked what, and how.
    """

    label: str
    model: Model
    items: Items
    request: Request
    episode: Episode | None = None
    key: str = field(default="", compare=False)

    @classmethod
    def of(
        cls, label: str, model: Model, items: Items, request: Request, episode: Episode | None = None
    ) -> Pass:
        """Make a pass with its key: equal questions have equal keys."""
        asked = frame_digest(
            items.frame.select(c for c in ("id", "input", "choices") if c in items.frame.columns)
        )
        played = None if episode is None else episode.key()
        return cls(
            label, model, items, request, episode, digest(model.fingerprint, asked, request.key(), played)
        )


Progress = Callable[[str, int, int], None]
"""Called with the label of a pass, how many of its items are done, and how many there are."""


class _Sink:
    """Collects behaviours of one pass and hands them to the store every few seconds."""

    def __init__(self, store: Store, work: Pass, total: int, progress: Progress, *, works: bool) -> None:
        self.works = works
        """Whether the model has answered in an earlier run, so that the items are at fault and not it."""
        self.stopped = False
        """Whether no further batch is to be asked."""
        self._store = store
        self._work = work
        self._frames: list[pl.DataFrame] = []
        self._rows: list[dict[str, Any]] = []
        self._waiting = 0
        self._done = total
        self._last = time.monotonic()
        self._progress = progress
        progress(work.label, total, len(work.items))

    def add_rows(self, ids: str, rows: list[dict[str, Any]]) -> None:
        self._rows += [{"item": ids, "sample": sample, **row} for sample, row in enumerate(rows)]
        self._count(1, len(rows))

    def add_frame(self, ids: pl.Series, frame: pl.DataFrame) -> None:
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
        self._rows, self._frames, self._waiting = [], [], 0

    def flush(self) -> None:
        if self._rows:
            self._frames.append(pl.DataFrame(self._rows, infer_schema_length=None))
        if self._frames:
            frame = (
                pl.concat(self._frames, how="diagonal_relaxed", rechunk=True)
                if len(self._frames) > 1
                else self._frames[0]
            )
            self._store.append(self._work.key, frame)
        self.drop()
        self._last = time.monotonic()


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
        sink = _Sink(store, work, len(work.items) - len(todo), progress, works=works)
        try:
            if work.episode is not None:
                await _play(work, work.episode, todo, sink)
            elif isinstance(work.model, ConcurrentModel):
                await _ask(work, work.model, todo, sink, cache)
            else:
                await _in_thread(work, work.model, todo, sink)
        finally:
            sink.flush()
        fresh = store.read(work.key)
        assert fresh is not None
        return fresh
    assert recorded is not None
    return recorded


# -- batch models -------------------------------------------------------------------------------------------------------


async def _in_thread(work: Pass, model: BatchModel, todo: Any, sink: _Sink) -> None:
    working = asyncio.create_task(asyncio.to_thread(_batches, work, model, todo, sink))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:  # Ctrl-C: the batch in flight ends and is kept, and no other begins
        sink.stopped = True
        await working
        raise


def _batches(work: Pass, model: BatchModel, todo: Any, sink: _Sink) -> None:
    order = todo
    if work.request.order_seed is not None:
        order = np.random.default_rng(work.request.order_seed).permutation(todo)
    size = work.request.batch_size or model.batch_size
    any_answer = sink.works
    for start in range(0, len(order), size):
        if sink.stopped:
            return
        index = order[start : start + size]
        items = work.items if len(index) == len(work.items) and index is todo else work.items.rows(index)
        try:
            frame = _respond(model, items, work.request)
        except ConcordantError:
            raise
        except Exception:
            frame, any_answer = _bisect(model, items, work.request, any_answer=any_answer)
        else:
            any_answer = True
        sink.add_frame(items.ids, frame)


def _respond(model: BatchModel, items: Items, request: Request) -> pl.DataFrame:
    frame = model.respond(items, request)
    if "output" not in frame.columns or len(frame) != len(items) * request.n:
        got = f"{len(frame)} rows with columns {', '.join(frame.columns)}"
        message = (
            f"model {model.name!r} must return {len(items) * request.n} rows with a column output, got {got}"
        )
        raise ModelError(message)
    return frame


def _bisect(
    model: BatchModel, items: Items, request: Request, *, any_answer: bool
) -> tuple[pl.DataFrame, bool]:
    """Find the items that make a model raise, by halves, and record the exception as their error."""
    frames, stack, failures = [], _halves(items), 0
    while stack:
        part = stack.pop()
        try:
            frames.append((part, _respond(model, part, request)))
            any_answer = True
        except ConcordantError:
            raise
        except Exception as error:
            if len(part) > 1:
                stack += _halves(part)
                continue
            failures += 1
            if not any_answer and failures >= min(3, len(items)):
                message = f"model {model.name!r} raised {type(error).__name__} on every item it was given: {_short(error)}"
                raise ModelError(message) from error
            lost = pl.DataFrame(
                {
                    "output": [None] * request.n,
                    "error": [f"{type(error).__name__}: {_short(error)}"] * request.n,
                }
            )
            frames.append((part, lost))
    joined = pl.concat(
        [f.with_columns(_id=p.ids.gather(np.repeat(np.arange(len(p)), request.n))) for p, f in frames],
        how="diagonal_relaxed",
    )
    order = items.frame.select("id").join(
        joined, left_on="id", right_on="_id", how="left", maintain_order="left_right"
    )
    return order.drop("id"), any_answer


def _halves(items: Items) -> list[Items]:
    middle = len(items) // 2
    index = np.arange(len(items))
    return [items.rows(index[middle:]), items.rows(index[:middle])] if middle else [items]


def _short(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return text if len(text) <= 300 else text[:300] + "..."


# -- concurrent models --------------------------------------------------------------------------------------------------


async def _ask(work: Pass, model: ConcurrentModel, todo: Any, sink: _Sink, cache: AnswerCache | None) -> None:
    asked = work.items.rows(todo)
    texts, ids = prompts(asked), asked.ids.to_list()
    request, keys = work.request, None
    if cache is not None and request.is_deterministic:
        keys = [cache.key(model.fingerprint, prompt, request) for prompt in texts]
        known = cache.get(keys)
        for i, key in enumerate(keys):
            if key in known:
                sink.add_rows(ids[i], [_row(c, None) for c in known[key]])
        open_ = [i for i, key in enumerate(keys) if key not in known]
    else:
        open_ = list(range(len(ids)))
    queue = iter(open_)
    failures = _FirstFailures(model.name, works=sink.works)

    async def worker() -> None:
        for i in queue:
            started = time.perf_counter()
            completions = await model.complete(texts[i], request)
            latency = time.perf_counter() - started
            failures.see(completions[0].error)
            sink.add_rows(ids[i], [_row(c, latency) for c in completions])
            if keys is not None and cache is not None:
                fresh[keys[i]] = completions
                if len(fresh) >= 256:
                    cache.put(fresh, model.name)
                    fresh.clear()

    fresh: dict[str, list[Completion]] = {}
    try:
        await _together([worker() for _ in range(min(model.concurrency, len(open_)))], sink)
    finally:
        if cache is not None and fresh:
            cache.put(fresh, model.name)


def _row(completion: Completion, latency: float | None) -> dict[str, Any]:
    error = completion.error
    text = completion.text
    if not text.isascii():  # half a surrogate pair is no text that could be stored
        text = text.encode("utf-8", "replace").decode()
    return {
        "output": None if error is not None else text,
        "logprob": completion.logprob,
        "tokens": completion.tokens,
        "latency_s": latency,
        "error": error,
    }


class _FirstFailures:
    """Stops a run whose first answers are all errors: the model is down, not the items at fault."""

    def __init__(self, name: str, *, works: bool) -> None:
        self._name = name
        self._failures: int | None = None if works else 0

    def see(self, error: str | None) -> None:
        if self._failures is None:
            return
        if error is None:
            self._failures = None
            return
        self._failures += 1
        if self._failures >= GIVE_UP_AFTER:
            message = f"model {self._name!r} failed on the first {self._failures} items it was asked: {error}"
            raise ModelError(message)


# -- episodes -----------------------------------------------------------------------------------------------------------


async def _play(work: Pass, episode: Episode, todo: Any, sink: _Sink) -> None:
    model = work.model
    merger = Merger(model)
    speaker = Speaker(merger.ask, work.request)
    in_flight = (
        4 * model.concurrency if isinstance(model, ConcurrentModel) else max(4 * model.batch_size, 1024)
    )
    items: Iterator[Any] = iter(work.items.rows(todo))
    failures = _FirstFailures(model.name, works=sink.works)

    async def player() -> None:
        for item in items:
            row = await episode.play(speaker, item)
            failures.see(row["error"])
            sink.add_rows(item.id, [row])

    await _together([player() for _ in range(min(in_flight, len(todo)))], sink)


async def _together(workers: list[Any], sink: _Sink) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, ModelError) and "failed on the first" in str(first):
            sink.drop()  # nothing but errors of a model that is down: ask again on --resume
        raise first from None
