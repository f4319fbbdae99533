"""Many in flight: prompts of concurrent models, and episodes of any model."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from concordant.core.episode import Episode, Merger, Speaker
from concordant.core.errors import ModelError
from concordant.core.model import Completion, ConcurrentModel
from concordant.core.prompts import prompts

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from concordant.core.cache import AnswerCache
    from concordant.core.passes import Pass
    from concordant.core.sink import Sink

GIVE_UP_AFTER = 20
"""A model whose first answers are all errors is not asked any further."""


class ModelDownError(ModelError):
    """A model that answered none of the first prompts it was asked."""


async def ask_in_flight(
    work: Pass, model: ConcurrentModel, todo: NDArray[np.intp], sink: Sink, cache: AnswerCache | None
) -> None:
    """Ask a concurrent model the rows `todo` of a pass, as many at once as it takes; `cache` serves what it holds."""
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
            raise ModelDownError(message)


async def play_in_flight(work: Pass, episode: Episode, todo: NDArray[np.intp], sink: Sink) -> None:
    """Play an episode over the rows `todo` of a pass, many at once, so that what they ask can be merged."""
    model = work.model
    merger = Merger(model)
    speaker = Speaker(merger.ask, work.request)
    at_once = model.concurrency if isinstance(model, ConcurrentModel) else max(model.batch_size, 256)
    items: Iterator[Any] = iter(work.items.rows(todo))
    failures = _FirstFailures(model.name, works=sink.works)

    async def player() -> None:
        for item in items:
            row = await episode.play(speaker, item)
            failures.see(row["error"])
            sink.add_rows(item.id, [row])

    await _together([player() for _ in range(min(4 * at_once, len(todo)))], sink)


async def _together(workers: list[Coroutine[Any, Any, None]], sink: Sink) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, ModelDownError):
            sink.drop()  # nothing but errors of a model that is down: they are asked again on --resume
        raise first from None
