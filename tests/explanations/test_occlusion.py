from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.masking import Baseline, masked, masking_of
from concordant.explanations.occlusion import (
    label_agreement_rate,
    most_important,
    occlusion_curve,
    shuffled_masks,
)
from concordant.explanations.series_model import SeriesModel
from concordant.explanations.series_transformer import SeriesTransformer


class Third(nn.Module):
    """Knows the class from the sign of step 3."""

    def forward(self, x):
        return torch.stack([-x[:, 3, 0], x[:, 3, 0]], dim=1)


X = np.random.default_rng(0).normal(size=(300, 8, 1)).astype(np.float32)
LABELS = (X[:, 3, 0] > 0).astype(int)
TRUTH = np.zeros(X.shape)
TRUTH[:, 3] = 1


def test_the_largest_are_kept_and_equal_ones_at_random():
    values = np.random.default_rng(0).random((50, 5, 2))
    kept = most_important(values, 0.3)
    assert (kept.sum((1, 2)) == 3).all()
    assert all(row[k].min() > row[~k].max() for row, k in zip(values, kept, strict=True))
    equal = most_important(np.ones((2000, 4)), 0.25)
    assert (equal.sum(1) == 1).all()
    assert np.allclose(equal.mean(0), 0.25, atol=0.05)
    assert not most_important(values, 0.0).any()
    assert most_important(values, 1.0).all()


def test_shuffled_masks_have_the_same_sizes():
    masks = np.random.default_rng(0).random((200, 5, 2)) < np.linspace(0, 1, 200)[:, None, None]
    shuffled = shuffled_masks(masks, 1)
    assert np.array_equal(shuffled.sum((1, 2)), masks.sum((1, 2)))
    assert not np.array_equal(shuffled, masks)
    assert np.array_equal(shuffled, shuffled_masks(masks, 1))


def test_the_true_explanation_is_enough_and_a_wrong_one_is_not():
    right = occlusion_curve(Third(), X, LABELS, TRUTH, training=X, quantiles=(0.0, 0.875))
    assert right.auroc == right.auprc == right.accuracy == right.agreement == (1.0, 1.0)
    wrong = occlusion_curve(Third(), X, LABELS, -TRUTH, training=X, quantiles=(0.0, 0.125))
    assert wrong.accuracy[0] == wrong.agreement[0] == 1.0  # nothing is dropped
    assert 0.4 < wrong.auroc[1] < 0.6
    assert 0.4 < wrong.agreement[1] < 0.6


def test_ranks_of_classes_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(60, 3)).round(1).astype(np.float32)  # with ties

    class Given(nn.Module):
        def forward(self, x):
            return torch.log_softmax(x[:, 0], dim=-1)

    x, labels = logits[:, None], np.arange(60) % 3
    curve = occlusion_curve(Given(), x, labels, np.ones_like(x), training=x, quantiles=(0.0,))
    p = torch.tensor(logits).softmax(-1).numpy()
    assert curve.auroc[0] == pytest.approx(np.mean([roc_auc_score(labels == c, p[:, c]) for c in range(3)]))
    expected = np.mean([average_precision_score(labels == c, p[:, c]) for c in range(3)])
    assert curve.auprc[0] == pytest.approx(expected)


def test_a_curve_by_hand():
    """With everything dropped, what is left is the replacement, drawn as documented."""
    curve = occlusion_curve(Third(), X, LABELS, TRUTH, training=X, quantiles=(1.0,), seed=4)
    drawn = torch.randn((300, 8, 1), generator=torch.Generator().manual_seed(4))
    value = torch.tensor(X).mean(0)[3] + torch.tensor(X).std(0)[3] * drawn[:, 3]
    expected = ((value[:, 0] > 0).numpy() == LABELS).mean()
    assert curve.accuracy[0] == pytest.approx(expected)


def test_agreement_of_masks():
    assert label_agreement_rate(Third(), X, TRUTH, training=X) == 1.0
    assert label_agreement_rate(Third(), X, 1 - TRUTH, training=X) < 0.6
    model = SeriesTransformer(1, 3, 8, seed=0)
    everything = np.ones_like(X)
    for masking in (None, "attention", "input", "both"):
        assert label_agreement_rate(model, X, everything, training=X, masking=masking) == 1.0


def test_masks_by_hand():
    x, mask = torch.ones(1, 2, 2), torch.tensor([[[1.0, 1.0], [0.5, 0.0]]])
    baseline, generator = Baseline(torch.full((2, 2), 5.0), torch.zeros(2, 2)), torch.Generator()
    kept, keep = masked(x, mask, "both", baseline, generator)
    assert kept.tolist() == [[[1.0, 1.0], [3.0, 5.0]]]
    assert keep.tolist() == [[1.0, 0.5]]
    assert masked(x, mask, "attention", baseline, generator)[0] is x
    assert masked(x, mask, "input", baseline, generator)[1] is None


def test_moments_of_replacements():
    x = torch.tensor(X) * 3 + 2
    drawn = Baseline.of(x).draw(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), x.mean(0), atol=0.15)
    assert torch.allclose(drawn.std(0), x.std(0), atol=0.1)
    assert Baseline.of(x[:1]).std.eq(0).all()


def test_how_masks_are_applied():
    transformer, other = SeriesModel(SeriesTransformer(1, 3, 8, seed=0)), SeriesModel(Third())
    assert masking_of("auto", transformer, 1) == "attention"
    assert masking_of("auto", transformer, 2) == "both"
    assert masking_of("auto", other, 1) == "input"
    assert masking_of("input", transformer, 1) == "input"
    with pytest.raises(
        ConfigError, match=r"masking 'both' needs a classifier whose forward takes keep.*the Third does"
    ):
        masking_of("both", other, 1)
    with pytest.raises(ConfigError, match="masking must be one of auto, attention, input, both, got 'soft'"):
        masking_of("soft", other, 1)


def test_bad_input():
    with pytest.raises(
        DataError, match=r"labels must be 300 classes of at least two kinds, got shape \(300,\) with 1"
    ):
        occlusion_curve(Third(), X, LABELS * 0, TRUTH, training=X)
    with pytest.raises(DataError, match=r"the attribution must have the shape of the series \(300, 8, 1\)"):
        occlusion_curve(Third(), X, LABELS, TRUTH[:, :4], training=X)
    with pytest.raises(ConfigError, match=r"quantiles of an occlusion curve must be from 0 to 1, got 1\.2"):
        occlusion_curve(Third(), X, LABELS, TRUTH, training=X, quantiles=(1.2,))
    with pytest.raises(
        DataError, match=r"training must have the \(time, channel\) \(8, 1\) of the series, got \(5, 1\)"
    ):
        label_agreement_rate(Third(), X, TRUTH, training=X[:, :5])
    with pytest.raises(DataError, match=r"masks must have the shape of the series \(300, 8, 1\)"):
        label_agreement_rate(Third(), X, TRUTH[:5], training=X)
