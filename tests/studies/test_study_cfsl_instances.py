"""The study of continual instances: equal steps, what the figures say of histories worked by hand, images of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.studies import cfsl_instances as study
from concordant.studies.cfsl_instances import (
    IMAGES,
    SETS,
    SIZES,
    _body,
    _figures,
    _named_images,
    _with_head,
    cfsl_instances,
)
from concordant.studies.study import Scale
from concordant.versions.continual import draw_task

CLASSES = np.repeat(np.arange(3), 40)


def test_every_arm_takes_as_many_steps_over_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from concordant.versions import continual

    taken = []

    def counted(model, loss, sets, *, steps, **how):
        taken.append(steps * len(sets))
        return [how["evaluate"](model) for _ in sets]

    monkeypatch.setattr(continual, "learn_stream", counted)
    cfsl_instances(Scale.smoke, 1000)
    assert set(taken) == {SIZES[Scale.smoke].steps}
    assert all(SIZES[scale].steps % n_sets == 0 for scale in Scale for n_sets in SETS)


def test_the_figures_of_a_stream_that_keeps_only_the_last_set() -> None:
    task = draw_task(
        CLASSES,
        np.random.default_rng(0),
        n_sets=4,
        n_way=1,
        k_shot=5,
        class_change_interval=4,
        instances=True,
    )
    right = task.target_sets[:, None] == np.arange(
        4
    )  # each set is known right after it was shown, and then no more
    found = _figures("tune", {("clean", 0.0): right, ("noisy", 0.2): ~right}, task, 4, "instance")
    assert found == {
        "tune.instance_accuracy@4": 0.25,
        "tune.noisy_accuracy@0.2": 0.75,
        "tune.earlier_accuracy@4": 0.0,
        "tune.forgetting_gap@4": 1.0,
        "tune.forgotten_rate@4": 0.75,
    }
    kept = task.target_sets[:, None] <= np.arange(4)
    found = _figures("replay", {("clean", 0.0): kept}, task, 4, "instance")
    assert [
        found[f"replay.{name}@4"] for name in ("earlier_accuracy", "forgetting_gap", "forgotten_rate")
    ] == [1, 0, 0]


def test_a_head_is_new_and_the_body_is_left_as_it_is() -> None:
    body = _body((8, 8), 6, 0, conv=False)
    model = _with_head(body, 6, 4, 1)
    assert model(torch.zeros(3, 8, 8)).shape == (3, 4)
    before = [weight.clone() for weight in body.parameters()]
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, body.parameters(), strict=True))


def test_the_network_of_full_scale_takes_images_and_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    bodies = [_body((16, 16), 8, seed, conv=True) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    features = [body(torch.ones(2, 16, 16)) for body in bodies]
    assert features[0].shape == (2, 8)
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


def test_images_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.delenv(IMAGES, raising=False)
    with pytest.raises(ConfigError, match=f"needs a file of images that {IMAGES} names, got none"):
        cfsl_instances(Scale.full, 0)
    images, labels = np.random.default_rng(0).random((60, 8, 8)), np.repeat(np.arange(6), 10)
    path = tmp_path / "images.npz"
    monkeypatch.setenv(IMAGES, str(path))
    np.savez(path, images=images, labels=labels)
    with pytest.raises(DataError, match="must have images, labels and is_background, got no is_background"):
        _named_images()
    np.savez(path, images=images[..., None], labels=labels, is_background=labels < 3)
    with pytest.raises(DataError, match=r"shape \(n, height, width\) with a label each, got \(60, 8, 8, 1\)"):
        _named_images()
    np.savez(path, images=images, labels=labels, is_background=labels < 3)
    found, named, background = _named_images()
    assert found.dtype == np.float32
    assert named.tolist() == labels.tolist()
    assert background.sum() == 30


def test_shares_are_shares_and_prototypes_forget_no_image() -> None:
    found = cfsl_instances(Scale.smoke, 1001)
    assert all(0 <= value <= 1 for name, value in found.items() if "gap" not in name and "gain" not in name)
    assert found["prototypes.forgetting_gap@4"] == found["prototypes.forgotten_rate@4"] == 0.0
    assert study.N_INSTANCES % np.lcm.reduce(SETS) == 0
