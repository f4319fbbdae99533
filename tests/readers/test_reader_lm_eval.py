"""Sample files that lm-eval wrote (tests/fixtures/logs/README.md), and what it may write besides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from concordant.core.errors import DataError
from concordant.models.readers import read_records
from concordant.models.readers.lm_eval import lm_eval_frame

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


def test_generated_texts_after_the_last_filter():
    found = read_records(LOGS / "samples_sums.jsonl")
    assert found["item"].to_list() == ["0", "1", "2", "3", "4"]
    assert found["filter"].unique().to_list() == ["flexible-extract"]
    # What the canned model of make/lm_eval_logs.py says, and the number that the filter finds in it.
    assert found["response"][0] == "2 + 2 is 4. #### 4"
    assert found["output"].to_list() == ["4", "12", "16", "46", "[invalid]"]
    assert found["reference"].to_list() == ["4", "12", "17", "46", "75"]
    assert found["correct"].to_list() == [True, True, False, True, False]
    assert found["score"].to_list() == found["metric.exact_match"].to_list() == [1.0, 1.0, 0.0, 1.0, 0.0]
    assert found["input"][0] == "Question: What is 2 + 2?\nAnswer:"
    assert found["topic"].to_list() == ["small"] * 3 + ["large"] * 2


def test_another_filter():
    path = LOGS / "samples_sums.jsonl"
    found = read_records(f"{path}?filter=strict-match")
    assert found["correct"].to_list() == [True, False, False, True, False]
    with pytest.raises(DataError, match=r"there is no filter 'strict'; did you mean strict-match?"):
        read_records(f"{path}?filter=strict")


def test_multiple_choice_gives_the_most_likely_choice():
    found = read_records(LOGS / "samples_capitals.jsonl")
    assert found["choices"][0].to_list() == ["Paris", "Lyon", "Nice"]
    assert found["choice_logprobs"][3].to_list() == [-3.0, -2.0, -1.0]
    assert found["output"].to_list() == ["Paris", "Cusco", "Accra", "Tokyo", "Mombasa"]
    assert found["reference"].to_list() == ["Paris", "Lima", "Accra", "Tokyo", "Nairobi"]
    assert found["logprob"].to_list() == [-0.5, -0.75, -0.25, -1.0, -1.75]
    assert found["correct"].to_list() == (found["output"] == found["reference"]).to_list()


def test_another_metric_can_grade():
    found = read_records(f"{LOGS / 'samples_capitals.jsonl'}?correct=metric.acc_norm")
    # acc_norm divides by the length of the choice: -1.75 / 7 for Mombasa is above -2.5 / 7 and -2.0 / 6.
    assert found["correct"].to_list() == [True, False, True, True, False]


def test_likelihoods_of_one_continuation():
    found = read_records(LOGS / "samples_cloze.jsonl")
    assert found["output"].to_list() == [True, False, True, True, False]
    assert found["logprob"].to_list() == [-0.5, -1.5, -0.25, -1.0, -2.5]
    assert found["correct"].to_list() == [True, False, True, True, False]
    assert found["metric.perplexity"].to_list() == found["logprob"].to_list()


def line(resps, arguments, target="x", **more):
    return {"doc_id": 3, "doc": {}, "target": target, "arguments": arguments, "resps": resps, **more}


def frame(*rows):
    return lm_eval_frame(Path("samples.jsonl"), enumerate(rows, start=1), None)


def test_the_form_of_older_versions():
    row = line([[[-2.0, False]], [[-1.0, True]]], [["q", " yes"], ["q", " no"]], target=1, acc=1.0)
    found = frame({**row, "filtered_resps": [[-2.0, False], [-1.0, True]]}).row(0, named=True)
    assert (found["output"], found["reference"], found["logprob"], found["correct"]) == (
        "no",
        "no",
        -1.0,
        True,
    )
    assert frame(row).row(0, named=True)["output"] == "no", "without a filter"


def test_mutual_information_asks_behind_an_empty_context():
    arguments = [["q", " a"], ["q", " b"], ["", " a"], ["", " b"]]
    found = frame(
        line([[["-3.0", "False"]], [["-2.0", "True"]], [["-1.0", "x"]], [["-9.0", "x"]]], arguments)
    ).row(0, named=True)
    assert (found["output"], found["choices"], found["choice_logprobs"]) == ("b", ["a", "b"], [-3.0, -2.0])


def test_choices_in_the_context():
    arguments = {
        "gen_args_0": {"arg_0": "the cat", "arg_1": " sat"},
        "gen_args_1": {"arg_0": "the car", "arg_1": " sat"},
    }
    found = frame(line([[["-1.0", "True"]], [["-2.0", "False"]]], arguments, target="0")).row(0, named=True)
    assert (found["output"], found["reference"]) == ("the cat", "the cat")


def test_choices_that_are_numbers_are_their_own_targets():
    arguments = [["q", " 1"], ["q", " 2"]]
    assert frame(line([[["-1.0", "True"]], [["-2.0", "False"]]], arguments, target="1"))[
        "reference"
    ].to_list() == ["1"]


def test_rolling_likelihoods():
    found = frame(line([["-12.5"]], {"gen_args_0": {"arg_0": "a long text"}}, filtered_resps=["-12.5"]))
    assert found.select("output", "logprob").row(0) == (-12.5, -12.5)


def test_repeats_that_the_filter_keeps_are_samples_without_a_grade():
    found = frame(line([["a", "b"]], [["q", {"until": []}]], filtered_resps=[["a", "b"]], exact_match=1.0))
    assert found.select("item", "sample", "output").rows() == [("3", 0, "a"), ("3", 1, "b")]
    assert "correct" not in found.columns
    kept = frame(line([["a", "b"]], [["q", {"until": []}]], filtered_resps=["a"], exact_match=1.0))
    assert kept.select("output", "correct").rows() == [("a", True)]


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "samples_x.jsonl"
    lines = (LOGS / "samples_cloze.jsonl").read_text().splitlines()
    path.write_text("\n".join(lines)[:-40])
    with pytest.raises(DataError, match=r"samples_x.jsonl, line 5: malformed JSON"):
        read_records(path)
    broken = json.loads(lines[1]) | {"arguments": 3}
    path.write_text("\n".join([lines[0], json.dumps(broken)]))
    with pytest.raises(DataError, match=r"samples_x.jsonl, line 2: not a sample as lm-eval writes it"):
        read_records(path)
