"""The runner: each question once, errors recorded, order and batches as asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from concordant.core.cache import AnswerCache
from concordant.core.errors import ModelError
from concordant.core.flight import GIVE_UP_AFTER
from concordant.core.items import Items
from concordant.core.model import Completion, Prompt, Request
from concordant.core.passes import Pass
from concordant.core.run import run
from concordant.core.store import MemoryStore


class Recorder:
    """A batch model that upper-cases, remembers what it was asked, and raises on chosen inputs."""

    name = fingerprint = "recorder"

    def __init__(self, batch_size: int = 4, raising: tuple[str, ...] = ()) -> None:
        self.batch_size = batch_size
        self.raising = raising
        self.calls: list[list[str]] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        texts = items.inputs.to_list()
        self.calls.append(texts)
        for text in texts:
            if text in self.raising or "all" in self.raising:
                message = f"cannot read {text}"
                raise ValueError(message)
        return pl.DataFrame({"output": [t.upper() for t in texts for _ in range(request.n)]})


class Server:
    name = fingerprint = "server"
    concurrency = 8

    def __init__(self, down: bool = False) -> None:
        self.asked: list[Prompt] = []
        self.down = down

    async def complete(self, prompt: Prompt, request: Request) -> list[Completion]:
        self.asked.append(prompt)
        await asyncio.sleep(0)
        if self.down:
            return [Completion("", error="connection refused")]
        return [Completion(f"{prompt} {i}", -1.5, 3) for i in range(request.n)]

    async def aclose(self) -> None:
        pass


def items(n: int) -> Items:
    return Items.from_records([{"id": f"i{i}", "input": f"t{i}"} for i in range(n)])


def ask(model: Any, n: int, request: Request | None = None, **options: Any) -> pl.DataFrame:
    work = Pass.of("asked", model, items(n), request or Request())
    store = options.pop("store", None) or MemoryStore()
    return asyncio.run(run([work], store, **options))[work.key]


def test_batches_of_the_models_size_in_the_given_order() -> None:
    model = Recorder()
    frame = ask(model, 10)
    assert [len(call) for call in model.calls] == [4, 4, 2]
    assert frame["item"].to_list() == [f"i{i}" for i in range(10)]
    assert frame["output"].to_list() == [f"T{i}" for i in range(10)]


def test_a_request_may_change_batch_size_and_order() -> None:
    model = Recorder()
    frame = ask(model, 10, Request(batch_size=3, order_seed=1))
    assert [len(call) for call in model.calls] == [3, 3, 3, 1]
    asked = [text for call in model.calls for text in call]
    assert asked != sorted(asked)
    assert sorted(asked) == sorted(f"t{i}" for i in range(10))
    assert all(
        output == item.replace("i", "T") for item, output in frame.select("item", "output").iter_rows()
    )


def test_samples_of_an_item_stay_together() -> None:
    frame = ask(Recorder(), 3, Request(n=2))
    assert frame["item"].to_list() == ["i0", "i0", "i1", "i1", "i2", "i2"]
    assert frame["sample"].to_list() == [0, 1] * 3


def test_equal_questions_are_asked_once() -> None:
    model = Server()
    passes = [Pass.of(label, model, items(5), Request()) for label in ("a", "b")]
    passes.append(Pass.of("c", model, items(5), Request(repeat=1)))
    results = asyncio.run(run(passes, MemoryStore()))
    assert len(results) == 2
    assert len(model.asked) == 10


@pytest.mark.parametrize("raising", [("t3",), ("t0", "t7"), ("t8", "t9")])
def test_an_item_that_makes_the_model_raise_is_found_and_recorded(raising: tuple[str, ...]) -> None:
    frame = ask(Recorder(raising=raising), 10)
    errors = dict(frame.filter(pl.col("error").is_not_null()).select("item", "error").iter_rows())
    assert errors == {text.replace("t", "i"): f"ValueError: cannot read {text}" for text in raising}
    assert frame.filter(pl.col("output").is_null())["item"].to_list() == list(errors)
    assert len(frame) == 10


def test_a_model_that_raises_on_everything_stops_the_run() -> None:
    with pytest.raises(
        ModelError, match=r"'recorder' raised ValueError on every item it was given: cannot read t\d"
    ):
        ask(Recorder(raising=("all",)), 10)


def test_a_server_that_is_down_stops_the_run_and_leaves_no_errors_behind() -> None:
    store = MemoryStore()
    with pytest.raises(
        ModelError, match=f"failed on the first {GIVE_UP_AFTER} items it was asked: connection refused"
    ):
        ask(Server(down=True), 200, store=store)
    model = Server()
    assert ask(model, 200, store=store)["output"].null_count() == 0
    assert len(model.asked) == 200


def test_few_items_that_all_fail_are_recorded_errors() -> None:
    assert ask(Server(down=True), 3)["error"].to_list() == ["connection refused"] * 3


def test_what_is_recorded_is_not_asked_again() -> None:
    store = MemoryStore()
    work = Pass.of("asked", Recorder(), items(6), Request())
    store.append(work.key, pl.DataFrame({"item": ["i1", "i4"], "sample": [0, 0], "output": ["x", "y"]}))
    model = Recorder()
    frame = ask(model, 6, store=store)
    assert [text for call in model.calls for text in call] == ["t0", "t2", "t3", "t5"]
    assert sorted(frame["item"].to_list()) == [f"i{i}" for i in range(6)]


def test_recorded_errors_are_asked_again_only_when_told() -> None:
    store = MemoryStore()
    ask(Server(down=True), 3, store=store)
    model = Server()
    assert ask(model, 3, store=store)["error"].null_count() == 0
    assert not model.asked
    assert ask(model, 3, store=store, retry_errors=True)["error"].null_count() == 3
    assert len(model.asked) == 3


def test_the_cache_serves_deterministic_answers_and_never_a_repeat(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.sqlite")
    first, second = Server(), Server()
    a = ask(first, 5, cache=cache)
    b = ask(second, 5, cache=cache)
    assert not second.asked
    assert a.select("item", "output", "logprob", "tokens").equals(
        b.select("item", "output", "logprob", "tokens")
    )
    for request in (Request(repeat=1), Request(temperature=0.5), Request(n=2)):
        again = Server()
        ask(again, 5, request, cache=cache)
        assert len(again.asked) == 5
    cache.close()


def test_errors_are_not_cached(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.sqlite")
    ask(Server(down=True), 3, cache=cache)
    assert len(cache) == 0
    cache.close()


def test_progress_is_told_from_nothing_to_all() -> None:
    told: list[tuple[str, int, int]] = []
    ask(Recorder(), 10, progress=lambda *now: told.append(now))
    assert told[0] == ("asked", 0, 10)
    assert told[-1] == ("asked", 10, 10)
    assert np.all(np.diff([done for _, done, _ in told]) >= 0)


@pytest.mark.parametrize("frame", [pl.DataFrame({"output": ["x"]}), pl.DataFrame({"answer": ["x"] * 4})])
def test_a_wrong_shape_names_what_is_allowed_and_what_was_got(frame: pl.DataFrame) -> None:
    class Wrong(Recorder):
        def respond(self, items: Items, request: Request) -> pl.DataFrame:
            return frame

    with pytest.raises(ModelError, match="must return 4 rows with a column output, got"):
        ask(Wrong(), 8)
