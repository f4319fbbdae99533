"""The interval of a ratio of means, against the bootstrap and its own inverse."""

import numpy as np
import pytest

from concordant.core.statistics import bootstrap, estimate_log_ratio, estimate_mean


def influences(x, y):
    return x / x.mean() - y / y.mean()


def test_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    x, y = rng.gamma(4.0, size=400), rng.gamma(9.0, size=400)
    delta = estimate_log_ratio(x.mean() / y.mean(), influences(x, y))
    drawn = bootstrap(lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis), x, y, n_replicates=5000)
    assert (delta.low, delta.high) == pytest.approx((drawn.low, drawn.high), abs=0.15 * drawn.stderr)
    assert delta.stderr == pytest.approx(drawn.stderr, rel=0.05)


def test_is_symmetric_on_the_log_scale():
    x, y = np.array([1.0, 2.0, 3.0, 2.0]), np.array([2.0, 3.0, 7.0, 4.0])
    ratio = estimate_log_ratio(0.5, influences(x, y))
    inverse = estimate_log_ratio(2.0, influences(y, x))
    assert (ratio.low, ratio.high) == pytest.approx((1 / inverse.high, 1 / inverse.low), rel=1e-12)
    assert ratio.low * ratio.high == pytest.approx(0.25, rel=1e-12)


def test_p_value_is_that_of_the_mean_influence():
    rng = np.random.default_rng(1)
    x, y, groups = rng.gamma(4.0, size=60), rng.gamma(4.0, size=60), np.repeat(np.arange(20), 3)
    ratio = estimate_log_ratio(x.mean() / y.mean(), influences(x, y), clusters=groups)
    log = estimate_mean(influences(x, y) + np.log(x.mean() / y.mean()), clusters=groups, method="t")
    assert ratio.p_value(1.0) == pytest.approx(log.p_value(0.0), rel=1e-6)
    assert ratio.n_clusters == 20
