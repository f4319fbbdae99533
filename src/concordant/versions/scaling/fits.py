"""Points of a scaling curve, fitted by both laws with intervals, and the laws compared on a point they did not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.ranks import spearman_rho
from concordant.core.statistics.validation import check_level
from concordant.versions.scaling.laws import (
    OffsetPowerLaw,
    PowerLaw,
    fit_offset_power_law,
    fit_power_law,
    offset_power_laws,
    power_laws,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from concordant.core.statistics.validation import Floats

Interval = tuple[float, float]

SATURATED = 0.95
"""Share of the ceiling from which a point counts as saturated, and is left out of a straight line in logarithms."""

REPLICATES = 1000


@dataclass(frozen=True)
class FittedLaw:
    """One law fitted to the points.

    Parameters
    ----------
    name
        "power" or "offset".
    law
        The law; an offset law of values that rise is that of their distance from the ceiling.
    intervals
        By the names of its parameters.
    predictions
        Size -> (value, low, high), in the unit of the values.
    held_out_error
        Absolute error at the largest size of the law fitted without it; None where too few sizes are left.
    ceiling
        Where the law is that of the distance from a ceiling, that ceiling.
    """

    name: str
    law: PowerLaw | OffsetPowerLaw
    intervals: dict[str, Interval]
    predictions: dict[float, tuple[float, float, float]]
    held_out_error: float | None
    ceiling: float | None = None

    def predict(self, n: ArrayLike) -> Floats:
        """Return the values at sizes `n`, in the unit of the values."""
        fitted = self.law.predict(n)
        return fitted if self.ceiling is None else self.ceiling - fitted

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        parameters = {
            key: {"value": getattr(self.law, key), "low": low, "high": high}
            for key, (low, high) in self.intervals.items()
        }
        return {
            "law": self.name,
            "parameters": parameters,
            "r_squared": self.law.r_squared,
            "n_points": self.law.n_points,
            "held_out_error": self.held_out_error,
            "predictions": [
                {"n": n, "value": value, "low": low, "high": high}
                for n, (value, low, high) in self.predictions.items()
            ],
        }


@dataclass(frozen=True)
class ScalingFit:
    """Both laws, and what was left out.

    Parameters
    ----------
    laws
        Those that could be fitted.
    rising
        Whether the values rise with size.
    notes
        What was left out, and why a law is missing.
    level
        Of the intervals.
    """

    laws: tuple[FittedLaw, ...]
    rising: bool
    notes: tuple[str, ...]
    level: float

    def __getitem__(self, name: str) -> FittedLaw:
        """Return a law by name."""
        for law in self.laws:
            if law.name == name:
                return law
        raise KeyError(name)

    @property
    def better(self) -> str | None:
        """The law that comes nearer to the point held out; None where they were not both tested."""
        errors = {law.name: law.held_out_error for law in self.laws if law.held_out_error is not None}
        return min(errors, key=errors.__getitem__) if len(errors) == 2 else None


def fit_points(
    n: ArrayLike,
    values: ArrayLike,
    *,
    seeds: ArrayLike | None = None,
    ceiling: float | None = None,
    at: Sequence[float] = (),
    level: float = 0.95,
    n_replicates: int = REPLICATES,
    seed: int = 0,
) -> ScalingFit:
    """Fit the power law and the offset power law to points, with bootstrap intervals.

    Parameters
    ----------
    n
        Shape (points,): sizes (examples, parameters, compute), at least 0.
    values
        Shape (points,): what was measured at each.
    seeds
        Shape (points,): which run a point belongs to. With two runs or more the bootstrap draws whole runs;
        otherwise it draws the residuals of the fit.
    ceiling
        What values that rise can reach at most (1 for an accuracy). Points within 5 % of it are left out of the power
        law, which cannot bend, and the offset law is fitted to the distance from it. Without one, values that rise have
        no offset law.
    at
        Sizes to predict.
    level
        Of the percentile intervals.
    n_replicates
        Bootstrap draws.
    seed
        Of the bootstrap.

    Returns
    -------
    ScalingFit
        With a note for every point left out.

    Raises
    ------
    DataError
        If points are missing or too few for both laws, or a value is above the ceiling.
    ConfigError
        If a size to predict is not above 0.

    Examples
    --------
    >>> n = [25, 50, 100, 200, 400]
    >>> fit = fit_points(n, [0.1, 0.14, 0.2, 0.28, 0.4], ceiling=1.0, at=[800])
    >>> round(fit["power"].law.exponent, 2), round(fit["power"].predictions[800][0], 2)
    (0.5, 0.56)
    """
    check_level(level)
    for size in at:
        if not size > 0:
            message = f"a size to predict must be above 0, got {size:g}"
            raise ConfigError(message)
    sizes, found = np.asarray(n, np.float64), np.asarray(values, np.float64)
    if sizes.ndim != 1 or sizes.shape != found.shape or not sizes.size:
        message = f"sizes and values must both have shape (points,), got {sizes.shape} and {found.shape}"
        raise DataError(message)
    if not (np.isfinite(sizes).all() and np.isfinite(found).all()):
        message = "sizes and values must be finite numbers"
        raise DataError(message)
    if ceiling is not None and found.max() > ceiling:
        message = f"the ceiling is {ceiling:g}, and there is a value of {found.max():g}"
        raise DataError(message)
    runs = None if seeds is None else np.unique(np.asarray(seeds), return_inverse=True)[1]
    if runs is not None and len(runs) != len(sizes):
        message = f"there are {len(runs)} seeds for {len(sizes)} points"
        raise DataError(message)
    rising = bool(np.nan_to_num(spearman_rho(sizes, found)) > 0)
    rng = np.random.default_rng(seed)
    notes: list[str] = []
    laws = []
    for name, make in (("power", _power), ("offset", _offset)):
        kept, complaint = make(sizes, found, ceiling, rising=rising)
        notes += complaint
        if kept is None:
            continue
        part_runs = None if runs is None else runs[kept]
        family = _Family(name, ceiling if rising else None)
        laws.append(
            _fitted(family, sizes[kept], found[kept], part_runs, sizes, found, at, level, n_replicates, rng)
        )
    if not laws:
        message = f"no law can be fitted: {'; '.join(notes)}"
        raise DataError(message)
    return ScalingFit(tuple(laws), rising, tuple(notes), level)


@dataclass(frozen=True)
class _Family:
    """A law in the unit of the values: of the values themselves, or of their distance from a ceiling."""

    name: str
    ceiling: float | None

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("factor", "exponent") if self.name == "power" else ("floor", "factor", "exponent")

    @property
    def least(self) -> int:
        return 2 if self.name == "power" else 3

    def fit(self, sizes: Floats, values: Floats) -> PowerLaw | OffsetPowerLaw:
        if self.name == "power":
            return fit_power_law(sizes, values)
        return fit_offset_power_law(sizes, self.turned(values))

    def fit_many(self, sizes: Floats, values: Floats) -> Floats:
        """Return parameters of shape (parameters, curves)."""
        if self.name == "power":
            return np.stack(power_laws(sizes, values))
        return np.stack(offset_power_laws(sizes, np.maximum(self.turned(values), 0.0)))

    def turned(self, values: Floats) -> Floats:
        """Change between values and what the law is fitted to; it is its own inverse."""
        return values if self.ceiling is None or self.name == "power" else self.ceiling - values

    def predict(self, parameters: Floats, size: float) -> Floats:
        if self.name == "power":
            factor, exponent = parameters
            return np.asarray(factor * size**exponent)
        floor, factor, exponent = parameters
        return self.turned(np.asarray(floor + factor * size**-exponent))

    def drawn(self, fitted: Floats, values: Floats, drawn: Any) -> Floats:
        """Return curves with residuals drawn anew: of logarithms for the power law."""
        if self.name == "power":
            return np.asarray(fitted * np.exp(np.log(values / fitted)[drawn]))
        return np.asarray(fitted + (values - fitted)[drawn])


def _power(sizes: Floats, values: Floats, ceiling: float | None, *, rising: bool) -> tuple[Any, list[str]]:
    not_positive = (sizes <= 0) | (values <= 0)
    limit = np.inf if ceiling is None or not rising else SATURATED * ceiling
    saturated = ~not_positive & (values >= limit)
    notes = [
        f"power law: left out {mask.sum()} {what}"
        for mask, what in (
            (not_positive, "points with a size or value of 0 or less, which have no logarithm"),
            (saturated, f"points from {limit:g} on, which are saturated"),
        )
        if mask.any()
    ]
    return _enough("power law", sizes, ~not_positive & ~saturated, 2, notes)


def _offset(sizes: Floats, values: Floats, ceiling: float | None, *, rising: bool) -> tuple[Any, list[str]]:
    if rising and ceiling is None:
        return None, ["offset power law: values that rise need a ceiling to be the distance from"]
    if not rising and values.min() < 0:
        return None, ["offset power law: values below 0 have no floor of at least 0"]
    empty = sizes <= 0
    notes = [f"offset power law: left out {empty.sum()} points with a size of 0"] if empty.any() else []
    return _enough("offset power law", sizes, ~empty, 3, notes)


def _enough(what: str, sizes: Floats, kept: Any, least: int, notes: list[str]) -> tuple[Any, list[str]]:
    different = np.unique(sizes[kept]).size
    if different < least:
        return None, [*notes, f"{what}: needs points at {least} or more sizes, and {different} are left"]
    return np.flatnonzero(kept), notes


def _fitted(
    family: _Family,
    sizes: Floats,
    values: Floats,
    runs: Any,
    all_sizes: Floats,
    all_values: Floats,
    at: Sequence[float],
    level: float,
    n_replicates: int,
    rng: np.random.Generator,
) -> FittedLaw:
    law = family.fit(sizes, values)
    parameters = np.array([getattr(law, name) for name in family.parameters])
    draws = _replicates(family, law, sizes, values, runs, n_replicates, rng)
    tails = (50 * (1 - level), 100 - 50 * (1 - level))

    def interval(drawn: Floats) -> Interval:
        low, high = np.percentile(drawn, tails)
        return float(low), float(high)

    intervals = {name: interval(row) for name, row in zip(family.parameters, draws, strict=True)}
    predictions = {
        float(size): (float(family.predict(parameters, size)), *interval(family.predict(draws, size)))
        for size in at
    }
    return FittedLaw(
        family.name,
        law,
        intervals,
        predictions,
        _held_out(family, sizes, values, all_sizes, all_values),
        None if family.name == "power" else family.ceiling,
    )


def _replicates(
    family: _Family,
    law: PowerLaw | OffsetPowerLaw,
    sizes: Floats,
    values: Floats,
    runs: Any,
    n_replicates: int,
    rng: np.random.Generator,
) -> Floats:
    """Return parameters fitted to drawn curves, shape (parameters, replicates)."""
    n_runs = 0 if runs is None else np.unique(runs).size
    if n_runs < 2:
        fitted = family.turned(law.predict(sizes))
        drawn = rng.integers(len(sizes), size=(n_replicates, len(sizes)))
        return family.fit_many(sizes, family.drawn(fitted, values, drawn))
    members = [np.flatnonzero(runs == run) for run in np.unique(runs)]
    chosen = rng.integers(n_runs, size=(n_replicates, n_runs))
    found: list[Floats] = []
    if len({len(rows) for rows in members}) == 1:  # all curves are of one length: all draws at once
        rows = np.stack(members)[chosen].reshape(n_replicates, -1)
        return family.fit_many(sizes[rows], values[rows])
    for picked in chosen:
        rows = np.concatenate([members[run] for run in picked])
        if np.unique(sizes[rows]).size >= family.least:
            found.append(family.fit_many(sizes[rows], values[rows][None])[:, 0])
    return np.stack(found, axis=1)


def _held_out(
    family: _Family, sizes: Floats, values: Floats, all_sizes: Floats, all_values: Floats
) -> float | None:
    """Return the error at the largest size of all, by the law without the points there."""
    largest = all_sizes.max()
    rest = sizes < largest
    if np.unique(sizes[rest]).size < family.least:
        return None
    parameters = family.fit_many(sizes[rest], values[rest][None])
    predicted = float(family.predict(parameters, float(largest))[0])
    return abs(predicted - float(all_values[all_sizes == largest].mean()))
