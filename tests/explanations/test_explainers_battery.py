"""What every explainer that is registered must do, on a classifier that looks at four steps of one channel only."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.classifiers import as_classifier
from concordant.explanations.explainer import Explainer
from concordant.explanations.registry import find_method, method_names
from concordant.explanations.saliency_metrics import saliency_scores
from concordant.explanations.series_model import SeriesModel

NAMES = method_names()
TORCH_ONLY = [name for name in NAMES if find_method(name).needs != "probabilities"]
BLIND = "random"  # is shown neither the classifier nor the series
LEARNT = {"batch_size": 16, "learning_rate": 1e-2, "epochs": 30, "connection": "norm", "keep_rate": 0.2}
UNTRAINED = {BLIND, "gradient", "input-x-gradient", "integrated-gradients"}
"""What takes no training series."""
OPTIONS = {
    "dynamask": {"steps": 40},
    "integrated-gradients": {"steps": 8},
    "occlusion": {"window": 2},
    "shapley": {"background": 2, "segments": 6, "pairs": 10},
    "timex": {**LEARNT, "n_landmarks": 0},
    "timex++": LEARNT,
}
QUICK = {"timex": {"epochs": 1, "n_landmarks": 0}, "timex++": {"epochs": 1}}
X = np.random.default_rng(0).normal(size=(64, 12, 2))
TRUTH = np.zeros(X.shape, bool)
TRUTH[:, 5:9, 0] = True
TABLE = np.random.default_rng(1).normal(size=(24, 1, 5))


class Window(nn.Module):
    """Three classes that hang on steps 5 to 8 of the first channel."""

    latent_module = "features"

    def __init__(self):
        super().__init__()
        self.features, self.dropout, self.head = nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 3)
        weights = np.random.default_rng(2).normal(size=(6, 4))
        for layer, weight in ((self.features, weights), (self.head, weights[:, :3].T)):
            layer.weight = nn.Parameter(torch.tensor(weight))
            layer.bias = nn.Parameter(torch.zeros(len(weight), dtype=torch.float64))

    def forward(self, x):
        return 3 * self.head(self.dropout(torch.tanh(self.features(x[:, 5:9, 0]))))


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        return Window()


@pytest.fixture(scope="module")
def made(model):
    """Return the explainer of a name, made once."""
    known: dict[str, Explainer] = {}

    def make(name):
        if name not in known:
            known[name] = find_method(name)(SeriesModel(model), X, 0, **OPTIONS.get(name, {}))
        return known[name]

    return make


def table_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    return SeriesModel(layers, flat=True, latent="0")


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_numbers(made, name):
    explainer = made(name)
    assert isinstance(explainer, Explainer)
    found = explainer.explain(X)
    assert isinstance(found, np.ndarray)
    assert found.shape == X.shape
    assert np.isfinite(found).all()
    assert found.std() > 0
    assert np.array_equal(explainer.explain(X), found)  # whatever was asked before


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_what_decides(made, name):
    found, chance = (saliency_scores(made(which).explain(X), TRUTH).auprc for which in (name, BLIND))
    better = (found - chance).mean()
    assert better > 0.25 if name != BLIND else better == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_all(model, name):
    options = {**OPTIONS.get(name, {}), **QUICK.get(name, {})}
    first, second = (
        find_method(name)(SeriesModel(model), X[:16], 3, **options).explain(X[:4]) for _ in range(2)
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_the_classifier_stays_as_it_is(model, name):
    model.train()
    model.head.eval()
    before = copy.deepcopy(model.state_dict())
    options = {**OPTIONS.get(name, {}), **QUICK.get(name, {})}
    find_method(name)(SeriesModel(model), X[:16], 0, **options).explain(X[:4])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [part.training for part in model.modules()] == [True, True, True, False]
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize("name", NAMES)
def test_one_series_and_any_batch_size(made, name):
    explainer = made(name)
    assert explainer.explain(X[:1]).shape == (1, 12, 2)
    if "batch_size" in inspect.signature(explainer.explain).parameters:
        assert np.allclose(explainer.explain(X[:9], batch_size=4), explainer.explain(X)[:9], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != BLIND])
def test_series_that_cannot_be_used_are_refused(made, name):
    wrong = X[:2].copy()
    wrong[1, 3, 0] = np.nan
    with pytest.raises(DataError, match="X must be finite, got nan in row 1, step 3, channel 0"):
        made(name).explain(wrong)
    with pytest.raises(DataError, match="X has its axes the wrong way round"):
        made(name).explain(X.swapaxes(1, 2))
    with pytest.raises(DataError, match=r"X must have shape \(n, time, channel\)"):
        made(name).explain(X[0])


@pytest.mark.parametrize("name", sorted({*NAMES} - UNTRAINED))
def test_training_that_cannot_be_used_is_refused(model, name):
    with pytest.raises(DataError, match="must be finite"):
        find_method(name)(SeriesModel(model), np.full_like(X, np.nan), 0)
    options = {**OPTIONS.get(name, {}), **QUICK.get(name, {})}
    with pytest.raises(DataError, match=r"\(12, 2\).*\(11, 2\)|\(11, 2\).*\(12, 2\)"):
        find_method(name)(SeriesModel(model), X[:16, :11], 0, **options).explain(X)


@pytest.mark.parametrize("name", NAMES)
def test_a_torch_classifier_of_a_table(name):
    options = {**OPTIONS.get(name, {}), **QUICK.get(name, {}), "window": 1, "segments": 1}
    known = inspect.signature(
        find_method(name)(table_model(), TABLE, 0, **QUICK.get(name, {})).__init__
    ).parameters
    options = {key: value for key, value in options.items() if key in known}
    found = find_method(name)(table_model(), TABLE, 0, **options).explain(TABLE)
    assert found.shape == TABLE.shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", [X, TABLE], ids=["series", "table"])
def test_an_estimator(name, x):
    flat = x.reshape(len(x), -1)
    black_box = as_classifier(LogisticRegression().fit(flat, flat[:, 0] > 0))
    if name in TORCH_ONLY:
        with pytest.raises(
            ConfigError,
            match=f"{name.replace('+', '.')} needs slopes of a torch classifier, and of LogisticRegression only",
        ):
            find_method(name)(black_box, x, 0)
        return
    found = find_method(name)(black_box, x, 0).explain(x[:6])
    assert found.shape == x[:6].shape
    if name != BLIND:
        assert (abs(found).reshape(6, -1).argmax(1) == 0).mean() > 0.5  # the column that decides


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_named(model, name):
    with pytest.raises(ConfigError, match=r"an option of .* is unknown: .*depth"):
        find_method(name)(SeriesModel(model), X, 0, depth=3)


@pytest.mark.parametrize("name", [name for name in NAMES if find_method(name).shows_progress])
def test_those_that_show_progress_take_the_option(model, name):
    options = {**OPTIONS.get(name, {}), **QUICK.get(name, {}), "progress": True}
    assert find_method(name)(SeriesModel(model), X[:16], 0, **options).explain(X[:2]).shape == (2, 12, 2)
