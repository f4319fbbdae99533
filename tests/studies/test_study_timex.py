"""The study of TimeX: the smallest run, what it says of its parts, and real series by path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from concordant.studies import timex as module
from concordant.studies.study import Scale
from concordant.studies.timex import SERIES_FOLDER, timex
from concordant.studies.timex_setting import (
    FREQ_SHAPES,
    FULL,
    PAPER,
    POCKET,
    SEQ_COMB_UV,
    SMALL_MASKS,
    SMOKE,
)

EXPLAINERS = (
    "timex",
    "without_consistency",
    "small_masks",
    "untrained",
    "random",
    "gradient",
    "integrated_gradients",
    "absolute_integrated_gradients",
)


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return timex(Scale.smoke, 1000)


def test_every_explainer_has_every_figure(measured):
    for name in EXPLAINERS:
        for metric in ("auprc", "aup", "aur", "occlusion_auroc", "label_agreement", "auroc@0.75"):
            assert 0 <= measured[f"{name}.{metric}"] <= 1
        curve = [value for key, value in measured.items() if key.startswith(f"{name}.auroc@")]
        assert measured[f"{name}.occlusion_auroc"] == pytest.approx(np.mean(curve))
        assert len(curve) == 8
    for name in ("timex", "shuffled", "untrained"):
        assert 0 < measured[f"{name}.behaviour_loss"] < 4


def test_a_random_explanation_has_the_figures_of_chance(measured):
    from concordant.explanations.series_data import freq_shapes

    share = freq_shapes(400, 0, length=SMOKE[0].length).truth.mean()
    assert measured["random.auprc"] == pytest.approx(share, abs=0.15)
    assert measured["random.aur"] == pytest.approx(0.5, abs=0.1)


def test_controls_differ_from_the_method_in_one_thing():
    from concordant.explanations.series_transformer import SeriesTransformer

    model = SeriesTransformer(1, 4, 50, seed=0)
    made = module._explainers(model, {**FREQ_SHAPES.explainer, "seed": 7})
    method, ablated, untrained = (vars(made[name]) for name in ("timex", "without_consistency", "untrained"))
    assert method["options"] | {"behaviour_weight": 0.0} == ablated["options"]
    assert method["options"] | {"epochs": 0} == untrained["options"]
    assert method["options"] | SMALL_MASKS == vars(made["small_masks"])["options"]


def test_the_schedules_are_the_papers():
    assert {(setting.n_train, setting.n_validation, setting.n_test) for setting in FULL} == {
        (5000, 100, 1000)
    }
    assert [setting.classifier["epochs"] for setting in FULL] == [100, 200, 1000, 120]
    assert [setting.explainer["epochs"] for setting in FULL] == [50, 50, 100, 100]
    assert [setting.length for setting in FULL] == [50, 200, 200, 200]
    assert all(setting.explainer["keep_rate"] == 0.5 for setting in FULL)
    assert set(PAPER) == {setting.data for setting in FULL}


def test_what_pocket_leaves_out():
    freq_shapes, seq_comb = POCKET
    assert freq_shapes == FREQ_SHAPES
    changed = {name for name in vars(seq_comb) if getattr(seq_comb, name) != getattr(SEQ_COMB_UV, name)}
    assert changed <= {"length", "share", "variants"}


def test_the_share_is_about_that_of_the_truth():
    from concordant.explanations.series_data import SETS

    for setting in (*FULL, *POCKET):
        truth = SETS[setting.data](400, 0, length=setting.length).truth
        assert truth[truth.any((1, 2))].mean() == pytest.approx(setting.share, abs=0.02)


def test_sets_are_told_apart_by_their_metrics(monkeypatch):
    monkeypatch.setattr(
        module, "_measured", lambda setting, seed: {"timex.auroc@0.75": float(setting.length)}
    )
    monkeypatch.delenv(SERIES_FOLDER, raising=False)
    assert module.timex.function(Scale.full, 0) == {
        "timex.auroc@0.75": 50.0,
        "timex.seq_comb_uv_auroc@0.75": 200.0,
        "timex.seq_comb_mv_auroc@0.75": 200.0,
        "timex.low_var_detect_auroc@0.75": 200.0,
    }


def test_dynamask_is_compared_on_the_same_series(measured):
    compared = {"dynamask", "timex", "integrated_gradients", "random"}
    for prefix in ("", "seq_comb_uv_"):
        names = {key.split(".")[0] for key in measured if key.endswith(f".{prefix}auprc_of_some")}
        assert names == compared


def test_real_series_are_measured_where_their_folder_is_named(monkeypatch, tmp_path):
    text = "@classLabel true 1 2\n@data\n" + "\n".join(
        ",".join(f"{(-1) ** row * np.sin(step / 3):.3f}" for step in range(12)) + f":{1 + row % 2}"
        for row in range(8)
    )
    for name in ("Some_TRAIN.ts", "Some_TEST.ts"):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "REAL_EPOCHS", 2)
    found = module._real(tmp_path, "Some", 0)
    methods = {"classifier", "timex", "random", "integrated_gradients"}
    assert {key.split(".")[0] for key in found} == {f"some_{name}" for name in methods}
    assert all(0 <= value <= 1 for value in found.values())


@pytest.mark.slow
def test_a_set_of_the_archive(monkeypatch):
    folder = os.environ.get(SERIES_FOLDER)
    if not folder or not Path(folder, "ItalyPowerDemand_TRAIN.ts").is_file():
        pytest.skip(f"{SERIES_FOLDER} names no folder with ItalyPowerDemand_TRAIN.ts")
    monkeypatch.setattr(module, "REAL_EPOCHS", 30)
    found = module._real(Path(folder), "ItalyPowerDemand", 0)
    assert found["italypowerdemand_timex.auroc@0.75"] > 0.4
