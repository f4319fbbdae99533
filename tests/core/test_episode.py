"""Episodes: what they record, and how what they ask is merged."""

from __future__ import annotations

import asyncio
from typing import Any

import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ModelError
from concordant.core.items import Items
from concordant.core.model import Completion, Prompt, Request
from concordant.core.turns import EpisodeRelation


class Batches:
    """A batch model that remembers how many rows each call had, and answers the number of turns."""

    name = fingerprint = "batches"
    batch_size = 4

    def __init__(self) -> None:
        self.calls: list[int] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        self.calls.append(len(items))
        return pl.DataFrame(
            {"output": [f"turn {1 if isinstance(p, str) else len(p)}" for p in items.inputs.to_list()]}
        )


class Server:
    """A concurrent model that remembers how many prompts were in flight at once."""

    name = fingerprint = "server"
    concurrency = 3

    def __init__(self, failing: str = "") -> None:
        self.in_flight = self.most = 0
        self.failing = failing

    async def complete(self, prompt: Prompt, request: Request) -> list[Completion]:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        text = prompt if isinstance(prompt, str) else prompt[0]["content"]
        if self.failing and self.failing in text:
            return [Completion("", error="no answer")]
        return [Completion(f"{text}!")] * request.n

    async def aclose(self) -> None:
        pass


@cc.episode
async def twice(model: Any, item: Any) -> Any:
    first = await model.generate(item.input)
    return first, await model.generate([*first.messages, cc.user("Sure?")])


def items(n: int) -> cc.Items:
    return cc.Items.from_records([{"id": str(i), "input": f"q{i}"} for i in range(n)])


def test_requests_of_a_local_model_are_merged_into_full_batches() -> None:
    model = Batches()
    report = cc.check(model, items(10), [twice], progress=False)
    # Ten first turns and ten second turns in batches of four: no call may be for one row where more were waiting.
    assert sum(model.calls) == 20
    assert len(model.calls) <= 6
    played = report["twice"].answers["played"]
    assert played["output"].to_list() == ["turn 3"] * 10
    assert played["turns"].to_list() == [["turn 1", "turn 3"]] * 10


def test_requests_of_a_server_keep_its_concurrency() -> None:
    model = Server()
    report = cc.check(model, items(20), [twice], progress=False)
    assert model.most == 3
    assert report["twice"].answers["played"]["output"].to_list() == [f"q{i}!" for i in range(20)]
    assert report["twice"].agreement_score.value == 1.0


def test_an_episode_whose_model_fails_is_an_error_and_not_a_wrong_answer() -> None:
    report = cc.check(Server(failing="q1"), items(5), [twice], progress=False)
    played = report["twice"].answers["played"]
    assert played.frame["outcome"].to_list() == ["ungraded", "error", "ungraded", "ungraded", "ungraded"]
    assert played["error"].to_list()[1] == "no answer"
    assert report["twice"].agreement_score.n == 4
    assert report["twice"].agreement_score.n_error == 1


def test_an_episode_may_return_text_or_any_plain_value() -> None:
    async def plain(model: Any, item: Any) -> Any:
        return {"seen": item.input}

    report = cc.check(Server(), items(2), [cc.episode(plain)], progress=False)
    assert report["plain"].answers["played"]["output"].to_list() == ['{"seen": "q0"}', '{"seen": "q1"}']


def test_samples_of_one_prompt() -> None:
    @cc.episode(name="vote")
    async def vote(model: Any, item: Any) -> Any:
        return [answer.text for answer in await model.sample(item.input, 3, temperature=1.0)]

    report = cc.check(Server(), items(1), [vote], progress=False)
    assert report["vote"].answers["played"]["output"].to_list() == ['["q0!", "q0!", "q0!"]']


def test_a_model_that_returns_too_few_rows_stops_the_run() -> None:
    class Short(Batches):
        def respond(self, items: Items, request: Request) -> pl.DataFrame:
            return pl.DataFrame({"output": ["x"]})

    with pytest.raises(ModelError, match="returned 1 answers for 4 prompts of an episode"):
        cc.check(Short(), items(8), [twice], progress=False)


def test_an_episode_stands_for_all_its_turns_agree() -> None:
    report = cc.check(Batches(), items(3), [EpisodeRelation(twice)], progress=False)
    assert report["twice"].agreement_score.value == 0.0


def test_an_exception_in_an_episode_is_the_error_of_its_item() -> None:
    @cc.episode
    async def fragile(model: Any, item: Any) -> Any:
        if item.id == "2":
            message = "cannot go on"
            raise ValueError(message)
        return await model.generate(item.input)

    played = cc.check(Server(), items(4), [fragile], progress=False)["fragile"].answers["played"]
    assert played["error"].to_list() == [None, None, "ValueError: cannot go on", None]


def test_a_prompt_that_a_local_model_cannot_take_fails_alone() -> None:
    class Picky(Batches):
        def respond(self, items: Items, request: Request) -> pl.DataFrame:
            if "q1" in items.inputs.to_list():
                message = "cannot read q1"
                raise RuntimeError(message)
            return super().respond(items, request)

    played = cc.check(Picky(), items(6), [twice], progress=False)["twice"].answers["played"]
    assert played["error"].to_list() == [None, "RuntimeError: cannot read q1", None, None, None, None]


def test_a_text_and_a_conversation_never_share_a_call() -> None:
    kinds: list[set[bool]] = []

    class Kinds(Batches):
        batch_size = 3

        def respond(self, items: Items, request: Request) -> pl.DataFrame:
            kinds.append({isinstance(prompt, str) for prompt in items.inputs.to_list()})
            return super().respond(items, request)

    cc.check(Kinds(), items(10), [twice], progress=False)
    assert all(len(kind) == 1 for kind in kinds)
