"""The study of TimeX: the smallest run, what it says of its parts, and real series by path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from concordant.studies import timex as module
from concordant.studies.study import Scale
from concordant.studies.timex import FULL, FULL_SEQ_COMB, POCKET, SERIES_FOLDER, timex

EXPLAINERS = (
    "timex",
    "without_consistency",
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

    share = freq_shapes(400, 0, length=module.SMOKE.length).truth.mean()
    assert measured["random.auprc"] == pytest.approx(share, abs=0.15)
    assert measured["random.aur"] == pytest.approx(0.5, abs=0.1)


def test_controls_differ_from_the_method_in_one_thing():
    from concordant.explanations.series_transformer import SeriesTransformer

    model = SeriesTransformer(1, 4, 50, seed=0)
    made = module._explainers(model, {**POCKET.explainer, "seed": 7})
    method, ablated, untrained = (vars(made[name]) for name in ("timex", "without_consistency", "untrained"))
    same = (
        "keep_rate",
        "connection",
        "label_relation",
        "size",
        "batch_size",
        "seed",
        "n_landmarks",
        "schedule",
    )
    for other in (ablated, untrained):
        assert all(method[name] == other[name] for name in same)
    assert {**method["weights"], "behaviour": 0.0} == ablated["weights"]
    assert (method["epochs"], untrained["epochs"]) == (POCKET.explainer["epochs"], 0)


def test_pocket_takes_two_thousand_steps_and_full_is_the_papers():
    batches = -(-POCKET.n_train // POCKET.explainer["batch_size"])
    assert batches * POCKET.explainer["epochs"] >= 2000
    assert (FULL.n_train, FULL.n_test, FULL.length, FULL.classifier["epochs"]) == (5000, 1000, 50, 100)
    assert (FULL_SEQ_COMB.length, FULL_SEQ_COMB.classifier["epochs"]) == (200, 200)
    assert FULL.explainer == FULL_SEQ_COMB.explainer
    assert FULL.explainer["epochs"] == 50


def test_full_puts_the_second_set_beside_the_first(monkeypatch):
    monkeypatch.setattr(module, "_measured", lambda setting, seed: {"timex.auprc": float(setting.length)})
    monkeypatch.delenv(SERIES_FOLDER, raising=False)
    assert module.timex.function(Scale.full, 0) == {"timex.auprc": 50.0, "seq_comb_uv_timex.auprc": 200.0}


def test_real_series_are_measured_where_their_folder_is_named(monkeypatch, tmp_path):
    text = "@classLabel true 1 2\n@data\n" + "\n".join(
        ",".join(f"{(-1) ** row * np.sin(step / 3):.3f}" for step in range(12)) + f":{1 + row % 2}"
        for row in range(8)
    )
    for name in ("Some_TRAIN.ts", "Some_TEST.ts"):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "REAL_EPOCHS", 2)
    found = module._real(tmp_path, "Some", 0)
    assert {key.split(".")[0] for key in found} == {"some_timex", "some_random", "some_integrated_gradients"}
    assert all(0 <= value <= 1 for value in found.values())


@pytest.mark.slow
def test_a_set_of_the_archive(monkeypatch):
    folder = os.environ.get(SERIES_FOLDER)
    if not folder or not Path(folder, "ItalyPowerDemand_TRAIN.ts").is_file():
        pytest.skip(f"{SERIES_FOLDER} names no folder with ItalyPowerDemand_TRAIN.ts")
    monkeypatch.setattr(module, "REAL_EPOCHS", 30)
    found = module._real(Path(folder), "ItalyPowerDemand", 0)
    assert found["italypowerdemand_timex.auroc@0.75"] > 0.4
