r"""Series with known reasons: four sets in which the steps that make the class are known.

All four have four classes of equally many rows, in the order of the classes. A generator gives the series, the
classes and the truth: a mask that is true where the class was written in. They follow the code that TimeX was
published with, slips included, because its figures are figures of these data; each slip is marked where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_CLASSES = 4
SPIKE = 2 - 0.25 * np.array([-1.0, 0.0, 1.0]) ** 2
"""Height of the three points of an upward spike."""

Seed: TypeAlias = "int | np.random.Generator"


@dataclass(frozen=True)
class MotifSeries:
    """Series, their classes, and where in them the class is.

    Attributes
    ----------
    x
        Shape ``(n, time, channel)``.
    labels
        Shape ``(n,)``, integers from 0 to 3, in ascending order.
    truth
        True at the steps and channels that make the class, shape of `x`.
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    truth: NDArray[np.bool_]


def freq_shapes(n: int, seed: Seed, *, length: int = 50, noise: float = 0.25) -> MotifSeries:
    """Return series of spikes: the class is their direction and their period.

    Classes 0 and 2 have downward spikes, 1 and 3 upward ones; 0 and 1 a period of 10 steps, 2 and 3 of 17.
    The first centre is uniform from 0 to ``length - period - 1``, a spike is three points (1.75, 2, 1.75 or the
    negative), and normal noise is added everywhere.

    Parameters
    ----------
    n
        Rows, at least 4.
    seed
        A number or a generator.
    length
        Steps, at least 18.
    noise
        Standard deviation of the noise.

    Raises
    ------
    ConfigError
        If a number is too small.

    Examples
    --------
    >>> data = freq_shapes(8, seed=0)
    >>> data.x.shape, data.labels.tolist(), int(data.truth[0].sum()) % 3
    ((8, 50, 1), [0, 0, 1, 1, 2, 2, 3, 3], 0)
    """
    _at_least("freq_shapes", n=(n, N_CLASSES), length=(length, 18))
    generator = np.random.default_rng(seed)

    def write(x: NDArray[np.float64], truth: NDArray[np.bool_], label: int) -> None:
        period = 10 if label < 2 else 17
        start = generator.integers(length - period)
        for centre in range(start, length, period):
            # A slip of the source, kept: a spike that would be cut at an end is left out whole, in the truth as well.
            if centre - 1 >= 0 and centre + 2 <= length:
                x[centre - 1 : centre + 2, 0] = SPIKE if label % 2 else -SPIKE
                truth[centre - 1 : centre + 2, 0] = True
        x += generator.normal(0, noise, x.shape)

    return _rows(n, length, 1, write)


def seq_comb_uv(n: int, seed: Seed, *, length: int = 200) -> MotifSeries:
    """Return one-channel series whose class is the direction of two stretches; see :func:`seq_comb`.

    Examples
    --------
    >>> seq_comb_uv(4, seed=0).truth.any((1, 2)).tolist()
    [False, True, True, True]
    """
    return seq_comb(n, seed, length=length, n_channels=1, lengths=(10, 20), wave=10)


def seq_comb_mv(n: int, seed: Seed, *, length: int = 200) -> MotifSeries:
    """Return four-channel series whose class is the direction of two stretches; see :func:`seq_comb`.

    Examples
    --------
    >>> data = seq_comb_mv(4, seed=0)
    >>> data.x.shape, data.truth[1].any(0).sum()
    ((4, 200, 4), np.int64(2))
    """
    return seq_comb(n, seed, length=length, n_channels=4, lengths=(15, 30), wave=5)


def seq_comb(
    n: int, seed: Seed, *, length: int, n_channels: int, lengths: tuple[int, int], wave: float
) -> MotifSeries:
    r"""Return series with two stretches that rise or fall, on a background that is the same for all classes.

    Class 0 is background alone, and has no truth; class 1 has two falling stretches, 2 two rising ones, 3 a rising
    and a falling one. A stretch of L steps has the values :math:`b x + \sin(a x)` at the integers x from
    :math:`-\lfloor L/2 \rfloor` on, with :math:`a \sim \text{Poisson}`, where the slope b would go from
    :math:`-5\,|\min|` to :math:`5\,|\max|` of the background over L steps.

    Parameters
    ----------
    n
        Rows, at least 4.
    seed
        A number or a generator.
    length
        Steps; at least 4 times the longest stretch.
    n_channels
        Channels: with more than one, the two stretches are on two different ones.
    lengths
        Least length of a stretch, and the bound that it stays below.
    wave
        Mean of :math:`a`.

    Raises
    ------
    ConfigError
        If a number is too small.
    """
    _at_least("seq_comb", n=(n, N_CLASSES), length=(length, 4 * lengths[1]))
    generator = np.random.default_rng(seed)
    rising = {1: (False, False), 2: (True, True), 3: (True, False)}

    def write(x: NDArray[np.float64], truth: NDArray[np.bool_], label: int) -> None:
        for channel in range(n_channels):
            x[:, channel] = narma(length, generator) + generator.normal(0, 0.01, length)
        if label == 0:
            return
        channels = generator.choice(n_channels, 2, replace=False) if n_channels > 1 else (0, 0)
        low, high = -5 * abs(x.min()), 5 * abs(x.max())
        end = 0
        for order, (channel, rises) in enumerate(zip(channels, rising[label], strict=True)):
            steps = int(generator.integers(*lengths))
            start = int(generator.integers(end, length - steps) if order else generator.integers(length // 2))
            end = start + steps
            rate = generator.poisson(wave)
            slope = (high - low if rises else low - high) / steps
            at = np.arange(steps) - steps // 2
            # Two slips of the source, kept: the line goes through 0, not through the middle of the bounds, and its last
            # value falls one step short of the upper bound.
            x[start:end, channel] = slope * at + np.sin(rate * at)
            truth[start:end, channel] = True

    return _rows(n, length, n_channels, write)


def low_var_detect(n: int, seed: Seed, *, length: int = 200) -> MotifSeries:
    """Return two-channel series with one quiet stretch: the class is its channel and its sign.

    The background is loud (standard deviation about 1); a stretch of 10 to 19 steps has a standard deviation of 0.1
    about -1.5 (classes 0 and 2) or 1.5 (1 and 3), on channel 0 (classes 0 and 1) or 1 (2 and 3).

    Parameters
    ----------
    n
        Rows, at least 4.
    seed
        A number or a generator.
    length
        Steps, at least 61: a stretch starts from step 20 to 41 steps before the end.

    Raises
    ------
    ConfigError
        If a number is too small.

    Examples
    --------
    >>> low_var_detect(4, seed=0).truth.any(1).tolist()
    [[True, False], [True, False], [False, True], [False, True]]
    """
    _at_least("low_var_detect", n=(n, N_CLASSES), length=(length, 61))
    generator = np.random.default_rng(seed)

    def write(x: NDArray[np.float64], truth: NDArray[np.bool_], label: int) -> None:
        for channel in range(2):
            x[:, channel] = narma(length, generator) + generator.normal(0, 1, length)
        steps = int(generator.integers(10, 20))
        start = int(generator.integers(20, length - 40))
        channel = label // 2
        x[start : start + steps, channel] = generator.normal(1.5 if label % 2 else -1.5, 0.1, steps)
        truth[start : start + steps, channel] = True

    return _rows(n, length, 2, write)


SETS: dict[str, Callable[..., MotifSeries]] = {
    "freq-shapes": freq_shapes,
    "low-var-detect": low_var_detect,
    "seq-comb-mv": seq_comb_mv,
    "seq-comb-uv": seq_comb_uv,
}


def narma(length: int, generator: np.random.Generator) -> NDArray[np.float64]:
    r"""Return the background of the last three sets, which the source calls NARMA of order 2.

    .. math:: y_t = 0.3\,y_{t-1} + 1.5\,u_{t-2}\,u_t + 0.1, \qquad u_t \sim U[0, 0.5],\; y_{-1} = 0

    The textbook's process has one more term, :math:`0.05\,y_{t-1} (y_{t-1} + y_{t-2})`. A slip of the source, kept:
    the generator it uses (timesynth 0.2.4) takes that sum over a slice that holds only the zeros before the start and
    is empty after them, so the term is always 0.

    Parameters
    ----------
    length
        Steps.
    generator
        Source of u.

    Examples
    --------
    >>> narma(3, np.random.default_rng(0)).round(3).tolist()
    [0.11, 0.135, 0.153]
    """
    from scipy.signal import lfilter

    u = generator.uniform(0, 0.5, length + 2)
    driven = 1.5 * u[:-2] * u[2:] + 0.1
    result: NDArray[np.float64] = lfilter([1.0], [1.0, -0.3], driven)
    return result


def _rows(
    n: int,
    length: int,
    n_channels: int,
    write: Callable[[NDArray[np.float64], NDArray[np.bool_], int], None],
) -> MotifSeries:
    # A quarter each, the last class takes the rest.
    labels = np.minimum(np.arange(n) // (n // N_CLASSES), N_CLASSES - 1)
    x, truth = np.zeros((n, length, n_channels)), np.zeros((n, length, n_channels), bool)
    for row, label in enumerate(labels.tolist()):
        write(x[row], truth[row], label)
    return MotifSeries(x.astype(np.float32), labels.astype(np.int64), truth)


def _at_least(caller: str, **numbers: tuple[int, int]) -> None:
    for name, (number, least) in numbers.items():
        if number < least:
            message = f"{name} of {caller} must be at least {least}, got {number}"
            raise ConfigError(message)
