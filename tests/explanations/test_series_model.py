from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.explanations.series_model import SeriesModel, as_series_model, evaluating
from concordant.explanations.series_transformer import SeriesTransformer
from concordant.learn.randomness import linear


def weights(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return layer


class Convolution(nn.Module):
    """A classifier of ``(batch, channel, time)``, as most are written."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(weights(nn.utils.skip_init(nn.Conv1d, 2, 6, 3)), nn.ReLU())
        self.head = linear(6, 3, torch.Generator().manual_seed(0))

    def forward(self, x):
        return self.head(self.features(x).mean(-1))


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_module_is_tapped_by_name():
    module, x = Convolution(), draw(4, 9, 2)
    model = SeriesModel(module, latent="features", channels_first=True)
    logits, latent = model(x)
    assert torch.equal(logits, module(x.mT))
    assert torch.equal(latent, module.features(x.mT).flatten(1))
    assert not model.takes_keep
    assert all(not part._forward_hooks for part in module.modules())


def test_a_function_says_where_the_latent_is():
    x = draw(4, 9, 2)
    model = SeriesModel(
        Convolution(), latent=lambda module, x: module.features(x).mean(-1), channels_first=True
    )
    assert torch.allclose(model(x)[1], model.module.features(x.mT).mean(-1))
    assert SeriesModel(Convolution(), channels_first=True)(x)[1] is None


def test_probabilities_become_logits():
    class Certain(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, 0], 1 - x[:, 0, 0]], dim=1)

    model = SeriesModel(Certain(), outputs="probabilities")
    logits, _ = model.behaviour(torch.tensor([[[0.25]], [[1.0]]]))
    assert torch.allclose(logits.softmax(-1), torch.tensor([[0.25, 0.75], [1.0, 0.0]]))


def test_behaviour_is_that_of_one_pass_and_leaves_modes_alone():
    module = SeriesTransformer(1, 3, 10, dropout=0.5, seed=0)
    module.head.eval()
    model, x = SeriesModel(module), draw(7, 10, 1)
    keep = draw(7, 10).sigmoid()
    logits, latent = model.behaviour(x, keep, batch_size=3)
    assert [part.training for part in (module, module.encoder, module.head)] == [True, True, False]
    with evaluating(model):
        expected = module(x, keep)
    assert torch.allclose(logits, expected, atol=1e-6)
    assert latent.shape == (7, 17)
    assert not logits.requires_grad


def test_numpy_of_any_type_is_taken():
    model = SeriesModel(SeriesTransformer(1, 3, 10, seed=0))
    for kind in (np.float64, np.int32, np.float16):
        assert model.checked(np.ones((2, 10, 1), kind)).dtype == torch.float32
    assert as_series_model(model) is model


def test_a_missing_latent_names_candidates():
    module = Convolution()
    with pytest.raises(
        ConfigError, match=r"latent that is named.*latent=, one of features, features\.0, features\.1, head"
    ):
        SeriesModel(module).needs_latent()
    with pytest.raises(
        ConfigError, match=r"the Convolution has no module 'pool' to take the latent from: one of feat"
    ):
        SeriesModel(module, latent="pool")
    with pytest.raises(ConfigError, match=r"the ReLU .*no submodules, so give a function"):
        SeriesModel(nn.ReLU()).needs_latent()
    deep = nn.Sequential(*(nn.Sequential(nn.ReLU(), nn.ReLU()) for _ in range(9)))
    with pytest.raises(ConfigError, match=r"such as 0, 1, 2, 3, 4, 5, 6, 7$"):
        SeriesModel(deep).needs_latent()


def test_axes_the_wrong_way_round_come_with_the_fix():
    model = SeriesModel(SeriesTransformer(2, 3, 10, seed=0))
    with pytest.raises(
        DataError, match=r"got \(n, 2, 10\): .* give X\.swapaxes\(1, 2\), or channels_first=True"
    ):
        model.checked(np.zeros((4, 2, 10)))
    convolution = SeriesModel(Convolution())
    with pytest.raises(DataError, match=r"the wrong way round for the Convolution.*channels_first=True"):
        convolution.checked(np.zeros((4, 9, 2)))
    with pytest.raises(ModelError, match=r"the SeriesTransformer cannot take series of shape \(10, 5\)"):
        model.checked(np.zeros((4, 10, 5)))


def test_bad_series():
    model = SeriesModel(SeriesTransformer(1, 3, 10, seed=0))
    for shape in ((4, 10), (0, 10, 1), (4, 0, 1)):
        with pytest.raises(
            DataError, match=r"X must have shape \(n, time, channel\) with at least one of each"
        ):
            model.checked(np.zeros(shape))
    x = np.zeros((4, 10, 1))
    x[2, 3, 0], x[3, 0, 0] = np.nan, np.inf
    with pytest.raises(
        DataError, match=r"validation must be finite, got nan in row 2, step 3, channel 0 \(2 such"
    ):
        model.checked(x, "validation")


def test_bad_classifiers():
    with pytest.raises(
        ModelError, match=r"the Identity must give shape \(n, classes\), got \(2, 10, 1\) for 2 series"
    ):
        SeriesModel(nn.Identity()).checked(np.zeros((4, 10, 1)))
    with pytest.raises(ConfigError, match="the classifier must be a torch module, got a int"):
        as_series_model(3)
    with pytest.raises(
        ConfigError, match="outputs of a SeriesModel must be 'logits' or 'probabilities', got 'odds'"
    ):
        SeriesModel(Convolution(), outputs="odds")
    with pytest.raises(ConfigError, match="a SeriesModel has its own latent"):
        as_series_model(SeriesModel(Convolution()), latent="head")
    wrong = SeriesModel(Convolution(), latent=lambda module, x: x[:1], channels_first=True)
    with pytest.raises(ModelError, match="must have one row a series, got 1 for 2"):
        wrong.checked(np.zeros((4, 9, 2)))
