r"""The tokens of a selective state-space model as they move through depth, where depth is read as time.

Layers with a residual connection and nothing else (no norm, gate or convolution) become the differential equation

.. math:: \dot x_l = \sum_{i \le l} \left(x_l^\top S_C^\top S_B\, x_i\right)
    \exp\Big(-a \sum_{j=i+1}^{l} \Delta_j\Big) \odot \Delta_i \odot x_i, \qquad
    \Delta_i = \mathrm{softplus}(S_\Delta x_i)

With one channel and :math:`\mu = S_C^\top S_B < 0` every token goes to zero as :math:`1/\sqrt t`; with :math:`\mu > 0`
every token grows, without end in finite time where :math:`S_\Delta x > 0`, and like powers of :math:`\ln t` where it is
below zero. With more channels the symmetric part of :math:`S_C^\top S_B` stands for :math:`\mu`; that is not proved.

References
----------
Vo et al., "Demystifying the Token Dynamics of Deep Selective State Space Models", 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import quad, solve_ivp

from concordant.core.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

RESOLUTION = 1e-3
"""Largest relative growth of a token between two neighbouring floating-point times: beyond it there is no step to take."""


@dataclass(frozen=True)
class Trajectories:
    """Tokens over time.

    Parameters
    ----------
    times
        Shape ``(n_times,)``.
    x
        Shape ``(n_times, tokens, channels)``, or ``(batch, n_times, tokens, channels)`` for a batch of starts. Behind
        its blow-up a start stays as it was there.
    blow_up_time
        When a start passed the limit, one number or shape ``(batch,)``; infinite where it did not.
    blow_up_token
        Which token did so first; -1 where none did.
    """

    times: Floats
    x: Floats
    blow_up_time: Floats
    blow_up_token: NDArray[np.int64]

    @property
    def norms(self) -> Floats:
        """Euclidean norm of each token, shape ``(..., n_times, tokens)``."""
        return np.asarray(np.linalg.norm(self.x, axis=-1))


@dataclass(frozen=True)
class Weights:
    """The matrices of one layer, with the shapes that `token_dynamics` takes, and `a` of shape ``(channels,)``."""

    s_delta: Floats
    s_b: Floats
    s_c: Floats
    a: Floats

    def velocity(self, x: Floats) -> Floats:
        """Return the right-hand side of the equation for tokens ``(batch, tokens, channels)``."""
        step = np.logaddexp(0.0, x @ self.s_delta.T)
        until = step.cumsum(1)
        form = _earlier(x.shape[1]) * ((x @ self.s_c.T) @ (x @ self.s_b.T).swapaxes(1, 2))
        # Above the diagonal, where the form is zero, the exponent would be positive.
        gone = np.minimum(until[:, None, :] - until[:, :, None], 0.0)
        return np.asarray(np.einsum("bli,blid,bid->bld", form, np.exp(self.a * gone), step * x))


def token_dynamics(
    x0: ArrayLike,
    *,
    s_delta: ArrayLike,
    s_b: ArrayLike,
    s_c: ArrayLike,
    a: ArrayLike = 1.0,
    t_end: float,
    times: ArrayLike | None = None,
    limit: float = 1e4,
    relative_error: float = 1e-8,
    absolute_error: float = 1e-10,
) -> Trajectories:
    r"""Follow tokens through depth, with steps that an estimate of the error chooses.

    The solver is LSODA, which turns to an implicit method where the equation is stiff, as it becomes with several channels.

    Parameters
    ----------
    x0
        Where the tokens start: shape ``(tokens, channels)``, or ``(batch, tokens, channels)`` for several starts.
    s_delta, s_b, s_c
        :math:`S_\Delta` of shape ``(channels, channels)``, :math:`S_B` and :math:`S_C` of shape ``(states, channels)``;
        numbers where there is one channel.
    a
        Decay of the state, above 0: one number, or one a channel.
    t_end
        Until when, above 0.
    times
        When to look, ascending in [0, t_end]; 101 times with equal gaps by default.
    limit
        A start has blown up where a number of it passes this, or moves too fast for any step of time to follow. It is
        then no longer followed; the others are.
    relative_error, absolute_error
        Allowed of a step.

    Raises
    ------
    ConfigError
        If shapes do not fit together, or a number is outside its range.
    DataError
        If `x0` is not finite, or beyond the limit already.

    Examples
    --------
    One token: with a negative product it shrinks, with a positive one it blows up, when :func:`blow_up_time` says.

    >>> shrinking = token_dynamics([[1.0]], s_delta=1.0, s_b=1.0, s_c=-1.0, t_end=10.0)
    >>> round(float(shrinking.norms[-1, 0]), 3), float(shrinking.blow_up_time)
    (0.23, inf)
    >>> growing = token_dynamics([[1.0]], s_delta=1.0, s_b=1.0, s_c=1.0, t_end=10.0)
    >>> bool(abs(growing.blow_up_time - blow_up_time(1.0, mu=1.0, s_delta=1.0)) < 1e-6)
    True
    """
    start = np.asarray(x0, dtype=np.float64)
    if start.ndim not in (2, 3) or 0 in start.shape:
        message = (
            "x0 of token_dynamics must be (tokens, channels) or (batch, tokens, channels), "
            f"got an array of shape {start.shape}"
        )
        raise ConfigError(message)
    weights = _weights(start.shape[-1], s_delta, s_b, s_c, a)
    looks = _times(t_end, times)
    for name, value in (
        ("limit", limit),
        ("relative_error", relative_error),
        ("absolute_error", absolute_error),
    ):
        if not value > 0:
            message = f"{name} of token_dynamics must be above 0, got {value}"
            raise ConfigError(message)
    if not (np.abs(start) < limit).all():
        message = (
            f"x0 of token_dynamics must be finite and below the limit {limit:g}, got {np.abs(start).max():g}"
        )
        raise DataError(message)
    errors = (relative_error, absolute_error)
    # One after the other: starts that blow up at different times need steps of different sizes.
    runs = [_followed(x, weights, looks, t_end, limit, errors) for x in start.reshape(-1, *start.shape[-2:])]
    found, when, which = (np.array(part) for part in zip(*runs, strict=True))
    if start.ndim == 2:
        found, when, which = found[0], when[0], which[0]
    return Trajectories(looks, found, when, which)


def blow_up_time(x0: float, *, mu: float, s_delta: float) -> float:
    r"""Return when a single token of one channel leaves every bound, by quadrature.

    .. math:: T = \int_{|x_0|}^\infty \frac{dx}{\mu\,\mathrm{softplus}(\pm s x)\,x^3}

    Parameters
    ----------
    x0
        Where it starts.
    mu
        The product of `s_c` and `s_b`.
    s_delta
        With the sign of `x0` it decides whether steps grow with the token.

    Returns
    -------
    float
        Infinite where it never does: it starts at 0, `mu` is not positive, or ``s_delta * x0 < 0``.

    Examples
    --------
    With a step that does not depend on the token, dx/dt = ln 2 x^3, whose solution ends at 1 / (2 ln 2 x0^2).

    >>> round(blow_up_time(2.0, mu=1.0, s_delta=0.0), 6), round(float(1 / (8 * np.log(2))), 6)
    (0.180337, 0.180337)
    """
    along = s_delta * np.sign(x0)
    if x0 == 0 or mu <= 0 or along < 0:
        return np.inf
    # With u = 1 / x the range is finite.
    value, _ = quad(lambda u: u / np.logaddexp(0.0, along / u), 0.0, 1 / abs(x0), epsabs=0.0, epsrel=1e-11)
    return float(value / mu)


def _followed(
    x: Floats, weights: Weights, looks: Floats, t_end: float, limit: float, errors: tuple[float, float]
) -> tuple[Floats, float, int]:
    """Integrate one start until the end or its blow-up; return what was seen, and when and which token blew up."""

    def velocity(_: float, flat: Floats) -> Floats:
        return weights.velocity(flat.reshape(1, *x.shape)).reshape(-1)

    def speed(flat: Floats) -> Floats:
        return np.abs(velocity(0.0, flat)) / (np.abs(flat) + errors[1])

    def below(_: float, flat: Floats) -> float:
        return limit - float(np.abs(flat).max())

    def followable(now: float, flat: Floats) -> float:
        return RESOLUTION - float(speed(flat).max() * np.spacing(max(now, 1e-9)))

    guards: list[Any] = [below, followable]
    for guard in guards:
        guard.terminal = True
    with np.errstate(over="ignore", invalid="ignore"):  # steps that are tried, and refused
        run = solve_ivp(
            velocity,
            (0.0, t_end),
            x.reshape(-1),
            method="LSODA",
            dense_output=True,
            events=guards,
            rtol=errors[0],
            atol=errors[1],
        )
    if run.status < 0:
        message = f"the tokens cannot be followed beyond t = {run.t[-1]:g}: {run.message}"
        raise ModelError(message)
    seen = run.sol(np.minimum(looks, run.t[-1])).T.reshape(len(looks), *x.shape)
    if run.status == 0:
        return seen, np.inf, -1
    last = run.y[:, -1]
    crossed = np.abs(last) if len(run.t_events[0]) else speed(last)
    return seen, float(run.t[-1]), int(crossed.reshape(x.shape).max(-1).argmax())


@lru_cache
def _earlier(n: int) -> Floats:
    return np.tri(n)


def _weights(channels: int, s_delta: ArrayLike, s_b: ArrayLike, s_c: ArrayLike, a: ArrayLike) -> Weights:
    given = {
        name: np.atleast_2d(np.asarray(value, dtype=np.float64))
        for name, value in (("s_delta", s_delta), ("s_b", s_b), ("s_c", s_c))
    }
    states = len(given["s_b"])
    for name, shape in (
        ("s_delta", (channels, channels)),
        ("s_b", (states, channels)),
        ("s_c", (states, channels)),
    ):
        if given[name].shape != shape:
            message = f"{name} of token_dynamics must have the shape {shape}, got {given[name].shape}"
            raise ConfigError(message)
        if not np.isfinite(given[name]).all():
            message = f"{name} of token_dynamics must be finite"
            raise ConfigError(message)
    decay = np.asarray(a, dtype=np.float64)
    if decay.shape not in ((), (channels,)) or not (decay > 0).all():
        message = f"a of token_dynamics must be above 0, one number or one for each of {channels} channels, got {a!r}"
        raise ConfigError(message)
    return Weights(**given, a=np.broadcast_to(decay, (channels,)))


def _times(t_end: float, times: ArrayLike | None) -> Floats:
    if not 0 < t_end < np.inf:
        message = f"t_end of token_dynamics must be above 0 and finite, got {t_end}"
        raise ConfigError(message)
    if times is None:
        return np.linspace(0.0, t_end, 101)
    looks = np.asarray(times, dtype=np.float64)
    if looks.ndim != 1 or not len(looks) or not (np.diff(looks, prepend=0.0, append=t_end) >= 0).all():
        message = f"times of token_dynamics must ascend from 0 to t_end = {t_end:g}"
        raise ConfigError(message)
    return looks
