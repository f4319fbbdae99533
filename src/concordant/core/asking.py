"""Asking: the questions of all relations put to the models, and the answers graded: of all items, or of some."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from concordant.core.behaviours import Behaviours
from concordant.core.cache import AnswerCache, default_cache_path
from concordant.core.model import ConcurrentModel
from concordant.core.plan import answers_of, plan
from concordant.core.run import run
from concordant.core.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from concordant.core.items import Items
    from concordant.core.model import Model, Request
    from concordant.core.passes import Pass, Progress
    from concordant.core.relation import Relation
    from concordant.core.store import Store

T = TypeVar("T")

Answers = dict[str, dict[str, Behaviours]]
"""The behaviours of each variant, by the names of relation and variant."""


@dataclass(slots=True)
class Asking:
    """What is asked in one check, whatever the items.

    Parameters
    ----------
    model, relations, request
        The model under test, what its behaviour must agree with, and how models are asked.
    items
        All items, of which `ask` may be given some.
    grade
        How outputs are found right or wrong; as for `concordant.check`.
    store
        Where behaviours are kept.
    description
        The record of the run; models and passes are added to it as they are known.
    cache
        Whether deterministic answers of servers are kept over runs, or where; opened when a server is asked.
    progress, retry_errors
        As for `concordant.core.run.run`.
    """

    model: Model
    relations: Sequence[Relation]
    request: Request
    items: Items
    grade: Any
    store: Store
    description: dict[str, Any]
    cache: bool | Path
    progress: Progress
    retry_errors: bool
    _answer_cache: AnswerCache | None = field(default=None, init=False)

    def ask(self, items: Items) -> Answers:
        """Ask what is not recorded yet, and grade all answers."""
        planned = plan(self.model, items, self.relations, self.request)
        passes = [work for columns in planned.values() for work in columns.values()]
        self._describe(passes)
        recorded = completed(
            run(
                passes,
                self.store,
                cache=self._opened_cache(passes),
                progress=self.progress,
                retry_errors=self.retry_errors,
            )
        )
        return {name: answers_of(columns, recorded, items, self.grade) for name, columns in planned.items()}

    def close(self) -> None:
        """Close the answer cache, if it was opened."""
        if self._answer_cache is not None:
            self._answer_cache.close()

    def _describe(self, passes: Sequence[Pass]) -> None:
        models = {work.model.name: work.model.fingerprint for work in passes}
        self.description.setdefault("models", {}).update(models)
        for work in passes:
            described = {"label": work.label, "model": work.model.name, **asdict(work.request)}
            self.description.setdefault("passes", {})[work.key] = described
        if isinstance(self.store, RunFolder):
            self.store.describe(self.description, self.items.frame)

    def _opened_cache(self, passes: Sequence[Pass]) -> AnswerCache | None:
        serves = any(isinstance(work.model, ConcurrentModel) for work in passes)
        if self._answer_cache is None and self.cache is not False and serves:
            self._answer_cache = AnswerCache(default_cache_path() if self.cache is True else self.cache)
        return self._answer_cache


def joined(parts: Sequence[Answers]) -> Answers:
    """Return the answers of several sets of items, one after the other."""
    return {
        relation: {
            variant: Behaviours.joined([part[relation][variant] for part in parts]) for variant in answers
        }
        for relation, answers in parts[0].items()
    }


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    outcome: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="concordant")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
