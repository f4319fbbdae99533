"""Logs that Inspect wrote (tests/fixtures/logs/README.md), and what it may write besides."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from concordant.core.errors import DataError
from concordant.models.readers import read_records
from concordant.models.readers.inspect_log import inspect_frame

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_epochs_are_samples_and_errors_are_no_wrong_answers(suffix):
    found = read_records(LOGS / f"inspect_sums.{suffix}")
    assert found["item"].unique(maintain_order=True).to_list() == [f"sum-{i}" for i in range(1, 7)]
    assert found["sample"].to_list() == [0, 1] * 6
    # The canned answers of make/inspect_logs.py, epoch 1 and 2 of each sum; the last one raised in epoch 2.
    assert found["output"].to_list() == [
        "4",
        "4",
        "12",
        "13",
        "16",
        "18",
        "46",
        "46",
        "65",
        "75",
        "198",
        None,
    ]
    right = [True, True, True, False, False, False, True, True, False, True, True, None]
    assert found["correct"].to_list() == right
    assert found["score"].to_list() == [None if value is None else float(value) for value in right]
    assert found["error"].to_list() == [None] * 11 + ["RuntimeError('the tool server went away')"]
    assert found["reference"].to_list()[::2] == ["4", "12", "17", "46", "75", "198"]
    assert found["input"][0] == "What is 2 + 2?"
    assert found["topic"].to_list() == ["small"] * 6 + ["large"] * 6
    assert found["tokens"].to_list() == [3] * 11 + [None]
    assert found["latency_s"].is_between(0, 10).all()
    assert found["model"].unique().to_list() == ["mockllm/model"]


def test_zip_and_json_hold_the_same():
    for name in ("sums", "capitals"):
        assert read_records(LOGS / f"inspect_{name}.eval").equals(read_records(LOGS / f"inspect_{name}.json"))
    assert read_records(LOGS / "inspect_capitals_chunked.eval").equals(
        read_records(LOGS / "inspect_capitals.eval")
    )


def test_choices_and_letters():
    found = read_records(LOGS / "inspect_capitals.eval")
    assert found["choices"][1].to_list() == ["Cusco", "Lima", "Puno"]
    assert found["reference"].to_list() == ["A", "B", "A", "C", "A"]
    assert found["output"].to_list() == ["ANSWER: A", "ANSWER: C", "ANSWER: A", "ANSWER: C", "ANSWER: B"]
    assert found["answer"].to_list() == ["A", "C", "A", "C", "B"]
    assert found["correct"].to_list() == [True, False, True, True, False]


def test_another_scorer_and_one_of_its_values():
    path = LOGS / "inspect_sums.eval"
    with pytest.raises(
        DataError,
        match=r"'digits' gives several values; say which: scorer=digits.distance or scorer=digits.same",
    ):
        read_records(f"{path}?scorer=digits")
    found = read_records(f"{path}?scorer=digits.distance")
    assert found["score"].to_list() == [0, 0, 0, 1, 1, 1, 0, 0, 10, 0, 0, None]
    assert found["correct"].null_count() == 12, "a distance is no grade"
    assert read_records(f"{path}?scorer=digits.same_length")["correct"].to_list() == [True] * 11 + [None]
    with pytest.raises(DataError, match=r"there is no scorer 'mach'; did you mean match?"):
        read_records(f"{path}?scorer=mach")
    with pytest.raises(DataError, match=r"scorer 'digits' gives no value 'distnace'; did you mean distance?"):
        read_records(f"{path}?scorer=digits.distnace")


def test_its_columns_can_be_selected():
    found = read_records(f"{LOGS / 'inspect_sums.eval'}?where=topic:large&group=topic&output=answer")
    assert found["group"].to_list() == ["large"] * 6
    assert found["output"].to_list() == ["46", "46", "65", "75", "198", None]


def unpacked(path):
    """Give the members of an .eval file, by a reader of zstandard that is not ours: pyarrow's stream."""
    import pyarrow as pa

    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            data = path.read_bytes()[info.header_offset :]
            start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
            packed = pa.BufferReader(data[start : start + info.compress_size])
            yield info.filename, pa.CompressedInputStream(packed, "zstd").read()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_other_compressions_and_a_member_that_was_written_twice(tmp_path, method):
    path, copy = LOGS / "inspect_capitals.eval", tmp_path / "copy.eval"
    members = dict(unpacked(path))
    first = next(name for name in members if name.startswith("samples/"))
    with zipfile.ZipFile(copy, "w", method) as archive:
        archive.writestr(first, json.dumps({"id": 1, "epoch": 1, "input": "superseded", "target": ""}))
        with pytest.warns(UserWarning, match=r"Duplicate name"):
            archive.writestr(first, members.pop(first))
        for name, data in members.items():
            archive.writestr(name, data)
    assert read_records(copy).equals(read_records(path))


def test_a_run_that_was_cut_off_has_no_header(tmp_path):
    path, copy = LOGS / "inspect_capitals.eval", tmp_path / "copy.eval"
    with zipfile.ZipFile(copy, "w") as archive:
        for name, data in unpacked(path):
            if name in ("_journal/start.json", "samples/2_epoch_1.json"):
                archive.writestr(name, data)
    found = read_records(copy)
    assert found.select("item", "output", "model").rows() == [("2", "ANSWER: C", "mockllm/model")]


def sample(id=1, value=None, **more):
    message = {"role": "assistant", "content": "x"}
    scores = {} if value is None else {"scores": {"judge": {"value": value}}}
    return {
        "id": id,
        "epoch": 1,
        "input": "q",
        "target": "t",
        "output": {"choices": [{"message": message}]},
        **scores,
        **more,
    }


def frame(*samples, scorer=None):
    return inspect_frame(Path("log.json"), {"model": "m"}, list(samples), scorer)


@pytest.mark.parametrize(
    ("values", "scores", "grades"),
    [
        (["C", "I", "P", "N"], [1.0, 0.0, 0.5, 0.0], [True, False, False, False]),
        ([True, False], [1.0, 0.0], [True, False]),
        ([1, 0, 1.0], [1.0, 0.0, 1.0], [True, False, True]),
        (["yes", "No"], [1.0, 0.0], [True, False]),
        ([0.25, 1], [0.25, 1.0], [None, None]),
        (["0.75", "unclear"], [0.75, None], [None, None]),
        ([float("nan"), "C"], [None, 1.0], [None, True]),
        ([{"only": "C"}, {"only": "I"}], [1.0, 0.0], [True, False]),
        ([[1, 2], None], [None, None], [None, None]),
    ],
)
def test_scores_of_every_kind(values, scores, grades):
    found = frame(*(sample(i, value) for i, value in enumerate(values)))
    assert found["score"].to_list() == scores
    assert found["correct"].to_list() == grades


def test_content_in_parts_attachments_and_logprobs():
    parts = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "attachment://a"},
        {"type": "image", "image": "x"},
    ]
    output = {
        "choices": [
            {"message": {"content": parts}, "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -0.25}]}}
        ],
        "usage": {"output_tokens": 2},
    }
    turns = [{"role": "system", "content": "be brief", "id": "1"}, {"role": "user", "content": parts}]
    found = frame(
        sample(1, output=output, input=turns, attachments={"a": "long text"}), sample(2, target=["t", "u"])
    )
    assert found["output"].to_list() == ["long text[image]", "x"]
    assert found["logprob"].to_list() == [-0.75, None]
    assert found["input"].to_list() == [
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": "long text[image]"}],
        [{"role": "user", "content": "q"}],
    ]


def test_several_targets_stay_a_list():
    assert frame(sample(1, target=["t", "u"]), sample(2, target=["v", "w"]))["reference"].to_list() == [
        ["t", "u"],
        ["v", "w"],
    ]
    assert frame(sample(1, target=["t"]))["reference"].to_list() == ["t"]


def test_metadata_cannot_take_the_place_of_the_behaviour():
    found = frame(sample(1, metadata={"score": 3, "group": "g", "deep": {"a": 1}, "output": "z"}))
    assert found.select("metadata.score", "group", "deep", "metadata.output", "output").row(0) == (
        3,
        "g",
        '{"a": 1}',
        "z",
        "x",
    )


def test_samples_come_in_the_order_of_the_data_set():
    spec = {"model": "m", "dataset": {"sample_ids": ["b", "a"]}}
    found = inspect_frame(Path("log"), spec, [sample("a"), sample("c"), sample("b")], None)
    assert found["item"].to_list() == ["b", "a", "c"]


# -- faults ----------------------------------------------------------------------------------------


def test_a_torn_zip(tmp_path):
    data = (LOGS / "inspect_sums.eval").read_bytes()
    torn = tmp_path / "torn.eval"
    for end in (10, len(data) // 2, len(data) - 5):
        torn.write_bytes(data[:end])
        with pytest.raises(
            DataError, match=r"torn.eval is a torn or truncated Inspect log: File is not a zip file"
        ):
            read_records(torn)


def test_a_damaged_member_is_named(tmp_path):
    data = bytearray((LOGS / "inspect_sums.eval").read_bytes())
    at = data.index(b"samples/sum-3_epoch_1.json") + 120
    data[at : at + 8] = bytes(8)
    path = tmp_path / "damaged.eval"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged.eval, member samples/sum-3_epoch_1.json: torn or damaged"):
        read_records(path)


def test_logs_without_samples(tmp_path):
    path = tmp_path / "none.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
    with pytest.raises(DataError, match=r"none.eval holds no samples"):
        read_records(path)
    path = tmp_path / "none.json"
    path.write_text(json.dumps({"version": 2, "eval": {}, "plan": {}}))
    with pytest.raises(DataError, match=r"none.json holds no samples"):
        read_records(path)


def test_samples_that_are_none():
    with pytest.raises(DataError, match=r"a sample of Inspect has an id and an epoch"):
        frame({"id": 1})
    with pytest.raises(DataError, match=r"sample 1, epoch 1, is not as Inspect writes it"):
        frame(sample(1, output=[1]))


def test_every_column_is_as_records_have_it():
    found = read_records(LOGS / "inspect_sums.eval")
    assert {name: found.schema[name] for name in ("correct", "score", "tokens", "latency_s")} == {
        "correct": pl.Boolean,
        "score": pl.Float64,
        "tokens": pl.Int64,
        "latency_s": pl.Float64,
    }
