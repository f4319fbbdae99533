from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError, MissingExtraError
from concordant.explanations import library_methods
from concordant.explanations.gradients import Gradient
from concordant.explanations.library_methods import (
    deep_lift,
    feature_ablation,
    gradient_shap,
    input_x_gradient,
    smooth_gradient,
)

X = np.random.default_rng(0).normal(size=(5, 12, 2))
TRAINING = np.random.default_rng(1).normal(size=(9, 12, 2))
CLASSES = [0, 1, 0, 1, 1]
SIGN = np.array([1, -1, 1, -1, -1])[:, None, None]


class Linear(nn.Module):
    """Two logits: a weighted sum of the series, and its negative."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(24.0, dtype=torch.float64).reshape(12, 2))

    def forward(self, x):
        total = (self.weight * x).sum((1, 2))
        return torch.stack([total, -total], dim=1)


WEIGHT = Linear().weight.detach().numpy()


def rectified():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 6), nn.ReLU(), nn.Linear(6, 2)).double()


def test_attributions_of_a_linear_classifier_in_closed_form():
    away = X - TRAINING.mean(0)
    for explainer, expected in (
        (input_x_gradient(Linear()), SIGN * WEIGHT * X),
        (deep_lift(Linear(), TRAINING), SIGN * WEIGHT * away),
        (feature_ablation(Linear(), TRAINING), SIGN * WEIGHT * away),
        (smooth_gradient(Linear(), TRAINING), np.broadcast_to(WEIGHT, X.shape)),
        (gradient_shap(Linear(), TRAINING[:1]), SIGN * WEIGHT * (X - TRAINING[0])),
    ):
        assert np.allclose(explainer.explain(X, CLASSES), expected, rtol=1e-4, atol=1e-4)
    absolute = input_x_gradient(Linear(), absolute=True).explain(X)
    assert np.allclose(absolute, np.abs(WEIGHT * X), rtol=1e-5)


def test_windows_are_ablated_whole():
    found = feature_ablation(Linear(), TRAINING, window=5).explain(X, CLASSES)
    losses = SIGN * WEIGHT * (X - TRAINING.mean(0))
    for start, end in ((0, 5), (5, 10), (10, 12)):
        assert np.allclose(
            found[:, start:end], losses[:, start:end].sum(1, keepdims=True), rtol=1e-5, atol=1e-4
        )


def test_deep_lift_adds_up():
    model = rectified()
    found = deep_lift(model, TRAINING).explain(X, CLASSES)
    with torch.no_grad():
        x, mean = torch.tensor(X), torch.tensor(TRAINING).mean(0, keepdim=True)
        rise = (model(x) - model(mean))[range(5), CLASSES]
    assert np.allclose(found.sum((1, 2)), rise.numpy(), atol=1e-5)
    assert not any(part._forward_hooks or part._backward_hooks for part in model.modules())


def test_a_seed_decides_draws():
    for make in (gradient_shap, smooth_gradient):
        first, again, other = (
            make(rectified(), TRAINING, draws=3, seed=seed).explain(X) for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.allclose(first, other)


def test_many_draws_of_little_noise_are_slopes():
    found = smooth_gradient(rectified(), TRAINING, draws=50, noise=1e-6).explain(X)
    assert np.allclose(found, Gradient(rectified()).explain(X), atol=1e-4)


def test_more_rows_than_a_pass_takes(monkeypatch):
    whole = deep_lift(rectified(), TRAINING).explain(X)
    monkeypatch.setattr(library_methods, "BATCH", 2)
    assert np.allclose(deep_lift(rectified(), TRAINING).explain(X), whole, atol=1e-6)


def test_bad_input(monkeypatch):
    for make, options, said in (
        (gradient_shap, {"draws": 0}, "draws of an attribution must be at least 1, got 0"),
        (smooth_gradient, {"noise": 0.0}, "noise of smooth gradients must be positive, got 0.0"),
        (feature_ablation, {"window": 13}, "window of feature ablation must be from 1 to 12 steps, got 13"),
    ):
        with pytest.raises(ConfigError, match=said):
            make(Linear(), TRAINING, **options)
    with pytest.raises(DataError, match="classes must be 5 integers from 0 to 1"):
        input_x_gradient(Linear()).explain(X, [2] * 5)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(
        MissingExtraError, match=r"attributions of captum need captum, .* 'concordant\[explain\]'"
    ):
        input_x_gradient(Linear())
