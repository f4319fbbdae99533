from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.classifiers import as_classifier, chosen_classes
from concordant.explanations.occluding import DRAWS, Occlusion, windows
from concordant.explanations.replacing import replaced_probabilities

X = np.random.default_rng(0).normal(size=(5, 8, 2))
WEIGHTS = np.random.default_rng(1).normal(size=(8, 2)) / 100


def linear(x):
    """Two probabilities that are linear in the series, so that each number has its share of them."""
    p = 0.5 + (x * WEIGHTS).sum((1, 2))
    return np.stack([p, 1 - p], axis=1)


def test_single_steps_of_a_linear_classifier_in_closed_form():
    found = Occlusion(linear, X, window=1).explain(X, [0, 1, 0, 1, 0])
    sign = np.array([1, -1, 1, -1, 1])[:, None, None]
    assert np.allclose(found, sign * WEIGHTS * (X - X.mean(0)), atol=1e-7)


def test_a_number_has_the_mean_loss_of_the_windows_that_cover_it():
    found = Occlusion(linear, X, window=3, stride=2).explain(X, [0] * 5)
    losses = WEIGHTS * (X - X.mean(0))  # of single numbers; those of a window add up
    starts = [0, 2, 4, 5]  # the last ends with the series
    for step in range(8):
        covering = [losses[:, start : start + 3].sum(1) for start in starts if start <= step < start + 3]
        assert np.allclose(found[:, step], np.mean(covering, axis=0), atol=1e-7)


def test_normal_numbers_stand_in():
    mean, std = X.mean(0), X.std(0)
    explainer = Occlusion(linear, X, window=1, stand_in="normal", seed=4)
    draws = mean + std * np.random.default_rng(4).standard_normal((DRAWS, 8, 2))
    assert np.allclose(explainer.explain(X, [0] * 5), WEIGHTS * (X - draws.mean(0)), atol=1e-7)
    assert not np.allclose(
        explainer.explain(X), Occlusion(linear, X, window=1, stand_in="normal", seed=5).explain(X)
    )


def test_windows_cover_every_number_of_one_channel():
    for time, window, stride in ((10, 3, 3), (10, 3, 2), (7, 7, 1), (1, 1, 1), (9, 2, 1)):
        covered = windows(time, 3, window, stride)
        assert covered.any(0).all()
        assert (covered.any(1).sum(1) == 1).all()
        assert (covered.sum((1, 2)) == window).all()
        assert len(np.unique(covered.reshape(len(covered), -1), axis=0)) == len(covered)


def test_it_explains_the_class_that_is_given_by_default():
    forest = RandomForestClassifier(20, random_state=0).fit(X.reshape(5, -1), [0, 1, 0, 1, 2])
    explainer = Occlusion(forest, X, window=2)
    classes = forest.predict_proba(X.reshape(5, -1)).argmax(1)
    assert np.array_equal(explainer.explain(X), explainer.explain(X, classes))
    assert np.array_equal(explainer.explain(X, batch_size=7), explainer.explain(X))


def test_probabilities_of_replaced_series_one_by_one():
    rng = np.random.default_rng(2)
    kept, stand_ins, classes = (
        rng.random((3, 8, 2)) < 0.5,
        rng.normal(size=(4, 8, 2)),
        np.array([0, 1, 1, 0, 0]),
    )
    found = replaced_probabilities(as_classifier(linear), X, kept, stand_ins, classes, batch_size=11)
    for i in range(5):
        for m in range(3):
            given = np.stack([np.where(kept[m], X[i], stand_in) for stand_in in stand_ins])
            assert found[i, m] == pytest.approx(linear(given)[:, classes[i]].mean())


def test_classes():
    p = [[0.1, 0.9], [0.7, 0.3]]
    assert chosen_classes(p, None).tolist() == [1, 0]
    assert chosen_classes(p, [0, 0]).tolist() == [0, 0]
    for wrong in ([0], [0, 2], [-1, 0], [0.0, 1.0]):
        with pytest.raises(DataError, match="classes must be 2 integers from 0 to 1, got"):
            chosen_classes(p, wrong)


def test_bad_input():
    for options, said in (
        ({"window": 9}, "window of Occlusion must be from 1 to 8, got 9"),
        ({"window": 2, "stride": 3}, "stride of Occlusion must be from 1 to 2, got 3"),
        ({"stand_in": "zero"}, "stand_in of Occlusion must be 'mean' or 'normal', got 'zero'"),
    ):
        with pytest.raises(ConfigError, match=said):
            Occlusion(linear, X, **options)
    with pytest.raises(
        DataError, match=r"training must have the \(time, channel\) \(8, 2\) of the series, got \(7, 2\)"
    ):
        Occlusion(linear, X[:, :7]).explain(X)
