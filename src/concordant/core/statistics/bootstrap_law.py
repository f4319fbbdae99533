r"""The distribution of a bootstrapped statistic, and how an interval is read from it.

For the mean of n values the distribution needs no resampling. A resample draws n values independently from
the n observed ones, so the law of its sum is the n-fold convolution of the empirical distribution, and its
characteristic function is the n-th power of the empirical one: :math:`\varphi_{S}(t) = \varphi_{x}(t)^n`. One
Fourier transform, a power and a transform back give what infinitely many resamples would (the *ideal
bootstrap* of Efron), without their noise: 100,000 resamples leave an end of a 95% interval uncertain by about
0.8% of a standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.statistics.validation import Floats, check_level

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LOST_MASS = 1e-12  # probability that may fall outside the window of the convolution
_MAX_GRID = 2**21
_KEPT_POINTS = 2**14


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapLaw:
    """A distribution function on ascending points.

    Parameters
    ----------
    points
        Shape (m,), ascending.
    cdf
        Shape (m,), ascending: probability of at most `points`.
    is_discrete
        Whether the points are atoms; otherwise the function is linear between them.
    below
        Probability of less than the observed statistic, plus half that of the statistic itself.
    """

    points: Floats
    cdf: Floats
    is_discrete: bool
    below: float

    def quantile(self, probability: float) -> float:
        """Return the smallest atom (or the point between two) below which `probability` lies."""
        if self.is_discrete:
            at = int(np.searchsorted(self.cdf, probability - 1e-13))
            return float(self.points[min(at, self.points.size - 1)])
        return float(np.interp(probability, self.cdf, self.points))

    def stderr(self) -> float:
        """Return the standard deviation of the distribution."""
        mass = np.diff(self.cdf, prepend=0.0)
        mass /= mass.sum()
        middle = mass @ self.points
        return math.sqrt(max(0.0, float(mass @ (self.points - middle) ** 2)))


def law_of_replicates(replicates: Floats, observed: float) -> BootstrapLaw:
    """Make the law of simulated `replicates`, shape (b,), of a statistic observed to be `observed`."""
    points = np.sort(replicates)
    b = points.size
    tolerance = 1e-12 * max(abs(observed), float(points[-1] - points[0]))
    left = np.searchsorted(points, observed - tolerance)
    right = np.searchsorted(points, observed + tolerance, side="right")
    below = float(left + right) / (2 * b)
    # The open ends keep the normal score of `below` finite when all replicates lie on one side.
    return BootstrapLaw(points, np.linspace(0.0, 1.0, b), False, min(max(below, 0.5 / b), 1.0 - 0.5 / b))


def law_of_mean(values: Floats) -> BootstrapLaw:
    """Return the ideal bootstrap law of the mean of `values`, by convolution.

    Values on a lattice (0/1, points on a scale, counts) give their atoms exactly. Other values are split
    between the two neighbouring points of a fine grid, which keeps their mean; the small variance that this
    adds is taken out again by scaling, so that mean and variance are exact and only the shape is rounded. The
    window of the transform is chosen by Bernstein's inequality to hold all but 1e-12 of the probability.

    Parameters
    ----------
    values
        Shape (n,), n at least 1, finite.

    References
    ----------
    B. Efron, R. J. Tibshirani (1993), An Introduction to the Bootstrap, chapters 6 and 13 (ideal bootstrap).

    Examples
    --------
    >>> law = law_of_mean(np.array([0.0, 1.0]))
    >>> law.points.tolist(), law.cdf.round(12).tolist()
    ([0.0, 0.5, 1.0], [0.25, 0.75, 1.0])
    """
    n = values.size
    mean = float(values.mean())
    deviations = values - mean
    spread = math.sqrt(float(deviations @ deviations))  # standard deviation of the sum of a resample
    if spread <= 1e-14 * max(abs(mean) * math.sqrt(n), 1e-290):
        return BootstrapLaw(np.array([mean]), np.array([1.0]), True, 0.5)
    reach = spread * _bernstein_reach(float(np.abs(deviations).max()) / spread)
    unique, counts = _unique(values)
    step = _lattice_step(unique)
    if step and 2 * reach / step < _MAX_GRID:
        return _lattice_law(unique, counts, step, mean, reach)
    return _grid_law(deviations, mean, reach)


def _unique(values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the values that differ by more than rounding, and how often each occurs."""
    unique, counts = np.unique(values, return_counts=True)
    starts = np.flatnonzero(np.diff(unique, prepend=-np.inf) > 1e-12 * (unique[-1] - unique[0]))
    return unique[starts], np.add.reduceat(counts, starts)


def _bernstein_reach(largest: float) -> float:
    """Return the t, in standard deviations, at which 2 exp(-t² / (2 + 2 t largest / 3)) is the lost mass."""
    exponent = math.log(2.0 / _LOST_MASS)
    linear = exponent * largest / 3.0
    return linear + math.sqrt(linear * linear + 2.0 * exponent)


def _lattice_step(unique: Floats) -> float:
    """Return the step of the coarsest lattice that holds all the `unique` values, or 0 when none is found."""
    if not 2 <= unique.size <= 512:
        return 0.0
    offsets = unique - unique[0]
    smallest = float(np.diff(unique).min())
    for parts in range(1, 13):
        step = smallest / parts
        positions = offsets / step
        if positions[-1] < 1e6 and np.abs(positions - np.rint(positions)).max() < 1e-7:
            return float(offsets[-1] / np.rint(positions[-1]))
    return 0.0


def _lattice_law(
    unique: Floats, counts: NDArray[np.intp], step: float, mean: float, reach: float
) -> BootstrapLaw:
    n = int(counts.sum())
    size = 2 ** math.ceil(math.log2(2 * reach / step + 3))
    positions = np.rint((unique - unique[0]) / step).astype(np.int64)
    mass: Floats = np.bincount(positions % size, weights=counts / n, minlength=size).astype(np.float64)
    middle = round(n * (mean - float(unique[0])) / step)
    cdf, first = _convolved(mass, n, middle)
    # Atoms that cannot occur, or only beyond the window, are dropped.
    atoms = np.diff(cdf, prepend=0.0) > 1e-15
    points = unique[0] + step * (first + np.flatnonzero(atoms)) / n
    points[np.abs(points) < 1e-9 * step / n] = 0.0
    kept = cdf[atoms]
    at = int(np.searchsorted(points, mean - 1e-6 * step / n))
    before = float(kept[at - 1]) if at else 0.0
    hit = at < points.size and abs(points[at] - mean) < 1e-6 * step / n
    return BootstrapLaw(points, kept, True, (before + float(kept[at])) / 2.0 if hit else before)


def _grid_law(deviations: Floats, mean: float, reach: float) -> BootstrapLaw:
    n = deviations.size
    size = int(min(max(2.0 ** math.ceil(math.log2(2048.0 * math.sqrt(n))), 2**15), 2**20))
    step = 2.0 * reach / size
    positions = deviations / step
    left = np.floor(positions)
    share = positions - left
    cells = left.astype(np.int64) % size
    mass = np.bincount(cells, weights=1.0 - share, minlength=size)
    mass += np.bincount((cells + 1) % size, weights=share, minlength=size)
    cdf, first = _convolved(mass / n, n, 0)
    variance = float(positions @ positions)  # of the sum, in steps; splitting adds share (1 - share) a value
    scale = math.sqrt(variance / (variance + float(share @ (1.0 - share))))
    low, high = np.searchsorted(cdf, [_LOST_MASS, 1.0 - _LOST_MASS])
    stride = max(1, int(high - low) // _KEPT_POINTS)
    kept = np.arange(max(int(low) - 1, 0), min(int(high) + stride + 1, size), stride)
    points = mean + scale * step * (first + kept) / n
    # A cell's probability belongs to its whole width: half of it lies below its centre.
    inner = cdf[kept] - 0.5 * np.diff(cdf, prepend=0.0)[kept]
    return BootstrapLaw(points, inner, False, float(np.interp(mean, points, inner)))


def _convolved(mass: Floats, n: int, middle: int) -> tuple[Floats, int]:
    """Return the distribution function of a sum of n draws near position `middle`, and its first position."""
    size = mass.size
    law = np.fft.irfft(np.fft.rfft(mass) ** n, size)
    first = middle - size // 2
    law = np.roll(law, -(first % size))
    np.maximum(law, 0.0, out=law)
    cdf = np.cumsum(law)
    return cdf / cdf[-1], first


def bootstrap_interval(law: BootstrapLaw, acceleration: float | None, level: float) -> tuple[float, float]:
    r"""Read the interval at `level` from the law of a bootstrapped statistic.

    With :math:`z_0 = \Phi^{-1}(\mathrm{below})` and acceleration a, the ends of the BCa interval are the
    quantiles at

    .. math:: \Phi\Big(z_0 + \frac{z_0 + z}{1 - a (z_0 + z)}\Big), \quad z = \pm z_{level}

    Parameters
    ----------
    law
        The distribution.
    acceleration
        a; None for the percentile interval, whose ends are the quantiles at (1 ± level) / 2.
    level
        Confidence level, in (0, 1).
    """
    check_level(level)
    tail = (1.0 - level) / 2.0
    if acceleration is None:
        return law.quantile(tail), law.quantile(1.0 - tail)
    from scipy.special import ndtr, ndtri

    bias = float(ndtri(law.below))
    ends = []
    for z in (float(ndtri(tail)), -float(ndtri(tail))):
        shifted = bias + z
        stretch = 1.0 - acceleration * shifted
        # Beyond the pole of the formula the end stays where it was heading.
        probability = float(ndtr(bias + shifted / stretch)) if stretch > 0 else float(shifted > 0)
        ends.append(law.quantile(probability))
    return ends[0], ends[1]


def interval_reader(law: BootstrapLaw, acceleration: float | None) -> Callable[[float], tuple[float, float]]:
    """Return the function level -> interval of a law."""
    return partial(bootstrap_interval, law, acceleration)


def acceleration_of(influences: Floats) -> float:
    r"""Return the acceleration :math:`\sum u^3 / 6 (\sum u^2)^{3/2}` of influences u, shape (n,)."""
    squares = float(influences @ influences)
    if squares <= 0.0:
        return 0.0
    scaled = influences / math.sqrt(squares)
    return float((scaled**3).sum()) / 6.0
