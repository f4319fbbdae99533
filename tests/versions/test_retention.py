"""Retention over versions: hand-worked cases, what two versions must give, logs that share some items only."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant import versions
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.models.recorded import Recorded
from concordant.versions.retention import retention
from concordant.versions.shared_items import align_all


def log(name: str, right: dict[str, bool | None], **columns: Any) -> Recorded:
    rows: dict[str, Any] = {"item": list(right), "sample": [0] * len(right), "correct": list(right.values())}
    output = [None if value is None else f"{name} {value}" for value in right.values()]
    frame = pl.DataFrame({**rows, "output": output, **columns})
    return Recorded(frame, name=name)


def histories(*rows: str, **columns: Any) -> list[Recorded]:
    """Make a log a version, of items whose histories are given."""
    return [
        log(f"version {t + 1}", {f"q{i}": row[t] == "1" for i, row in enumerate(rows)}, **columns)
        for t in range(len(rows[0]))
    ]


def found(*rows: str, **how: Any) -> cc.Result:
    return retention(histories(*rows), progress=False, **how)["versions.retention"]


def test_every_figure_by_hand() -> None:
    result = found("1111", "0011", "0111", "1011", "1010", "0100", "0000", "0001")
    values = {name: finding.value for name, finding in result.findings.items()}
    agreement = np.mean([1, 2 / 3, 2 / 3, 1 / 3, 0, 1 / 3, 1, 2 / 3])
    expected = {
        "forgetting_rate": 2 / 6,  # of the six that an earlier version had right
        "forgetting_gap": 5 / 8 - 5 / 8,  # the third version is the best earlier one
        "kept_rate": 1 / 8,
        "learnt_rate": 3 / 8,
        "regained_rate": 1 / 8,
        "forgotten_rate": 2 / 8,
        "never_right_rate": 1 / 8,
        "wavering_rate": 3 / 8,
        "agreement_score": agreement,
        "accuracy_v1": 3 / 8,
        "accuracy_v2": 3 / 8,
        "accuracy_v3": 5 / 8,
        "accuracy_v4": 5 / 8,
    }
    assert values == pytest.approx(expected)
    assert result.forgetting_gap.note == "the best earlier version on these items is v3"
    assert result.items.ids[int(result.ranked(1)[0])] == "q4"  # it changed each time


def test_the_worst_items_are_those_that_waver_and_then_those_that_are_lost() -> None:
    result = found("111", "101", "110", "011", "010")
    assert [result.items.ids[int(i)] for i in result.ranked()] == ["q4", "q1", "q2", "q3"]


def test_two_versions_give_what_flips_give() -> None:
    generator = np.random.default_rng(3)
    old, new = (
        log(name, {f"q{i}": bool(right) for i, right in enumerate(generator.random(60) < p)})
        for name, p in (("old", 0.6), ("new", 0.7))
    )
    flips = cc.compare(old, new, progress=False)["versions.flips"]
    kept = retention([old, new], progress=False)["versions.retention"]
    assert kept.forgotten_rate.value == flips.negative_flip_rate.value
    assert kept.learnt_rate.value == flips.positive_flip_rate.value
    assert kept.forgetting_rate.value == pytest.approx(1 - flips.backward_trust_compatibility.value)
    assert kept.forgetting_gap.value == pytest.approx(-flips.gain.value)
    assert (kept.forgetting_gap.low, kept.forgetting_gap.high) == pytest.approx(
        (-flips.gain.high, -flips.gain.low)
    )
    assert kept.accuracy_v1.value == flips.accuracy_old.value


def test_an_item_that_one_version_failed_on_is_left_out_and_counted() -> None:
    logs = [
        log("one", {"a": True, "b": True}),
        log("two", {"a": True, "b": None}),
        log("three", {"a": False, "b": True}),
    ]
    result = retention(logs, progress=False)["versions.retention"]
    assert (result.forgetting_rate.value, result.forgetting_rate.n, result.forgetting_rate.n_error) == (
        1.0,
        1,
        1,
    )


def test_where_nothing_was_ever_right_there_is_no_forgetting_rate() -> None:
    result = found("00", "01")
    assert "forgetting_rate" not in result.findings
    with pytest.raises(DataError, match=r"the gate 'forgetting_rate <= 0\.5' cannot be decided"):
        found("00", "01", gates="forgetting_rate <= 0.5")


def test_groups_are_clusters_in_every_interval() -> None:
    rows = ["11", "10", "01", "11", "10", "00"] * 4
    alone = found(*rows)
    logs = histories(*rows, group=[f"g{i % 6}" for i in range(24)])
    grouped = retention(logs, progress=False)["versions.retention"]
    assert grouped.forgetting_gap.value == alone.forgetting_gap.value
    assert grouped.forgetting_gap.estimate.n_clusters == grouped.kept_rate.estimate.n_clusters == 6


def test_sets_are_slices_and_the_best_version_is_the_best_on_them() -> None:
    logs = histories("101", "101", "110", "010", "011", "110", set=["a", "a", "a", "b", "b", "b"])
    result = retention(logs, by="set", progress=False)["versions.retention"]
    gaps = {f.slice: (f.value, f.note[-2:]) for f in result.slices if f.measure == "forgetting_gap"}
    assert gaps == {("set", "a"): (pytest.approx(1 / 3), "v1"), ("set", "b"): (pytest.approx(2 / 3), "v2")}


def test_live_models_are_asked_and_recorded_ones_say_what() -> None:
    items = Items.from_records([{"id": str(i), "input": str(i), "reference": str(i)} for i in range(4)])
    same = cc.load(lambda text: text, name="same")
    report = retention([same, same, same], items, progress=False, limit=3)
    assert report["versions.retention"].kept_rate.n == 3
    assert report.about["compared"]["by"] == "items"
    with pytest.raises(ConfigError, match="same and same are live models: say what to ask them"):
        retention([same, same])
    with pytest.raises(ConfigError, match="two or more versions, oldest first, got 1"):
        retention([same], items)
    with pytest.raises(ConfigError, match="at least one earlier version, got none"):
        versions.Retention([])


def test_only_items_that_all_have_are_followed() -> None:
    logs = [
        log("one", dict.fromkeys("abcd", True)),
        log("two", dict.fromkeys("bcde", True)),
        log("three", dict.fromkeys("dcx", False)),
    ]
    report = retention(logs, progress=False)
    assert report.items.ids.to_list() == ["c", "d"]
    about = report.about["compared"]
    assert (about["by"], about["n_shared"], about["left_out"]) == ("id", 2, {"one": 2, "two": 2, "three": 1})
    with pytest.raises(
        DataError, match="have no item that is in all of them, though each shares some with one"
    ):
        align_all([log("one", {"a": True, "b": True}), log("two", {"a": True}), log("three", {"b": True})])


def test_one_log_without_the_ids_aligns_all_by_their_texts() -> None:
    texts = ["What is 1 + 1?", "What is 2 + 2?", "What is 3 + 3?"]
    one = log("one", {"a": True, "b": True, "c": True}, input=texts)
    two = log("two", {"a": False, "b": True, "c": True}, input=texts, topic=["x", "y", "z"])
    three = log("three", {"0": True, "1": False}, input=[texts[2], texts[0].lower()])
    shared = align_all([one, two, three])
    assert (shared.by, shared.n_left_out) == ("input", (1, 1, 0))
    assert shared.items.inputs.to_list() == [texts[0], texts[2]]
    assert shared.items.frame["topic"].to_list() == ["x", "z"]
    result = retention([one, two, three], progress=False)["versions.retention"]
    assert result.table()["v3.outcome"].to_list() == ["wrong", "right"]
    assert result.table()["v2.outcome"].to_list() == ["wrong", "right"]
