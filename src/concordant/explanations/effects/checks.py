"""What estimators of effects ask of covariates, treatments and outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.statistics.validation import finite_values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

KINDS = ("continuous", "binary", "dosage")


def checked_columns(X: ArrayLike) -> NDArray[np.float64]:
    """Return covariates as an array of shape ``(n, columns)``.

    Raises
    ------
    DataError
        If they have another number of axes, no row or column, or a number that is not finite.
    """
    try:
        x = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        message = f"X must hold numbers, got a {type(X).__name__} with others: encode categories first"
        raise DataError(message) from None
    if x.ndim != 2 or 0 in x.shape:
        message = f"X must have shape (n, columns) with at least one of each, got {x.shape}"
        raise DataError(message)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        message = f"X must be finite, got {x[row, column]} in row {row}, column {column}"
        raise DataError(message)
    return x


def checked_outcomes(y: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return outcomes as an array of shape ``(n,)``, or say what is wrong with them."""
    outcomes = finite_values(y, name="y")
    if len(outcomes) != n:
        message = f"y must have one number for each of the {n} rows of X, got {len(outcomes)}"
        raise DataError(message)
    return outcomes


class Treatments:
    """What treatments look like: which of several, and a dose on a scale from 0 to 1 over the training range.

    Parameters
    ----------
    kind
        ``"continuous"``, ``"binary"`` or ``"dosage"``.

    Raises
    ------
    ConfigError
        If there is no such kind.
    """

    def __init__(self, kind: str) -> None:
        if kind not in KINDS:
            message = f"there is no kind of treatment {kind!r}; {nearest(kind, KINDS)}"
            raise ConfigError(message)
        self.kind, self.dosed = kind, kind != "binary"
        self.n = 2 if kind == "binary" else 1
        self.low, self.high = 0.0, 1.0

    def fit(self, t: ArrayLike, n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Learn how many treatments there are and the range of doses, and return treatments and scaled doses."""
        given = self._table(t, n, alone=False)
        if self.kind == "dosage":
            self.n = int(self._whole(given[:, 0], None).max()) + 1
        if self.dosed:
            self.low, self.high = float(given[:, -1].min()), float(given[:, -1].max())
        which, dose = self._split(given)
        if (self.dosed and self.low == self.high) or (not self.dosed and len(np.unique(which)) == 1):
            message = f"an effect needs rows that were treated differently, got t = {given[0, -1]:g} for all"
            raise DataError(message)
        return which, dose

    def read(self, t: ArrayLike, n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return which treatment and its scaled dose, each of shape ``(n,)``, of one treatment a row or one for all."""
        return self._split(self._table(t, n, alone=True))

    def read_grid(self, grid: ArrayLike, treatment: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the same of doses of one treatment.

        Raises
        ------
        ConfigError
            If there is no such treatment, or it is given where there is only one.
        """
        doses = finite_values(grid, name="grid")
        if not 0 <= treatment < (self.n if self.kind == "dosage" else 1):
            allowed = f"from 0 to {self.n - 1}" if self.kind == "dosage" else f"0 for a {self.kind} treatment"
            message = f"treatment must be {allowed}, got {treatment}"
            raise ConfigError(message)
        if self.kind == "dosage":
            return self._split(np.column_stack([np.full(len(doses), float(treatment)), doses]))
        return self._split(doses[:, None])

    def _table(self, t: ArrayLike, n: int, *, alone: bool) -> NDArray[np.float64]:
        """Return treatments as an array of shape ``(n, 1)``, or ``(n, 2)`` for dosages."""
        width = 2 if self.kind == "dosage" else 1
        try:
            given = np.asarray(t, dtype=np.float64)
        except (TypeError, ValueError):
            message = f"t must hold numbers, got a {type(t).__name__} with others"
            raise DataError(message) from None
        if alone and given.shape in ((), (width,)) and given.size == width:
            given = np.tile(given.reshape(1, width), (n, 1))
        if width == 1 and given.ndim == 1:
            given = given[:, None]
        if given.shape != (n, width):
            wanted = (
                f"(n, 2), which treatment and its dose, with n = {n}" if width == 2 else f"(n,) with n = {n}"
            )
            message = f"t of kind {self.kind!r} must have shape {wanted}, got {np.shape(t)}"
            raise DataError(message)
        if not np.isfinite(given).all():
            message = f"t must be finite, got {given[~np.isfinite(given)][0]}"
            raise DataError(message)
        return given

    def _split(self, given: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        which = np.zeros(len(given), dtype=np.int64)
        if self.kind != "continuous":
            which = self._whole(given[:, 0], self.n)
        dose = np.zeros(len(given), dtype=np.float32)
        if self.dosed:
            width = (self.high - self.low) or 1.0
            dose = ((given[:, -1] - self.low) / width).astype(np.float32)
        return which, dose

    def _whole(self, numbers: NDArray[np.float64], n: int | None) -> NDArray[np.int64]:
        wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= (np.inf if n is None else n))
        if wrong.any():
            allowed = "whole numbers from 0 up" if n is None else f"one of {', '.join(map(str, range(n)))}"
            message = f"treatments of kind {self.kind!r} must be {allowed}, got {numbers[wrong][0]:g}"
            raise DataError(message)
        return numbers.astype(np.int64)
