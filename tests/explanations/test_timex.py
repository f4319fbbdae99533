from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError, ModelError, StoreError
from concordant.explanations.explainer import Explainer
from concordant.explanations.landmarks import found_landmarks, nearest_landmark, stratified_rows
from concordant.explanations.plateau import Plateau
from concordant.explanations.series_data import freq_shapes
from concordant.explanations.series_model import SeriesModel
from concordant.explanations.series_transformer import SeriesTransformer, fit_classifier
from concordant.explanations.timex import TimeX
from concordant.learn.checkpoint import save_weights
from concordant.learn.losses.relational import gram_loss
from concordant.learn.randomness import linear

DATA = freq_shapes(64, seed=0, length=20)


@pytest.fixture(scope="module")
def classifier():
    model = SeriesTransformer(1, 4, 20, seed=0)
    x, labels = torch.tensor(DATA.x), torch.tensor(DATA.labels)
    with torch.random.fork_rng():
        fit_classifier(model, x, labels, validation=(x, labels), epochs=8, batch_size=16, learning_rate=1e-2)
    return model


def small(classifier, **options):
    return TimeX(
        classifier, **{"epochs": 2, "batch_size": 32, "n_landmarks": 8, "learning_rate": 1e-2, **options}
    )


def test_fitting_makes_masked_series_act_alike(classifier):
    start = small(classifier, epochs=0, n_landmarks=0, seed=1).fit(DATA.x)
    explainer = small(classifier, epochs=20, n_landmarks=0, seed=1).fit(DATA.x)
    whole = explainer.model.behaviour(torch.tensor(DATA.x))[1]
    before, after = (
        gram_loss(e.surrogate(DATA.x, e.masks(DATA.x, seed=0)).latent, whole) for e in (start, explainer)
    )
    assert after < 0.7 * before
    assert np.mean(explainer.history.loss[-6:]) < np.mean(explainer.history.loss[:6])
    assert set(explainer.history.parts) >= {
        "behaviour",
        "label",
        "size",
        "connection",
        "landmark",
        "keep_rate",
    }


def test_explanations_are_probabilities_and_masks_their_halves(classifier):
    explainer = small(classifier).fit(DATA.x)
    assert isinstance(explainer, Explainer)
    p = explainer.explain(DATA.x)
    assert (p.shape, p.dtype) == (DATA.x.shape, np.float32)
    assert 0 < p.min() < p.max() < 1
    assert np.array_equal(explainer.masks(DATA.x), (p > 0.5).astype(np.float32))
    drawn = np.mean([explainer.masks(DATA.x, seed=seed) for seed in range(20)], axis=0)
    assert np.isclose(drawn.mean(), p.mean(), atol=0.02)
    assert np.array_equal(explainer.masks(DATA.x, seed=3), explainer.masks(DATA.x, seed=3))
    assert np.allclose(explainer.explain(DATA.x[10:13], batch_size=2), p[10:13], atol=1e-5)
    own, given = explainer.surrogate(DATA.x), explainer.surrogate(DATA.x, explainer.masks(DATA.x))
    assert torch.equal(own.latent, given.latent)
    assert torch.allclose(own.probabilities.sum(-1), torch.ones(64))


def test_a_seed_decides_all_and_the_classifier_stays_as_it_is(classifier):
    before, training = copy.deepcopy(classifier.state_dict()), classifier.training
    first, second, third = (small(classifier, seed=seed).fit(DATA.x).explain(DATA.x) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.allclose(first, third)
    assert classifier.training == training
    assert all(torch.equal(before[name], weight) for name, weight in classifier.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in classifier.parameters())


def test_the_loss_is_the_sum_of_its_weighted_parts(classifier):
    explainer = small(
        classifier, behaviour_weight=0.0, label_weight=3.0, mask_weight=0.5, connection_weight=4.0
    ).fit(DATA.x)
    parts = {name: np.array(values) for name, values in explainer.history.parts.items()}
    assert np.allclose(
        parts["loss"],
        3 * parts["label"] + 0.5 * (parts["size"] + 4 * parts["connection"]) + parts["landmark"],
        atol=1e-5,
    )


def test_the_wanted_rate_is_approached(classifier):
    rates = [
        small(classifier, epochs=15, keep_rate=rate, mask_weight=20.0, n_landmarks=0)
        .fit(DATA.x)
        .explain(DATA.x)
        .mean()
        for rate in (0.1, 0.9)
    ]
    assert rates[0] < 0.35
    assert rates[1] > 0.75


def test_the_best_epoch_is_kept(classifier):
    explainer = small(classifier, epochs=4).fit(DATA.x, validation=DATA.x[::4])
    held_out = torch.tensor(DATA.x[::4])
    found = explainer._validation_loss(explainer._net.eval(), held_out, explainer._reference(held_out))
    assert found.item() == pytest.approx(explainer.history.best_loss, abs=1e-6)
    assert explainer.history.validation_steps == [2, 4, 6, 8]


@pytest.mark.parametrize(
    "options",
    [{"label_relation": "scalar"}, {"connection": "norm"}, {"masking": "input"}, {"masking": "both"}],
)
def test_the_ways_of_the_published_code(classifier, options):
    explainer = small(classifier, epochs=1, **options).fit(DATA.x)
    assert np.isfinite(explainer.explain(DATA.x)).all()
    assert not np.allclose(explainer.explain(DATA.x), small(classifier, epochs=1).fit(DATA.x).explain(DATA.x))


def test_any_classifier_with_a_latent(classifier):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.cells = nn.GRU(3, 8, batch_first=True)
            self.last = nn.Identity()
            self.head = linear(8, 3, torch.Generator().manual_seed(0))
            nn.init.zeros_(self.head.bias)

        def forward(self, x):
            return self.head(self.last(self.cells(x)[0][:, -1]))

    x = np.random.default_rng(0).normal(size=(40, 15, 3)).astype(np.float32)
    with pytest.raises(ConfigError, match=r"the Recurrent has no latent.*one of cells, last, head"):
        TimeX(Recurrent())
    explainer = small(Recurrent(), latent="last").fit(x)
    assert explainer.explain(x).shape == (40, 15, 3)
    assert explainer.surrogate(x).latent.shape == (40, 8)
    assert explainer.surrogate(x, np.zeros_like(x)).latent.std(0).max() > 0  # what stands in is drawn


def test_what_is_masked_away_does_not_reach_the_surrogate(classifier):
    explainer = small(classifier, masking="input").fit(DATA.x)
    masks = np.zeros_like(DATA.x)
    masks[:, 5:9] = 1
    changed = np.where(masks > 0, DATA.x, -3.0).astype(np.float32)
    assert torch.allclose(
        explainer.surrogate(DATA.x, masks).latent, explainer.surrogate(changed, masks).latent, atol=1e-5
    )


# --- landmarks


def test_landmarks_have_their_nearest_rows(classifier):
    explainer = small(classifier).fit(DATA.x)
    found = explainer.landmarks()
    latent = torch.nn.functional.normalize(explainer.surrogate(DATA.x).latent, dim=-1)
    assert 1 <= len(found.vectors) <= 8
    assert (found.n_rows >= 6).all()
    assert (np.diff(found.n_rows) <= 0).all()
    for vector, examples, cosines in zip(found.vectors, found.examples, found.cosines, strict=True):
        every = (latent @ torch.nn.functional.normalize(torch.tensor(vector), dim=0)).numpy()
        assert np.allclose(cosines, np.sort(every)[::-1][:5], atol=1e-5)
        assert np.allclose(every[examples], cosines, atol=1e-5)
    with pytest.raises(ConfigError, match="this TimeX has no landmarks"):
        small(classifier, n_landmarks=0).fit(DATA.x).landmarks()


def test_landmarks_by_hand():
    latent = torch.tensor([[1.0, 0.0]] * 6 + [[0.0, 1.0]] * 5)
    found = found_landmarks(torch.tensor([[0.0, 2.0], [3.0, 0.0]]), latent)
    assert found.vectors.tolist() == [[3.0, 0.0]]  # five rows are too few for the other
    assert found.n_rows.tolist() == [6]
    assert found.examples.tolist() == [[0, 1, 2, 3, 4]]


def test_no_gradient_runs_into_the_latent():
    latent = torch.eye(3)[:2].requires_grad_()
    landmarks = torch.eye(3).requires_grad_()
    chosen = nearest_landmark(latent, landmarks, None)
    assert torch.allclose(chosen, latent)
    chosen.square().sum().backward()
    assert latent.grad is None
    assert landmarks.grad.abs().sum() > 0


def test_rows_of_all_classes_are_chosen():
    classes = torch.tensor([0] * 50 + [1] * 3 + [2] * 20)
    chosen = stratified_rows(classes, 12, torch.Generator().manual_seed(0))
    assert classes[chosen].bincount().tolist() in ([5, 3, 4], [4, 3, 5])
    assert len(set(chosen.tolist())) == 12
    assert len(stratified_rows(classes, 500, torch.Generator().manual_seed(0))) == 73


# --- bad input


def test_bad_options(classifier):
    for options, message in (
        ({"keep_rate": 1.0}, r"keep_rate of TimeX must be above 0 and below 1, got 1\.0"),
        ({"label_weight": -1.0}, r"the weight of label in TimeX must be at least 0, got -1\.0"),
        ({"n_landmarks": -1}, "n_landmarks of TimeX must be at least 0, got -1"),
        ({"label_relation": "pairs"}, "label_relation of TimeX must be 'pairwise' or 'scalar', got 'pairs'"),
        ({"connection": "l2"}, "connection of TimeX must be 'absolute' or 'norm', got 'l2'"),
    ):
        with pytest.raises(ConfigError, match=message):
            TimeX(classifier, **options)


def test_bad_series(classifier):
    with pytest.raises(ConfigError, match=r"has not been fitted: call fit\(X\)"):
        small(classifier).explain(DATA.x)
    explainer = small(classifier, epochs=0).fit(DATA.x)
    with pytest.raises(
        DataError, match=r"X must have the \(time, channel\) \(20, 1\) .* fitted on, got \(19, 1\)"
    ):
        explainer.explain(DATA.x[:, :19])
    with pytest.raises(DataError, match=r"X must be finite, got nan in row 0"):
        explainer.explain(np.full((2, 20, 1), np.nan))
    with pytest.raises(DataError, match=r"the wrong way round.*X\.swapaxes\(1, 2\)"):
        small(classifier).fit(DATA.x.swapaxes(1, 2))
    with pytest.raises(DataError, match="masks must have the shape of the series"):
        explainer.surrogate(DATA.x, DATA.x[:3])
    with pytest.raises(DataError, match=r"gives all 3 series class \d"):
        small(classifier).fit(DATA.x[[0, 0, 0]])


# --- kept in a file


def test_a_file_explains_as_the_fitted_one(classifier, tmp_path):
    fitted = small(classifier).fit(DATA.x)
    assert fitted.save(tmp_path / "kept").name == "timex.safetensors"
    read = TimeX.load(tmp_path / "kept", classifier)
    assert read.options == fitted.options
    assert np.array_equal(read.explain(DATA.x), fitted.explain(DATA.x))
    assert torch.equal(read.surrogate(DATA.x).latent, fitted.surrogate(DATA.x).latent)
    for name in ("vectors", "n_rows", "examples", "cosines"):
        assert np.array_equal(getattr(read.landmarks(), name), getattr(fitted.landmarks(), name))
    assert (
        read.save(tmp_path / "again").read_bytes() == (tmp_path / "kept" / "timex.safetensors").read_bytes()
    )


def test_a_file_knows_its_classifier(classifier, tmp_path):
    small(classifier, epochs=0, n_landmarks=0).fit(DATA.x).save(tmp_path)
    other = copy.deepcopy(classifier)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    with pytest.raises(ModelError, match="explains another classifier: a SeriesTransformer with weights"):
        TimeX.load(tmp_path, other)
    with pytest.raises(StoreError, match="there is no checkpoint"):
        TimeX.load(tmp_path / "nowhere", classifier)
    with pytest.raises(ConfigError, match="has not been fitted"):
        small(classifier).save(tmp_path)
    save_weights(tmp_path / "timex.safetensors", classifier)
    with pytest.raises(ModelError, match="is a checkpoint, but not of a TimeX"):
        TimeX.load(tmp_path, classifier)


def test_further_rows_have_their_nearest_landmark(classifier):
    explainer = small(classifier).fit(DATA.x)
    found, latent = explainer.landmarks(), explainer.surrogate(DATA.x).latent
    nearest = found.nearest(latent)
    cosines = (
        torch.nn.functional.normalize(latent, dim=-1)
        @ torch.nn.functional.normalize(torch.tensor(found.vectors), dim=-1).T
    )
    assert np.array_equal(nearest, cosines.argmax(-1).numpy())
    with pytest.raises(DataError, match=r"latents must have shape \(n, 17\) for the"):
        found.nearest(latent[:, :3])


# --- other classifiers


class Convolutional(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(
                nn.Conv1d(n_channels, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 6, 3)
            )
            self.pool, self.head = nn.AdaptiveAvgPool1d(1), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.pool(self.features(x)).flatten(1))


class Memory(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.cells, self.head = nn.LSTM(n_channels, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x):
        return self.head(self.cells(x)[1][0][-1])


def last_state(module, x):
    return module.cells(x)[1][0][-1]


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "options"),
    [(Convolutional, {"latent": "pool", "channels_first": True}), (Memory, {"latent": last_state})],
)
def test_convolutions_and_cells_with_one_channel_and_many(kind, options, n_channels, tmp_path):
    x = np.random.default_rng(1).normal(size=(48, 12, n_channels)).astype(np.float32)
    module = kind(n_channels)
    with torch.no_grad():
        module.head.weight.mul_(20)  # so that not all series have one class
        logits = module(torch.tensor(x if kind is Memory else x.swapaxes(1, 2)))
        module.head.bias -= logits.mean(0)
    model = SeriesModel(module, **options)
    explainer = small(model).fit(x, validation=x[:10])
    assert explainer.explain(x).shape == x.shape
    assert explainer.surrogate(x).latent.shape == (48, 6 if kind is Convolutional else 7)
    explainer.save(tmp_path)
    assert np.array_equal(TimeX.load(tmp_path, model).explain(x), explainer.explain(x))


# --- a rate that falls


def test_the_rate_falls_where_the_loss_stays():
    losses = iter([5.0] * 20 + [1.0] * 7 + [0.5] + [0.499999] * 6 + [0.1])
    plateau = Plateau(lambda model: next(losses))
    factors = []
    for _ in range(35):
        plateau(None)
        factors.append(plateau.schedule(0, 1))
    # One loss of 1 starts the count, five more do not end it, 0.5 does; six that are no lower do, too little lower too.
    assert factors[:33] == [1.0] * 33
    assert factors[33:] == pytest.approx([0.1, 0.1])


def test_the_schedule_of_the_published_code(classifier):
    with pytest.raises(ConfigError, match="the schedule 'plateau' of TimeX looks at a validation"):
        small(classifier, schedule="plateau").fit(DATA.x)
    explainer = small(classifier, schedule="plateau", epochs=2).fit(DATA.x, validation=DATA.x[::4])
    assert set(explainer.history.parts["learning_rate"]) == {1e-2}
