"""``concordant.compare``: two versions, by logs, run folders or models."""

import json

import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.models.recorded import Recorded
from concordant.versions import NoiseFloor


def log(name, right, **columns):
    """Make a recording of items q0, q1, ... that says itself what is right."""
    ids = [f"q{i}" for i in range(len(right))]
    records = {
        "item": ids,
        "sample": [0] * len(ids),
        "input": [f"question {i}" for i in ids],
        "output": ["-"] * len(ids),
    }
    return Recorded(pl.DataFrame({**records, "correct": right, **columns}), name=name)


OLD = [True] * 6 + [False] * 4
NEW = [True] * 4 + [False] * 2 + [True] * 3 + [False]


def test_flips_of_two_recordings():
    flips = cc.compare(log("a", OLD), log("b", NEW), progress=False)["versions.flips"]
    assert (flips.accuracy_old.value, flips.accuracy_new.value) == (0.6, 0.7)
    assert (flips.negative_flip_rate.value, flips.positive_flip_rate.value) == (0.2, 0.3)
    assert flips.gain.value == pytest.approx(flips.positive_flip_rate.value - flips.negative_flip_rate.value)
    assert flips.gain.p_value == pytest.approx(1.0)  # 2 against 3 discordant pairs


def test_the_other_way_round_mirrors():
    there = cc.compare(log("a", OLD), log("b", NEW), progress=False)["versions.flips"]
    back = cc.compare(log("b", NEW), log("a", OLD), progress=False)["versions.flips"]
    assert back.gain.value == -there.gain.value
    assert back.negative_flip_rate.value == there.positive_flip_rate.value
    assert back.gain.p_value == there.gain.p_value


def test_a_version_against_itself_has_no_flips():
    flips = cc.compare(log("a", OLD), log("a", OLD), progress=False)["versions.flips"]
    assert flips.negative_flip_rate.value == flips.positive_flip_rate.value == flips.gain.value == 0
    assert flips.agreement_score.value == 1


def test_paths_specifications_and_models_mean_the_same(tmp_path):
    for name, right in (("a", OLD), ("b", NEW)):
        rows = log(name, right).records.rename({"item": "id"}).to_dicts()
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ways = [
        (log("a", OLD), log("b", NEW)),
        (tmp_path / "a.jsonl", tmp_path / "b.jsonl"),
        (str(tmp_path / "a.jsonl"), f"log:{tmp_path / 'b.jsonl'}"),
    ]
    found = [cc.compare(old, new, progress=False) for old, new in ways]
    assert [r["versions.flips"].negative_flip_rate.value for r in found] == [0.2] * 3
    assert [r.title for r in found] == ["a → b on 10 items"] * 3


def test_gates_go_to_the_relation_that_has_their_measure():
    scores = {"old": [0.1 * i for i in range(10)], "new": [0.1 * i + 0.3 for i in range(10)]}
    old, new = (log(name, right, score=scores[name]) for name, right in (("old", OLD), ("new", NEW)))
    gates = ["negative_flip_rate <= 0.9", "mean_gain_part >= 0.2"]
    report = cc.compare(old, new, gates=gates, progress=False)
    assert [gate.finding.relation for gate in report.gates] == ["versions.flips", "versions.scores"]
    assert [gate.state for gate in report.gates] == ["holds", "holds"]
    assert cc.compare(old, new, gates=gates[0], progress=False).exit_code == 0
    with pytest.raises(ConfigError, match="does not parse"):
        cc.compare(old, new, gates="negative_flip_rate", progress=False)


def test_scores_of_nothing_but_right_and_wrong_are_left_out():
    plain = [log(name, right, score=[float(r) for r in right]) for name, right in (("a", OLD), ("b", NEW))]
    assert list(cc.compare(*plain, progress=False).results) == ["versions.flips"]


def test_items_say_what_live_models_are_asked():
    items = cc.Items.from_records([{"input": str(i), "reference": i} for i in range(10)])
    old, new = cc.load(lambda text: min(int(text), 5)), cc.load(lambda text: max(int(text), 2))
    report = cc.compare(old, new, items, relations=[NoiseFloor(old, repeats=["order"])], progress=False)
    assert report["versions.flips"].gain.value == pytest.approx(0.2)
    assert report["versions.noise_floor"].noise_flip_rate.value == 0
    assert len(cc.compare(old, new, items, limit=3, progress=False).items) == 3
    with pytest.raises(ConfigError, match="say what to ask them"):
        cc.compare(old, new, progress=False)


def test_a_live_model_is_asked_the_items_of_a_recording():
    model = cc.load(lambda text: "-", name="live")
    report = cc.compare(log("a", OLD, reference=["-"] * 10), model, progress=False)
    assert report["versions.flips"].accuracy_new.value == 1
    assert report.about["compared"]["by"] == "the items of a"


def test_what_was_aligned_is_on_record():
    report = cc.compare(log("a", OLD), log("b", NEW[:7]), progress=False)
    compared = report.about["compared"]
    assert (compared["by"], compared["n_both"], compared["n_only_old"], compared["n_only_new"]) == (
        "id",
        7,
        3,
        0,
    )
    assert compared["only_old"] == ["q7", "q8", "q9"]
    json.dumps(report.to_dict(), default=str)
    with pytest.raises(DataError, match="share no items"):
        cc.compare(
            log("a", OLD),
            Recorded(pl.DataFrame({"item": ["z"], "sample": [0], "output": ["-"]})),
            progress=False,
        )
