r"""A circuit as a law of prompting: demonstrations add voltage, reasoning adds resistance, accuracy follows the power.

A model has a voltage U of its own, demonstrations add ``w`` times their flux (their similarity to the question), and a
question under a way of reasoning has a resistance R. The power on a load R0 is

.. math:: P = \frac{(U + w\,\Phi)^2 R_0}{(R_0 + R)^2}, \qquad R = r_{s0} + \sum_j r_{sj}\, d_j

with the total flux :math:`\Phi`, descriptors d of the difficulty and non-negative weights r for each way s of reasoning.
Where n answers are voted on, R becomes :math:`c R / n + v`. Accuracy rises with the power by a link,
:math:`\operatorname{logit} p = a + b \log P`.

A link takes up the units of voltage and resistance, so that only :math:`w / U` and :math:`r / R_0` can be known: U and R0
are 1 here. Everything is fitted on cells whose accuracy is known, by maximum likelihood; where all weights are small the
law is a logistic regression with signs, and it should predict much the same.

Chen, Qin, Liu et al. (2025), ECM: A unified electronic circuit model for explaining the emergence of in-context learning
and chain-of-thought in large language model, arXiv:2502.03325. There all constants are set by hand; see
`published_circuit`. The fit, the link and what the data pin down are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from scipy.optimize import least_squares
from scipy.special import expit, xlogy
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression

from concordant.core.errors import ConfigError, nearest
from concordant.explanations.mechanisms.cells import check_columns, check_seen, column_of, counts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LINKS = ("logistic", "isotonic")
LARGEST = 1e4
"""Of a weight, where flux and descriptors are at most 1."""
STEEPEST = 50.0
"""Of the slope of the link."""
PUBLISHED_VOTES = 2.0, 1.0
"""Share and offset of votes as they were published, which hold where no votes were fitted."""
EDGE = 1e-4
"""What is nearer to its bound than this, and as likely there, is put there."""
SMALL_RESIDUAL = 1e-5
PINNED = 0.5
"""A parameter is pinned down where its standard error is below this share of it."""


class CircuitModel(BaseEstimator):  # type: ignore[misc]
    """The law of the circuit, fitted on cells.

    Parameters
    ----------
    descriptors
        Columns of difficulty, numbers of at least 0, more of which is harder. To predict questions without a solution,
        take what the question shows; see `question_difficulty`.
    reasoning
        Column of the way of reasoning, such as "direct" or "steps": each has weights of its own. None: one way.
    without
        Descriptors that do not count in a way of reasoning, by its name, such as ``{"tools": ["largest"]}``.
    link
        ``"logistic"`` (default), or ``"isotonic"``: weights are fitted with the logistic link, and the accuracy is then
        any rising function of the power.
    starts
        How many random starts the fit has, at least 1; default 4.
    seed
        Decides the starts.

    Attributes
    ----------
    reasonings_
        The ways of reasoning that were seen.
    log_likelihood_
        Of the counts, in nats, without the binomial coefficients.
    starts_agree_rate_
        Share of the starts that come within 0.01 nats of the best.

    Raises
    ------
    ConfigError
        On fitting, if an option is outside its range.

    Examples
    --------
    >>> cells = pl.DataFrame(
    ...     {
    ...         "reasoning": ["direct"] * 4 + ["steps"] * 4,
    ...         "flux": [0.0, 0.0, 2.0, 2.0] * 2,
    ...         "length": [1, 4] * 4,
    ...         "n": [100] * 8,
    ...         "n_right": [60, 20, 75, 31, 60, 50, 75, 66],
    ...     }
    ... )
    >>> circuit = CircuitModel(["length"]).fit(cells)
    >>> bool(abs(circuit.predict(cells) - cells["n_right"] / 100).max() < 0.05)
    True
    >>> circuit.summary().filter(pl.col("value") > 0)["parameter"].to_list()
    ['intercept', 'slope', 'flux', 'direct: length', 'steps: length', 'steps: offset']
    """

    def __init__(
        self,
        descriptors: Sequence[str] = (),
        *,
        reasoning: str | None = "reasoning",
        without: dict[str, Sequence[str]] | None = None,
        link: str = "logistic",
        starts: int = 4,
        seed: int = 0,
    ) -> None:
        self.descriptors, self.reasoning, self.without = descriptors, reasoning, without
        self.link, self.starts, self.seed = link, starts, seed

    def fit(self, cells: pl.DataFrame, y: None = None) -> Self:
        """Find the parameters under which the counts are most likely.

        Parameters
        ----------
        cells
            With ``n``, ``n_right``, ``flux``, the descriptors and the way of reasoning; where there is a column
            ``samples``, it says how many answers were voted on. Where none were, votes are foretold by
            :math:`2 R / n + R_0`, as it was published.
        y
            Not used; here for the habits of scikit-learn.

        Raises
        ------
        DataError
            If a column is missing or holds what it cannot.
        """
        self._check_options()
        n, right = counts_of(cells)
        self.reasonings_ = _reasonings(cells, self.reasoning)
        self._check_without()
        self._scales = {name: column_of(cells, name).max() or 1.0 for name in ("flux", *self.descriptors)}
        inputs = self._inputs(cells)
        self.has_votes_ = bool((inputs.samples > 1).any())
        rng = np.random.default_rng(self.seed)
        tried = []
        for first in range(len(self.reasonings_)):  # the easiest way has no offset: the load takes it up
            bounds = self._bounds(first)
            starts = [_start(bounds, float(right.sum() / n.sum()), rng) for _ in range(self.starts)]
            ends = sorted(
                (_ended(start, bounds, inputs, n, right) for start in starts), key=lambda end: end[0]
            )
            tried.append((ends, bounds))
        ends, self._fitted_bounds = min(tried, key=lambda one: one[0][0][0])
        loss, self._theta = ends[0]
        self.log_likelihood_ = -loss
        self.starts_agree_rate_ = float(np.mean([end[0] < loss + 0.01 for end in ends]))
        logit, slopes = _logit(self._theta, inputs)
        p = expit(logit)
        self._information = slopes.T @ (slopes * (n * p * (1 - p))[:, None])
        self._isotonic: IsotonicRegression | None = None
        if self.link == "isotonic":
            self._isotonic = IsotonicRegression(out_of_bounds="clip", y_min=0.0, y_max=1.0)
            self._isotonic.fit(np.log(self.power(cells)), right / n, sample_weight=n)
        return self

    def predict(self, cells: pl.DataFrame) -> Floats:
        """Return the accuracy that is expected in each cell, shape ``(n_cells,)``, in [0, 1]."""
        isotonic = self._is_fitted()._isotonic
        if isotonic is not None:
            rising: Floats = isotonic.predict(np.log(self.power(cells)))
            return rising
        expected: Floats = expit(_logit(self._theta, self._inputs(cells))[0])
        return expected

    def power(self, cells: pl.DataFrame) -> Floats:
        """Return the power of each cell, shape ``(n_cells,)``, in units of that without demonstrations or resistance."""
        inputs = self._is_fitted()._inputs(cells)
        gain = 1 + self._theta[2] * inputs.flux
        power: Floats = (gain / (1 + _resistance(self._theta, inputs)[0])) ** 2
        return power

    def resistance(self, cells: pl.DataFrame) -> Floats:
        """Return the resistance of each cell, shape ``(n_cells,)``, in units of the load."""
        return _resistance(self._is_fitted()._theta, self._inputs(cells))[0]

    def summary(self) -> pl.DataFrame:
        r"""Return the parameters, and how far the data pin them down.

        Standard errors come from the Fisher information of the parameters that are not at a bound; those of positive
        ones are of their logarithm, times their value. Two parameters that only act together both have a large one.

        Returns
        -------
        pl.DataFrame
            ``parameter``; ``value``, in units of U per flux and of R0 per descriptor; ``standard_error``, null at a bound;
            ``is_pinned``, whether the standard error is below half the value.
        """
        names = self._is_fitted()._names()
        low, high = np.array(self._fitted_bounds).T
        theta = self._theta
        free = (theta > low) & (theta < high * (1 - EDGE))
        unit = np.where(np.isneginf(low), 1.0, theta)[free]
        information = self._information[np.ix_(free, free)] * np.outer(unit, unit)
        values, vectors = np.linalg.eigh(information)
        floor = 1e-12 * max(values.max(initial=0.0), 1e-300)
        errors = np.full(len(theta), np.nan)
        errors[free] = np.sqrt((vectors**2 / values.clip(min=floor)).sum(1)) * unit
        scale = np.array([1.0, 1.0, self._scales["flux"], *self._weight_scales(), 1.0, 1.0])
        keep = [i for i, name in enumerate(names) if self.has_votes_ or not name.startswith("votes")]
        value, error = theta / scale, errors / scale
        table = pl.DataFrame({"parameter": names, "value": value, "standard_error": error})
        pinned = (pl.col("standard_error") < PINNED * pl.col("value").abs()).fill_null(value=False)
        return (
            table[keep].with_columns(pl.col("standard_error").fill_nan(None)).with_columns(is_pinned=pinned)
        )

    def _names(self) -> list[str]:
        weights = [f"{way}: {name}" for way in self.reasonings_ for name in (*self.descriptors, "offset")]
        return ["intercept", "slope", "flux", *weights, "votes: share", "votes: offset"]

    def _weight_scales(self) -> list[float]:
        of_way = [*(self._scales[name] for name in self.descriptors), 1.0]
        return of_way * len(self.reasonings_)

    def _bounds(self, first: int) -> list[tuple[float, float]]:
        weights = []
        for i, way in enumerate(self.reasonings_):
            left_out = (self.without or {}).get(way, ())
            weights += [(0.0, 0.0 if name in left_out else LARGEST) for name in self.descriptors]
            weights.append((0.0, 0.0 if i == first else LARGEST))
        votes = [(0.0, LARGEST)] * 2 if self.has_votes_ else [(each, each) for each in PUBLISHED_VOTES]
        return [(-np.inf, np.inf), (1e-3, STEEPEST), (0.0, LARGEST), *weights, *votes]

    def _inputs(self, cells: pl.DataFrame) -> _Inputs:
        """Return flux, what the weights are multiplied with, shape ``(n_cells, n_weights)``, and samples."""
        columns = [column_of(cells, name) / self._scales[name] for name in self.descriptors]
        difficulty = np.column_stack([*columns, np.ones(len(cells))])
        way = np.zeros(len(cells), np.intp)
        if self.reasoning is not None:
            check_columns(cells, [self.reasoning])
            names = cells[self.reasoning].cast(pl.String)
            check_seen(names, self.reasonings_)
            way = names.replace_strict(self.reasonings_, list(range(len(self.reasonings_)))).to_numpy()
        is_way = way[:, None] == np.arange(len(self.reasonings_))
        drive = (is_way[:, :, None] * difficulty[:, None, :]).reshape(len(cells), -1)
        samples = column_of(cells, "samples", low=1.0) if "samples" in cells.columns else np.ones(len(cells))
        return _Inputs(column_of(cells, "flux") / self._scales["flux"], drive, samples)

    def _check_options(self) -> None:
        if self.link not in LINKS:
            message = (
                f"link must be {' or '.join(LINKS)}, got {self.link!r}; {nearest(str(self.link), LINKS)}"
            )
            raise ConfigError(message)
        if self.starts < 1:
            message = f"starts must be at least 1, got {self.starts}"
            raise ConfigError(message)

    def _check_without(self) -> None:
        for way, left_out in (self.without or {}).items():
            for name, allowed in ((way, self.reasonings_), *((one, self.descriptors) for one in left_out)):
                if name not in allowed:
                    message = f"without names {name!r}, which is not there; {nearest(name, allowed)}"
                    raise ConfigError(message)

    def _is_fitted(self) -> Self:
        if not hasattr(self, "_theta"):
            message = "this CircuitModel has not been fitted: call fit(cells) first"
            raise ConfigError(message)
        return self


class _Inputs(NamedTuple):
    flux: Floats
    drive: Floats
    samples: Floats


def _reasonings(cells: pl.DataFrame, column: str | None) -> list[str]:
    if column is None:
        return ["all"]
    check_columns(cells, [column])
    return [str(name) for name in cells[column].cast(pl.String).unique().sort()]


def _start(bounds: list[tuple[float, float]], accuracy: float, rng: np.random.Generator) -> Floats:
    """Draw weights over four decades around 1; the intercept starts at the mean accuracy."""
    drawn = 10.0 ** rng.uniform(-2, 2, len(bounds))
    low, high = np.array(bounds).T
    drawn[:2] = np.log((accuracy + 0.01) / (1.01 - accuracy)), 10.0 ** rng.uniform(-0.5, 0.5)
    return drawn.clip(np.where(low < high, low + EDGE, low), high)


def _ended(
    start: Floats, bounds: list[tuple[float, float]], inputs: _Inputs, n: Floats, right: Floats
) -> tuple[float, Floats]:
    """Go from a start to an optimum, by least squares of deviance residuals; return its loss and parameters."""
    low, high = np.array(bounds).T
    free = low < high

    def whole(part: Floats) -> Floats:
        theta: Floats = low.copy()
        theta[free] = part
        return theta

    def residuals(part: Floats) -> Floats:
        return _deviance_residuals(_logit(whole(part), inputs)[0], n, right)

    def jacobian(part: Floats) -> Floats:
        logit, slopes = _logit(whole(part), inputs)
        residual, p = _deviance_residuals(logit, n, right), expit(logit)
        is_small = np.abs(residual) < SMALL_RESIDUAL
        of_logit = np.where(
            is_small, np.sqrt(n * p * (1 - p)), (n * p - right) / np.where(is_small, 1.0, residual)
        )
        return np.asarray(of_logit[:, None] * slopes[:, free])

    found = least_squares(
        residuals,
        start[free],
        jacobian,
        bounds=(low[free], high[free]),
        x_scale="jac",
        max_nfev=200,
    )
    theta = whole(found.x)
    at_edge = np.where(theta - low < EDGE, low, theta)  # bounds are come near, not reached
    ends = [(_loss(each, inputs, n, right), each) for each in (theta, at_edge)]
    return ends[1] if ends[1][0] < ends[0][0] + EDGE else ends[0]


def _deviance_residuals(logit: Floats, n: Floats, right: Floats) -> Floats:
    share = right / n
    best = xlogy(right, share) + xlogy(n - right, 1 - share)
    gap = best + n * np.logaddexp(0, logit) - right * logit
    return np.asarray(np.sign(expit(logit) - share) * np.sqrt(2 * gap.clip(min=0)))


def _resistance(theta: Floats, inputs: _Inputs) -> tuple[Floats, Floats]:
    """Return the resistance, and its slopes in the weights and in the two numbers of voting."""
    share, offset = theta[-2:]
    is_vote = inputs.samples > 1
    kept = np.where(is_vote, share / inputs.samples, 1.0)
    single = inputs.drive @ theta[3:-2]
    slopes = np.column_stack([inputs.drive * kept[:, None], is_vote * single / inputs.samples, is_vote])
    return kept * single + is_vote * offset, slopes


def _logit(theta: Floats, inputs: _Inputs) -> tuple[Floats, Floats]:
    """Return the log-odds of being right, and their slopes in all parameters, shape ``(n_cells, n_parameters)``."""
    intercept, slope, weight = theta[:3]
    resistance, of_resistance = _resistance(theta, inputs)
    gain = 1 + weight * inputs.flux
    log_power = 2 * np.log(gain) - 2 * np.log1p(resistance)
    of_flux = 2 * slope * inputs.flux / gain
    of_rest = -2 * slope * of_resistance / (1 + resistance)[:, None]
    slopes = np.column_stack([np.ones(len(gain)), log_power, of_flux, of_rest])
    return intercept + slope * log_power, slopes


def _loss(theta: Floats, inputs: _Inputs, n: Floats, right: Floats) -> float:
    logit, _ = _logit(theta, inputs)
    return float(n @ np.logaddexp(0, logit) - right @ logit)
