"""The study of AIW: the shipped counts against what is known of them, the small model's lessons, and the smallest run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from concordant.core.errors import ConfigError
from concordant.studies.aiw import FLAT, MODEL, aiw, recorded_counts, spread_of
from concordant.studies.siblings_grid import cell_items, split_cells, taught_model
from concordant.studies.study import Scale

RAW = Path(__file__).parents[3] / "shared" / "data" / "aiw" / "recorded_trials.csv"


@pytest.fixture(scope="module")
def measured() -> dict[str, float | list[float]]:
    return aiw(Scale.smoke, 1000)


# -- the recorded trials -----------------------------------------------------------------------------------------


def test_the_counts_are_whole() -> None:
    counts = recorded_counts()
    assert counts.columns == [
        *("model", "problem", "variation", "right_answer", "successes", "trials", "unread")
    ]
    assert counts.null_count().row(0) == (0,) * 7
    assert len(counts) == counts.select("model", "problem", "variation").n_unique() == 146
    assert counts.filter(pl.col("successes") + pl.col("unread") > pl.col("trials")).is_empty()
    # every variation of a unit was tried equally often, and has a right answer of its own
    units = counts.group_by("model", "problem").agg(
        pl.col("trials").n_unique(), pl.col("right_answer").n_unique().alias("answers"), pl.len()
    )
    assert units["trials"].to_list() == [1] * 25
    assert units["answers"].to_list() == units["len"].to_list()


@pytest.mark.skipif(not RAW.exists(), reason="the recorded trials of AIW are not on this machine")
def test_the_counts_are_those_of_the_raw_trials() -> None:
    keys = ["model", "problem", "variation"]
    raw = pl.read_csv(RAW, infer_schema_length=None).group_by(keys)
    counted = raw.agg(
        pl.col("right_answer").first(),
        pl.col("correct").cast(pl.Int64).sum().alias("successes"),
        pl.len().cast(pl.Int64).alias("trials"),
        pl.col("parsed_answer").is_null().sum().cast(pl.Int64).alias("unread"),
    )
    assert recorded_counts().sort(keys).equals(counted.sort(keys))


def test_known_units(measured: dict[str, list[float]]) -> None:
    # figures worked by hand in tests/variants/test_grid.py, from the raw trials
    units = recorded_counts().partition_by("model", "problem", maintain_order=True)
    names = [unit.select("model", "problem").row(0) for unit in units]
    plus = names.index(("o1-preview", "AIW_plus"))
    assert measured["recorded.accuracy"][plus] == pytest.approx(238 / 360)
    assert measured["recorded.worst_accuracy"][plus] == 21 / 60
    assert measured["recorded.variation_spread"][plus] == pytest.approx(0.27882, abs=1e-5)
    assert measured["recorded.chance_spread"][plus] == pytest.approx(0.0611, abs=1e-4)
    assert measured["recorded.over_dispersion_ratio"][plus] == pytest.approx(20.819, abs=1e-3)
    assert measured["flat.accuracy"] == measured["recorded.accuracy"][names.index(FLAT)]
    assert measured["flat.over_dispersion_ratio"] == pytest.approx(1.0, abs=0.05)
    # 25 units; where a model was right in every trial there is no spread, by chance or otherwise
    assert {len(value) for value in measured.values() if isinstance(value, list)} == {25}
    assert sum(spread == 0 for spread in measured["recorded.chance_spread"]) == 4
    assert 0 < measured["recorded.differs_beyond_chance_rate"] < 1


def test_recorded_trials_do_not_depend_on_the_seed(measured: dict[str, float | list[float]]) -> None:
    other = aiw(Scale.smoke, 1001)
    for name, value in measured.items():
        if name.startswith(("recorded.", "flat.")):
            assert other[name] == value
    asked = [name for name in measured if name.startswith("controls.")]
    assert [other[name] for name in asked] != [measured[name] for name in asked]


def test_spread_where_nothing_differs() -> None:
    for successes in ([0, 0], [9, 9]):
        found = spread_of(successes, 9)
        assert found["variation_spread"] == found["chance_spread"] == found["over_dispersion_ratio"] == 0
    # two of three variations always right: p = 2/3, variance of (0, 1, 1) over 2 is 1/3, noise (2/9)/9
    assert spread_of([0, 9, 9], 9)["over_dispersion_ratio"] == pytest.approx((1 / 3) / (2 / 81))


# -- the small model ---------------------------------------------------------------------------------------------


def test_cells_of_the_grid() -> None:
    held, seen = split_cells(4, 0.75, seed=5)
    assert (len(held), len(seen)) == (12, 4)
    assert sorted([*held, *seen]) == [(b, s) for b in range(1, 5) for s in range(1, 5)]
    assert split_cells(4, 0.75, seed=5) == (held, seen)
    assert split_cells(4, 0.75, seed=6) != (held, seen)


def test_answers_of_the_puzzle_and_its_controls() -> None:
    frame = cell_items([(4, 1), (1, 4)]).frame
    puzzle = "alice has 4 brothers and 1 sisters . question : how many sisters does alice ' s brother have ?"
    assert frame["input"][0] == puzzle
    answers = frame.group_by(pl.col("control").fill_null("puzzle"), maintain_order=True).agg("reference")
    assert dict(answers.iter_rows()) == {
        "puzzle": ["2", "5"],
        "total": ["5", "5"],
        "own brothers": ["4", "1"],
        "own sisters": ["1", "4"],
    }


def test_the_model_learns_its_lessons_and_is_never_told_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    import concordant.studies.siblings_grid as module

    told: list[str] = []
    rows = module.answer_rows

    def noted(tokenizer, prompts, answers):
        told.extend(prompt[0]["content"] for prompt in prompts)
        return rows(tokenizer, prompts, answers)

    monkeypatch.setattr(module, "answer_rows", noted)
    held, seen = map(cell_items, ([(1, 1)], [(1, 2)]))
    model = taught_model(held, seen, 60, seed=1000)
    assert sorted(told) == sorted([*seen.frame["input"], *held.frame.drop_nulls("control")["input"]])
    lessons = pl.concat([seen.frame, held.frame.drop_nulls("control")])
    said = model.language_model.generate(lessons["input"].to_list(), max_tokens=3)
    assert [one.text for (one,) in said] == lessons["reference"].to_list()


def test_what_is_measured(measured: dict[str, float | list[float]]) -> None:
    for part in ("puzzle", "controls", "seen"):
        rates = [measured[f"{part}.rate@{i / 10:.1f}"] for i in range(11)]
        assert rates == sorted(rates)
        assert rates[0] == measured[f"{part}.worst_accuracy"]
        assert rates[-1] == measured[f"{part}.best_accuracy"]
        ratio = measured[f"{part}.over_dispersion_ratio"]
        chance = measured[f"{part}.chance_spread"]
        if chance:
            assert math.isclose(ratio, (measured[f"{part}.variation_spread"] / chance) ** 2)
    assert measured["controls.accuracy"] > 0  # it has learnt something, even here


def test_every_claim_can_be_decided(measured: dict[str, float | list[float]]) -> None:
    sizes = {claim.id: len(claim.differences(measured)) for claim in aiw.claims}
    assert sizes == {
        "variations-differ-beyond-chance": 25,
        "asked-model-differs-too": 1,
        "controls-are-solved": 1,
        "controls-differ-less": 1,
    }


# -- full scale --------------------------------------------------------------------------------------------------


def test_full_scale_asks_a_model_of_yours(monkeypatch: pytest.MonkeyPatch) -> None:
    import concordant.models.load as loading

    monkeypatch.delenv(MODEL, raising=False)
    with pytest.raises(ConfigError, match=r"asks a model of yours: name one in CONCORDANT_AIW_MODEL"):
        aiw(Scale.full, 0)

    def lucky(question: str) -> str:  # right on one variation of the puzzle, and on every control
        brothers, sisters = (int(word) for word in question.split() if word.isdigit())
        if "brother have" in question:
            return "I think\n2"
        return str(sisters if "sisters does she" in question else brothers + sisters)

    monkeypatch.setenv(MODEL, "lucky")
    named = loading.load
    monkeypatch.setattr(loading, "load", lambda source: named(lucky) if source == "lucky" else named(source))
    found = aiw(Scale.full, 0)
    assert found["puzzle.accuracy"] == pytest.approx(1 / 6)
    assert (found["puzzle.worst_accuracy"], found["puzzle.best_accuracy"]) == (0, 1)
    assert found["controls.accuracy"] == 1
    assert found["puzzle.variation_spread"] == pytest.approx(np.std([0, 0, 0, 1, 0, 0], ddof=1))
