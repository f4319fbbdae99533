"""Results that promptfoo wrote (tests/fixtures/logs/README.md), and what it may write besides."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from concordant.core.errors import DataError
from concordant.models.readers import read_records

PATH = Path(__file__).parents[1] / "fixtures" / "logs" / "promptfoo.json"


def test_one_provider_must_be_named():
    with pytest.raises(
        DataError, match=r"holds 2 models: echo, canned; say which, as in promptfoo.json#echo"
    ):
        read_records(PATH)


def test_repeats_are_samples_and_failed_assertions_no_errors():
    found = read_records(f"{PATH}#canned")
    assert found["item"].to_list() == [str(i) for i in range(5) for _ in range(2)]
    assert found["sample"].to_list() == [0, 1] * 5
    # The table in make/promptfoo/canned.js; it has no answer for Japan, and Peru's assertions weigh 3 to 1.
    assert found["output"].to_list()[::2] == ["4", "12", "16", "Lima!", None]
    assert found["correct"].to_list()[::2] == [True, True, False, False, None]
    assert found["score"].to_list()[::2] == [1.0, 1.0, 0.0, 0.75, None]
    assert found["error"].to_list()[::2] == [None, None, None, None, "the server answered 503"]
    assert found["tokens"].to_list()[::2] == [2, 2, 2, 2, None]
    assert found["input"][0] == "What is 2 + 2? Answer with one word or number."
    assert found["topic"].to_list() == ["sums"] * 6 + ["capitals"] * 4
    assert found["latency_s"].is_between(0, 1).all()


def test_the_other_provider_has_the_same_items():
    echo, canned = read_records(f"{PATH}#echo"), read_records(f"{PATH}#canned")
    assert echo.select("item", "sample", "input", "question").equals(
        canned.select("item", "sample", "input", "question")
    )
    assert not echo["correct"].any()


def results(change):
    document = json.loads(PATH.read_text())
    document["results"]["results"] = [
        row for row in document["results"]["results"] if row["provider"]["id"] == "canned"
    ]
    for row in document["results"]["results"]:
        change(row)
    return document


def written(tmp_path, document):
    path = tmp_path / "out.json"
    path.write_text(json.dumps(document))
    return path


def test_lines_of_results(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in results(lambda row: None)["results"]["results"])
    )
    assert read_records(path).equals(read_records(f"{PATH}#canned"))


def test_several_prompts_make_several_items_of_a_test(tmp_path):
    document = results(lambda row: None)
    more = copy.deepcopy(document["results"]["results"])
    for row in more:
        row["prompt"] = {"raw": "Hello", "label": "greeting"}
        row["promptIdx"] = 1
    document["results"]["results"] += more
    found = read_records(written(tmp_path, document))
    assert found["item"].unique(maintain_order=True).to_list() == [
        f"{i}/{k}" for i in range(5) for k in (0, 1)
    ]
    assert set(found["prompt"]) == {"{{question}} Answer with one word or number.", "greeting"}


def test_providers_that_are_plain_names_and_results_without_reasons(tmp_path):
    def older(row):
        row["provider"] = "plain"
        del row["failureReason"]

    found = read_records(written(tmp_path, results(older)))
    assert found["model"].unique().to_list() == ["plain"]
    assert found["error"].to_list() == read_records(f"{PATH}#canned")["error"].to_list()


def test_results_that_are_none(tmp_path):
    def broken(row):
        row["provider"] = {}

    with pytest.raises(DataError, match=r"out.json: the results are not as promptfoo writes them"):
        read_records(written(tmp_path, results(broken)))
    with pytest.raises(DataError, match=r"out.json is not as promptfoo writes its logs"):
        read_records(f"{written(tmp_path, [{'id': 1, 'output': 2}])}?format=promptfoo")
