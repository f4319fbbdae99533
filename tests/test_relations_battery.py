"""What must hold for every relation, whatever it asks: a new one enters the table below and gets the whole battery."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant.core.items import Items
from concordant.core.registry import registered
from concordant.core.relation import Relation, Verdicts

N = 24
LOST = ("3", "10", "11")  # ids of the items that some models fail on


def questions() -> Items:
    rows = []
    for i in range(N):
        a, b = i % 6, i // 6
        right = str(a + b + 10)
        rows.append(
            {
                "id": str(i),
                "input": f"What is {a + 10} plus {b}, in digits?",
                "choices": [right, str(a + b + 20), str(a + b + 30)][: 2 + i % 2],
                "reference": right,
                "group": f"g{i // 2}",
                "variation": a,
                "problem": f"p{b}",
                "control": "easy" if b == 0 else None,
                "paraphrases": [f"{a + 10} and {b} make how many?", f"Add {a + 10} to {b}."][: 1 + i % 2],
            }
        )
    return Items.from_records(rows)


def rows_of_numbers() -> Items:
    x = np.random.default_rng(0).normal(size=(N, 3))
    return Items.from_arrays(x, (x[:, 0] > 0).astype(int), group=[f"g{i // 2}" for i in range(N)])


def sum_in(prompt: Any) -> tuple[int, int]:
    text = prompt if isinstance(prompt, str) else next(t["content"] for t in prompt if t["role"] == "user")
    numbers = re.findall(r"\d+", text)
    return int(numbers[0]), int(numbers[1])


def letter_of(prompt: Any, number: int) -> str:
    text = prompt if isinstance(prompt, str) else prompt[0]["content"]
    found: str = re.findall(rf"(?m)^([A-Z])\. {number}$", text)[0]
    return found


def right(prompt: Any) -> str:
    """Add, and give the letter."""
    return letter_of(prompt, sum(sum_in(prompt)))


def wavering(prompt: Any) -> str:
    """Answer rightly or not, by the very wording of the prompt."""
    text = str(prompt)
    return right(prompt) if sum(map(ord, text)) % 3 else ("A" if len(text) % 2 else "It depends.")


def first(prompt: Any) -> str:
    """Answer with the first option."""
    return "A"


def losing(prompt: Any) -> str:
    """Fail on some questions, however they are put, and add rightly else."""
    a, b = sum_in(prompt)
    if str(6 * b + a - 10) in LOST:
        message = "lost"
        raise RuntimeError(message)
    return right(prompt)


def on_numbers(decide: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: decide(x).astype(int)


TEXT_MODELS = {"right": right, "wavering": wavering, "first": first, "losing": losing}
NUMBER_MODELS = {
    "right": on_numbers(lambda x: x[:, 0] > 0),
    "wavering": on_numbers(lambda x: np.sin(1e4 * x.sum(axis=1)) > 0),
    "first": on_numbers(lambda x: x[:, 0] > np.inf),
}


def loaded(name: str, *, numbers: bool) -> Any:
    return cc.load((NUMBER_MODELS if numbers else TEXT_MODELS)[name], name=name)


RELATIONS: dict[str, list[Callable[[type, Any], Relation]]] = {
    "versions.flips": [lambda make, same: make(against=same)],
    "versions.scores": [lambda make, same: make(against=same, of="reference")],
    "versions.noise_floor": [lambda make, same: make(), lambda make, same: make(against=same)],
    "versions.retention": [lambda make, same: make(same), lambda make, same: make([same, same, same])],
    "versions.step_agreement": [lambda make, same: make(same, steps=lambda text: [text])],
    "variants.grid": [lambda make, _: make(k=4), lambda make, _: make(problem="group")],
    "variants.option_order": [lambda make, _: make(), lambda make, _: make("all"), lambda make, _: make(3)],
    "variants.perturbed": [lambda make, _: make(), lambda make, _: make({"typos": 0.3, "order": 2}, seed=5)],
    "variants.resample": [lambda make, _: make(k=3), lambda make, _: make(k=2, at=[1, 2])],
    "variants.reworded": [
        lambda make, _: make(column="paraphrases"),
        lambda make, _: make(templates=["Please: {input}", "{input} ({problem})"]),
        lambda make, _: make(rewrite=lambda item: [f"{item.input} Now."] if int(item.id) % 3 else None),
    ],
    "variants.second_look": [lambda make, _: make(), lambda make, _: make("Really?")],
}
"""How each relation is made for the battery: with its class and the model under test."""

ON_NUMBERS = {
    "versions.flips",
    "versions.scores",
    "versions.noise_floor",
    "versions.retention",
    "variants.perturbed",
}
BETTER_AT_ZERO = {"mended_rate", "positive_flip_rate", "gain", "score_change", "mean_gain_part"}
COUNTS = {"n_right", "n_graded"}

TEXT_CASES = [(name, i) for name, makers in RELATIONS.items() for i in range(len(makers))]
CASES = [(name, i, False) for name, i in TEXT_CASES] + [(name, 0, True) for name in sorted(ON_NUMBERS)]
ids = ["-".join([name, str(i), *(["numbers"] if numbers else [])]) for name, i, numbers in CASES]
every_relation = pytest.mark.parametrize(("name", "i", "numbers"), CASES, ids=ids)


def made(name: str, i: int, model: Any, *, numbers: bool) -> Relation:
    relation = registered("relations")[name].load()
    if numbers and name == "versions.scores":
        return relation(against=model, of="output")  # type: ignore[no-any-return]
    return RELATIONS[name][i](relation, model)


def items_for(*, numbers: bool) -> Items:
    return rows_of_numbers() if numbers else questions()


@cache
def result(name: str, i: int, numbers: bool, model_name: str) -> cc.Result:
    return fresh(name, i, items_for(numbers=numbers), model_name, numbers=numbers)


def fresh(name: str, i: int, items: Items, model_name: str, *, numbers: bool) -> cc.Result:
    model = loaded(model_name, numbers=numbers)
    relation = made(name, i, model, numbers=numbers)
    return cc.check(model, items, [relation], slices=[], progress=False)[relation.name]


def by_id(found: cc.Result) -> pl.DataFrame:
    return found.items.frame.select("id").hstack(found.verdicts).sort("id")


def test_every_relation_of_this_package_is_here() -> None:
    ours = {name for name, point in registered("relations").items() if point.value.startswith("concordant.")}
    assert ours == set(RELATIONS)


@every_relation
def test_variants(name: str, i: int, numbers: bool) -> None:
    items = items_for(numbers=numbers)
    relation = made(name, i, loaded("right", numbers=numbers), numbers=numbers)
    assert relation.name == name
    variants = relation.expand(items)
    names = [variant.name for variant in variants]
    assert len(set(names)) == len(names)
    place = {each: row for row, each in enumerate(items.ids.to_list())}
    for variant in variants:
        rows = [place[each] for each in variant.items.ids.to_list()]
        assert rows == sorted(set(rows))
        assert rows
    assert json.loads(json.dumps(relation.settings())).keys() == relation.settings().keys()


@every_relation
@pytest.mark.parametrize("model", ["right", "wavering", "first"])
def test_verdicts_and_findings_are_in_range(name: str, i: int, numbers: bool, model: str) -> None:
    found = result(name, i, numbers, model)
    agreement = found.verdicts["agreement"].drop_nulls()
    assert len(found.verdicts) == N
    assert agreement.is_between(0, 1).all()
    assert len(agreement)
    assert found.findings
    for measure in found.relation.measures:
        values = found.verdicts[measure.column]
        if np.isfinite(measure.bounds).all() and values.dtype.is_numeric():
            assert values.drop_nulls().is_between(*measure.bounds).all(), measure.name
    for finding in found.findings.values():
        assert finding.low <= finding.value <= finding.high, finding.name
        assert finding.n >= 1
        assert finding.p_value is None or 0 <= finding.p_value <= 1
        assert finding.better in ("higher", "lower", None)
        assert finding.about
    assert {finding.measure for finding in found.findings.values()} == set(found.findings)


@every_relation
def test_findings_are_measures(name: str, i: int, numbers: bool) -> None:
    found = result(name, i, numbers, "wavering")
    known = {measure.name for measure in found.relation.measures} | {"relative_negative_flip_rate"}
    assert set(found.findings) <= known


@pytest.mark.parametrize(  # noise moves a threshold model across its threshold, as it should
    ("name", "i", "numbers"), [case for case in CASES if case != ("variants.perturbed", 0, True)]
)
def test_a_model_that_is_right_agrees_and_breaks_nothing(name: str, i: int, numbers: bool) -> None:
    found = result(name, i, numbers, "right")
    agreement = found.verdicts["agreement"].drop_nulls()
    assert (agreement == 1).all()
    assert found.worst().is_empty()
    bounds = {measure.name: measure.bounds for measure in found.relation.measures}
    for measure, finding in found.findings.items():
        if measure in BETTER_AT_ZERO or (finding.better == "lower" and measure != "distinct_answers"):
            assert finding.value == 0, measure
        elif finding.better == "higher" and bounds[measure] == (0, 1):
            assert finding.value == 1, measure


@every_relation
def test_other_order_of_the_items(name: str, i: int, numbers: bool) -> None:
    items = items_for(numbers=numbers)
    order = np.random.default_rng(1).permutation(N)
    shuffled = fresh(name, i, items.rows(order), "wavering", numbers=numbers)
    straight = result(name, i, numbers, "wavering")
    a, b = by_id(shuffled), by_id(straight)
    assert a.columns == b.columns
    for column in a.columns:
        if a[column].dtype.is_float():
            np.testing.assert_allclose(a[column].to_numpy(), b[column].to_numpy(), atol=1e-12, err_msg=column)
        else:
            assert a[column].to_list() == b[column].to_list(), column


@pytest.mark.parametrize(("name", "i"), TEXT_CASES)
def test_errors_are_null_and_never_wrong(name: str, i: int) -> None:
    found, whole = result(name, i, False, "losing"), result(name, i, False, "right")
    lost = found.items.ids.is_in(LOST)
    assert found.verdicts.filter(lost)["agreement"].null_count() == len(LOST)
    judged = found.verdicts.filter(~lost)
    assert judged.equals(whole.verdicts.filter(~lost))
    for column in set(found.verdicts.columns) - COUNTS:
        if "error" not in column:
            assert found.verdicts.filter(lost)[column].null_count() == len(LOST), column
    for column in COUNTS & set(found.verdicts.columns):
        assert found.verdicts.filter(lost)[column].sum() == 0
    for finding in found.findings.values():
        if "error_rate" not in finding.measure:
            assert finding.n_error == len(LOST), finding.measure


@every_relation
def test_the_same_again_and_no_trace_in_the_global_generators(name: str, i: int, numbers: bool) -> None:
    items = items_for(numbers=numbers)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    again = fresh(name, i, items, "wavering", numbers=numbers)
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert random.getstate() == before[1]
    first_time = result(name, i, numbers, "wavering")
    assert again.verdicts.equals(first_time.verdicts)
    for measure, finding in again.findings.items():
        assert finding.to_dict() == first_time.findings[measure].to_dict()


@every_relation
def test_summaries_of_few_and_of_no_items(name: str, i: int, numbers: bool) -> None:
    found = result(name, i, numbers, "wavering")
    verdicts = Verdicts(name, found.items, found.verdicts, np.zeros(N, bool))
    for size in (0, 1, 2, 5):
        for finding in found.relation.summarize(verdicts.rows(np.arange(N) < size)):
            assert finding.low <= finding.value <= finding.high, (size, finding.name)
            assert size > 0


@every_relation
def test_every_look_at_a_result(name: str, i: int, numbers: bool) -> None:
    found = result(name, i, numbers, "wavering")
    assert len(found.table()) == N
    worst = found.worst(3)
    assert len(worst) <= 3
    assert worst["verdict.agreement"].is_sorted()
