from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.dynamask import Dynamask, _sized, averaged, blurred
from concordant.explanations.explainer import Explainer

X = np.random.default_rng(0).normal(size=(7, 12, 2))


class Steps(nn.Module):
    """Two logits that hang on the sum of steps 5 to 8 of the first channel, and on nothing else."""

    def __init__(self, scale=2.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float64))

    def forward(self, x):
        total = self.scale * x[:, 5:9, 0].sum(1)
        return torch.stack([total, -total], dim=1)


def mask_of(classifier, x=X, **options):
    return Dynamask(classifier, **{"perturbation": "normal", "training": X, **options}).explain(x)


def test_the_numbers_that_decide_are_kept():
    truth = np.zeros(X.shape, bool)
    truth[:, 5:9, 0] = True
    for perturbation in ("normal", "blur", "average", "past-average"):
        masks = mask_of(Steps(), perturbation=perturbation, size=4 / 24, steps=50)
        assert masks.shape == X.shape
        assert 0 <= masks.min() < masks.max() <= 1
        assert masks[truth].mean() > masks[~truth].mean() + 0.1, perturbation
    assert isinstance(Dynamask(Steps()), Explainer)


def test_no_series_has_part_in_the_mask_of_another():
    whole = mask_of(Steps(), steps=30)
    assert np.allclose(mask_of(Steps(), X[2:3], steps=30), whole[2:3], atol=1e-6)
    explainer = Dynamask(Steps(), perturbation="normal", training=X, steps=30, size=(0.1, 0.2))
    assert np.allclose(explainer.explain(X, batch_size=4), explainer.explain(X), atol=1e-6)


def test_a_seed_decides_all_and_the_classifier_stays_as_it_is():
    classifier = Steps().train()
    before = copy.deepcopy(classifier.state_dict())
    first, second, third = (mask_of(classifier, steps=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
    assert classifier.training
    assert classifier.scale.grad is None
    assert torch.equal(before["scale"], classifier.scale)


def test_masks_of_wanted_sizes():
    masks = torch.tensor([0.1, 0.9, 0.5, 0.5]).view(1, 1, 4, 1).repeat(2, 1, 1, 1)
    first, second = (
        _sized(masks, torch.tensor([3, 2]), torch.tensor(ties)).flatten(1).tolist()
        for ties in ([0, 1, 2, 3], [3, 2, 1, 0])
    )
    assert first == [[0, 1, 0, 0], [0, 1, 0, 1]]
    assert second == [[0, 1, 0, 0], [0, 1, 1, 0]]  # the tie is broken the other way


def test_a_heavy_regulator_gives_masks_of_the_size():
    for size in (0.25, 0.5):
        masks = mask_of(Steps(0.0), size=size, size_weight=100.0, steps=100)
        assert np.allclose(masks.mean((1, 2)), size, atol=0.01)
        assert np.allclose(masks * (1 - masks), 0, atol=0.01)


def test_one_number_of_a_short_row_is_kept():
    rows = X[:, 5:6, :]
    masks = Dynamask(on_rows(2), training=rows, size=0.1, size_weight=100.0, steps=80).explain(rows)
    assert np.allclose(np.sort(masks.reshape(len(X), 2)), [[0, 1]] * len(X), atol=0.01)


def test_jumps_cost():
    rough, smooth = (
        np.abs(np.diff(mask_of(Steps(), steps=60, size_weight=0.1, time_weight=weight), axis=1)).mean()
        for weight in (0.0, 5.0)
    )
    assert smooth < 0.5 * rough


def test_the_extremal_mask_is_the_smallest_that_suffices():
    explainer = Dynamask(Steps(), size=(0.5, 0.1, 0.3), tolerance=0.2)
    assert explainer.sizes == (0.1, 0.3, 0.5)
    masks = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    errors = torch.tensor([[0.9, 0.1, 0.9], [0.2, 0.1, 0.5], [0.0, 0.0, 0.7]])
    assert explainer._extremal(masks, errors).flatten().tolist() == [1, 0, 1]  # the last has none: the lowest
    several = mask_of(Steps(), size=(0.05, 0.4), steps=100)
    assert not np.allclose(several.mean((1, 2)), several.mean())


def test_blur_in_closed_form():
    x = torch.tensor(X)
    assert torch.equal(blurred(x, torch.zeros_like(x)), x)
    wide = blurred(x, torch.full_like(x, 1e6))
    assert torch.allclose(wide, x.mean(1, keepdim=True).expand_as(x))
    width = torch.full_like(x, 1.5)
    steps = torch.arange(12.0, dtype=torch.float64)
    weights = torch.exp(-((steps[:, None] - steps).square()) / (2 * 1.52**2))  # with its floor
    assert torch.allclose(blurred(x, width), weights @ x / weights.sum(1, keepdim=True), atol=1e-4)
    width.requires_grad_()
    assert torch.isfinite(torch.autograd.grad(blurred(x, width * 0).sum(), width)[0]).all()


def test_averages_are_over_the_steps_that_there_are():
    x = torch.tensor(X)
    around, past = averaged(x, 2), averaged(x, 2, past=True)
    assert torch.allclose(around[:, 6], x[:, 4:9].mean(1))
    assert torch.allclose(around[:, 0], x[:, :3].mean(1))
    assert torch.allclose(past[:, 6], x[:, 4:7].mean(1))
    assert torch.allclose(past[:, 0], x[:, 0])


def test_bad_input():
    for options, said in (
        ({"size": 1.0}, "size of Dynamask must be above 0 and below 1, got 1.0"),
        ({"size": (0.1, 0.0)}, r"size of Dynamask must be above 0 and below 1, got \(0.1, 0.0\)"),
        ({"size": ()}, "size of Dynamask must be above 0"),
        ({"steps": 0}, "steps of Dynamask must be at least 1, got 0"),
        ({"size_growth": 0.5}, "size_growth of Dynamask must be at least 1, got 0.5"),
        ({"perturbation": "noise"}, "must be one of blur, average, past-average, normal, got 'noise'"),
        ({"perturbation": "normal"}, "needs the training series whose moments it has"),
    ):
        with pytest.raises(ConfigError, match=said):
            Dynamask(Steps(), **options)
    with pytest.raises(
        ConfigError, match="takes the steps around, and series of one step have none: give training"
    ):
        Dynamask(on_rows(3)).explain(np.zeros((2, 1, 3)))
    with pytest.raises(
        DataError, match=r"training must have the \(time, channel\) \(12, 2\) of the series, got \(9, 2\)"
    ):
        mask_of(Steps(), training=X[:, :9])
    with pytest.raises(DataError, match="X must be finite"):
        mask_of(Steps(), np.full((1, 12, 2), np.nan))


def on_rows(columns):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(columns, 2)).double()
