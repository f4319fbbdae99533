from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import softmax

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mask_generator import MaskGenerator
from concordant.explanations.mask_generator import _attention as decoder_attention
from concordant.explanations.series_data import freq_shapes
from concordant.explanations.series_transformer import (
    Pool,
    SeriesTransformer,
    fit_classifier,
    poly_cross_entropy,
    time_code,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_time_code_by_hand():
    code = time_code(3, 4, 9)  # scales 1 and 9
    assert torch.allclose(code[1], torch.tensor([math.sin(2), math.sin(2 / 9), math.cos(2), math.cos(2 / 9)]))


def test_what_the_mask_hides_is_hidden():
    """There is no way around the attention: a step that is masked away has no value, only a share in the softmax."""
    model = SeriesTransformer(2, 3, 10, layers=2, seed=0).eval()
    x, keep = draw(4, 10, 2), (draw(4, 10, seed=1) > 0).float()
    changed = torch.where(keep[..., None] > 0, x, draw(4, 10, 2, seed=2))
    hidden = keep == 0
    assert torch.allclose(model.encoder(x, keep)[hidden], model.encoder(changed, keep)[hidden], atol=1e-6)
    assert not torch.allclose(model.encoder(x)[hidden], model.encoder(changed)[hidden], atol=1e-2)
    nothing = torch.zeros(4, 10)
    assert torch.allclose(model(x, nothing), model(changed, nothing), atol=1e-6)
    assert torch.allclose(model(x, torch.ones(4, 10)), model(x), atol=1e-6)
    half = (0.5 * keep).requires_grad_()
    model(x, half).square().sum().backward()
    assert (half.grad != 0).any()


def test_pooling_by_hand():
    hidden = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert torch.allclose(Pool()(hidden), torch.tensor([[1.0, 4 / 3]]))
    assert torch.allclose(Pool(unit=True)(hidden), torch.tensor([[0.6, 0.8]]))


def test_poly_cross_entropy():
    logits, labels = draw(5, 3).double(), torch.tensor([0, 1, 2, 1, 0])
    p = softmax(logits, dim=-1)[torch.arange(5), labels]
    assert torch.isclose(poly_cross_entropy(logits, labels), (-p.log() + 1 - p).mean())
    assert torch.isclose(poly_cross_entropy(logits, labels, epsilon=0.0), -p.log().mean())
    assert torch.autograd.gradcheck(lambda x: poly_cross_entropy(x, labels), logits.requires_grad_())


def test_a_seed_decides_the_weights_and_the_training():
    data = freq_shapes(16, seed=0, length=20)
    x, labels = torch.tensor(data.x), torch.tensor(data.labels)
    models = [SeriesTransformer(1, 4, 20, seed=seed) for seed in (0, 0, 1)]
    for model in models:
        fit_classifier(model, x, labels, validation=(x, labels), epochs=2, batch_size=8, seed=5)
    first, second, third = (model.eval()(x) for model in models)
    assert torch.equal(first, second)
    assert not torch.allclose(first, third)


def test_a_classifier_learns_and_keeps_its_best_epoch():
    data = freq_shapes(48, seed=0, length=20)
    keep = data.labels < 2  # up or down
    x, labels = torch.tensor(data.x[keep]), torch.tensor(data.labels[keep])
    model = SeriesTransformer(1, 2, 20, seed=0)
    history = fit_classifier(
        model, x, labels, validation=(x, labels), epochs=25, batch_size=8, learning_rate=1e-2, seed=0
    )
    model.eval()
    assert (model(x).argmax(-1) == labels).float().mean() > 0.9
    assert poly_cross_entropy(model(x), labels).item() == pytest.approx(history.best_loss, abs=1e-5)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_masks_have_a_value_for_every_number(n_channels):
    generator = MaskGenerator(n_channels, 12, seed=0)
    x = draw(5, 12, n_channels)
    log_odds = generator.eval()(x)
    assert log_odds.shape == x.shape
    assert log_odds.std() > 0
    assert torch.equal(log_odds, MaskGenerator(n_channels, 12, seed=0).eval()(x))
    assert not torch.allclose(log_odds, MaskGenerator(n_channels, 12, seed=1).eval()(x))
    # A series is masked alike whatever else is in the batch.
    assert torch.allclose(log_odds[2:3], generator(x[2:3]), atol=1e-6)
    log_odds.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in generator.parameters())


def test_attention_of_the_decoder_is_the_formula():
    q, k, v = (draw(2, 6, 5, seed=seed) for seed in range(3))
    expected = softmax(q @ k.mT / math.sqrt(5), dim=-1) @ v
    assert torch.allclose(decoder_attention(q, k, v), expected, atol=1e-6)


def test_bad_input():
    with pytest.raises(DataError, match=r"the classifier needs shape \(batch, time, 2\), got \(4, 2, 10\)"):
        SeriesTransformer(2, 3, 10)(torch.zeros(4, 2, 10))
    with pytest.raises(ConfigError, match=r"heads must divide the width of 1 channels and 16 .*, got 2"):
        SeriesTransformer(1, 3, 10, heads=2)
    with pytest.raises(ConfigError, match="the widths of SeriesEncoder must be at least 1, got 0"):
        SeriesTransformer(0, 3, 10)
    x = torch.zeros(4, 10, 1)
    with pytest.raises(DataError, match="at least two classes, got only class 1"):
        fit_classifier(
            SeriesTransformer(1, 2, 10), x, torch.ones(4).long(), validation=(x, torch.ones(4).long())
        )
