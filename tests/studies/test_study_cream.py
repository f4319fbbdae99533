"""The study of CREAM: what the smallest run measures, and what full scale asks for."""

from __future__ import annotations

import json

import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.studies.cream import DATA, MODEL, SIZES, _linear_world, _read, _right_rate, cream
from concordant.studies.study import Scale


@pytest.fixture(scope="module")
def measured() -> dict[str, float | list[float]]:
    return cream(Scale.smoke, 1000)


def test_all_methods_start_from_the_same_models(measured: dict[str, float]) -> None:
    for world, metric in (("linear", "quality_score"), ("noisier", "quality_score"), ("model", "accuracy")):
        for t in (0, 1):
            assert (
                len({measured[f"{world}.{m}.{metric}@{t}"] for m in ("plain", "mean", "each", "judged")}) == 1
            )
    # The first answers are the same too, so that the pairs of the first round are.
    assert measured["linear.plain.right_pair_rate@1"] == measured["linear.each.right_pair_rate@1"]
    assert measured["linear.plain.right_pair_rate@2"] != measured["linear.each.right_pair_rate@2"]


def test_labels_are_those_of_the_method(measured: dict[str, float]) -> None:
    assert measured["linear.plain.label@1"] == measured["linear.judged.label@2"] == 1
    assert measured["linear.fixed.label@1"] == 0.8
    assert 0 < measured["linear.each.label@1"] < 1
    assert measured["linear.clamped.label@1"] >= 0.5
    assert measured["linear.mean.label@1"] == pytest.approx(measured["linear.each.label@1"], abs=0.02)


def test_truth_labels_all_pairs_right(measured: dict[str, float]) -> None:
    assert measured["linear.judged.right_pair_rate@1"] == measured["linear.judged.right_pair_rate@2"] == 1
    assert measured["linear.judged.quality_score@3"] > measured["linear.judged.quality_score@1"]


def test_the_linear_world_is_the_same_again() -> None:
    first, again = (_linear_world(SIZES[Scale.smoke], 1001, 0.5, "linear") for _ in range(2))
    assert first == again


def test_right_rate_leaves_ties_out() -> None:
    assert _right_rate([[1, 0], [0, 1], [1, 1], [1, 0]]) == pytest.approx(2 / 3)
    assert _right_rate([[1, 1]]) == _right_rate([]) == 0.5


def test_full_scale_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(SIZES, Scale.full, SIZES[Scale.smoke])
    monkeypatch.delenv(MODEL, raising=False)
    monkeypatch.delenv(DATA, raising=False)
    with pytest.raises(
        ConfigError, match=f"needs a model that {MODEL} names and a folder of data that {DATA}"
    ):
        cream(Scale.full, 0)
    with pytest.raises(ConfigError, match=r"must have a file sft\.jsonl, and it has none"):
        _read(tmp_path / "sft.jsonl", ("prompt",))
    (tmp_path / "sft.jsonl").write_text('{"prompt": "a", "answer": "b"}\n\n{"prompt": 1}\n')
    with pytest.raises(
        DataError, match=r"each line of sft\.jsonl must have prompt and answer as texts, line 2 has not"
    ):
        _read(tmp_path / "sft.jsonl", ("prompt", "answer"))


def test_a_model_of_ones_own_goes_through_the_rounds(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from concordant.pocket.recipes import Size
    from concordant.pocket.training import new_model, save_model

    save_model(new_model(Size(width=16, layers=1, heads=2, inner=16), seed=0), tmp_path / "model", chat=True)
    lines = [{"prompt": f"what is {a} + 1 ?", "answer": str(a + 1)} for a in range(8)]
    for name, rows in {"sft": lines[:3], "prompts": lines[3:6], "test": lines[6:]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv(MODEL, str(tmp_path / "model"))
    monkeypatch.setenv(DATA, str(tmp_path))
    monkeypatch.setitem(SIZES, Scale.full, SIZES[Scale.smoke])
    found = cream(Scale.full, 0)
    assert 0 <= found["model.each.accuracy@3"] <= 1
