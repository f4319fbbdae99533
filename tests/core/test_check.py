"""The whole flow: items to report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant import versions
from concordant.core.errors import ConcordantError, ConfigError, DataError, StoreError

ITEMS = cc.Items.from_records(
    {"id": f"i{i}", "input": f"t{i}", "reference": f"T{i}", "half": "low" if i < 20 else "high"}
    for i in range(40)
)


@cc.relation(variants=("plain", "spaced"))
def spaced(item: Any) -> Any:
    yield item.input
    yield item.input + " "


asked: list[str] = []


def remembering(text: str) -> str:
    asked.append(text)
    return text.strip().upper()


def fails_on_high_spaced(text: str) -> str:
    return "?" if text.endswith(" ") and int(text[1:]) >= 20 else text.strip().upper()


def test_findings_say_how_far_the_variants_agree() -> None:
    result = cc.check(cc.load(fails_on_high_spaced), ITEMS, [spaced], progress=False)["spaced"]
    values = {name: finding.value for name, finding in result.findings.items()}
    assert values == {
        "agreement_score": 0.5,
        "violation_rate": 0.5,
        "robust_accuracy": 0.5,
        "accuracy": 1.0,
        "rewritten_accuracy": 0.5,
        "negative_flip_rate": 0.5,
    }
    assert result.accuracy.n == 40
    assert result.violation_rate.low < 0.5 < result.violation_rate.high
    by_slice = {f.slice: f.value for f in result.slices if f.measure == "violation_rate"}
    assert by_slice == {("half", "high"): 1.0, ("half", "low"): 0.0}


def test_the_worst_items_stand_side_by_side() -> None:
    report = cc.check(cc.load(fails_on_high_spaced), ITEMS, [spaced], progress=False)
    worst = report.worst("spaced", 3)
    assert worst["id"].to_list() == ["i20", "i21", "i22"]
    assert worst["plain.output"].to_list() == ["T20", "T21", "T22"]
    assert worst["spaced.output"].to_list() == ["?", "?", "?"]
    assert worst["spaced.input"].to_list() == ["t20 ", "t21 ", "t22 "]
    assert report["spaced"].table().height == 40


def test_gates_decide_the_exit_code() -> None:
    def exit_code(gate: str) -> int:
        return cc.check(
            cc.load(fails_on_high_spaced), ITEMS, [spaced], gates={"spaced": gate}, progress=False
        ).exit_code

    assert exit_code("violation_rate <= 0.9") == 0
    assert exit_code("violation_rate <= 0.1") == 1
    assert exit_code("violation_rate <= 0.55") == 3


def test_misspelt_names_get_the_nearest_one() -> None:
    model = cc.load(str.upper)
    with pytest.raises(ConfigError, match=r"has no finding 'violation_rat'; did you mean violation_rate\?"):
        cc.check(model, ITEMS, [spaced], gates={"spaced": "violation_rat <= 1"}, progress=False)
    with pytest.raises(
        ConfigError, match=r"names the relation 'space', which is not checked; did you mean spaced\?"
    ):
        cc.check(model, ITEMS, [spaced], gates={"space": "violation_rate <= 1"}, progress=False)
    with pytest.raises(DataError, match=r"no column 'hlaf' to slice by; did you mean half\?"):
        cc.check(model, ITEMS, [spaced], slices=["hlaf"], progress=False)
    with pytest.raises(ConfigError, match="there is no relation to check"):
        cc.check(model, ITEMS, [], progress=False)
    with pytest.raises(ConfigError, match="is not a relation"):
        cc.check(model, ITEMS, [str], progress=False)  # type: ignore[list-item]


def test_a_gate_that_cannot_tell_anything_is_refused_before_the_model_is_asked() -> None:
    asked: list[str] = []
    for gate in ("violation_rat <= 0.1", "violation_rate <= 2"):
        with pytest.raises(ConfigError):
            cc.check(cc.load(asked.append), ITEMS, [spaced], gates={"spaced": gate}, progress=False)
    assert not asked


def test_a_gate_on_what_applies_to_no_item_says_so() -> None:
    items = cc.Items.from_records([{"input": "a"}, {"input": "b"}])
    with pytest.raises(DataError, match="cannot be decided, as there is no accuracy: it applies to none"):
        cc.check(cc.load(str.strip), items, [spaced], gates={"spaced": "accuracy >= 0.5"}, progress=False)


def test_a_gate_that_errors_keep_from_being_decided_names_the_commonest() -> None:
    def tired(text: str) -> str:
        message = "too tired"
        raise RuntimeError(message)

    with pytest.raises(cc.ConcordantError, match="too tired"):
        cc.check(cc.load(tired), ITEMS.head(1), [spaced], gates={"spaced": "accuracy >= 0.5"}, progress=False)
    numbers = cc.Items.from_records([{"input": "a", "reference": 1}])
    model = cc.load(lambda text: "dunno")
    with pytest.raises(DataError, match="the grader number finds no answer in 2 outputs"):
        cc.check(model, numbers, [spaced], gates={"spaced": "violation_rate <= 0.5"}, progress=False)


def test_a_model_that_ends_the_process_is_an_error_of_its_items() -> None:
    def ends(text: str) -> str:
        if text.strip() == "t3":
            raise SystemExit(3)
        return text.strip()

    found = cc.check(cc.load(ends), ITEMS, [spaced], progress=False)["spaced"]
    assert found.answers["plain"]["error"].drop_nulls().to_list() == [
        "RuntimeError: the model called exit(3)"
    ]
    assert found.agreement_score.n_error == 1


def test_errors_are_neither_right_nor_wrong() -> None:
    def raises_on_some(text: str) -> str:
        if text.strip() in ("t3", "t4"):
            message = "no"
            raise RuntimeError(message)
        return text.strip().upper()

    result = cc.check(cc.load(raises_on_some), ITEMS, [spaced], progress=False)["spaced"]
    assert result.accuracy.value == 1.0
    assert result.accuracy.n == 38
    assert result.agreement_score.n_error == 2
    assert result.verdicts["agreement"].null_count() == 2


def test_groups_are_clusters() -> None:
    grouped = ITEMS.replace(group=pl.Series([i // 4 for i in range(40)]))
    result = cc.check(cc.load(fails_on_high_spaced), grouped, [spaced], progress=False)["spaced"]
    assert result.violation_rate.estimate.n_clusters == 10
    alone = cc.check(cc.load(fails_on_high_spaced), ITEMS, [spaced], progress=False)["spaced"]
    assert (
        result.violation_rate.high - result.violation_rate.low
        > alone.violation_rate.high - alone.violation_rate.low
    )


def test_a_run_folder_resumes_and_gives_the_same(tmp_path: Path) -> None:
    asked.clear()
    # A function is known by what it closes over; this one's list changes as it is called, so it gets a name of its own.
    model = cc.load(remembering, fingerprint="remembering")
    fresh = cc.check(model, ITEMS, [spaced], folder=tmp_path / "run", progress=False)
    n = len(asked)
    with pytest.raises(StoreError, match="already holds a run"):
        cc.check(model, ITEMS, [spaced], folder=tmp_path / "run", progress=False)
    again = cc.check(model, ITEMS, [spaced], folder=tmp_path / "run", resume=True, progress=False)
    assert len(asked) == n
    assert again.frame().equals(fresh.frame())
    stored = json.loads((tmp_path / "run" / "report.json").read_text())
    assert stored["findings"] == fresh.to_dict()["findings"]
    assert pl.read_parquet(tmp_path / "run" / "findings.parquet").height == len(fresh.findings) + len(
        fresh.slices
    )
    assert (
        pl.read_parquet(tmp_path / "run" / "verdicts" / "spaced.parquet")["id"].to_list()
        == ITEMS.ids.to_list()
    )


def test_the_same_relation_twice_gets_a_number() -> None:
    flips = [versions.Flips(cc.load(str.upper)), versions.Flips(cc.load(str.lower))]
    report = cc.check(cc.load(str.upper), ITEMS, flips, progress=False)
    assert list(report.results) == ["versions.flips", "versions.flips#2"]


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> cc.Report:
        return cc.check(cc.load(str.upper), ITEMS, [spaced], progress=False)

    assert asyncio.run(notebook())["spaced"].accuracy.value == 1.0


def test_global_random_state_is_left_alone_and_the_same_seed_gives_the_same() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is looked at
    reports = [
        cc.check(cc.load(fails_on_high_spaced), ITEMS, [spaced], seed=7, progress=False) for _ in range(2)
    ]
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert reports[0].frame().equals(reports[1].frame())


def test_rewritings_may_be_missing_and_may_change_more_than_the_input() -> None:
    @cc.relation(variants=("plain", "other"))
    def some(item: Any) -> Any:
        yield item.input
        number = int(item.input[1:])
        yield None if number % 2 else {"input": f"t{number + 1}", "reference": f"T{number + 1}"}

    @cc.relation(variants=("a", "b"))
    def short(item: Any) -> Any:
        yield item.input

    result = cc.check(cc.load(str.upper), ITEMS, [some], progress=False)["some"]
    assert result.rewritten_accuracy.value == 1.0
    assert result.rewritten_accuracy.n == 20
    with pytest.raises(DataError, match="relation short: item 'i0' got 1 inputs for the 2 variants a, b"):
        cc.check(cc.load(str.upper), ITEMS, [short], progress=False)


def test_an_unwritable_format_is_refused(tmp_path: Path) -> None:
    report = cc.check(cc.load(str.upper), ITEMS, [spaced], progress=False)
    with pytest.raises(ConcordantError, match=r"no writer 'htm'; did you mean html\?"):
        report.save(tmp_path / "report.htm")


def test_public_names_are_exact_and_sorted() -> None:
    assert list(cc.__all__) == sorted(cc.__all__)
    for name in cc.__all__:
        assert getattr(cc, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'chekc'"):
        cc.chekc  # noqa: B018
