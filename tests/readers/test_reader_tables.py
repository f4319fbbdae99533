"""Recordings in plain tables: JSONL, JSON, CSV, TSV and Parquet, with guessed and named columns."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.content import content_ids
from concordant.core.errors import ConfigError, DataError
from concordant.models.readers import read_records
from concordant.models.readers.rows import frame_of

ROWS = [
    {"ID": 7, "Question": "2 + 2?", "Prediction": "4", "answer": "4", "Is-Correct": True, "topic": "sums"},
    {"ID": 9, "Question": "7 + 5?", "Prediction": "13", "answer": "12", "Is-Correct": False, "topic": "sums"},
]
EXPECTED = {
    "item": ["7", "9"],
    "sample": [0, 0],
    "input": ["2 + 2?", "7 + 5?"],
    "output": ["4", "13"],
    "reference": ["4", "12"],
    "correct": [True, False],
    "topic": ["sums", "sums"],
}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(tmp_path, rows, name="a.jsonl"):
    path = tmp_path / name
    path.write_text(lines(rows))
    return path


@pytest.mark.parametrize(
    "form", ["a.jsonl", "b.json", "c.csv", "d.tsv", "e.parquet", "f.jsonl.gz", "g.json", "h.log", "i"]
)
def test_the_same_records_in_every_format(tmp_path, form):
    path, frame = tmp_path / form, pl.DataFrame(ROWS).with_columns(pl.col("Prediction", "answer"))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines(ROWS).encode()))
    elif form == "b.json":
        path.write_text(json.dumps({"rows": ROWS}, indent=1))
    elif path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".tsv":
        frame.write_csv(path, separator="\t")
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:  # JSON lines under other names are recognised by what they hold
        path.write_text(lines(ROWS))
    found = read_records(str(path))
    expected = EXPECTED | (
        {"output": [4, 13], "reference": [4, 12]} if path.suffix in (".csv", ".tsv") else {}
    )
    assert found.to_dict(as_series=False) == expected


def test_columns_have_the_types_of_records(tmp_path):
    row = {
        "id": 1.0,
        "output": "x",
        "correct": "yes",
        "score": "0.5",
        "tokens": 3.0,
        "latency": 1,
        "error": "",
    }
    row |= {"logprob": -1, "group": 4, "options": ["a", "b"]}
    found = read_records(written(tmp_path, [row]))
    assert found.schema == {
        "item": pl.String,
        "sample": pl.Int64,
        "output": pl.String,
        "choices": pl.List(pl.String),
        "correct": pl.Boolean,
        "score": pl.Float64,
        "logprob": pl.Float64,
        "tokens": pl.Int64,
        "latency_s": pl.Float64,
        "error": pl.String,
        "group": pl.String,
    }
    assert found.row(0) == ("1", 0, "x", ["a", "b"], True, 0.5, -1.0, 3, 1.0, None, "4")


def test_named_columns_win_over_guessed_ones(tmp_path):
    path = written(tmp_path, [{"id": "a", "output": "no", "said": "yes", "target": "t", "gold": "g"}])
    found = read_records(f"{path}?output=said&reference=gold")
    assert found.select("item", "output", "reference").row(0) == ("a", "yes", "g")
    assert "said" not in found.columns
    assert found["target"].to_list() == ["t"]


def test_an_empty_option_leaves_a_column_out(tmp_path):
    path = written(tmp_path, [{"id": "a", "output": "x", "score": "high"}])
    with pytest.raises(DataError, match=r"column score, row 1: allowed is a number, got 'high'"):
        read_records(path)
    found = read_records(f"{path}?score=")
    assert found.columns == ["item", "sample", "output"]


def test_a_guess_that_does_not_fit_stays_a_further_column(tmp_path):
    found = read_records(written(tmp_path, [{"id": "a", "output": "x", "success": "partly"}]))
    assert "correct" not in found.columns
    assert found["success"].to_list() == ["partly"]


@pytest.mark.parametrize(
    ("row", "output", "reference"),
    [
        ({"answer": "a"}, "a", None),
        ({"answer": "a", "target": "t"}, "a", "t"),
        ({"answer": "a", "prediction": "p"}, "p", "a"),
        ({"solution": "s", "answer": "a"}, "a", "s"),
        ({"label": "l", "pred": "p"}, "p", "l"),
        ({"response": "r", "ground_truth": "g", "solution": "s"}, "r", "g"),
    ],
)
def test_answer_and_solution_are_outputs_or_references(tmp_path, row, output, reference):
    found = read_records(written(tmp_path, [{"id": "a", **row}])).row(0, named=True)
    assert (found["output"], found.get("reference")) == (output, reference)


def test_a_grade_is_the_output_where_there_is_nothing_else(tmp_path):
    assert read_records(written(tmp_path, [{"id": "a", "correct": 1}]))["output"].to_list() == [True]
    assert read_records(written(tmp_path, [{"id": "a", "correct": 1, "score": 0.5}]))["output"].to_list() == [
        0.5
    ]


@pytest.mark.parametrize(
    "values", [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["Correct", "no", ""], ["1", "0", None]]
)
def test_grades_in_many_words(tmp_path, values):
    path = written(tmp_path, [{"id": i, "output": "x", "passed": value} for i, value in enumerate(values)])
    assert read_records(path)["correct"].to_list() == [True, False, None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, "", "late"], [None, None, "late"]),
        ([False, True, None], [None, "error", None]),
        ([{"code": 1}, None, None], ['{"code": 1}', None, None]),
    ],
)
def test_errors_are_texts_or_null(tmp_path, values, expected):
    path = written(tmp_path, [{"id": i, "output": "x", "error": value} for i, value in enumerate(values)])
    assert read_records(path)["error"].to_list() == expected


# -- ids and samples -------------------------------------------------------------------------------


def test_without_ids_equal_inputs_are_samples_of_one_item(tmp_path):
    path = written(
        tmp_path, [{"question": q, "answer": a} for q, a in [("one", "1"), ("two", "2"), ("one", "3")]]
    )
    found = read_records(path)
    ids = content_ids(pl.Series(["one", "two"])).to_list()
    assert found["item"].to_list() == [ids[0], ids[1], ids[0]]
    assert found["sample"].to_list() == [0, 0, 1]


def test_conversations_are_inputs(tmp_path):
    turns = [{"role": "user", "content": "hello"}]
    found = read_records(written(tmp_path, [{"messages": turns, "response": "hi"}]))
    assert found["input"].to_list() == [turns]
    assert len(found["item"][0]) == 16


def test_repeated_ids_are_samples_in_the_order_of_the_file(tmp_path):
    path = written(
        tmp_path, [{"id": i, "output": o} for i, o in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]]
    )
    assert read_records(path)["sample"].to_list() == [0, 0, 1, 2]


def test_a_column_of_samples_orders_them(tmp_path):
    rows = [
        {"id": "a", "epoch": 3, "output": "x"},
        {"id": "a", "epoch": 1, "output": "y"},
        {"id": "b", "epoch": 3, "output": "z"},
    ]
    found = read_records(written(tmp_path, rows))
    assert found["sample"].to_list() == [1, 0, 0]
    assert "epoch" not in found.columns


def test_a_usual_name_that_does_not_tell_samples_apart_is_no_sample(tmp_path):
    path = written(tmp_path, [{"id": "a", "trial": 0, "output": "x"}, {"id": "a", "trial": 0, "output": "y"}])
    found = read_records(path)
    assert found["sample"].to_list() == [0, 1]
    assert found["trial"].to_list() == [0, 0]
    with pytest.raises(
        DataError, match=r"item 'a' has several rows of sample 0; sample= must tell them apart"
    ):
        read_records(f"{path}?sample=trial")


def test_several_columns_make_one_id_and_stay(tmp_path):
    rows = [
        {"task": "t", "n": n, "seed": seed, "run": run, "pred": n}
        for n in (1, 2)
        for run in (0, 1)
        for seed in (5, 4)
    ]
    found = read_records(f"{written(tmp_path, rows)}?id=task,n&sample=run,seed")
    assert found["item"].unique(maintain_order=True).to_list() == ["t/1", "t/2"]
    assert found["sample"].to_list() == [1, 0, 3, 2] * 2
    assert {"task", "n", "run", "seed"} <= set(found.columns)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, unique=True))
def test_samples_are_numbered_from_zero_within_each_item(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("hypothesis") / "a.jsonl"
    path.write_text(lines([{"id": item, "sample": sample, "output": sample} for item, sample in pairs]))
    found = read_records(path)
    for (item,), group in found.group_by("item"):
        assert sorted(group["sample"].to_list()) == list(range(len(group))), item
        assert group.sort("sample")["output"].is_sorted()


# -- rows, models, parts of documents --------------------------------------------------------------


def test_where_compares_numbers_words_and_truth(tmp_path):
    rows = [
        {"id": i, "output": "x", "run": run, "kind": kind, "ok": run > 1}
        for i, (run, kind) in enumerate([(1, "a"), (2, "b"), (2, "a")])
    ]
    path = written(tmp_path, rows)
    assert read_records(f"{path}?where=run:2.0")["item"].to_list() == ["1", "2"]
    assert read_records(f"{path}?where=run:2&where=kind:a")["item"].to_list() == ["2"]
    assert read_records(f"{path}?where=ok:True")["item"].to_list() == ["1", "2"]
    with pytest.raises(DataError, match=r"no row has 'c' in column 'kind'; known: a, b"):
        read_records(f"{path}?where=kind:c")
    with pytest.raises(DataError, match=r"there is no column 'kinds'; did you mean kind?"):
        read_records(f"{path}?where=kinds:a")


def test_a_column_of_models_must_be_narrowed_to_one(tmp_path):
    path = written(tmp_path, [{"id": i, "model": m, "output": m} for i in (1, 2) for m in ("small", "large")])
    with pytest.raises(DataError, match=r"holds 2 models: small, large; say which, as in a.jsonl#small"):
        read_records(path)
    assert read_records(f"{path}#large")["output"].to_list() == ["large", "large"]
    assert read_records(f"{path}?model=large").equals(read_records(f"{path}?where=model:large"))
    with pytest.raises(DataError, match=r"holds no model 'larg'; did you mean large?"):
        read_records(f"{path}#larg")


def test_nested_models(tmp_path):
    rows = [
        {
            "question": "2 + 2?",
            "small": {"answer": "5", "correct": False},
            "large": {"answer": "4", "correct": True},
        }
    ]
    path = written(tmp_path, rows)
    with pytest.raises(DataError, match=r"holds 2 models: small, large"):
        read_records(path)
    found = read_records(f"{path}#large")
    assert found.columns == ["item", "sample", "input", "output", "correct"]
    assert found.select("output", "correct").row(0) == ("4", True)


def test_plain_columns_can_be_models(tmp_path):
    path = written(tmp_path, [{"id": "a", "input": "q", "gpt": "one", "claude": "two"}])
    assert read_records(f"{path}#claude")["output"].to_list() == ["two"]


def test_rows_inside_a_document(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps(
            {"models": {"A/B": {"scores": [[1, 2.5], [3]]}, "C": {"p": {"output": 1}, "q": {"output": 2}}}}
        )
    )
    found = read_records(f"{path}?rows=/models/A~1B/scores")
    assert found.rows() == [("0", 0, [1.0, 2.5]), ("1", 0, [3.0])]
    assert read_records(f"{path}?rows=models/C").rows() == [("p", 0, 1), ("q", 0, 2)]
    with pytest.raises(DataError, match=r"here is an object of models; say where: rows=NAME/NAME"):
        read_records(path)
    with pytest.raises(DataError, match=r"there is no 'D' on the way rows=models/D; known: A/B, C"):
        read_records(f"{path}?rows=models/D")


def test_a_table_of_keys_and_values_is_a_recording(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text('{"": "J", "J": "F"}')
    assert read_records(path).rows() == [("", 0, "J"), ("J", 0, "F")]


def test_an_option_of_another_format_is_refused(tmp_path):
    path = written(tmp_path, ROWS)
    with pytest.raises(
        ConfigError, match=r"the option scorer is for inspect files, and this is a jsonl file"
    ):
        read_records(f"{path}?scorer=match")
    with pytest.raises(ConfigError, match=r"there is no format 'jsnl'; did you mean jsonl?"):
        read_records(f"{path}?format=jsnl")


def test_mixed_values_lose_nothing():
    frame = frame_of(
        [{"a": 1, "b": [1], "c": {"x": 1}}, {"a": 2.5, "b": [2.5]}, {"b": None, "c": {"y": "z"}}]
    )
    assert frame.to_dicts() == [
        {"a": 1.0, "b": [1.0], "c": {"x": 1, "y": None}},
        {"a": 2.5, "b": [2.5], "c": None},
        {"a": None, "b": None, "c": {"x": None, "y": "z"}},
    ]
    assert frame_of([{"a": 1}, {"a": "x"}, {"a": [1]}])["a"].to_list() == ["1", "x", "[1]"]
