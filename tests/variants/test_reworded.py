"""Reworded: the three sources of rewordings, ragged ones, conversations, and what cannot be understood."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.variants import Reworded


def sums(**columns: Any) -> Items:
    rows = [{"id": str(i), "input": f"{i} + 1", "reference": i + 1} for i in range(4)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return Items.from_records(rows)


def adds(text: str) -> str:
    """Add, if the text begins with the sum."""
    return str(int(text[0]) + int(text[4])) if text[:1].isdigit() else "I cannot tell"


def result_of(model: Any, items: Items, relation: Reworded, **more: Any) -> cc.Result:
    return cc.check(cc.load(model), items, [relation], progress=False, **more)["variants.reworded"]


def test_templates_by_hand() -> None:
    relation = Reworded(templates=["{input} = ?", "What is {input}?", "{input} ({topic}, id {id})"])
    items = sums(topic=list("wxyz"))
    variants = relation.expand(items)
    assert [variant.name for variant in variants] == ["as given", "template 1", "template 2", "template 3"]
    assert [variant.items.inputs[1] for variant in variants] == [
        "1 + 1",
        "1 + 1 = ?",
        "What is 1 + 1?",
        "1 + 1 (x, id 1)",
    ]
    assert variants[0].items is items  # asked once for all relations
    result = result_of(adds, items, relation)
    values = {name: finding.value for name, finding in result.findings.items()}
    assert values == {
        "agreement_score": pytest.approx(2 / 3),
        "violation_rate": 1.0,
        "robust_accuracy": 0.0,
        "accuracy": 1.0,
        "rewritten_accuracy": pytest.approx(2 / 3),
        "negative_flip_rate": pytest.approx(1 / 3),
    }


def test_one_template_may_be_a_text() -> None:
    assert Reworded(templates="{input}!").expand(sums())[1].items.inputs.to_list()[0] == "0 + 1!"


def test_an_output_without_an_answer_disagrees() -> None:
    result = result_of(adds, sums(), Reworded(templates="What is {input}?"))
    assert result.verdicts["agreement"].to_list() == [0.0] * 4
    # without an answer in either wording nothing can be said
    result = result_of(lambda text: "I cannot tell", sums(), Reworded(templates="What is {input}?"))
    assert result.verdicts["agreement"].to_list() == [None] * 4


def test_a_column_of_texts_and_of_ragged_lists() -> None:
    texts = sums(other=["0 + 1 =", "x", None, "3 + 1 ="])
    result = result_of(adds, texts, Reworded(column="other"))
    assert result.verdicts["agreement"].to_list() == [1.0, 0.0, None, 1.0]
    assert result.agreement_score.n_ungraded == 1
    ragged = sums(other=[["0 + 1 =", "x"], [], None, ["3 + 1 =", "3 + 1 :", None, "x"]])
    variants = Reworded(column="other").expand(ragged)
    assert [variant.items.ids.to_list() for variant in variants[1:]] == [["0", "3"], ["0", "3"], ["3"]]
    result = result_of(adds, ragged, Reworded(column="other"))
    assert result.verdicts["agreement"].to_list() == [0.5, None, None, pytest.approx(2 / 3)]
    assert result.verdicts["right"].to_list() == [1.0] * 4


def test_a_function() -> None:
    def again(item: Any) -> list[str | None] | str | None:
        if item.id == "0":
            return None
        return f"{item.input} =" if item.id == "1" else [f"{item.input} ?", f"what is {item.input}"]

    result = result_of(adds, sums(), Reworded(rewrite=again))
    assert result.verdicts["agreement"].to_list() == [None, 1.0, 0.5, 0.5]
    with pytest.raises(DataError, match=r"rewrite must return texts, and for item '0' it returned \[3\]"):
        Reworded(rewrite=lambda item: [3]).expand(sums())


def test_conversations_are_reworded_at_the_last_turn_of_the_user() -> None:
    start = [{"role": "system", "content": "Add."}, {"role": "user", "content": "2 + 2"}]
    items = Items.from_records([{"input": start, "reference": "4"}])
    asked = Reworded(templates="Please: {input}").expand(items)[1].items.inputs.to_list()[0]
    assert asked == [start[0], {"role": "user", "content": "Please: 2 + 2"}]
    result = result_of(lambda turns: adds(turns[-1]["content"]), items, Reworded(templates="{input} ="))
    assert result.agreement_score.value == 1


def test_choices_stay() -> None:
    rows = [{"input": "Which is a fruit?", "choices": ["apple", "brick"], "reference": "apple"}]
    result = result_of(
        lambda text: "A" if "A. apple" in text else "B",
        Items.from_records(rows),
        Reworded(templates="{input} Choose."),
    )
    assert result.robust_accuracy.value == 1


def test_agreement_of_ones_own() -> None:
    longer = Reworded(templates="{input} and so on")
    exact = Reworded(templates="{input} and so on", agree="exact")
    close = Reworded(templates="{input} and so on", agree=lambda a, b: a[0] == b[0])
    items = Items.from_records([{"input": "abc"}])
    assert result_of(str.upper, items, longer).agreement_score.value == 0
    assert result_of(str.upper, items, exact).agreement_score.value == 0
    assert result_of(str.upper, items, close).agreement_score.value == 1
    number = Reworded(templates="{input}0", agree="number", options={"tolerance": 0.2})
    assert result_of(
        lambda text: f"about {text}", Items.from_records([{"input": "0.5"}]), number
    ).agreement_score


def test_errors_are_no_violation() -> None:
    def model(text: str) -> str:
        if text == "What is 2 + 1?":
            raise TimeoutError
        return adds(text.removeprefix("What is "))

    result = result_of(model, sums(), Reworded(templates="What is {input}?"))
    assert result.verdicts["agreement"].to_list() == [1.0, 1.0, None, 1.0]
    assert result.verdicts["rewritten_right"].to_list() == [1.0, 1.0, None, 1.0]
    assert result.agreement_score.n_error == 1


def test_exactly_one_source() -> None:
    for sources, got in (({}, "none"), ({"column": "a", "templates": ["{input}"]}, "column and templates")):
        with pytest.raises(ConfigError, match=f"exactly one of column, templates and rewrite, got {got}"):
            Reworded(**sources)


def test_what_cannot_be_understood() -> None:
    with pytest.raises(ConfigError, match=r"the template 'please' must have the field \{input\}"):
        Reworded(templates=["please"])
    with pytest.raises(ConfigError, match=r"unknown field \{topics\}; did you mean topic\?"):
        Reworded(templates="{input} {topics}").expand(sums(topic=list("wxyz")))
    with pytest.raises(DataError, match=r"there is no column 'othr'; did you mean other\?"):
        Reworded(column="othr").expand(sums(other=list("wxyz")))
    with pytest.raises(DataError, match="must hold texts or lists of texts, and is Int64"):
        Reworded(column="other").expand(sums(other=[1, 2, 3, 4]))
    with pytest.raises(DataError, match="no item has a rewording"):
        Reworded(column="other").expand(sums(other=[[], [], None, []]))
    with pytest.raises(DataError, match="rewrites texts or lists of messages, and the inputs are Int64"):
        Reworded(templates="{input}").expand(Items.from_frame(pl.DataFrame({"input": [1, 2]})))
