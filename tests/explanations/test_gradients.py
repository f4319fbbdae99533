from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.explainer import Explainer, RandomExplanation
from concordant.explanations.gradients import Gradient, IntegratedGradients
from concordant.explanations.series_transformer import SeriesTransformer

X = np.random.default_rng(0).normal(size=(5, 12, 2)).astype(np.float32)


class Linear(nn.Module):
    """Two logits: a weighted sum of the series, and its negative; with a square on demand."""

    def __init__(self, power=1):
        super().__init__()
        self.power = power
        self.weight = nn.Parameter(torch.arange(24.0).reshape(12, 2))

    def forward(self, x):
        total = (self.weight * x**self.power).sum((1, 2))
        return torch.stack([total, -total], dim=1)


def test_slopes_of_a_linear_classifier_are_its_weights():
    model = Linear()
    weight = model.weight.detach().numpy()
    signed = Gradient(model, absolute=False).explain(X, [0, 1, 0, 1, 0])
    assert np.allclose(signed[0], weight)
    assert np.allclose(signed[1], -weight)
    assert np.allclose(Gradient(model).explain(X), weight)
    assert model.weight.grad is None


def test_slopes_are_those_of_differences():
    model = SeriesTransformer(2, 3, 12, seed=0).double().eval()
    slopes = Gradient(model, absolute=False).explain(X, [1] * 5)
    step = np.zeros_like(X, dtype=np.float64)
    step[2, 4, 1] = 1e-5
    high, low = (model(torch.tensor(X + sign * step))[2, 1].item() for sign in (1, -1))
    assert slopes[2, 4, 1] == pytest.approx((high - low) / 2e-5, rel=1e-4)


def test_integrated_slopes_in_closed_form():
    weight = Linear().weight.detach().numpy()
    assert np.allclose(IntegratedGradients(Linear()).explain(X, [0] * 5), weight * X, rtol=1e-4)
    # Of w x^2 between b and x, one number at a time: w (x^2 - b^2); exact from two points on.
    squared = IntegratedGradients(Linear(2), steps=2, baseline=0.5).explain(X, [0] * 5)
    assert np.allclose(squared, weight * (X**2 - 0.25), atol=1e-4)
    from_series = IntegratedGradients(Linear(2), baseline=X[0]).explain(X, [0] * 5)
    assert np.allclose(from_series, weight * (X**2 - X[0] ** 2), atol=1e-4)


def test_integrated_slopes_add_up():
    model = SeriesTransformer(2, 3, 12, seed=0).double().eval()
    classes = [0, 1, 2, 0, 1]
    with torch.no_grad():
        rise = model(torch.tensor(X).double()) - model(torch.ones(5, 12, 2).double())
    rise = rise[range(5), classes].numpy()
    few, many = (
        IntegratedGradients(model, steps=steps, baseline=1.0).explain(X, classes).sum((1, 2))
        for steps in (10, 400)
    )
    # The kinks of the head leave an error that falls with the number of points.
    assert np.abs(many - rise).max() < 2e-4
    assert np.abs(many - rise).max() < np.abs(few - rise).max() / 5


def test_integrated_slopes_are_those_of_captum():
    captum = pytest.importorskip("captum.attr")
    model = SeriesTransformer(2, 3, 12, seed=0).double().eval()
    x = torch.tensor(X).double()
    targets = torch.tensor([0, 1, 2, 0, 1])
    expected = captum.IntegratedGradients(model).attribute(x, target=targets, n_steps=50)
    ours = IntegratedGradients(model)
    for batch_size in (50, 120, 512):  # one, two or all series a pass
        found = ours.explain(x, targets, batch_size=batch_size)
        assert np.allclose(found, expected.detach().numpy(), atol=1e-12)
    absolute = IntegratedGradients(model, absolute=True).explain(x, targets)
    assert np.allclose(absolute, np.abs(expected.detach().numpy()))


def test_the_class_that_is_given_is_explained_by_default():
    model = SeriesTransformer(2, 3, 12, seed=0).eval()
    classes = model(torch.tensor(X)).argmax(-1)
    for explainer in (Gradient(model), IntegratedGradients(model, steps=5)):
        assert np.array_equal(explainer.explain(X), explainer.explain(X, classes))


def test_explainers():
    model = SeriesTransformer(2, 3, 12, seed=0)
    for explainer in (Gradient(model), IntegratedGradients(model, steps=5), RandomExplanation(3)):
        assert isinstance(explainer, Explainer)
        assert explainer.explain(X).shape == X.shape
    assert np.array_equal(RandomExplanation(3).explain(X), RandomExplanation(3).explain(X))
    assert not np.array_equal(RandomExplanation(3).explain(X), RandomExplanation(4).explain(X))
    assert model.training


def test_bad_input():
    model = SeriesTransformer(2, 3, 12, seed=0)
    for classes in ([0, 1], [0, 1, 2, 3, 0], [0.0] * 5, [-1] * 5):
        with pytest.raises(DataError, match="classes must be 5 integers from 0 to 2, got"):
            Gradient(model).explain(X, classes)
    with pytest.raises(ConfigError, match="steps of IntegratedGradients must be at least 1, got 0"):
        IntegratedGradients(model, steps=0)
    with pytest.raises(DataError, match=r"of shape \(time, channel\) \(12, 2\), got \(2, 12\)"):
        IntegratedGradients(model, baseline=np.zeros((2, 12))).explain(X)
    with pytest.raises(DataError, match="X must be finite"):
        Gradient(model).explain(np.full((1, 12, 2), np.nan))
