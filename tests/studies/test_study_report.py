"""Studies on pages: the chart, the self-contained page, and the page of evidence."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.report.bars import claim_bar
from concordant.report.evidence_page import evidence_page
from concordant.report.study_charts import study_chart, study_spec
from concordant.report.study_page import render
from concordant.report.study_words import facts, remarks
from concordant.studies.catalogue.entries import load
from concordant.studies.decisions import decide, holm_states
from concordant.studies.evidence.records import FOLDER, keep, read, recorded, states_of
from concordant.studies.registry import study_names
from concordant.studies.results import StudyResult
from concordant.studies.seeds import SeedResult
from concordant.studies.study import Claim, Scale, Study
from toy_studies import toy_mean, toy_worse

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"
HOSTILE = "<script>alert(1)</script> & | `x`"


def result_of(study, scale=Scale.smoke, seeds=(0, 1, 2), errors=None, folder=Path("runs")):
    made = {
        seed: SeedResult(
            study=study.slug,
            scale=str(scale),
            seed=seed,
            measurements=study(Scale.smoke, seed),
            seconds=30.0,
            code="c0de",
            versions={"python": "3.11", "concordant": "0.1"},
            commit="abc",
            machine="2 cores, x86_64, Linux",
            threads=1,
        )
        for seed in seeds
    }
    return StudyResult.of(study, scale, made, errors or {}, folder=folder)


def muscle(**changes):
    """Return a made-up study of a real paper, so that what is kept of it fits the catalogue."""
    claims = (Claim("fewer-negative-flips", "mean.error", "first.error", "lower"),)
    return Study(
        **{"slug": "muscle", "claims": claims, "baseline": "first | value", "function": toy_mean.function}
        | changes
    )


# -- the chart ----------------------------------------------------------------------------------------------


def test_the_chart_has_a_panel_a_metric_and_a_dot_a_seed():
    result = result_of(toy_mean)
    error, score, curve = study_spec(result)["concat"]
    assert [row["method"] for row in error["data"]["values"]] == ["mean", "first", "median"]
    singles = error["layer"][0]["data"]["values"]
    assert len(singles) == 9
    assert {single["value"] for single in singles if single["method"] == "mean"} == {
        result.results[seed].measurements["mean.error"] for seed in range(3)
    }
    assert len(score["layer"][0]["data"]["values"]) == 7
    assert [point["x"] for point in curve["data"]["values"]] == [5.0, 10.0, 25.0]
    mean = error["data"]["values"][0]
    assert mean["low"] < mean["value"] < mean["high"]
    assert study_spec(result, compact=True)["columns"] == 1
    assert study_chart(result).to_dict()["columns"] == 2


def test_a_curve_over_names_is_drawn_over_names():
    study = Study("a", (Claim("c", "x.score@easy", "x.score@hard", "higher"),), "it", lambda scale, seed: {})
    result = result_of(toy_worse)
    runs = {
        seed: dataclasses.replace(run, measurements={"x.score@easy": 1.0 + seed, "x.score@hard": 0.5})
        for seed, run in result.results.items()
    }
    (panel,) = study_spec(StudyResult.of(study, Scale.smoke, runs, {}, folder=Path()))["concat"]
    assert panel["layer"][1]["encoding"]["x"]["type"] == "ordinal"
    assert panel["layer"][1]["encoding"]["x"]["sort"] == ["easy", "hard"]


def test_there_is_nothing_to_draw_of_a_study_without_seeds():
    with pytest.raises(ConfigError, match="no seed of 'toy-mean' was run through"):
        study_spec(result_of(toy_mean, seeds=()))


def test_a_claim_is_drawn_with_its_margin_and_its_differences():
    claim = Claim("c", "a.score", 0, "higher", margin=-1.0)
    bar = claim_bar(decide(claim, {i: {"a.score": float(i)} for i in range(3)}))
    assert (bar.kind, len(bar.dots), bar.value) == ("same", 3, bar.dots[1])
    assert bar.bounds[0] < bar.zero < bar.value  # -1, 0 and 1
    assert bar.inside == (bar.bounds[0], 100.0)
    unknown = claim_bar(decide(claim, {0: {"a.score": 2.0}}))
    assert (unknown.low, unknown.high) == (0.0, 100.0)


# -- the page -----------------------------------------------------------------------------------------------


def test_the_page_stands_alone_and_says_it_all():
    study = Study("toy-mean", toy_mean.claims, HOSTILE, toy_mean.function)
    page = render([result_of(study, errors={7: HOSTILE}), result_of(toy_worse)])
    assert "script-src 'sha256-" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; | `x`" in page
    assert "http:" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "5 claims: 3 hold, 1 fails, 1 undecided." in page
    assert page.count('class="single"') == 3 * 3 + 7 + 3
    assert "seed 7 failed: " in page
    assert 'id="study-toy-worse"' in page
    assert "<h1>2 studies</h1>" in page
    one = render([result_of(muscle())])
    assert f"<h1>{load()['muscle'].title}</h1>" in one
    assert load()["muscle"].limits in one


def test_what_is_said_of_a_run():
    result = dataclasses.replace(
        result_of(toy_worse, seeds=(0, 1, 2, 5), errors={8: "no data", 9: "no data"}), kept=(0,), stale=(1, 2)
    )
    assert facts(result)[:3] == ["smoke scale", "seeds 0 to 2, 5", "2 min of 1 thread"]
    assert remarks(result) == [
        "seeds 8, 9 failed: no data",
        "seeds 1, 2 came from other code and were run again",
        "seed 0 was there already; --fresh runs them again",
    ]


# -- the evidence -------------------------------------------------------------------------------------------


def test_the_page_of_evidence_is_what_the_recorded_results_give():
    assert PAGE.read_text(encoding="utf-8") == evidence_page(recorded())


def test_recorded_states_follow_from_recorded_measurements():
    for slug, document in recorded().items():
        assert document["scale"] == "pocket"
        assert slug in study_names()
        runs = {int(seed): measured for seed, measured in document["measurements"].items()}
        for kept in document["claims"]:
            names = ("id", "better", "than", "direction", "margin", "over")
            decision = decide(Claim(**{name: kept[name] for name in names}), runs)
            assert decision.state == kept["state"]
            assert decision.estimate.value == pytest.approx(kept["difference"])


def test_results_are_kept_for_the_catalogue(tmp_path, monkeypatch):
    result = result_of(muscle(), Scale.pocket)
    (path,) = keep([result], tmp_path)
    assert path == tmp_path / "muscle.json"
    assert read(path) == json.loads(json.dumps(result.to_dict()))

    monkeypatch.setattr("concordant.studies.evidence.records.FOLDER", tmp_path)
    recorded.cache_clear()
    load.cache_clear()
    try:
        assert states_of("muscle") == {"fewer-negative-flips": "holds"}
        states = {claim.id: claim.state for claim in load()["muscle"].claims}
        assert states.pop("fewer-negative-flips") == "holds"
        assert set(states.values()) == {"not run"}
        page = evidence_page(recorded())
    finally:
        monkeypatch.undo()
        recorded.cache_clear()
        load.cache_clear()
    (row,) = [line for line in page.splitlines() if line.startswith("| `muscle`: ")]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    (decision,) = result.decisions
    value, low, high = (
        f"{v:+.2f}" for v in (decision.estimate.value, decision.estimate.low, decision.estimate.high)
    )
    assert cells == [
        f"`muscle`: {load()['muscle'].claims[0].text}",
        "`first.error − mean.error > 0`",
        r"first \| value",
        value,
        f"{low} to {high}",
        "3 seeds",
        "1.5",
        "**holds**",
        *holm_states([(decision.p_holds, decision.p_fails)]),
    ]
    assert "1 paper with 1 claim: 1 holds." in page
    assert "89 papers of the catalogue have not been run" in page


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (result_of(muscle()), "it was run at smoke scale, and evidence is of pocket scale"),
        (result_of(muscle(), Scale.pocket, errors={3: "no"}), "seeds of it failed"),
        (result_of(muscle(), Scale.pocket, seeds=()), "seeds of it failed"),
        (result_of(toy_mean, Scale.pocket), "the catalogue has no such paper"),
        (
            result_of(muscle(claims=toy_mean.claims[:2]), Scale.pocket),
            "has no claims nearer, not-worse of it",
        ),
    ],
)
def test_what_is_not_fit_to_be_kept(tmp_path, result, message):
    with pytest.raises(ConfigError, match=f"cannot be kept as evidence: .*{message}"):
        keep([result_of(muscle(), Scale.pocket), result], tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_evidence(tmp_path):
    path = tmp_path / "muscle.json"
    with pytest.raises(DataError, match="holds no result of a study"):
        read(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="holds no result of a study"):
        read(path)
    path.write_text('{"schema": 1, "study": "vpl"}')
    with pytest.raises(DataError, match="must hold schema 1 of the study 'muscle', got schema 1 of 'vpl'"):
        read(path)
    assert {file.suffix for file in FOLDER.iterdir()} <= {".py", ".json", ""}
