"""What a law of prompting must beat: a logistic regression on the same inputs, a law in the logarithm of tokens, a constant.

All have the face of `CircuitModel`: ``fit(cells)`` and ``predict(cells)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator

from concordant.core.errors import ConfigError
from concordant.explanations.mechanisms.cells import check_columns, check_seen, column_of, counts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class AccuracyLaw(Protocol):
    """What predicts the accuracy of cells."""

    def fit(self, cells: pl.DataFrame, y: None = None) -> Any:
        """Learn from cells with ``n`` and ``n_right``."""
        ...

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return the accuracy of each cell, shape ``(n_cells,)``."""
        ...


class LogisticLaw(BaseEstimator):  # type: ignore[misc]
    r"""Logistic regression on what the circuit sees: flux, and for each way of reasoning a constant and its descriptors.

    The logarithm of ``samples`` is a further input where answers are voted on. Weights are drawn a little towards zero,
    by :math:`\frac{\lambda}{2} |\beta|^2` with inputs brought to one scale.

    Parameters
    ----------
    descriptors, reasoning
        As for `CircuitModel`.
    shrinkage
        :math:`\lambda`, at least 0; default 0.01.

    Examples
    --------
    >>> cells = pl.DataFrame({"reasoning": ["a", "a", "b", "b"], "flux": 0.0, "n": 10, "n_right": [2, 4, 7, 9]})
    >>> LogisticLaw().fit(cells).predict(cells).round(2).tolist()
    [0.3, 0.3, 0.8, 0.8]
    """

    def __init__(
        self,
        descriptors: Sequence[str] = (),
        *,
        reasoning: str | None = "reasoning",
        shrinkage: float = 0.01,
    ) -> None:
        self.descriptors, self.reasoning, self.shrinkage = descriptors, reasoning, shrinkage

    def fit(self, cells: pl.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood; see `CircuitModel.fit`."""
        if self.shrinkage < 0:
            message = f"shrinkage must be at least 0, got {self.shrinkage}"
            raise ConfigError(message)
        self.reasonings_: list[str] = []
        if self.reasoning is not None:
            check_columns(cells, [self.reasoning])
            self.reasonings_ = cells[self.reasoning].cast(pl.String).unique().sort().to_list()
        raw = self._raw(cells)
        spread = raw.std(0)
        self._scale = raw.mean(0), np.where(spread > 0, spread, 1.0)
        self._coefficients = logistic_fit(self._scaled(raw), cells, shrinkage=self.shrinkage)
        return self

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return the accuracy that is expected in each cell, shape ``(n_cells,)``, in [0, 1]."""
        _expect_fitted(self, "_coefficients")
        expected: Floats = expit(
            self._coefficients[0] + self._scaled(self._raw(cells)) @ self._coefficients[1:]
        )
        return expected

    def _raw(self, cells: pl.DataFrame) -> Floats:
        descriptors = [column_of(cells, name) for name in self.descriptors]
        samples = column_of(cells, "samples", low=1.0) if "samples" in cells.columns else np.ones(len(cells))
        columns = [column_of(cells, "flux"), np.log(samples)]
        if self.reasoning is None:
            return np.column_stack(columns + descriptors)
        check_columns(cells, [self.reasoning])
        names = cells[self.reasoning].cast(pl.String)
        check_seen(names, self.reasonings_)
        for way in self.reasonings_:
            is_way = (names == way).to_numpy().astype(float)
            columns += [is_way, *(is_way * values for values in descriptors)]
        return np.column_stack(columns)

    def _scaled(self, raw: Floats) -> Floats:
        scaled: Floats = (raw - self._scale[0]) / self._scale[1]
        return scaled


class InferenceTimeLaw(BaseEstimator):  # type: ignore[misc]
    r"""The law of inference-time scaling: accuracy is linear in the logarithm of what is spent.

    .. math:: p = \alpha + \sum_j \beta_j \log(1 + x_j)

    fitted by least squares, each cell with the weight of its answers, and kept in [0, 1].

    Parameters
    ----------
    columns
        What is spent: ``("tokens",)`` (default), ``("k",)`` for demonstrations, or several.

    Examples
    --------
    >>> cells = pl.DataFrame({"tokens": [1, 3, 7], "n": 100, "n_right": [20, 40, 60]})
    >>> InferenceTimeLaw().fit(cells).predict(pl.DataFrame({"tokens": [15, 1023]})).round(3).tolist()
    [0.8, 1.0]
    """

    def __init__(self, columns: Sequence[str] = ("tokens",)) -> None:
        self.columns = columns

    def fit(self, cells: pl.DataFrame, y: None = None) -> Self:
        """Fit by least squares."""
        n, right = counts_of(cells)
        root = np.sqrt(n)
        self._coefficients = np.linalg.lstsq(
            self._inputs(cells) * root[:, None], right / n * root, rcond=None
        )[0]
        return self

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return the accuracy that is expected in each cell, shape ``(n_cells,)``, in [0, 1]."""
        _expect_fitted(self, "_coefficients")
        expected: Floats = (self._inputs(cells) @ self._coefficients).clip(0.0, 1.0)
        return expected

    def _inputs(self, cells: pl.DataFrame) -> Floats:
        return np.column_stack(
            [np.ones(len(cells)), *(np.log1p(column_of(cells, name)) for name in self.columns)]
        )


class ConstantLaw(BaseEstimator):  # type: ignore[misc]
    """The same accuracy everywhere: that of all cells together."""

    def fit(self, cells: pl.DataFrame, y: None = None) -> Self:
        """Find the mean accuracy."""
        n, right = counts_of(cells)
        self.accuracy_ = float(right.sum() / n.sum())
        return self

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return it for each cell, shape ``(n_cells,)``."""
        _expect_fitted(self, "accuracy_")
        return np.full(len(cells), self.accuracy_)


def logistic_fit(
    x: Floats, cells: pl.DataFrame, *, shrinkage: float = 0.0, lowest: float = -np.inf
) -> Floats:
    """Fit a logistic regression to counts, by maximum likelihood.

    Parameters
    ----------
    x
        Inputs, shape ``(n_cells, n_inputs)``.
    cells
        With ``n`` and ``n_right``.
    shrinkage
        Of the weights towards zero; see `LogisticLaw`.
    lowest
        Bound of each weight; -inf by default.

    Returns
    -------
    array of shape ``(1 + n_inputs,)``
        The intercept and the weights.
    """
    n, right = counts_of(cells)
    inputs = np.column_stack([np.ones(len(x)), x])

    def loss(beta: Floats) -> tuple[float, Floats]:
        logit = inputs @ beta
        value = n @ np.logaddexp(0, logit) - right @ logit + shrinkage / 2 * beta[1:] @ beta[1:]
        slopes = inputs.T @ (n * expit(logit) - right)
        slopes[1:] += shrinkage * beta[1:]
        return float(value), slopes

    bounds = [(-np.inf, np.inf), *[(lowest, np.inf)] * x.shape[1]]
    start = np.zeros(inputs.shape[1])
    options = {"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-9}
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found


def _expect_fitted(law: Any, attribute: str) -> None:
    if not hasattr(law, attribute):
        message = f"this {type(law).__name__} has not been fitted: call fit(cells) first"
        raise ConfigError(message)
