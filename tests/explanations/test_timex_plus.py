from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn
from torch.distributions import Normal, kl_divergence

from concordant.core.errors import ConfigError, DataError, ModelError, StoreError
from concordant.explanations import timex_plus
from concordant.explanations.masking import Baseline
from concordant.explanations.series_data import freq_shapes
from concordant.explanations.series_model import SeriesModel
from concordant.explanations.series_transformer import SeriesTransformer, fit_classifier
from concordant.explanations.timex_plus import TimeXPlus
from concordant.explanations.timex_plus_network import (
    TimeXPlusNetwork,
    jensen_shannon_loss,
    normal_divergence,
)
from concordant.learn.checkpoint import save_weights

DATA = freq_shapes(64, seed=0, length=20)


@pytest.fixture(scope="module")
def classifier():
    model = SeriesTransformer(1, 4, 20, seed=0)
    x, labels = torch.tensor(DATA.x), torch.tensor(DATA.labels)
    with torch.random.fork_rng():
        fit_classifier(model, x, labels, validation=(x, labels), epochs=20, batch_size=16, learning_rate=1e-2)
    return model


def small(classifier, **options):
    return TimeXPlus(classifier, **{"epochs": 2, "batch_size": 32, "learning_rate": 1e-2, **options})


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_predictions_are_apart_by_the_jensen_shannon_divergence():
    first, second = draw(5, 3), draw(5, 3, seed=1)
    rows = [jensenshannon(p, q) ** 2 for p, q in zip(first.softmax(-1), second.softmax(-1), strict=True)]
    assert jensen_shannon_loss(first, second).item() == pytest.approx(np.mean(rows), rel=1e-9)
    sure = torch.tensor([[1e4, -1e4]], dtype=torch.float64, requires_grad=True)
    loss = jensen_shannon_loss(sure, -sure.detach())
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert torch.isfinite(sure.grad).all()
    with pytest.raises(DataError, match="jensen_shannon_loss"):
        jensen_shannon_loss(first, second[:, :2])


def test_normal_numbers_are_apart_by_their_divergence():
    mean, log_variance, other_mean, other = (draw(4, 6, seed=seed) for seed in range(4))
    expected = kl_divergence(
        Normal(mean, (log_variance / 2).exp()), Normal(other_mean, (other / 2).exp())
    ).mean()
    assert torch.isclose(normal_divergence(mean, log_variance, other_mean, other), expected)
    with pytest.raises(DataError, match="normal_divergence"):
        normal_divergence(mean, log_variance, other_mean[:1], other[:1])


def test_normal_numbers_of_a_batch_have_the_mean_moments():
    net = TimeXPlusNetwork(2, 3, {}, seed=0).double()
    x, made = draw(5, 3, 2), draw(5, 3, 2, seed=1)
    mean, log_variance = net.normal_of_made(made.flatten(1)).chunk(2, -1)
    of_batch = net.normal_of_series(x.flatten(1)).mean(0)
    expected = np.mean(
        [normal_divergence(mean[i], log_variance[i], *of_batch.chunk(2)).item() for i in range(5)]
    )
    assert net.normal_loss(made, x).item() == pytest.approx(expected)


def test_series_are_made_number_by_number():
    net = TimeXPlusNetwork(2, 3, {}, seed=0).double()
    x, mask = draw(4, 3, 2), (draw(4, 3, 2, seed=1) > 0).double()
    made = net.made(x, mask)
    assert made.shape == x.shape
    assert torch.allclose(made[1, 2, 0], net.blend(torch.stack([x[1, 2, 0], mask[1, 2, 0]]))[0])
    order = torch.randperm(3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(net.made(x[:, order], mask[:, order]), made[:, order])


def test_the_loss_is_the_weighted_sum_of_its_parts(classifier):
    explainer = small(
        classifier,
        label_weight=3.0,
        mask_weight=2.0,
        connection_weight=0.5,
        similarity_weight=0.7,
        normal_weight=0.2,
    ).fit(DATA.x)
    weights = {"label": 3.0, "size": 2.0, "connection": 1.0, "normal": 0.14, "reference": 0.7}
    parts = {name: torch.tensor(float(i + 1)) for i, name in enumerate(weights)}
    assert explainer._total(parts).item() == pytest.approx(
        sum(weight * (i + 1) for i, weight in enumerate(weights.values()))
    )
    history = explainer.history
    assert set(history.parts) >= {*weights, "keep_rate"}
    first = sum(weight * history.parts[name][0] for name, weight in weights.items())
    assert history.loss[0] == pytest.approx(first, rel=1e-5)


def test_the_reference_is_the_series_with_normal_numbers_where_nothing_is_kept(classifier):
    explainer = small(classifier, epochs=1).fit(DATA.x)
    explainer._baseline = Baseline(
        torch.full((20, 1), 2.0), torch.zeros(20, 1)
    )  # no spread: b is 2 everywhere
    explainer._net.eval()
    x = torch.tensor(DATA.x[:8])
    reference = SeriesModel(classifier).behaviour(x)[0]
    parts = explainer._parts(explainer._net, x, reference, torch.Generator().manual_seed(0))
    log_odds = explainer._net.masks(x)
    drawn = torch.rand(log_odds.shape, generator=torch.Generator().manual_seed(0))
    mask = ((log_odds + drawn.log() - torch.log1p(-drawn)) > 0).float()
    made = explainer._net.made(x, mask)
    assert 0 < mask.mean() < 1
    assert torch.isclose(parts["reference"], (made - mask * x - (1 - mask) * 2).square().mean())


def test_fitting_lets_the_classifier_take_what_is_made_for_the_whole(classifier):
    start, explainer = (small(classifier, epochs=epochs).fit(DATA.x) for epochs in (0, 25))
    model = SeriesModel(classifier)
    whole = model.behaviour(torch.tensor(DATA.x))[0]
    before, after = (
        jensen_shannon_loss(model.behaviour(torch.tensor(e.made(DATA.x, e.masks(DATA.x, seed=0))))[0], whole)
        for e in (start, explainer)
    )
    assert after < 0.5 * before
    label = explainer.history.parts["label"]
    assert np.mean(label[-6:]) < 0.5 * np.mean(label[:6])


def test_explanations_are_probabilities_and_masks_their_halves(classifier):
    explainer = small(classifier).fit(DATA.x)
    p = explainer.explain(DATA.x)
    assert (p.shape, p.dtype) == (DATA.x.shape, np.float32)
    assert 0 < p.min() < p.max() < 1
    assert np.array_equal(explainer.masks(DATA.x), (p > 0.5).astype(np.float32))
    drawn = np.mean([explainer.masks(DATA.x, seed=seed) for seed in range(20)], axis=0)
    assert np.isclose(drawn.mean(), p.mean(), atol=0.02)
    own, given = explainer.made(DATA.x), explainer.made(DATA.x, explainer.masks(DATA.x))
    assert np.array_equal(own, given)


def test_the_best_epoch_on_other_series_is_kept(classifier):
    explainer = small(classifier, epochs=3).fit(DATA.x[::2], validation=DATA.x[1::2])
    losses = explainer.history.validation_losses
    assert len(losses) == 3
    held_out = torch.tensor(DATA.x[1::2])
    batch = (held_out, SeriesModel(classifier).behaviour(held_out)[0])
    explainer._net.eval()
    with torch.no_grad():
        assert explainer._validation_loss(explainer._net, batch).item() == pytest.approx(
            min(losses), rel=1e-5
        )


def test_a_small_set_is_gone_through_more_often(classifier, monkeypatch):
    monkeypatch.setattr(timex_plus, "EPOCHS", 2)
    for fewest, steps in ((1, 4), (7, 8)):  # two batches an epoch
        monkeypatch.setattr(timex_plus, "FEWEST_STEPS", fewest)
        assert len(small(classifier, epochs=None).fit(DATA.x).history.loss) == steps


def test_a_file_explains_as_the_fitted_one(classifier, tmp_path):
    fitted = small(classifier, keep_rate=0.2).fit(DATA.x)
    assert fitted.save(tmp_path / "kept").name == "timex-plus.safetensors"
    read = TimeXPlus.load(tmp_path / "kept", classifier)
    assert read.options == fitted.options
    assert np.array_equal(read.explain(DATA.x), fitted.explain(DATA.x))
    assert np.array_equal(read.made(DATA.x), fitted.made(DATA.x))
    again, kept = read.save(tmp_path / "again"), tmp_path / "kept" / "timex-plus.safetensors"
    assert again.read_bytes() == kept.read_bytes()


def test_a_file_knows_its_classifier(classifier, tmp_path):
    small(classifier, epochs=0).fit(DATA.x).save(tmp_path)
    other = copy.deepcopy(classifier)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    with pytest.raises(ModelError, match="explains another classifier: a SeriesTransformer with weights"):
        TimeXPlus.load(tmp_path, other)
    with pytest.raises(StoreError, match="there is no checkpoint"):
        TimeXPlus.load(tmp_path / "nowhere", classifier)
    with pytest.raises(ConfigError, match="has not been fitted"):
        small(classifier).save(tmp_path)
    save_weights(tmp_path / "timex-plus.safetensors", classifier)
    with pytest.raises(ModelError, match=r"is a checkpoint, but not of a TimeX[+]{2}"):
        TimeXPlus.load(tmp_path, classifier)


def test_no_latent_is_needed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv1d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)
        )
    explainer = small(SeriesModel(layers, channels_first=True), epochs=1).fit(DATA.x)
    assert explainer.explain(DATA.x).shape == DATA.x.shape


def test_bad_input(classifier):
    for options, said in (
        ({"keep_rate": 1.0}, "keep_rate of TimeX[+]{2} must be above 0 and below 1, got 1.0"),
        ({"label_weight": -1.0}, "the weight of label in TimeX[+]{2} must be at least 0, got -1.0"),
        ({"similarity_weight": -1.0}, "the weight of normal in"),
        ({"connection": "squared"}, "must be 'absolute' or 'norm', got 'squared'"),
    ):
        with pytest.raises(ConfigError, match=said):
            TimeXPlus(classifier, **options)
    with pytest.raises(ConfigError, match="has not been fitted"):
        TimeXPlus(classifier).explain(DATA.x)
    explainer = small(classifier, epochs=0).fit(DATA.x)
    with pytest.raises(
        DataError, match=r"masks must have the shape of the series \(64, 20, 1\), got \(2, 20, 1\)"
    ):
        explainer.made(DATA.x, DATA.x[:2])
