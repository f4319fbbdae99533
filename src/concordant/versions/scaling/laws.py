r"""Two laws of how a value goes with size or data, and their least-squares fits.

- power law :math:`v(n) = a\,n^{k}`, a straight line of :math:`\log v` in :math:`\log n`;
- offset power law :math:`e(n) = e_\infty + c\,n^{-k}` with :math:`e_\infty, c \ge 0`, for an error that falls towards a
  floor. Given k it is linear in the two others, so only k is searched for.

Many curves are fitted at once, which is what a bootstrap needs.

References
----------
M. Raghavendra, V. Nath, S. Hendryx (2024), Revisiting the superficial alignment hypothesis, arXiv:2410.03717 (accuracy as a
power of the number of examples). J. Hestness et al. (2017), Deep learning scaling is predictable, empirically,
arXiv:1712.00409 (the floor).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.validation import Floats

EXPONENTS = (1e-3, 8.0)
"""Range in which the exponent of an offset law is searched."""

GRID, ROUNDS = 41, 4
"""Exponents tried at once, and how often the grid is narrowed about the best."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """The law ``factor * n ** exponent``.

    Parameters
    ----------
    factor, exponent
        Of the law; the exponent is negative for values that fall.
    r_squared
        Share of the variance of the logarithms that the line explains; 1 where they do not vary.
    n_points
        Points it was fitted to.
    """

    factor: float
    exponent: float
    r_squared: float
    n_points: int

    def predict(self, n: ArrayLike) -> Floats:
        """Return the values at sizes `n`, of any shape."""
        return np.asarray(self.factor * np.asarray(n, np.float64) ** self.exponent)


@dataclass(frozen=True, slots=True)
class OffsetPowerLaw:
    """The law ``floor + factor * n ** -exponent``.

    Parameters
    ----------
    floor, factor, exponent
        Of the law; none is negative.
    r_squared
        Share of the variance of the values that it explains; 1 where they do not vary.
    n_points
        Points it was fitted to.
    """

    floor: float
    factor: float
    exponent: float
    r_squared: float
    n_points: int

    def predict(self, n: ArrayLike) -> Floats:
        """Return the values at sizes `n`, of any shape."""
        return np.asarray(self.floor + self.factor * np.asarray(n, np.float64) ** -self.exponent)


def fit_power_law(n: ArrayLike, values: ArrayLike) -> PowerLaw:
    """Fit a power law by least squares of the logarithms.

    Parameters
    ----------
    n
        Shape (points,): sizes above 0, at least two different ones.
    values
        Shape (points,): values above 0. Leave zeros and saturated points out; `concordant.versions.scaling.fit_points` does.

    Raises
    ------
    DataError
        If a number is not above 0, or there are fewer than two sizes.

    Examples
    --------
    >>> law = fit_power_law([1, 4, 16], [3.0, 6.0, 12.0])
    >>> round(law.factor, 6), round(law.exponent, 6), round(law.r_squared, 6)
    (3.0, 0.5, 1.0)
    """
    sizes, found = _checked(n, values, 2)
    if found.min() <= 0:
        message = f"a power law is fitted to values above 0, got {found.min():g}"
        raise DataError(message)
    factors, exponents = power_laws(sizes, found[None])
    logs = np.log(found)
    line = np.log(factors[0]) + exponents[0] * np.log(sizes)
    return PowerLaw(float(factors[0]), float(exponents[0]), _r_squared(logs, line), len(sizes))


def fit_offset_power_law(n: ArrayLike, errors: ArrayLike) -> OffsetPowerLaw:
    """Fit an offset power law by least squares.

    Parameters
    ----------
    n
        Shape (points,): sizes above 0, at least three different ones.
    errors
        Shape (points,): values of at least 0 that fall towards a floor.

    Raises
    ------
    DataError
        If a number is negative or there are fewer than three sizes.

    Examples
    --------
    >>> law = fit_offset_power_law([1, 4, 16, 64], [1.1, 0.6, 0.35, 0.225])
    >>> round(law.floor, 3), round(law.factor, 3), round(law.exponent, 3)
    (0.1, 1.0, 0.5)
    """
    sizes, found = _checked(n, errors, 3)
    if found.min() < 0:
        message = f"an offset power law is fitted to values of at least 0, got {found.min():g}"
        raise DataError(message)
    (floor,), (factor,), (exponent,) = offset_power_laws(sizes, found[None])
    law = OffsetPowerLaw(float(floor), float(factor), float(exponent), 1.0, len(sizes))
    fitted = law.predict(sizes)
    return OffsetPowerLaw(law.floor, law.factor, law.exponent, _r_squared(found, fitted), len(sizes))


def power_laws(n: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Fit many power laws over the same sizes.

    Parameters
    ----------
    n
        Shape (points,) or (curves, points).
    values
        Shape (curves, points), above 0.

    Returns
    -------
    factors, exponents
        Each of shape (curves,).
    """
    x, y = np.broadcast_to(np.log(n), values.shape), np.log(values)
    x_mean, y_mean = x.mean(axis=1), y.mean(axis=1)
    centred = x - x_mean[:, None]
    exponents = (centred * y).sum(axis=1) / (centred**2).sum(axis=1)
    return np.exp(y_mean - exponents * x_mean), exponents


def offset_power_laws(n: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit many offset power laws.

    Parameters
    ----------
    n
        Shape (points,) or (curves, points).
    values
        Shape (curves, points), at least 0.

    Returns
    -------
    floors, factors, exponents
        Each of shape (curves,).
    """
    sizes = np.broadcast_to(n, values.shape)
    scale = np.exp(np.log(sizes).mean(axis=1, keepdims=True))  # so that no power is huge or tiny
    low, high = (np.full(len(values), np.log(end)) for end in EXPONENTS)
    for _ in range(ROUNDS):
        grid = np.linspace(low, high, GRID)  # (grid, curves)
        floors, factors, losses = _linear_parts(sizes / scale, values, np.exp(grid))
        best = losses.argmin(axis=0)
        step = (high - low) / (GRID - 1)
        centre = np.take_along_axis(grid, best[None], 0)[0]
        low, high = (np.clip(centre + side * step, *np.log(EXPONENTS)) for side in (-1, 1))
    chosen = (np.take_along_axis(part, best[None], 0)[0] for part in (floors, factors))
    floor, factor = chosen
    exponent = np.exp(centre)
    return floor, factor * scale[:, 0] ** exponent, exponent


def _linear_parts(sizes: Floats, values: Floats, exponents: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the best floor and factor of at least 0 for each exponent, and the sum of squares, shape (grid, curves)."""
    x = sizes[None] ** -exponents[:, :, None]
    x_mean, y_mean = x.mean(axis=2), values.mean(axis=1)
    spread = ((x - x_mean[..., None]) ** 2).sum(axis=2)
    covariance = ((x - x_mean[..., None]) * values[None]).sum(axis=2)
    factor = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    floor = y_mean - factor * x_mean
    through_zero = (x * values[None]).sum(axis=2) / (x**2).sum(axis=2)
    factor, floor = (
        np.where(floor < 0, through_zero, np.maximum(factor, 0)),
        np.where(factor < 0, y_mean, np.maximum(floor, 0)),
    )
    residual = values[None] - floor[..., None] - factor[..., None] * x
    return floor, factor, (residual**2).sum(axis=2)


def _checked(n: ArrayLike, values: ArrayLike, least: int) -> tuple[Floats, Floats]:
    sizes, found = np.asarray(n, np.float64), np.asarray(values, np.float64)
    if sizes.ndim != 1 or sizes.shape != found.shape:
        message = f"sizes and values must both have shape (points,), got {sizes.shape} and {found.shape}"
        raise DataError(message)
    if not (np.isfinite(sizes).all() and np.isfinite(found).all() and (sizes > 0).all()):
        message = "sizes must be above 0, and sizes and values finite"
        raise DataError(message)
    different = np.unique(sizes).size
    if different < least:
        message = f"this law needs points at {least} or more different sizes, got {different}"
        raise DataError(message)
    return sizes, found


def _r_squared(values: Floats, fitted: Floats) -> float:
    total = float(((values - values.mean()) ** 2).sum())
    return 1.0 - float(((values - fitted) ** 2).sum()) / total if total > 0 else 1.0
