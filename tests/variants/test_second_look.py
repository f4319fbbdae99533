"""SecondLook: the four transitions by hand, both turns graded alike, and conversations that fail."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.statistics import mcnemar
from concordant.variants import SecondLook


class Talker:
    """A batch model with a first and a second answer for each question; None raises."""

    name = fingerprint = "talker"
    batch_size = 64

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs
        self.calls: list[list[Any]] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        asked = items.inputs.to_list()
        self.calls.append(asked)
        outputs = []
        for prompt in asked:
            first = prompt if isinstance(prompt, str) else prompt[0]["content"]
            outputs.append(
                self.pairs[int(first.split()[0][1:])][0 if isinstance(prompt, str) or len(prompt) < 3 else 1]
            )
        errors = ["no answer" if output is None else None for output in outputs]
        return pl.DataFrame(
            {"output": outputs, "error": errors}, schema_overrides={"output": pl.String, "error": pl.String}
        )


def items(n: int, reference: Any = "4") -> Items:
    return Items.from_records([{"id": str(i), "input": f"q{i}", "reference": reference} for i in range(n)])


def result_of(model: Any, asked: Items, relation: SecondLook | None = None, **more: Any) -> cc.Result:
    model = model if hasattr(model, "respond") or hasattr(model, "complete") else cc.load(model)
    return cc.check(model, asked, [relation or SecondLook()], progress=False, **more)["variants.second_look"]


def test_by_hand() -> None:
    pairs = [("4", "It is 4.")] * 3 + [("4", "5")] * 2 + [("5", "4")] + [("5", "5")] * 2 + [("5", "6")] * 2
    result = result_of(Talker(pairs), items(10))
    values = {name: finding.value for name, finding in result.findings.items()}
    assert values == pytest.approx(
        {
            "kept_right_rate": 0.3,
            "dropped_right_rate": 0.2,
            "mended_rate": 0.1,
            "still_wrong_rate": 0.4,
            "changed_rate": 0.5,
            "agreement_score": 0.5,
            "accuracy_before": 0.5,
            "accuracy_after": 0.4,
            "gain": -0.1,
        }
    )
    assert result.gain.p_value == mcnemar(2, 1).p_exact == 1.0
    assert result.gain.test == "McNemar, exact"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("45"), st.sampled_from("45")), min_size=1, max_size=20))
def test_the_gain_is_mended_minus_dropped(pairs: list[tuple[str, str]]) -> None:
    result = result_of(Talker(pairs), items(len(pairs)))
    after, before = result.accuracy_after.value, result.accuracy_before.value
    assert result.gain.value == pytest.approx(after - before)
    assert result.gain.value == pytest.approx(result.mended_rate.value - result.dropped_right_rate.value)
    shares = ("kept_right_rate", "dropped_right_rate", "mended_rate", "still_wrong_rate")
    assert sum(result[share].value for share in shares) == pytest.approx(1)


def test_the_gain_may_be_a_loss_where_nothing_changed() -> None:
    gain = result_of(Talker([("4", "4")] * 50), items(50)).gain
    assert gain.value == 0
    assert gain.high == -gain.low == pytest.approx(0.07135, abs=1e-5)  # z^2 / (n + z^2), z = 1.95996
    grouped = items(50).replace(group=["a", "b"] * 25)
    assert result_of(Talker([("4", "5")] * 50), grouped).gain.value == -1


def test_the_conversation_that_is_held() -> None:
    model = Talker([("4", "5")])
    result = result_of(model, items(1), SecondLook("Really?"))
    assert model.calls[0] == ["q0"]
    assert [turn["content"] for turn in model.calls[1][0]] == ["q0", "4", "Really?"]
    played = result.answers["asked twice"].frame.row(0, named=True)
    assert played["turns"] == ["4", "5"]
    assert [turn["role"] for turn in json.loads(played["transcript"])] == [
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert result.worst(1)["asked twice.turns"].to_list() == [["4", "5"]]


def test_conversations_go_on() -> None:
    turns = [{"role": "system", "content": "q0 be brief"}, {"role": "user", "content": "2 + 2"}]
    asked = Items.from_records([{"input": turns, "reference": "4"}])
    model = Talker([("4", "5")])
    assert result_of(model, asked).dropped_right_rate.value == 1
    assert len(model.calls[1][0]) == 4


def test_choices_are_asked_and_graded_in_both_turns() -> None:
    rows = [{"input": "Which is a fruit?", "choices": ["brick", "apple"], "reference": "apple"}]
    seen = []

    def model(prompt: Any) -> str:
        seen.append(prompt)
        return "B" if isinstance(prompt, str) else "On reflection: (A)"

    result = result_of(model, Items.from_records(rows))
    assert "B. apple" in seen[0]
    assert result.dropped_right_rate.value == 1
    assert result.changed_rate.value == 1


def test_a_grader_of_ones_own_sees_both_turns() -> None:
    pairs = [("very good", "good"), ("good", "bad"), ("bad", "bad")]
    result = result_of(Talker(pairs), items(3, reference="x"), grade=lambda output, item: "good" in output)
    assert result.verdicts["before"].to_list() == [1, 1, 0]
    assert result.verdicts["after"].to_list() == [1, 0, 0]


def test_failures_are_not_judged() -> None:
    result = result_of(Talker([("4", "4"), (None, "4"), ("4", None), ("5", "4")]), items(4))
    assert result.verdicts["before"].to_list() == [1, None, None, 0]
    assert result.verdicts["agreement"].to_list() == [1, None, None, 0]
    assert result.gain.n == 2
    assert result.gain.n_error == 2


def test_all_conversations_fail() -> None:
    result = result_of(Talker([(None, None)] * 3), items(3))
    assert result.findings == {}
    assert result.verdicts["agreement"].null_count() == 3


def test_an_answer_that_is_taken_back_without_another() -> None:
    result = result_of(Talker([("4", "I am not sure any more.")]), items(1))
    assert result.dropped_right_rate.value == 1
    assert result.changed_rate.value == 1


def test_without_references_only_changes_are_judged() -> None:
    asked = Items.from_records([{"input": "q0"}, {"input": "q1"}])
    result = result_of(Talker([("yes", "Yes."), ("yes", "no")]), asked)
    assert set(result.findings) == {"changed_rate", "agreement_score"}


def test_two_questions_are_two_episodes_and_samples_are_not_multiplied() -> None:
    model = Talker([("4", "4")] * 2)
    relations = [SecondLook("Sure?"), SecondLook("Certain?")]
    report = cc.check(model, items(2), relations, request=Request(n=3), progress=False)
    assert {len(call) for call in model.calls} == {2}
    assert len(model.calls) == 4
    assert report["variants.second_look#2"].kept_right_rate.value == 1


def test_a_server_is_asked_twice() -> None:
    async def model(prompt: Any) -> str:
        return "4" if isinstance(prompt, str) else "5"

    assert result_of(model, items(30)).dropped_right_rate.value == 1


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="the question must be a text, got ' '"):
        SecondLook(" ")
    with pytest.raises(DataError, match="rewrites texts or lists of messages, and the inputs are Int64"):
        SecondLook().expand(Items.from_records([{"input": 3}]))
