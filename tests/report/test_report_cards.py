from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.check import check
from concordant.core.episode import episode
from concordant.core.items import Items
from concordant.report.cards import MAX_SIDES, cards, n_disagreeing
from concordant.report.differences import difference
from concordant.report.pictures import picture
from concordant.report.values import shown
from concordant.variants import OptionOrder
from report.made_reports import (
    HOSTILE,
    Answers,
    Reworded,
    Sampled,
    flips_report,
    outputs,
    questions,
    stored,
)

# -- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("as it is\n", "as it is\n"),
        (True, "true"),
        (np.float64(0.25), "0.25"),
        (3.0, "3"),
        (float("inf"), "∞"),
        ([1, 2.5], "1 2.5"),
        (["a", None, "b"], "a |  | b"),
        ({"a": 1, "b": None, "c": [0.5]}, "a: 1 · c: 0.5"),
        (pl.Series([0.1, 0.9]), "0.1 0.9"),
        (np.arange(20), "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 … (20 numbers, 0 to 19)"),
        (
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "system: Be brief.\nuser: Hi",
        ),
    ],
)
def test_values_are_compact(value, text):
    assert shown(value) == text


def test_a_matrix_says_its_shape():
    assert shown(np.zeros((8, 8))).endswith("(8×8 numbers, 0 to 0)")


# -- pictures ----------------------------------------------------------------------------------------------------


def test_a_picture_has_every_cell_once():
    values = np.random.default_rng(0).integers(0, 17, (5, 7))
    drawn = picture(values)
    cells = "".join(path for _, path in drawn.shades).count("M")
    assert (drawn.width, drawn.height) == (7, 5)
    assert cells == (np.rint((values - values.min()) / np.ptp(values) * 8) > 0).sum()
    assert [opacity for opacity, _ in drawn.shades] == sorted(opacity for opacity, _ in drawn.shades)


@pytest.mark.parametrize(
    "value", [None, "x", [1.0] * 3, np.ones(64), np.full(64, np.nan), np.zeros((9, 9, 3)), ["a"] * 64]
)
def test_no_picture_of_anything_else(value):
    assert picture(value) is None


def test_a_row_of_numbers_is_a_square_or_a_strip():
    assert (picture(list(range(64))).width, picture(pl.Series(range(30))).height) == (8, 1)


# -- differences -------------------------------------------------------------------------------------------------


words = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "\n", "漢字", "42."]), max_size=30
).map(" ".join)


@given(words, words)
def test_a_difference_gives_the_text_back(before, after):
    segments = difference(before, after)
    assert "".join(s.text for s in segments if s.kind != "gone") == after


@given(words, words)
def test_a_difference_gives_the_words_of_the_other_text_back(before, after):
    segments = difference(before, after)
    if any(s.kind != "same" for s in segments):
        kept = " ".join(s.text for s in segments if s.kind != "new")
        assert "".join(kept.split()) == "".join(before.split())


def test_texts_with_nothing_in_common_are_not_compared():
    assert [s.kind for s in difference("one two three four", "five six seven eight")] == ["same"]
    assert difference("same text here now", "same text here now")[0].kind == "same"
    assert difference("a b c d", "") == []


def test_long_repetitive_texts_are_compared_in_no_time():
    segments = difference("a " * 1000, "a " * 998 + "b b")
    assert "".join(s.text for s in segments if s.kind != "gone") == "a " * 998 + "b b"


# -- cards -------------------------------------------------------------------------------------------------------


def test_the_telling_items_come_first():
    result = flips_report()["versions.flips"]
    verdicts = result.items.frame.select("id").hstack(result.verdicts)
    lost = verdicts.filter(pl.col("negative_flip") == 1)["id"].to_list()
    won = verdicts.filter(pl.col("positive_flip") == 1)["id"].to_list()
    assert [card.id for card in cards(result, 10)] == lost[:10]
    assert [card.id for card in cards(result, len(lost) + 5)] == lost + won[:5]
    assert n_disagreeing(result) == (verdicts["agreement"] < 1).sum()


def test_a_card_holds_the_item_and_both_answers():
    result = flips_report()["versions.flips"]
    card = cards(result, 1)[0]
    row = result.items.frame.filter(pl.col("id") == card.id).row(0, named=True)
    assert card.asked.text == row["input"]
    assert card.reference == row["reference"]
    assert dict(card.facts) == {"topic": row["topic"], "level": row["level"]}
    old, new = card.sides
    assert (old.variant, old.model, old.outcome, old.answer) == (
        "old",
        "marbles-1",
        "right",
        row["reference"],
    )
    assert new.outcome == "wrong"
    assert {s.kind for s in new.passages[0].segments} == {"same", "gone", "new"}
    assert "marbles at first" in new.passages[0].text


def test_of_many_variants_those_that_answer_otherwise_are_shown():
    items = questions(30)
    plain, other = outputs(items, 1.0, 0), outputs(items, 0.0, 1)
    report = check(
        Answers("m", plain),
        items,
        [Reworded(Answers("m", other), n_variants=12)],
        grade="number",
        progress=False,
    )
    card = cards(report["made.reworded"], 1)[0]
    assert len(card.sides) == MAX_SIDES
    assert card.n_more == 12 - MAX_SIDES
    assert [side.outcome for side in card.sides] == ["right"] + ["wrong"] * (MAX_SIDES - 1)
    assert card.sides[1].asked.text.startswith("Please")


def test_several_samples_are_counted():
    items = questions(3)
    model = Answers("m", outputs(items, 1.0, 0), samples=[["#### 1", "#### 1", "#### 2"]] * 3)
    card = cards(check(model, items, [Sampled()], grade="number", progress=False)["made.sampled"], 1)
    assert card == []  # all three are wrong each time: they agree
    items = items.replace(reference=["1", "1", "2"])
    first, *_ = cards(check(model, items, [Sampled()], grade="number", progress=False)["made.sampled"], 3)
    (side,) = first.sides
    assert (side.outcome, side.answer) == ("2 right, 1 wrong", "1 ×2, 2 ×1")
    assert [p.text for p in side.passages] == ["#### 1", "#### 1", "#### 2"]


def test_turns_of_an_episode_are_listed():
    @episode
    async def twice(model, item):
        return await model.generate(item.input), await model.generate(item.input + " Are you sure?")

    class Unsure:
        name, fingerprint, batch_size = "unsure", "unsure", 10

        def respond(self, items, request):
            return pl.DataFrame({"output": ["yes" if "sure" not in str(t) else "no" for t in items.inputs]})

    items = Items.from_records([{"input": "Is it?"}, {"input": "Was it?"}])
    card = cards(check(Unsure(), items, [twice], progress=False)["twice"], 1)[0]
    assert [p.text for p in card.sides[0].passages] == ["yes", "no"]


def test_options_are_listed_as_each_variant_asked_them():
    records = [
        {"input": f"Which is a fruit? ({i})", "choices": ["apple", "brick"], "reference": "apple"}
        for i in range(3)
    ]

    class AlwaysA:
        name, fingerprint, batch_size = "always A", "a", 10

        def respond(self, items, request):
            return pl.DataFrame({"output": ["A"] * len(items)})

    report = check(AlwaysA(), Items.from_records(records), [OptionOrder()], progress=False)
    card = cards(report["variants.option_order"], 1)[0]
    assert card.asked.text.splitlines()[1:] == ["A. apple", "B. brick"]
    assert card.sides[0].asked is None
    assert card.sides[1].asked.text.splitlines()[1:] == ["A. brick", "B. apple"]
    assert [(side.answer, side.outcome) for side in card.sides] == [("apple", "right"), ("brick", "wrong")]
    assert "positions" not in dict(card.facts)


def test_long_texts_are_cut_with_a_count():
    items = questions(4)
    model = Answers("m", pl.Series(["x" * 5000 + f" #### {i}" for i in range(4)]))
    other = Answers("n", pl.Series(["#### 0"] * 4))
    result = check(model, items, [Reworded(other)], grade="number", progress=False)["made.reworded"]
    passage = cards(result, 1, limit=100)[0].sides[0].passages[0]
    assert (len(passage.text), passage.n_more) == (100, 4907)


def test_arrays_have_a_picture():
    x = np.random.default_rng(0).random((6, 64))
    items = Items.from_arrays(x, np.arange(6))
    labels = pl.Series([str(i) for i in range(6)])
    report = check(
        Answers("m", labels), items, [Shifted(Answers("n", labels.reverse()))], grade="label", progress=False
    )
    card = cards(report["made.shifted"], 1)[0]
    assert (card.asked.picture.width, card.asked.picture.height) == (8, 8)
    assert card.sides[1].asked.picture != card.asked.picture


class Shifted(Reworded):
    """Moves every number one place on."""

    name = "made.shifted"

    def expand(self, items):
        base, other = super().expand(items.replace(input=[str(i) for i in range(len(items))]))
        moved = items.replace(input=np.roll(items.array, 1, axis=1))
        return [type(base)("plain", items), type(base)("moved", moved, model=other.model)]


def test_hostile_text_is_inert_in_cards():
    for card in cards(flips_report(40, hostile=True)["versions.flips"], 3):
        said = repr(card)
        assert "\\x1b" not in said
        assert "\\u202e" not in said
        assert "␛[31mred" in said
    assert "\x1b" in HOSTILE


def test_a_run_without_its_behaviours_has_no_cards():
    assert cards(stored(flips_report())["versions.flips"]) == []
