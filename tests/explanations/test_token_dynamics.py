"""Tokens in depth: closed forms, laws that hold exactly with one channel, blow-ups, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms.dynamics import Weights, blow_up_time, token_dynamics
from concordant.explanations.mechanisms.scan import selective_scan

LN2 = np.log(2)


def matrices(seed, channels=3, states=2):
    rng = np.random.default_rng(seed)
    shapes = {"s_delta": (channels, channels), "s_b": (states, channels), "s_c": (states, channels)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def test_the_equation_is_the_scan_of_a_layer():
    rng = np.random.default_rng(0)
    x, given, a = rng.normal(size=(2, 5, 3)), matrices(1), np.array([0.5, 1.0, 2.0])
    velocity = Weights(**given, a=a).velocity(x)
    step = np.logaddexp(0, x @ given["s_delta"].T)
    decays = -np.repeat(a[:, None], 2, 1)
    tensors = (x, step, decays, x @ given["s_b"].T, x @ given["s_c"].T)
    scanned = selective_scan(*map(torch.from_numpy, tensors))
    np.testing.assert_allclose(velocity, scanned.numpy(), rtol=1e-12)


def test_the_equation_by_hand():
    # One channel, step ln 2 for all: v_1 = ln 2 x_1^3, v_2 = mu x_2 (x_1^2 2^-a + x_2^2) ln 2.
    weights = Weights(*(np.array([[value]]) for value in (0.0, 1.0, 3.0)), a=np.array([2.0]))
    found = weights.velocity(np.array([[[1.0], [2.0]]]))
    np.testing.assert_allclose(found.ravel(), [3 * LN2, 3 * 2 * (0.25 + 4) * LN2])


@pytest.mark.parametrize("mu", [-2.0, 0.5])
def test_one_token_with_a_constant_step(mu):
    """dx/dt = mu ln 2 x^3 has x = x0 / sqrt(1 - 2 mu ln 2 x0^2 t)."""
    times = np.linspace(0, 1.0, 7)
    found = token_dynamics([[-1.1]], s_delta=0.0, s_b=1.0, s_c=mu, t_end=1.0, times=times)
    exact = -1.1 / np.sqrt(1 - 2 * mu * LN2 * 1.21 * times)
    np.testing.assert_allclose(found.x[:, 0, 0], exact, rtol=1e-6)
    assert found.blow_up_time == np.inf
    assert found.blow_up_token == -1


def test_shrinking_tokens_fall_as_one_over_the_root_of_time():
    times = np.array([1e3, 1e4])
    for s_delta in (1.0, -1.0):
        found = token_dynamics(
            [[0.7], [1.2], [0.9]], s_delta=s_delta, s_b=1.0, s_c=-1.0, t_end=1e4, times=times
        )
        slope = np.diff(np.log(found.norms), axis=0) / np.log(10)
        np.testing.assert_allclose(slope, -0.5, atol=0.02)
        # Steps come to ln 2, so that of the first is 1 / sqrt(2 ln 2 t).
        np.testing.assert_allclose(found.norms[1, 0], 1 / np.sqrt(2 * LN2 * 1e4), rtol=0.02)


def test_the_blow_up_of_one_token_agrees_with_quadrature():
    for x0, mu, s_delta in ((1.0, 1.0, 1.0), (-0.8, 2.0, -0.5), (0.5, 1.0, 0.0)):
        found = token_dynamics([[x0]], s_delta=s_delta, s_b=1.0, s_c=mu, t_end=50.0)
        np.testing.assert_allclose(found.blow_up_time, blow_up_time(x0, mu=mu, s_delta=s_delta), rtol=1e-6)
        assert found.blow_up_token == 0
        assert np.isfinite(found.x).all()


def test_what_never_blows_up():
    for x0, mu, s_delta in (
        (0.0, 1.0, 1.0),
        (1.0, -1.0, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, 1.0, -1.0),
        (-1.0, 1.0, 1.0),
    ):
        assert blow_up_time(x0, mu=mu, s_delta=s_delta) == np.inf


def test_slow_growth_is_ordered():
    """With steps that shrink as tokens grow, a token gains on the ones before it."""
    start = np.array([1.4, 1.0, 0.6, 0.8])
    found = token_dynamics(start[:, None], s_delta=-1.0, s_b=1.0, s_c=1.0, t_end=200.0, limit=1e8)
    assert found.blow_up_time == np.inf
    grown = found.norms[-1] / start
    assert (np.diff(grown) > 0).all()


def test_starts_of_a_batch_do_not_touch_each_other():
    starts = np.array([[[0.5], [1.0]], [[1.5], [0.2]], [[0.1], [0.1]]])
    options = {"s_delta": 1.0, "s_b": 1.0, "s_c": 1.0, "t_end": 2.0}
    together = token_dynamics(starts, **options)
    assert together.x.shape == (3, 101, 2, 1)
    for i, start in enumerate(starts):
        alone = token_dynamics(start, **options)
        np.testing.assert_allclose(together.blow_up_time[i], alone.blow_up_time, rtol=1e-6)
        assert together.blow_up_token[i] == alone.blow_up_token
        early = together.times < 0.9 * alone.blow_up_time
        np.testing.assert_allclose(together.x[i, early], alone.x[early], rtol=1e-5)
    assert np.isfinite(together.blow_up_time).tolist() == [True, True, False]
    after = together.times > together.blow_up_time[1]
    assert (together.x[1, after] == together.x[1, -1]).all()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(-2, 2).filter(lambda x: abs(x) > 0.05), min_size=1, max_size=4),
    st.sampled_from([-1.0, 1.0]),
    st.floats(-1, 1),
)
def test_with_one_channel_the_sign_decides(start, mu, s_delta):
    """No token changes its sign, and all shrink or all grow, whatever the step is."""
    found = token_dynamics(np.array(start)[:, None], s_delta=s_delta, s_b=1.0, s_c=mu, t_end=0.3)
    assert (np.sign(found.x[..., 0]) == np.sign(start)).all()
    before = found.times < found.blow_up_time
    assert (mu * np.diff(found.norms[before], axis=0) > -1e-8).all()


@pytest.mark.parametrize(("sign", "grows"), [(1.0, True), (-1.0, False)])
def test_with_many_channels_the_symmetric_part_decides_for_a_single_token(sign, grows):
    """x C'B x has the sign of a definite symmetric part, however large the skew part is."""
    rng = np.random.default_rng(4)
    skew = rng.normal(size=(3, 3))
    found = token_dynamics(
        rng.normal(size=(1, 3)),
        s_delta=rng.normal(size=(3, 3)),
        s_b=sign * np.eye(3) + 5 * (skew - skew.T),
        s_c=np.eye(3),
        t_end=1.0,
    )
    before = found.times < found.blow_up_time
    assert ((np.diff(found.norms[before, 0]) > 0) == grows).all()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"x0": [1.0, 2.0]}, ConfigError, r"\(tokens, channels\).*\(2,\)"),
        ({"x0": [[1.0, 2.0]]}, ConfigError, r"s_delta .* shape \(2, 2\), got \(1, 1\)"),
        ({"s_c": [[1.0], [1.0]]}, ConfigError, r"s_c .* shape \(1, 1\), got \(2, 1\)"),
        ({"s_b": np.nan}, ConfigError, "s_b .* finite"),
        ({"a": 0.0}, ConfigError, "a of token_dynamics must be above 0"),
        ({"t_end": np.inf}, ConfigError, "t_end"),
        ({"times": [0.5, 2.0]}, ConfigError, "ascend from 0 to t_end = 1"),
        ({"times": [0.5, 0.2]}, ConfigError, "ascend"),
        ({"limit": 0.0}, ConfigError, "limit"),
        ({"x0": [[np.nan]]}, DataError, "finite"),
        ({"x0": [[1e5]]}, DataError, "below the limit 10000, got 100000"),
    ],
)
def test_what_is_refused(change, error, said):
    options = {"x0": [[1.0]], "s_delta": 1.0, "s_b": 1.0, "s_c": -1.0, "t_end": 1.0} | change
    with pytest.raises(error, match=said):
        token_dynamics(options.pop("x0"), **options)
