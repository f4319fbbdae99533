"""OptionOrder: models with a known bias, by hand, and the law of its test."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import chisquare

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.variants import OptionOrder
from concordant.variants.orders import orders_of
from concordant.variants.position_bias import position_bias

FRUIT = ["apple", "brick", "chair", "drum"]


def questions(n: int = 12, sizes: tuple[int, ...] = (4,), **columns: Any) -> Items:
    choices = [FRUIT[: sizes[i % len(sizes)]] for i in range(n)]
    rows = [{"id": str(i), "input": f"Which is number {i}?", "choices": c} for i, c in enumerate(choices)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return Items.from_records(rows)


def options(prompt: str) -> list[str]:
    return re.findall(r"(?m)^[A-Z]\. (.*)$", prompt)


def letter_of(prompt: str, option: str) -> str:
    return "ABCD"[options(prompt).index(option)]


def result_of(model: Any, items: Items, relation: OptionOrder | None = None, **more: Any) -> cc.Result:
    model = cc.load(model) if callable(model) else model
    return cc.check(model, items, [relation or OptionOrder()], progress=False, **more)[
        "variants.option_order"
    ]


def test_a_model_that_always_picks_the_first_position() -> None:
    result = result_of(lambda prompt: "A", questions(reference=["brick"] * 12))
    assert result.agreement_score.value == 0
    assert result.order_changed_rate.value == 1
    assert result.accuracy.value == 0  # as given A is the apple
    assert result.mean_order_accuracy.value == 0.25
    assert result.robust_accuracy.value == 0
    assert result.position_bias.value == pytest.approx(3 / 4)
    assert (
        result.position_bias.note == "position A is chosen in 100% of the answers to 4 options; even is 25%"
    )
    # the test is then the chi-square test with one answer an item: 12 answers, all in one of four classes
    assert result.position_bias.p_value == pytest.approx(chisquare([12, 0, 0, 0]).pvalue)


def test_a_model_that_knows_the_option() -> None:
    result = result_of(lambda prompt: letter_of(prompt, "brick"), questions(reference=["brick"] * 12))
    for measure in ("agreement_score", "accuracy", "mean_order_accuracy", "robust_accuracy"):
        assert result[measure].value == 1
    assert result.order_changed_rate.value == 0
    assert result.position_bias.value == 0
    assert result.position_bias.p_value == 1


def test_half_of_the_items_by_position() -> None:
    # even items: always B; odd items: the drum. Every position is chosen 1/8 by the odd items, B 1/2 more
    def model(prompt: str) -> str:
        number = int(re.findall(r"number (\d+)", prompt)[0])
        return "B" if number % 2 == 0 else letter_of(prompt, "drum")

    result = result_of(model, questions(20))
    assert result.agreement_score.value == 0.5
    assert result.position_bias.value == pytest.approx(0.5 * (5 / 8 - 1 / 4 + 3 * (1 / 4 - 1 / 8)))
    assert result.position_bias.p_value < 1e-4


def test_answers_by_text_and_letter_and_position_are_the_same_option() -> None:
    by_text = result_of(lambda prompt: "The answer is chair", questions())
    by_position = result_of(lambda prompt: options(prompt).index("chair"), questions())
    for result in (by_text, by_position):
        assert result.agreement_score.value == 1
        assert result.position_bias.value == 0


@pytest.mark.parametrize(
    "reference",
    [["brick"] * 6, ["B"] * 6, [1] * 6, [["brick"]] * 6, [["B", "C"]] * 6],
    ids=["text", "letter", "position", "list of texts", "several letters"],
)
def test_references_stay_with_their_option(reference: list[Any]) -> None:
    result = result_of(lambda prompt: letter_of(prompt, "brick"), questions(6, reference=reference))
    assert result.robust_accuracy.value == 1
    wrong = result_of(lambda prompt: letter_of(prompt, "drum"), questions(6, reference=reference))
    assert wrong.mean_order_accuracy.value == 0


def test_choices_that_are_numbers_and_references_that_are_positions() -> None:
    rows = [{"input": "How many?", "choices": ["20", "10", "30"], "reference": 0}]
    result = result_of(lambda prompt: "ABC"[options(prompt).index("20")], Items.from_records(rows))
    assert result.robust_accuracy.value == 1


def test_items_with_different_numbers_of_choices() -> None:
    items = questions(9, sizes=(2, 3, 4))
    variants = OptionOrder().expand(items)
    assert [len(variant.items) for variant in variants] == [9, 9, 6, 3]
    result = result_of(lambda prompt: "A", items)
    assert result.verdicts["positions"].list.len().to_list() == [2, 3, 4] * 3
    assert result.position_bias.value == pytest.approx(np.mean([1 / 2, 2 / 3, 3 / 4]))
    assert result.agreement_score.value == 0


def test_items_without_two_choices_are_not_judged() -> None:
    items = questions(4, sizes=(4, 1))
    result = result_of(lambda prompt: "A", items)
    assert result.verdicts["agreement"].to_list() == [0.0, None, 0.0, None]
    assert result.agreement_score.n == 2
    assert result.agreement_score.n_ungraded == 2
    with pytest.raises(DataError, match="no item has two choices"):
        OptionOrder().expand(questions(2, sizes=(1,)))
    with pytest.raises(DataError, match=r"needs items with choices; the columns are id, input"):
        OptionOrder().expand(Items.from_records([{"id": "a", "input": "x"}]))


def test_errors_and_unread_answers() -> None:
    # item 0 fails in the first order, item 1 whenever drum is first; item 2 once says nothing that can be read
    def model(prompt: str) -> str:
        number, first = re.findall(r"number (\d+)", prompt)[0], options(prompt)[0]
        if (number, first) in {("0", "apple"), ("1", "drum")}:
            message = "down"
            raise RuntimeError(message)
        if (number, first) == ("2", "drum"):
            return "I do not know"
        return letter_of(prompt, "apple")

    result = result_of(model, questions(4, reference=["apple"] * 4))
    verdicts = result.verdicts
    assert verdicts["agreement"].to_list() == [1.0, 1.0, 0.5, 1.0]
    assert verdicts["order_changed"].to_list() == [None, 0.0, 1.0, 0.0]  # nothing to hold the others against
    assert verdicts["right"].to_list() == [None, 1.0, 1.0, 1.0]
    assert verdicts["order_right"].to_list() == [1.0, 1.0, 0.75, 1.0]
    assert verdicts["positions"].is_null().to_list() == [True, True, True, False]


def test_all_orders_and_drawn_orders() -> None:
    items = questions(3, sizes=(3,))
    every = OptionOrder("all").expand(items)
    assert {tuple(variant.items.choices[0]) for variant in every} == set(permutations(FRUIT[:3]))
    assert len(every) == 6
    drawn = OptionOrder(5).expand(questions(40, sizes=(4,)))
    listed = [[tuple(variant.items.choices[i]) for variant in drawn] for i in range(40)]
    assert [len(set(orders)) for orders in listed] == [5] * 40
    assert all(orders[0] == tuple(FRUIT) for orders in listed)
    assert len({tuple(orders) for orders in listed}) > 30  # each item has orders of its own
    assert len(OptionOrder(100).expand(items)) == 6  # there are no more
    assert (
        "position_bias" not in result_of(lambda prompt: "A", items, OptionOrder(5)).findings
    )  # not balanced
    assert result_of(lambda prompt: "A", items, OptionOrder(6)).position_bias.value == pytest.approx(2 / 3)
    many = questions(2, sizes=(4,))
    long = many.replace(choices=pl.Series([[str(i) for i in range(12)]] * 2))
    assert len({tuple(v.items.choices[0]) for v in OptionOrder(8).expand(long)}) == 8


def test_drawn_orders_are_uniform_and_belong_to_the_item() -> None:
    items = questions(3000, sizes=(3,))
    orders = orders_of(items, 2, seed=1)[0]
    counts = orders.list.eval(pl.element().cast(pl.String)).list.join("").value_counts()["count"]
    assert len(counts) == 5  # every order but the one as given
    assert chisquare(counts.to_numpy()).pvalue > 1e-3
    half = items.rows(np.arange(2999, -1, -2))
    assert orders_of(half, 2, seed=1)[0].to_list() == orders.gather(np.arange(2999, -1, -2)).to_list()
    assert orders_of(items, 2, seed=2)[0].to_list() != orders.to_list()


def test_bad_settings() -> None:
    for wrong in ("some", 1, True, 2.5):
        with pytest.raises(ConfigError, match="permutations must be cyclic, all or a number from 2 on"):
            OptionOrder(wrong)  # type: ignore[arg-type]
    six = questions(1).replace(choices=pl.Series([[str(i) for i in range(6)]]))
    with pytest.raises(DataError, match=r"item '0' has 6 options and so 720 orders"):
        OptionOrder("all").expand(six)


def test_the_bias_of_a_model_that_prefers_a_position_a_little() -> None:
    # With probability 0.2 it answers A, else the option it knows: bias 0.2 (1 - 1/4), agreement by hand below.
    generator = np.random.default_rng(0)

    def model(prompt: str) -> str:
        return "A" if generator.random() < 0.2 else letter_of(prompt, "drum")

    result = result_of(model, questions(800))
    bias = result.position_bias
    assert bias.low < 0.15 < bias.high
    assert bias.high - bias.low < 0.04
    # the drum in 3 orders with 0.8, in the order that lists it first always; pairs: 3 (0.8^2 + 0.8 x 1), of 6
    expected = (3 * 0.8**2 + 3 * 0.8) / 6
    assert abs(result.agreement_score.value - expected) < 0.02


def test_clusters_widen_the_interval_and_the_test() -> None:
    counts = np.repeat(np.array([[4.0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]), 10, axis=0)
    sizes, clusters = np.full(30, 4), np.repeat([0, 1, 2], 10)
    alone, together = position_bias(counts, sizes), position_bias(counts, sizes, clusters=clusters)
    assert alone.estimate.value == together.estimate.value == pytest.approx(0.25)
    assert together.estimate.stderr > 2 * alone.estimate.stderr
    assert together.p_value > alone.p_value


def test_the_test_keeps_its_level_for_models_without_position_bias() -> None:
    # items with a preference each (Dirichlet); one answer an order, drawn; 400 experiments of 60 items
    generator = np.random.default_rng(7)
    p_values = []
    for _ in range(400):
        preference = generator.dirichlet(np.full(4, 0.5), size=60)
        chosen = (preference.cumsum(axis=1)[:, None, :] < generator.random((60, 4, 1))).sum(axis=2).clip(0, 3)
        place = (chosen - np.arange(4)) % 4
        counts = (place[:, :, None] == np.arange(4)).sum(axis=1).astype(float)
        p_values.append(position_bias(counts, np.full(60, 4)).p_value)
    rejected = np.mean(np.array(p_values) < 0.05)
    assert 0.025 < rejected < 0.08  # 0.05, standard error 0.011
