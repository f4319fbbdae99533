"""Response curves, and how far estimated effects lie from true ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ResponseCurve:
    """The mean outcome of a population at each dose.

    Attributes
    ----------
    grid
        Doses, shape ``(doses,)``.
    mean, low, high
        The curve and the ends of its pointwise intervals, shape ``(doses,)``; infinite where the spread is not known.
    level
        Of the intervals.
    members
        The curve of each member, shape ``(members, doses)``.
    """

    grid: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    level: float
    members: NDArray[np.float64]

    def frame(self) -> pl.DataFrame:
        """Return a table of one row a dose: ``dose``, ``mean``, ``low``, ``high``."""
        import polars as pl

        return pl.DataFrame({"dose": self.grid, "mean": self.mean, "low": self.low, "high": self.high})

    def coverage_rate(self, truth: ArrayLike) -> float:
        """Return the share of doses whose interval holds the true mean outcome, shape ``(doses,)``."""
        true = np.asarray(truth, dtype=np.float64)
        _same(self.mean, true)
        return float(((self.low <= true) & (true <= self.high)).mean())


def uniform_grid(low: float, high: float, n: int = 30) -> NDArray[np.float64]:
    """Return n doses at equal distances, both ends included.

    The doses that units were given weigh the regions where there are many; this grid weighs all alike.

    Raises
    ------
    ConfigError
        If `low` is not below `high`, or there are fewer than two.

    Examples
    --------
    >>> uniform_grid(0, 1, 3).tolist()
    [0.0, 0.5, 1.0]
    """
    if not (low < high and n >= 2):
        message = f"a grid of doses needs low < high and at least 2 of them, got {low}, {high} and {n}"
        raise ConfigError(message)
    return np.linspace(low, high, n)


def average_squared_error(estimated: ArrayLike, true: ArrayLike) -> float:
    r"""Return the AMSE of a response curve: the mean over doses of the squared error of the mean outcome.

    .. math:: \frac1G \sum_g \Big(\frac1n\sum_i \hat y_i(t_g) - \frac1n\sum_i y_i(t_g)\Big)^2

    Parameters
    ----------
    estimated, true
        Outcomes by unit and dose, shape ``(n, doses)``, without noise.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> average_squared_error([[1.0, 2.0], [3.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]])
    1.0
    """
    first, second = _tables(estimated, true)
    return float(((first.mean(0) - second.mean(0)) ** 2).mean())


def integrated_squared_error(estimated: ArrayLike, true: ArrayLike) -> float:
    """Return the MISE of individual curves: the mean over units and doses of the squared error.

    Parameters
    ----------
    estimated, true
        Outcomes by unit and dose, shape ``(n, doses)``, without noise.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> integrated_squared_error([[1.0, 2.0], [3.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]])
    1.5
    """
    first, second = _tables(estimated, true)
    return float(((first - second) ** 2).mean())


def effect_error(estimated: ArrayLike, true: ArrayLike) -> float:
    r"""Return the root of the PEHE, the precision in estimating heterogeneous effects.

    .. math:: \sqrt{\mathrm{mean}_i\,(\hat\tau_i - \tau_i)^2}

    Parameters
    ----------
    estimated, true
        Effects by unit, shape ``(n,)``.

    Raises
    ------
    DataError
        If the shapes differ.

    References
    ----------
    Hill, "Bayesian Nonparametric Modeling for Causal Inference", 2011.

    Examples
    --------
    >>> effect_error([1.0, 3.0], [1.0, 1.0])
    1.4142135623730951
    """
    first, second = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    _same(first, second)
    return float(np.sqrt(((first - second) ** 2).mean()))


def average_effect_error(estimated: ArrayLike, true: ArrayLike) -> float:
    """Return how far the mean of estimated effects lies from the mean of true ones, both of shape ``(n,)``.

    Examples
    --------
    >>> average_effect_error([1.0, 3.0], [1.0, 1.0])
    1.0
    """
    first, second = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    _same(first, second)
    return abs(float(first.mean() - second.mean()))


def _tables(estimated: ArrayLike, true: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    _same(first, second)
    if first.ndim != 2:
        message = f"outcomes by unit and dose must have shape (n, doses), got {first.shape}"
        raise DataError(message)
    return first, second


def _same(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    if first.shape != second.shape or not first.size:
        message = f"estimated and true values must have one shape, got {first.shape} and {second.shape}"
        raise DataError(message)
