"""Recordings that other people published; skipped where the shared data are not there."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from concordant.core.errors import DataError
from concordant.core.model import Request
from concordant.models.readers import read_records
from concordant.models.recorded import Recorded, align

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the shared data sets are not beside the repository"
)

SOLUTIONS = DATA / "gsm8k" / "example_model_solutions.jsonl"
TRIALS = DATA / "aiw" / "recorded_trials.csv"
GAMES = DATA / "repeated-games"
REWARDS = DATA / "rewardmath"


@pytest.mark.parametrize(("model", "accuracy"), [("6b_finetuning", 0.2168), ("6b_verification", 0.3904)])
def test_gsm8k_accuracies(model, accuracy):
    found = read_records(f"{SOLUTIONS}#{model}")
    assert found.columns == ["item", "sample", "input", "output", "reference", "correct"]
    assert len(found) == 1319
    assert found["correct"].mean() == pytest.approx(accuracy, abs=5e-5)


@pytest.mark.parametrize(
    ("old", "new", "negative", "positive"),
    [
        ("6b_finetuning", "6b_verification", 0.0485, 0.2221),
        ("175b_finetuning", "175b_verification", 0.0576, 0.2729),
    ],
)
def test_gsm8k_flips(old, new, negative, positive):
    pair = [Recorded.read(f"{SOLUTIONS}#{name}") for name in (old, new)]
    both = align(*pair)
    assert (both.n_both, both.only_old, both.only_new, both.by) == (1319, (), (), "id")
    before, after = (model.respond(both.items, Request())["correct"] for model in pair)
    assert (before & ~after).mean() == pytest.approx(negative, abs=5e-5)
    assert (~before & after).mean() == pytest.approx(positive, abs=5e-5)


def test_gsm8k_models_are_listed():
    names = "6b_finetuning, 6b_verification, 175b_finetuning, 175b_verification"
    with pytest.raises(DataError, match=f"holds 4 models: {names}; say which"):
        read_records(SOLUTIONS)
    with pytest.raises(DataError, match=r"holds no model '6b_verificatoin'; did you mean 6b_verification"):
        read_records(f"{SOLUTIONS}#6b_verificatoin")


def test_aiw_trials_are_samples():
    found = read_records(f"{TRIALS}?model=o1-preview&id=problem,variation&sample=run,trial")
    raw = pl.read_csv(TRIALS).filter(pl.col("model") == "o1-preview")
    assert len(found) == len(raw) == 2340
    assert found["correct"].mean() == pytest.approx(raw["correct"].mean())
    counts = raw.group_by("problem", "variation").len()
    item = pl.format("{}/{}", "problem", "variation").alias("item")
    expected = dict(counts.select(item, "len").iter_rows())
    assert dict(found.group_by("item").len().iter_rows()) == expected
    for (name,), group in found.group_by("item"):
        ordered = group.sort("sample")
        assert ordered["sample"].to_list() == list(range(len(group))), name
        assert ordered.select("run", "trial").rows() == sorted(group.select("run", "trial").rows())


def test_aiw_models_are_listed():
    with pytest.raises(DataError, match=r"holds 7 models: .*o1-mini, o1-preview, .*; say which"):
        read_records(TRIALS)


@pytest.mark.parametrize(
    ("source", "items"),
    [
        ("experiment_pd.csv?id=player1,player2,round&output=answer1&score=points1", 640),
        ("all_games_rounds.csv?id=game_number,player2,round&output=answer1&where=player1:act_gpt4", 7200),
        ("repgames.csv?id=id,game&output=action&where=opponent:Base", 194),
        ("pd_gpt4_lookup.json", 1023),
    ],
)
def test_repeated_games(source, items):
    found = read_records(f"{GAMES}/{source}")
    assert found["item"].n_unique() == items


def test_repeated_games_rounds_are_samples():
    found = read_records(f"{GAMES}/repgames.csv?id=id,game&output=action&where=opponent:Base")
    assert set(found.group_by("item").len()["len"]) == {10}
    assert read_records(GAMES / "pd_gpt4_lookup.json").row(0) == ("", 0, "J")


def test_reward_models_give_lists_of_scores():
    found = read_records(f"{REWARDS}/rewardmath_scores.json?rows=models/ArmoRM/scores")
    assert found.schema == {"item": pl.String, "sample": pl.Int64, "output": pl.List(pl.Float64)}
    assert len(found) == 483
    assert set(found["output"].list.len()) == {10}
    assert found["output"][0][:2].to_list() == [0.18848, 0.18555]
    assert read_records(f"{REWARDS}/rewardbench_math_scores.json?rows=/models/ArmoRM")[
        "output"
    ].list.len().unique().to_list() == [2]


def test_process_reward_models_give_lists_of_lists():
    found = read_records(f"{REWARDS}/rewardmath_scores.json?rows=models/Math_Shepherd/scores")
    assert found.schema["output"] == pl.List(pl.List(pl.Float64))
    assert found["output"][0][0].to_list() == [0.5538, 0.51267, 0.50033, 0.56443, 0.54092, 0.64428, 0.26696]
    recorded = Recorded(found)
    answered = recorded.respond(recorded.items(), Request())
    assert answered["output"].equals(found["output"])


def test_reward_models_that_are_misspelt():
    with pytest.raises(
        DataError, match=r"there is no 'ArmRM' on the way rows=models/ArmRM/scores; did you mean ArmoRM"
    ):
        read_records(f"{REWARDS}/rewardmath_scores.json?rows=models/ArmRM/scores")
