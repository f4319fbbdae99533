from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.saliency_metrics import intersection_over_union, saliency_scores


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), digits=st.sampled_from([1, 2, 8]))
def test_scores_are_those_of_scikit_learn_ties_included(seed, digits):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(3, 12, 2)).round(digits)
    truth = generator.random((3, 12, 2)) < 0.3
    truth[:, 0, 0] = True
    scores = saliency_scores(values, truth)
    for row in range(3):
        wanted, given_ = truth[row].ravel(), values[row].ravel()
        scaled = (given_ - given_.min()) / (given_.max() - given_.min())
        precision, recall, thresholds = precision_recall_curve(wanted, scaled)
        assert np.isclose(scores.auprc[row], average_precision_score(wanted, scaled))
        assert np.isclose(scores.aup[row], auc(thresholds, precision[:-1]))
        assert np.isclose(scores.aur[row], auc(thresholds, recall[:-1]))


def test_by_hand():
    # Thresholds 0, 0.5 and 1 (after scaling); true are the first and the third.
    scores = saliency_scores([[3.0, 1.0, 2.0]], [[1, 0, 1]])
    assert scores.auprc.tolist() == [1.0]
    # Precision 2/3, 1, 1: (2/3 + 1)/2 * 0.5 + 1 * 0.5; recall 1, 1, 1/2: 0.5 + 0.75 * 0.5
    assert np.allclose(scores.aup, 11 / 12)
    assert np.allclose(scores.aur, 7 / 8)


def test_the_ends():
    truth = np.array([[0, 1, 1, 0], [0, 0, 0, 0]])
    perfect = saliency_scores(truth, truth)
    assert perfect.auprc[0] == 1.0
    assert np.isnan([perfect.auprc[1], perfect.aup[1], perfect.aur[1]]).all()
    assert perfect.means()["auprc"] == 1.0
    constant = saliency_scores(np.full((1, 4), 0.7), truth[:1])
    assert (constant.auprc[0], constant.aup[0], constant.aur[0]) == (0.5, 0.5, 1.0)


def test_auprc_keeps_its_value_under_rising_maps_and_reordering():
    generator = np.random.default_rng(0)
    values, truth = generator.random((5, 20)), generator.random((5, 20)) < 0.4
    order = generator.permutation(20)
    first = saliency_scores(values, truth)
    assert np.allclose(first.auprc, saliency_scores(np.exp(3 * values), truth).auprc)
    moved = saliency_scores(values[:, order] * 7 - 2, truth[:, order])
    for name in ("auprc", "aup", "aur"):
        assert np.allclose(getattr(first, name), getattr(moved, name))


def test_chance_level_is_the_share_of_the_truth():
    generator = np.random.default_rng(1)
    truth = np.arange(400) % 5 == 0
    scores = saliency_scores(generator.random((200, 400)), np.tile(truth, (200, 1)))
    assert np.isclose(scores.auprc.mean(), 0.2, atol=0.015)  # a little above it where rows are short
    assert np.isclose(scores.aur.mean(), 0.5, atol=0.01)


def test_overlap():
    truth = np.array([[1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 10])
    values = np.tile(np.arange(10)[::-1], (2, 1))
    # The largest two of ten at 0.8: kept are 9 and 8 (7.2 by linear interpolation).
    assert intersection_over_union(values, truth, quantile=0.8)[0] == 1.0
    assert intersection_over_union(values, truth, quantile=0.0)[0] == 0.2
    assert np.isnan(intersection_over_union(values, truth)[1])


def test_bad_input():
    with pytest.raises(DataError, match=r"one shape .*, got \(2, 3\) and \(2, 4\)"):
        saliency_scores(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(DataError, match=r"at least one series, got \(0, 3\)"):
        saliency_scores(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(DataError, match="an attribution must be finite, got a number that is not in row 1"):
        saliency_scores([[0.0, 1.0], [np.nan, 0.0]], np.ones((2, 2)))
    with pytest.raises(
        ConfigError, match=r"quantile of intersection_over_union must be from 0 to 1, got 1\.5"
    ):
        intersection_over_union(np.ones((1, 2)), np.ones((1, 2)), quantile=1.5)
