"""Episodes: behaviour that depends on earlier answers, as an async function over one item.

An episode awaits the models it needs; the runner keeps many episodes in flight and merges what they ask, into
batches for a local model and into bounded concurrency for a server. What the function returns is the behaviour:
one answer, several (the last is the output, all are the `turns`), or any plain value.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, overload

import polars as pl

from concordant.core.errors import ConcordantError, ConfigError, ModelError, described
from concordant.core.items import Items
from concordant.core.model import (
    BatchModel,
    Completion,
    ConcurrentModel,
    Message,
    Model,
    Prompt,
    Request,
    assistant,
    digest,
    user,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer inside an episode.

    Parameters
    ----------
    text
        What the model said.
    messages
        The conversation up to and with this answer, ready to be continued:
        ``await model.generate([*answer.messages, user("Are you sure?")])``.
    completion
        The answer with its log-probability and token count, where known.
    """

    text: str
    messages: list[Message]
    completion: Completion


class EpisodeError(Exception):
    """An episode that ended early because a model gave no answer; recorded as the error of its item."""


class Speaker:
    """A model as an episode sees it: ``await model.generate(prompt)``."""

    def __init__(
        self, ask: Callable[[Prompt, Request], Awaitable[list[Completion]]], request: Request
    ) -> None:
        self._ask = ask
        self._request = request

    async def generate(self, prompt: Prompt, **changes: Any) -> Answer:
        """Ask for one answer.

        Parameters
        ----------
        prompt
            A text or the turns of a conversation.
        changes
            Changes to the request of the run: ``temperature=0.7``, ``max_tokens=8``.
        """
        return (await self.sample(prompt, 1, **changes))[0]

    async def sample(self, prompt: Prompt, n: int, **changes: Any) -> list[Answer]:
        """Ask for `n` answers to the same prompt."""
        completions = await self._ask(prompt, replace(self._request, n=n, **changes))
        messages: list[Message] = [user(prompt)] if isinstance(prompt, str) else list(prompt)
        for completion in completions:
            if completion.error is not None:
                raise EpisodeError(completion.error)
        return [Answer(c.text, [*messages, assistant(c.text)], c) for c in completions]


EpisodeFunction = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Episode:
    """A conversation over one item; made with the decorator `episode`.

    Parameters
    ----------
    function
        ``async def function(model, item)``: `model` is a `Speaker`, `item` has one attribute a column of the items.
    name
        Name in reports.
    """

    function: EpisodeFunction
    name: str

    def key(self) -> str:
        """Return a digest of what is played: name, code with its constants, and plain values it closes over."""
        function = getattr(self.function, "__func__", self.function)
        code = getattr(function, "__code__", None)
        cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        held = [*cells, *(getattr(function, "__defaults__", None) or ())]
        plain = [repr(v) if isinstance(v, str | int | float | None) else type(v).__name__ for v in held]
        return digest(self.name, None if code is None else _code_parts(code), plain)

    async def play(self, model: Speaker, item: Any) -> dict[str, Any]:
        """Play the episode over one item and return its behaviour as a row."""
        try:
            result = await self.function(model, item)
        except ConcordantError:  # what concerns all items
            raise
        except Exception as error:
            said = str(error) if isinstance(error, EpisodeError) else described(error)
            return {"output": None, "turns": None, "transcript": None, "error": said}
        answers = list(result) if isinstance(result, tuple | list) else [result]
        if answers and all(isinstance(answer, Answer) for answer in answers):
            return {
                "output": answers[-1].text,
                "turns": [answer.text for answer in answers],
                "transcript": json.dumps(answers[-1].messages),
                "error": None,
            }
        output = result if isinstance(result, str) else json.dumps(result)
        return {"output": output, "turns": [output], "transcript": None, "error": None}


def _code_parts(code: CodeType) -> list[Any]:
    parts = [code.co_code.hex(), list(code.co_names)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_code_parts(constant))
        else:  # a set of constants has no order of its own
            parts.append(sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant))
    return parts


@overload
def episode(function: EpisodeFunction) -> Episode: ...
@overload
def episode(*, name: str) -> Callable[[EpisodeFunction], Episode]: ...
def episode(function: EpisodeFunction | None = None, *, name: str | None = None) -> Any:
    """Make an episode of an async function over one item.

    Examples
    --------
    >>> @episode
    ... async def second_look(model, item):
    ...     first = await model.generate(item.input)
    ...     return first, await model.generate([*first.messages, user("Are you sure? Answer again.")])
    >>> second_look.name
    'second_look'
    """
    if function is None:
        return lambda function: episode(function) if name is None else Episode(function, name)
    named = name or str(getattr(function, "__name__", "episode"))
    if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
        message = f"the episode {named} must be an async function: async def {named}(model, item)"
        raise ConfigError(message)
    return Episode(function, named)


_Asked = tuple[Prompt, Request, "asyncio.Future[list[Completion]]"]


class Merger:
    """Merges what many episodes ask into batches (local models) or bounded concurrency (servers).

    For a batch model, requests are collected until every episode that could ask has asked (the event loop has
    gone quiet), or a full batch is there; one batch runs at a time, in a worker thread, while the episodes go on.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._pending: list[_Asked] = []
        self._worker: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(model.concurrency) if isinstance(model, ConcurrentModel) else None

    async def ask(self, prompt: Prompt, request: Request) -> list[Completion]:
        """Ask the model, together with whatever else is being asked."""
        if isinstance(self._model, ConcurrentModel):
            assert self._slots is not None
            async with self._slots:
                return await self._model.complete(prompt, request)
        future: asyncio.Future[list[Completion]] = asyncio.get_running_loop().create_future()
        self._pending.append((prompt, request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work(self._model))
        return await future

    async def _work(self, model: BatchModel) -> None:
        while self._pending:
            waiting = -1
            while waiting != len(self._pending):  # until a turn of the event loop brings nothing new
                waiting = len(self._pending)
                await asyncio.sleep(0)
            batch = self._next_batch(model)
            request = batch[0][1]
            try:
                answers = await asyncio.to_thread(_respond, model, [entry[0] for entry in batch], request)
            except ConcordantError as error:
                _settle(batch, [error] * len(batch))
            except Exception as error:
                if len(batch) == 1:
                    _settle(batch, [error])
                    continue
                for entry in batch:  # one prompt that a model cannot take must not fail the others
                    try:
                        _settle([entry], await asyncio.to_thread(_respond, model, [entry[0]], request))
                    except Exception as alone:
                        _settle([entry], [alone])
            else:
                _settle(batch, answers)

    def _next_batch(self, model: BatchModel) -> list[_Asked]:
        """Take the oldest request and those that can share its call: asked alike, and alike a text or a conversation."""
        prompt, request, _ = self._pending[0]
        size = request.batch_size or model.batch_size
        batch: list[_Asked] = []
        left: list[_Asked] = []
        for entry in self._pending:
            alike = entry[1] == request and isinstance(entry[0], str) == isinstance(prompt, str)
            (batch if alike and len(batch) < size else left).append(entry)
        self._pending = left
        return batch


def _settle(batch: list[_Asked], results: Sequence[list[Completion] | Exception]) -> None:
    for (_, _, future), result in zip(batch, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _respond(model: BatchModel, prompts: list[Prompt], request: Request) -> list[list[Completion]]:
    frame = pl.DataFrame({"id": [str(i) for i in range(len(prompts))], "input": prompts})
    rows = model.respond(Items(frame), request)
    if "output" not in rows.columns or len(rows) != len(prompts) * request.n:
        got = f"{len(rows)} answers for {len(prompts)} prompts of an episode"
        message = f"model {model.name!r} returned {got}"
        raise ModelError(message)
    empty = [None] * len(rows)
    names = ("output", "logprob", "tokens", "error")
    columns = [rows[name].to_list() if name in rows.columns else empty for name in names]
    completions = [
        Completion("" if o is None else str(o), logprob, tokens, None, error)
        for o, logprob, tokens, error in zip(*columns, strict=True)
    ]
    return [completions[i : i + request.n] for i in range(0, len(completions), request.n)]
