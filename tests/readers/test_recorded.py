"""Recordings as models, and what two of them share."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import DataError
from concordant.core.items import Items
from concordant.core.model import BatchModel, Request
from concordant.models.recorded import Recorded, align, normalised


def records(**columns):
    frame = pl.DataFrame(columns)
    if "sample" not in frame.columns:
        frame = frame.with_columns(sample=pl.lit(0, dtype=pl.Int64))
    return frame


def asked(*ids, inputs=None):
    return Items(pl.DataFrame({"id": list(ids), "input": inputs or list(ids)}))


TRIALS = records(
    item=["a", "a", "b", "a"],
    sample=[1, 0, 0, 2],
    output=["a1", "a0", None, "a2"],
    correct=[True, False, None, True],
    score=[1.0, 0.0, None, 1.0],
    error=[None, None, "time-out", None],
    run=[8, 7, 7, 9],
    topic=["x", "x", "y", "x"],
)


def test_it_is_a_batch_model():
    assert isinstance(Recorded(TRIALS), BatchModel)


def test_items_are_answered_in_their_order_and_the_missing_are_said_to_be():
    found = Recorded(TRIALS).respond(asked("c", "b", "a"), Request())
    assert found.columns == ["output", "correct", "score", "error"]
    assert found.rows() == [
        (None, None, None, "not recorded"),
        (None, None, None, "time-out"),
        ("a0", False, 0.0, None),
    ]


def test_samples_are_taken_in_order():
    found = Recorded(TRIALS).respond(asked("a", "b", "c"), Request(n=2))
    assert found["output"].to_list() == ["a0", "a1", None, None, None, None]
    assert found["error"].to_list() == [
        None,
        None,
        "time-out",
        "only 1 sample recorded",
        "not recorded",
        "not recorded",
    ]
    found = Recorded(TRIALS).respond(asked("a"), Request(n=4))
    assert found["output"].to_list() == ["a0", "a1", "a2", None]
    assert found["error"].to_list() == [None, None, None, "only 3 samples recorded"]


def test_samples_of_a_part_of_a_recording_are_numbered_anew():
    model = Recorded(TRIALS.filter(pl.col("sample") != 0))
    assert model.respond(asked("a", "b"), Request(n=2))["output"].to_list() == ["a1", "a2", None, None]


def test_asking_again_gives_the_next_samples():
    model = Recorded(TRIALS)
    assert [model.respond(asked("a"), Request(repeat=k))["output"][0] for k in range(4)] == [
        "a0",
        "a1",
        "a2",
        None,
    ]
    assert model.respond(asked("a"), Request(n=2, repeat=1))["error"].to_list() == [
        None,
        "only 3 samples recorded",
    ]


def test_unknown_ids_are_found_by_their_input():
    model = Recorded(records(item=["x", "y", "z"], output=[1, 2, 3], input=["What is  ONE?", "two", "two"]))
    found = model.respond(
        asked("x", "1", "2", "3", inputs=["two", "what is one?\n", "two", "three"]), Request()
    )
    assert found["output"].to_list() == [1, 1, 2, None], (
        "an id counts more than the input; of equal inputs the first"
    )


@pytest.mark.parametrize(("match", "outputs"), [("id", [1, None]), ("input", [None, 2]), ("either", [1, 2])])
def test_what_an_item_must_share(match, outputs):
    model = Recorded(records(item=["x", "y"], output=[1, 2], input=["one", "two"]), match=match)
    assert (
        model.respond(asked("x", "new", inputs=["reworded", "two"]), Request())["output"].to_list() == outputs
    )


@pytest.mark.parametrize(
    "outputs",
    [[[1.0, 2.0], [3.0]], [[[1.0], []], [[2.0]]], [{"a": 1}, {"a": 2}], [1, 2], [True, False], ["x", "y"]],
)
def test_outputs_of_every_type_come_back(outputs):
    model = Recorded(records(item=["a", "b"], output=outputs))
    found = model.respond(asked("b", "nobody", "a"), Request())
    assert found["output"].to_list() == [outputs[1], None, outputs[0]]


@given(st.lists(st.sampled_from("abcde"), min_size=1, unique=True), st.integers(1, 4), st.integers(0, 2))
def test_a_row_for_every_item_and_sample(ids, n, repeat):
    found = Recorded(TRIALS).respond(asked(*ids), Request(n=n, repeat=repeat))
    assert len(found) == len(ids) * n
    held = {
        (item, sample): output
        for item, sample, output in TRIALS.select("item", "sample", "output").iter_rows()
    }
    expected = [held.get((item, repeat * n + k)) for item in ids for k in range(n)]
    assert found["output"].to_list() == expected


def test_the_items_it_was_recorded_on():
    frame = TRIALS.with_columns(
        input=pl.lit("q"), reference=pl.lit("r"), group=pl.col("item"), model=pl.lit("m")
    )
    found = Recorded(frame.with_columns(pl.Series("metric.acc", [1.0] * 4))).items()
    assert found.frame.columns == ["id", "input", "reference", "group", "topic"], (
        "run differs between samples"
    )
    assert found.frame.rows() == [("a", "q", "r", "a", "x"), ("b", "q", "r", "b", "y")]


def test_items_without_inputs_show_their_id():
    assert Recorded(TRIALS).items().inputs.to_list() == ["a", "b"]
    partly = records(item=["a", "b"], output=[1, 2], input=["q", None])
    assert Recorded(partly).items().inputs.to_list() == ["q", "b"]


def test_its_own_items_are_all_answered():
    model = Recorded(TRIALS.filter(pl.col("error").is_null()))
    assert model.respond(model.items(), Request())["error"].null_count() == 1


def test_the_fingerprint_is_that_of_the_behaviour():
    base = Recorded(TRIALS)
    assert base.fingerprint == Recorded(TRIALS.clone(), name="other").fingerprint
    assert base.fingerprint == Recorded(TRIALS.drop("run", "topic")).fingerprint
    assert base.fingerprint != Recorded(TRIALS.with_columns(output=pl.lit("a0"))).fingerprint


def test_names_come_from_the_model_or_the_file(tmp_path):
    path = tmp_path / "run-7.1.jsonl"
    path.write_text('{"id": 1, "output": "x", "model": "small"}\n')
    assert Recorded.read(path).name == "small"
    assert Recorded.read(path, name="mine").name == "mine"
    path.write_text('{"id": 1, "output": "x"}\n')
    assert Recorded.read(path).name == "run-7.1"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TRIALS.drop("output"), "records have no column 'output'"),
        (TRIALS.drop("sample"), "records have no column 'sample'"),
        (TRIALS.with_columns(sample=pl.lit(0)), "sample 0 of item 'a' is recorded more than once"),
    ],
)
def test_records_that_are_none(frame, message):
    with pytest.raises(DataError, match=message):
        Recorded(frame)


# -- two recordings --------------------------------------------------------------------------------


def test_alignment_by_id():
    old = Recorded(records(item=["a", "b", "c"], output=[1, 2, 3], input=["A", "B", "C"]))
    new = Recorded(
        records(item=["c", "b", "d"], output=[4, 5, 6], topic=["s", "t", "u"], input=["C!", "B!", "D!"])
    )
    both = align(old, new)
    assert (both.n_both, both.only_old, both.only_new, both.by) == (2, ("a",), ("d",), "id")
    assert both.items.frame.to_dict(as_series=False) == {
        "id": ["b", "c"],
        "input": ["B", "C"],
        "topic": ["t", "s"],
    }
    assert old.respond(both.items, Request())["output"].to_list() == [2, 3]
    assert new.respond(both.items, Request())["output"].to_list() == [5, 4]


def test_alignment_by_input():
    chat = [[{"role": "user", "content": text}] for text in ("two ", "ONE", "four")]
    old = Recorded(records(item=["a", "b", "c"], output=[1, 2, 3], input=["one", "two", "three"]))
    new = Recorded(records(item=["x", "y", "z"], output=[20, 10, 40], input=chat))
    both = align(old, new)
    assert (both.n_both, both.only_old, both.only_new, both.by) == (2, ("c",), ("z",), "input")
    assert old.respond(both.items, Request())["output"].to_list() == [1, 2]
    assert new.respond(both.items, Request())["output"].to_list() == [10, 20]


def test_row_numbers_of_shuffled_files_do_not_mislead():
    texts = [f"question {i}" for i in range(9)]
    old = Recorded(records(item=[str(i) for i in range(9)], output=texts, input=texts))
    new = Recorded(records(item=[str(i) for i in range(9)], output=texts[::-1], input=texts[::-1]))
    both = align(old, new)
    assert (both.n_both, both.by) == (9, "input")
    assert old.respond(both.items, Request()).equals(new.respond(both.items, Request()))


def test_ids_hold_where_the_prompt_was_changed():
    old = Recorded(records(item=["a", "b"], output=[1, 2], input=["one", "two"]))
    new = Recorded(records(item=["a", "b"], output=[1, 2], input=["Q: one", "Q: two"]))
    assert align(old, new).by == "id"


def test_equal_inputs_are_aligned_once():
    old = Recorded(records(item=["a", "b"], output=[1, 2], input=["one", "one"]))
    new = Recorded(records(item=["x"], output=[3], input=["one"]))
    both = align(old, new)
    assert (both.n_both, both.only_old, both.only_new) == (1, ("b",), ())


def test_recordings_that_share_nothing():
    old, new = (
        Recorded(records(item=[f"{n}{i}" for i in range(3)], output=[0, 0, 0]), name=n)
        for n in ("old", "new")
    )
    message = (
        "the recordings share no items, neither by id nor by input: old has old0, old1, new has new0, new1"
    )
    with pytest.raises(DataError, match=message):
        align(old, new)


@given(st.text())
def test_normalising_twice_is_normalising_once(text):
    once = normalised(pl.Series([text]))
    assert normalised(once).equals(once)


def test_inputs_that_are_no_texts_have_no_text():
    assert normalised(pl.Series([[1.0, 2.0], None])).to_list() == [None, None]
    assert normalised(pl.Series([{"a": 1}])).to_list() == [None]
