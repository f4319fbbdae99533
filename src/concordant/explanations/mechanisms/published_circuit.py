"""The circuit with its constants as they were published: set by hand, for each model and data set, and not fitted.

For arithmetic the resistance follows from the gold solution: k operations, and the largest product m in it. With written
steps :math:`R = 2 |k / 7 + (m + 20000) / 160000 - 0.4|`, without them :math:`R = 2 |4.5 k / 7 + 5.2 (m + 20000) / 160000 -
0.1|`. A tool takes over the calculation, so that the term with m drops out. A vote of n answers has the resistance
:math:`2 R / n + 2.5`.

The absolute value is a trap: where what is inside it is negative, harder questions have a lower resistance, until it
is zero. And a resistance that needs the gold solution predicts nothing about questions that have none.

Chen, Qin, Liu et al. (2025), arXiv:2502.03325, and the code that was released with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from concordant.core.errors import ConfigError
from concordant.explanations.mechanisms.accuracy_laws import logistic_fit
from concordant.explanations.mechanisms.cells import check_columns, column_of

if TYPE_CHECKING:
    from typing import Self

    import polars as pl
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LOAD = 2.5
"""The resistance R0 of the load."""
FLUX_WEIGHTS = {"bert": 0.15, "roberta": 0.5, "bge": 0.1, "skill": 100.0}
"""Voltage per flux, by the embedding that the flux is of."""
VOLTAGE = 60.0
"""Of gpt-3.5 and of Qwen2.5-7B; others were given 50 to 95."""
COUNTED_UP_TO, BIN_WIDTH, LEAST_IN_BIN = 2000.0, 30.0, 10
"""Questions of a higher power were left out; the others were put into bins of the power with at least ten questions."""


def published_resistance(
    operations: ArrayLike,
    largest: ArrayLike = 0.0,
    *,
    written_steps: ArrayLike = True,
    samples: ArrayLike = 1,
    tools: bool = False,
) -> Floats:
    """Return the published resistance of questions of arithmetic.

    Parameters
    ----------
    operations
        How many operations the solution has, at least 0; a number or shape ``(n,)``, as all that follows.
    largest
        The largest product in it, at least 0; default 0.
    written_steps
        Whether steps are written; default true.
    samples
        Answers that are voted on; 1 (default) is no vote.
    tools
        Whether a tool calculates.

    Examples
    --------
    >>> published_resistance([1, 2, 3, 7]).round(3).tolist()  # falls before it rises
    [0.264, 0.021, 0.307, 1.45]
    """
    steps = np.asarray(written_steps, bool)
    calculation = 0.0 if tools else (np.asarray(largest, float) + 2e4) / 1.6e5
    planning = np.asarray(operations, float) / 7
    with_steps = 2 * np.abs(planning + calculation - 0.4)
    without = 2 * np.abs(4.5 * planning + 5.2 * calculation - 0.1)
    resistance = np.where(steps, with_steps, without)
    voters = np.asarray(samples, float)
    voted: Floats = np.where(voters > 1, 2 * resistance / voters + LOAD, resistance)
    return voted


def published_power(
    operations: ArrayLike,
    largest: ArrayLike = 0.0,
    *,
    written_steps: ArrayLike = True,
    flux: ArrayLike = 0.0,
    voltage: float = VOLTAGE,
    flux_weight: float = FLUX_WEIGHTS["bge"],
    samples: ArrayLike = 1,
    tools: bool = False,
) -> Floats:
    r"""Return the published power, :math:`(U + w\,\Phi)^2 R_0 / (R_0 + R)^2` with a load of 2.5.

    Parameters
    ----------
    operations, largest, written_steps, samples, tools
        As for `published_resistance`.
    flux
        Sum over the demonstrations of the length of their embeddings along that of the question; default 0.
    voltage
        U of the model; default 60.
    flux_weight
        w; default 0.1. The others are in `FLUX_WEIGHTS`.

    Examples
    --------
    >>> float(published_power(0, written_steps=False, tools=True).round(1)), float(published_power(7).round(1))
    (1234.6, 576.8)
    """
    drive = voltage + flux_weight * np.asarray(flux, float)
    resistance = published_resistance(
        operations, largest, written_steps=written_steps, samples=samples, tools=tools
    )
    power: Floats = drive**2 * LOAD / (LOAD + resistance) ** 2
    return power


class PublishedCircuit(BaseEstimator):  # type: ignore[misc]
    """The published circuit as a law of accuracy: only its link, which the paper leaves open, is fitted.

    Parameters
    ----------
    operations
        Column of the number of operations.
    largest
        Column of the largest product, or None for none.
    voltage, flux_weight
        As for `published_power`.
    reasoning, steps
        Column of the way of reasoning, and its value where steps are written.

    Examples
    --------
    >>> import polars as pl
    >>> cells = pl.DataFrame({"reasoning": ["steps"] * 3, "flux": 0.0, "k": [3, 5, 7], "n": 10, "n_right": [8, 5, 3]})
    >>> PublishedCircuit("k").fit(cells).predict(cells).round(1).tolist()
    [0.8, 0.5, 0.3]
    """

    def __init__(
        self,
        operations: str,
        largest: str | None = None,
        *,
        voltage: float = VOLTAGE,
        flux_weight: float = FLUX_WEIGHTS["bge"],
        reasoning: str = "reasoning",
        steps: str = "steps",
    ) -> None:
        self.operations, self.largest, self.voltage, self.flux_weight = (
            operations,
            largest,
            voltage,
            flux_weight,
        )
        self.reasoning, self.steps = reasoning, steps

    def fit(self, cells: pl.DataFrame, y: None = None) -> Self:
        """Fit intercept and slope of the link, by maximum likelihood; a slope below zero is set to zero."""
        self._coefficients = logistic_fit(np.log(self.power(cells))[:, None], cells, lowest=0.0)
        return self

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return the accuracy that is expected in each cell, shape ``(n_cells,)``, in [0, 1]."""
        if not hasattr(self, "_coefficients"):
            message = "this PublishedCircuit has not been fitted: call fit(cells) first"
            raise ConfigError(message)
        intercept, slope = self._coefficients
        expected: Floats = expit(intercept + slope * np.log(self.power(cells)))
        return expected

    def power(self, cells: pl.DataFrame) -> Floats:
        """Return the published power of each cell, shape ``(n_cells,)``."""
        check_columns(cells, [self.reasoning])
        return published_power(
            column_of(cells, self.operations),
            0.0 if self.largest is None else column_of(cells, self.largest),
            written_steps=(cells[self.reasoning] == self.steps).to_numpy(),
            flux=column_of(cells, "flux"),
            voltage=self.voltage,
            flux_weight=self.flux_weight,
            samples=column_of(cells, "samples", low=1.0) if "samples" in cells.columns else 1.0,
        )
