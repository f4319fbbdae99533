"""Perturbed: what each perturbation does, and models that are sensitive to exactly one of them."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.variants import Perturbed
from concordant.variants.edits import recased, repunctuated, typos, wider_gaps

TEXTS = ["Is ice cold, or not?", "What is 3.5 plus 4?", "Zürich ist schön.", "x", "7 7", ""]


def texts(n: int = 200) -> Items:
    return Items.from_records([{"id": str(i), "input": f"Is number {i} even, or odd?"} for i in range(n)])


def perturbed(items: Items, relation: Perturbed) -> dict[str, Items]:
    return {variant.name: variant.items for variant in relation.expand(items)}


def result_of(model: Any, items: Items, relation: Perturbed) -> cc.Result:
    model = model if hasattr(model, "respond") else cc.load(model)
    return cc.check(model, items, [relation], progress=False)["variants.perturbed"]


# -- texts -----------------------------------------------------------------------------------------------------


def edit_distance(a: str, b: str) -> int:
    """Count insertions, losses, replacements and transpositions (Damerau, optimal string alignment)."""
    d = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


def test_typos_are_few_and_spare_digits() -> None:
    old = pl.Series(TEXTS)
    new = typos(old, pl.Series([str(i) for i in range(len(old))]), 0.01, seed=0).to_list()
    assert [edit_distance(a, b) for a, b in zip(TEXTS, new, strict=True)] == [1, 1, 1, 1, 0, 0]
    for a, b in zip(TEXTS, new, strict=True):
        assert re.findall(r"\d", a) == re.findall(r"\d", b)


def test_the_rate_of_typos() -> None:
    line = "the quick brown fox jumps over the lazy dog " * 20
    old = pl.Series([line] * 50)
    new = typos(old, pl.Series([str(i) for i in range(50)]), 0.1, seed=0)
    n_letters = 50 * sum(letter.isalpha() for letter in line)
    lost = (old.str.len_chars() - new.str.len_chars()).sum() / n_letters
    # a third of the slips are losses, and a transposition that cannot be made (a slip or space next) falls to another kind
    assert 0.1 / 3 - 0.003 < lost < 0.1 / 3 + 0.004
    assert new.n_unique() == 50


def test_a_slip_is_a_key_nearby_a_transposition_or_a_loss() -> None:
    words = pl.Series(["python"] * 3000)
    new = typos(words, pl.Series([str(i) for i in range(3000)]), 0.001, seed=0)
    counts = dict(new.value_counts().iter_rows())
    near = {"p": "ol", "y": "tugh", "t": "ryfg", "h": "gjyubn", "o": "ipkl", "n": "bmhj"}
    expected = {"python"[:i] + "python"[i + 1 :] for i in range(6)}
    expected |= {"python"[:i] + "python"[i + 1] + "python"[i] + "python"[i + 2 :] for i in range(5)}
    expected |= {
        "python"[:i] + key + "python"[i + 1 :] for i, letter in enumerate("python") for key in near[letter]
    }
    assert set(counts) <= expected
    kinds = {5: 0, 6: 0}
    swapped = sum(count for word, count in counts.items() if sorted(word) == sorted("python"))
    for word, count in counts.items():
        kinds[len(word)] += count
    # a third each, but a transposition of the last letter cannot be made: it becomes a key nearby
    assert abs(kinds[5] / 3000 - 1 / 3) < 0.04
    assert abs(swapped / 3000 - 5 / 18) < 0.04


def test_case_is_kept_by_slips() -> None:
    new = typos(pl.Series(["QWERTY"] * 300), pl.Series([str(i) for i in range(300)]), 0.2, seed=0)
    assert new.str.contains("^[A-Z]+$").all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.floats(0.01, 1), st.integers(0, 3))
def test_edits_of_a_text_do_not_depend_on_the_others(lines: list[str], rate: float, seed: int) -> None:
    column, ids = pl.Series(lines), pl.Series([str(i) for i in range(len(lines))])
    for edit in (typos, wider_gaps):
        together = edit(column, ids, rate, seed).to_list()
        alone = [edit(column[i : i + 1], ids[i : i + 1], rate, seed)[0] for i in range(len(lines))]
        assert together == alone
    assert [line.replace(" ", "") for line in wider_gaps(column, ids, rate, seed)] == [
        line.replace(" ", "") for line in lines
    ]


def test_other_edits_by_hand() -> None:
    ids = pl.Series([str(i) for i in range(len(TEXTS))])
    assert wider_gaps(pl.Series(TEXTS), ids, 1.0, seed=0).to_list() == [
        t.replace(" ", "  ") + " " for t in TEXTS
    ]
    assert repunctuated(pl.Series(TEXTS), "drop").to_list()[:3] == [
        "Is ice cold or not",
        "What is 3.5 plus 4",
        "Zürich ist schön",
    ]
    assert repunctuated(pl.Series(["Why?! 1,000."]), "repeat").to_list() == ["Why?!?! 1,000.."]
    assert recased(pl.Series(TEXTS), "upper").to_list() == [text.upper() for text in TEXTS]
    assert recased(pl.Series(["is it?"]), "title").to_list() == ["Is It?"]


def test_texts_that_do_not_change_are_left_out() -> None:
    items = Items.from_frame(pl.DataFrame({"id": list("abcdef"), "input": TEXTS}))
    made = perturbed(items, Perturbed(["typos", "case", "punctuation"]))
    assert {name: variant.ids.to_list() for name, variant in made.items()} == {
        "as given": list("abcdef"),
        "typos": list("abcd"),
        "case": list("abcd"),
        "punctuation": list("abc"),
    }
    with pytest.raises(DataError, match=r"variants.perturbed: case changes none of the 1 items"):
        perturbed(items.rows([4]), Perturbed("case"))


def test_defaults_suit_the_inputs() -> None:
    suited = ["typos", "case", "whitespace", "punctuation"]
    assert list(perturbed(texts(5), Perturbed())) == ["as given", *suited]
    no_marks = Items.from_records([{"input": "plain words"}])
    assert "punctuation" not in perturbed(no_marks, Perturbed())  # nothing was asked for that cannot be had
    numbers = Items.from_arrays(np.arange(6.0).reshape(3, 2))
    assert list(perturbed(numbers, Perturbed())) == ["as given", "noise"]


def test_conversations_are_perturbed_at_the_last_turn_of_the_user() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "is ice cold"}]
    made = perturbed(Items.from_records([{"input": turns}]), Perturbed({"case": "title"}))
    assert [turn["content"] for turn in made["case"].inputs[0]] == ["Be brief.", "Is Ice Cold"]


def test_a_model_that_is_sensitive_to_case_only() -> None:
    result = result_of(
        lambda text: "yes" if text.startswith("Is") else "no", texts(), Perturbed(["case", "whitespace"])
    )
    assert result.case_agreement_score.value == 0
    assert result.whitespace_agreement_score.value == 1
    assert result.agreement_score.value == 0.5
    assert result.violation_rate.value == 1
    assert "typos_agreement_score" not in result.findings


def test_100_000_short_texts_take_a_few_seconds() -> None:
    items = texts(100_000)
    started = time.process_time()
    made = perturbed(items, Perturbed(["typos", "case", "whitespace", "punctuation"]))
    assert [len(variant) for variant in made.values()] == [100_000] * 5
    assert time.process_time() - started < 8


# -- numbers ---------------------------------------------------------------------------------------------------


def test_noise_is_a_share_of_the_spread_of_each_feature() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 3)) * [1.0, 100.0, 0.0] + [0.0, 5.0, 3.0]
    x[::2, 0] = np.nan
    made = perturbed(Items.from_arrays(x), Perturbed({"noise": 0.1}))["noise"].array
    shift = made - x
    assert np.array_equal(np.isnan(made), np.isnan(x))
    np.testing.assert_allclose(np.nanstd(shift, axis=0), [0.1, 10.0, 0.0], rtol=0.05)
    assert np.abs(np.nanmean(shift, axis=0) / [0.1, 10, 1]).max() < 0.08


@pytest.mark.parametrize("shape", [(50,), (50, 4), (50, 3, 2)])
def test_arrays_keep_their_shape_and_kind(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    for given_kind, kind in ((np.float32, np.float32), (np.float64, np.float64), (np.int64, np.float64)):
        made = perturbed(Items.from_arrays((10 * x).astype(given_kind)), Perturbed({"noise": 0.1}))["noise"]
        assert made.array.shape == shape
        assert made.array.dtype == kind


def test_missing_values() -> None:
    x = np.ones((2000, 5))
    made = perturbed(Items.from_arrays(x), Perturbed({"missing": 0.2}))["missing"]
    # rows that lost nothing are left out: (1 - 0.2)^5 of them
    assert abs(len(made) / 2000 - (1 - 0.8**5)) < 0.04
    assert abs(np.isnan(made.array).sum() / 10_000 - 0.2) < 0.02
    assert (made.array[~np.isnan(made.array)] == 1).all()


def test_tables() -> None:
    frame = pl.DataFrame(
        {"age": list(range(400)), "height": [1.5, None, 1.7, 1.9] * 100, "town": ["a", "b", None, "c"] * 100}
    )
    items = Items.from_arrays(frame)
    noisy = perturbed(items, Perturbed({"noise": 0.5}))["noise"].inputs.struct.unnest()
    assert noisy["town"].equals(frame["town"])
    assert noisy["height"].null_count() == 100
    assert noisy["age"].dtype == pl.Float64
    assert abs((noisy["age"] - frame["age"]).std() / (0.5 * np.arange(400).std()) - 1) < 0.1
    part = perturbed(items, Perturbed({"noise": 0.5}, features=["age"]))["noise"].inputs.struct.unnest()
    assert part["height"].equals(frame["height"])
    gone = perturbed(items, Perturbed({"missing": 0.5}, features=["town"]))["missing"]
    left = gone.inputs.struct.unnest()
    assert left["town"].null_count() == len(left)  # kept are the rows that lost their town
    assert left["age"].null_count() == 0
    assert abs(len(left) - 150) < 30
    with pytest.raises(DataError, match=r"the inputs have no feature 'hight'; did you mean height\?"):
        perturbed(items, Perturbed({"noise": 0.5}, features=["hight"]))


def test_a_threshold_model_under_noise() -> None:
    x = np.array([[0.0], [1.0], *[[4.999], [5.001]] * 5, [9.0], [10.0]])
    items = Items.from_arrays(x, (x[:, 0] > 5).astype(int))
    relation = Perturbed({"noise": 0.01}, seed=1)
    result = result_of(lambda rows: (rows[:, 0] > 5).astype(int), items, relation)
    moved = relation.expand(items)[1].items.array[:, 0]
    flipped = (moved > 5) != (x[:, 0] > 5)
    assert 0 < flipped.sum() < 10  # of the ten at the threshold some
    assert not flipped[[0, 1, -2, -1]].any()
    assert result.verdicts["agreement"].to_list() == (1.0 - flipped).tolist()
    assert result.negative_flip_rate.value == flipped.mean()


def test_numbers_have_no_typos_and_texts_no_noise() -> None:
    with pytest.raises(
        DataError, match=r"typos rewrites texts or lists of messages, and the inputs are Array"
    ):
        perturbed(Items.from_arrays(np.ones((3, 2))), Perturbed("typos"))
    with pytest.raises(DataError, match=r"noise and missing values need numbers"):
        perturbed(texts(3), Perturbed("noise"))
    with pytest.raises(ConfigError, match="only tables have features"):
        perturbed(Items.from_arrays(np.ones((3, 2))), Perturbed("noise", features=["a"]))


# -- how they are asked ----------------------------------------------------------------------------------------


class Batched:
    """A model whose answers depend on what stands beside a row: it subtracts the mean of the batch."""

    name = fingerprint = "batched"
    batch_size = 4

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        self.sizes.append(len(items))
        x = items.array
        return pl.DataFrame({"output": (x - x.mean() > 0).astype(int)})


def test_a_model_that_depends_on_its_batch() -> None:
    items = Items.from_arrays(np.arange(8.0))
    model = Batched()
    result = result_of(model, items, Perturbed({"order": 3, "batch_size": 1}))
    assert model.sizes == [4, 4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1]
    # as given 0 0 1 1 0 0 1 1; one at a time all are 0
    assert result.verdicts["batch_size_agreement"].to_list() == [1, 1, 0, 0, 1, 1, 0, 0]
    order = np.random.default_rng(3).permutation(8)
    shuffled = np.empty(8)
    for part in (order[:4], order[4:]):
        shuffled[part] = part > part.mean()
    expected = (shuffled == [0, 0, 1, 1, 0, 0, 1, 1]).astype(float)
    assert result.verdicts["order_agreement"].to_list() == expected.tolist()
    assert 0 < expected.mean() < 1
    steady = result_of(lambda x: (x > 4).astype(int), items, Perturbed(["order", "batch_size"]))
    assert steady.agreement_score.value == 1
    assert steady.violation_rate.value == 0


def test_real_outputs_agree_within_a_tolerance() -> None:
    items = Items.from_arrays(np.linspace(0, 1, 20))
    model = lambda x: 3 * x  # noqa: E731
    strict = result_of(model, items, Perturbed({"noise": 1e-4}))
    assert strict.agreement_score.value == 0
    close = result_of(model, items, Perturbed({"noise": 1e-4}, agree="number", options={"tolerance": 0.05}))
    assert close.agreement_score.value > 0.9


# -- settings --------------------------------------------------------------------------------------------------


def test_errors_are_no_violation() -> None:
    def model(text: str) -> str:
        if text == "IS NUMBER 2 EVEN, OR ODD?":
            raise TimeoutError
        return "yes"

    result = result_of(model, texts(4), Perturbed("case"))
    assert result.verdicts["agreement"].to_list() == [1, 1, None, 1]
    assert result.violation_rate.value == 0


def test_bad_settings() -> None:
    cases: list[tuple[Any, str]] = [
        (["typo"], r"there is no perturbation 'typo'; did you mean typos\?"),
        ([], "needs at least one perturbation; known: typos, case"),
        ({"typos": 2}, r"typos takes a share above 0 and at most 1, got 2"),
        ({"typos": True}, "typos takes a share"),
        ({"case": "loud"}, r"case takes one of upper, lower, title, got 'loud'"),
        ({"punctuation": ["drop"]}, "punctuation takes one of drop, repeat"),
        ({"noise": 0}, "noise takes a number above 0, got 0"),
        ({"noise": float("nan")}, "noise takes a number above 0, got nan"),
        ({"batch_size": 0}, r"batch_size takes a number of rows, at least 1, got 0"),
        ({"order": -1}, "order takes a seed"),
    ]
    for given_names, sentence in cases:
        with pytest.raises(ConfigError, match=sentence):
            Perturbed(given_names)
    assert Perturbed({"typos": None}).perturbations == {"typos": 0.05}
    assert Perturbed(["case"]).settings() == {"perturbations": {"case": "upper"}, "seed": 0, "features": None}
