"""What users write themselves and get wrong: relations, models, episodes, arguments; each fault is one sentence."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConcordantError, ConfigError, DataError, ModelError

ITEMS = cc.Items.from_records([{"input": text, "reference": text} for text in "abcd"])
MODEL = cc.load(lambda text: text, name="same")


class Own(cc.Relation):
    name = "own"

    def __init__(self, judged: Any = None, expanded: Any = "as they are") -> None:
        self._judged, self._expanded = judged, expanded

    def expand(self, items: cc.Items) -> Any:
        return [cc.Variant("asked", items)] if isinstance(self._expanded, str) else self._expanded

    def judge(self, items: cc.Items, answers: Any) -> Any:
        return self._judged


class Answers:
    name, fingerprint, batch_size = "answers", "1", 10

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def respond(self, items: cc.Items, request: Any) -> Any:
        return self._answer


def said(error: type[ConcordantError], relation: Any, model: Any = MODEL, **how: Any) -> str:
    with pytest.raises(error) as caught:
        cc.check(model, how.pop("items", ITEMS), relation, progress=False, **how)
    return str(caught.value)


@pytest.mark.parametrize(
    ("judged", "sentence"),
    [
        (None, "by a polars data frame with a column agreement, got NoneType"),
        ([1.0] * 4, "got list"),
        ({"agreement": [1.0] * 4}, "got dict"),
        (
            pd.DataFrame({"agreement": [1.0] * 4}),
            "by a polars data frame with a column agreement, got DataFrame",
        ),
        (pl.DataFrame({"agreement": [1.0]}), "got 1 rows with columns agreement"),
        (pl.DataFrame({"agreement": ["yes"] * 4}), "by an agreement in [0, 1], got String"),
    ],
)
def test_a_relation_that_judges_wrongly(judged: Any, sentence: str) -> None:
    assert sentence in said(ConfigError, [Own(judged)])


def test_a_measure_without_its_column() -> None:
    class Measured(Own):
        measures = (cc.Measure("right_rate", "rihgt", "higher", "right ones"),)

    judged = pl.DataFrame({"agreement": [1.0] * 4, "right": [1.0] * 4})
    message = said(ConfigError, [Measured(judged)])
    assert message == "relation own: right_rate needs the column 'rihgt'; did you mean right?"


@pytest.mark.parametrize(
    ("expanded", "sentence"),
    [
        (None, "into a list of Variant, got NoneType"),
        ([], "into a list of Variant, got none"),
        ({"asked": ITEMS}, "into a list of Variant, got dict"),
        ([ITEMS], "into a list of Variant, got Items"),
        ([cc.Variant("a", ITEMS), cc.Variant("a", ITEMS)], "two variants of the name 'a'"),
        ([cc.Variant("a", ITEMS, ask={"temprature": 1})], "no 'temprature'; did you mean temperature?"),
    ],
)
def test_a_relation_that_expands_wrongly(expanded: Any, sentence: str) -> None:
    assert sentence in said(ConfigError, [Own(expanded=expanded)])


@pytest.mark.parametrize(
    "answer", [None, ["a"] * 4, {"output": ["a"] * 4}, pd.DataFrame({"output": ["a"] * 4})]
)
def test_a_model_that_returns_no_frame(answer: Any) -> None:
    message = said(ModelError, [Own()], Answers(answer))
    assert (
        message
        == f"model 'answers' must return a polars data frame with a column output, got {type(answer).__name__}"
    )


def test_a_function_that_rewrites_wrongly_names_the_item() -> None:
    @cc.relation(variants=("plain", "other"))
    def nothing(item: Any) -> Any:
        return None

    @cc.relation(variants=("plain", "other"))
    def misspelt(item: Any) -> Any:
        yield item.inptu

    assert f"relation nothing: item {ITEMS.ids[0]!r} raised TypeError" in said(DataError, [nothing])
    assert "has no attribute 'inptu'" in said(DataError, [misspelt])


def test_an_episode_must_be_async() -> None:
    with pytest.raises(ConfigError, match=r"must be an async function: async def talk\(model, item\)"):

        @cc.episode
        def talk(model: Any, item: Any) -> str:  # type: ignore[arg-type]
            return "a"


def test_an_episode_that_fails_on_every_item_is_counted_as_errors() -> None:
    @cc.episode
    async def fails(model: Any, item: Any) -> str:
        message = "no"
        raise RuntimeError(message)

    found = cc.check(MODEL, ITEMS.head(1), [fails], progress=False)["fails"]
    assert found.verdicts["agreement"].to_list() == [None]
    assert found.findings == {}


def test_arguments_of_the_wrong_kind() -> None:
    judged = pl.DataFrame({"agreement": [1.0] * 4})
    assert 'such as {"own": "agreement_score >= 0.9"}, got str' in said(
        ConfigError, [Own(judged)], gates="agreement_score >= 0.5"
    )
    assert "the items are list; allowed are Items" in said(ConfigError, [Own(judged)], items=["a"])
    assert "no column 'topic' to slice by" in said(DataError, [Own(judged)], slices="topic")
    alone = cc.check(MODEL, ITEMS, Own(judged), progress=False)  # type: ignore[arg-type]
    assert alone["own"].agreement_score.value == 1.0
    Own.name = None  # type: ignore[assignment]
    try:
        assert "the relation Own has no name" in said(ConfigError, [Own(judged)])
    finally:
        Own.name = "own"
