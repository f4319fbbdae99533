r"""Worlds in which the outcome of every unit under every dose is known.

A world has training units whose doses depend on their covariates, test units, and one function of outcomes for both.
With ``train_h < test_h`` training doses end below those of the test (in IHDP they begin above), while the
function stays the same: it is in units of the larger h.

References
----------
Nie, Ye, Liu, Nicolae, "VCNet and Functional Targeted Regularization For Learning Causal Effects of Continuous
Treatments", 2021; the shift of doses: Zhang et al., "Exploring Transformer Backbones for Heterogeneous Treatment Effect
Estimation", 2022; dosages: Bica, Jordon, van der Schaar, "Estimating the Effects of Continuous-valued Interventions
using Generative Adversarial Networks", 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import expit, softmax

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.effects.curves import uniform_grid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Outcome: TypeAlias = Callable[["Floats", "Floats"], "Floats"]
NOISE = 0.5
N_IHDP_COLUMNS = 25
FIRST_COLUMNS = [3, *range(6, 15)]
SECOND_COLUMNS = list(range(15, 25))


@dataclass(frozen=True)
class Units:
    """Covariates `x` of shape ``(n, columns)``, treatments `t` as an estimator takes them, and noisy outcomes `y`."""

    x: Floats
    t: Floats
    y: Floats


@dataclass(frozen=True)
class World:
    """Training and test units, and what would come of each dose.

    Attributes
    ----------
    train, test
        Units whose doses depend on their covariates.
    high
        The largest dose of the test; the smallest is 0.
    outcome
        ``outcome(x, t)`` without noise; one treatment a row.
    """

    train: Units
    test: Units
    high: float
    outcome: Outcome

    def grid(self, n: int = 30) -> Floats:
        """Return n doses at equal distances over the range of the test."""
        return uniform_grid(0.0, self.high, n)

    def truth(self, x: Floats, grid: ArrayLike, *, treatment: int | None = None) -> Floats:
        """Return the outcome of each row at each dose, without noise, shape ``(n, doses)``."""
        doses = np.asarray(grid, dtype=np.float64)
        t = np.tile(doses, len(x))
        if treatment is not None:
            t = np.column_stack([np.full(len(t), float(treatment)), t])
        return self.outcome(np.repeat(x, len(doses), 0), t).reshape(len(x), len(doses))


def synthetic(
    seed: int, *, n_train: int = 500, n_test: int = 200, train_h: float = 1.0, test_h: float = 1.0
) -> World:
    """Return the synthetic world: six uniform covariates, of which five decide the dose and four the outcome.

    Parameters
    ----------
    seed
        Of covariates, doses and noise.
    n_train, n_test
        Units.
    train_h, test_h
        Doses are drawn below these; outcomes are in units of the larger one.

    Raises
    ------
    ConfigError
        If a size or h is not positive.

    Examples
    --------
    >>> world = synthetic(0, train_h=1.75, test_h=2.0)
    >>> world.train.x.shape, bool(world.train.t.max() < 1.75)
    ((500, 6), True)
    """
    _positive(n_train=n_train, n_test=n_test, train_h=train_h, test_h=test_h)
    rng = np.random.default_rng(seed)
    outcome = partial(synthetic_outcome, h=max(train_h, test_h))

    def units(n: int, h: float) -> Units:
        x = rng.random((n, 6))
        t = h * expit(synthetic_tendency(x) + NOISE * rng.normal(size=n))
        return Units(x, t, outcome(x, t) + NOISE * rng.normal(size=n))

    return World(units(n_train, train_h), units(n_test, test_h), test_h, outcome)


def synthetic_tendency(x: Floats) -> Floats:
    """Return what the covariates add to the logit of the dose in the synthetic world, shape ``(n,)``."""
    x1, x2, x3, x4, x5, _ = x.T
    first = 10 * np.sin(np.maximum.reduce([x1, x2, x3])) + np.maximum.reduce([x3, x4, x5]) ** 3
    waves = np.sin(0.5 * x3) * (1 + np.exp(x4 - 0.5 * x3))
    tendency: Floats = first / (1 + (x1 + x5) ** 2) + waves + x3**2 + 2 * np.sin(x4) + 2 * x5 - 6.5
    return tendency


def synthetic_outcome(x: Floats, t: Floats, *, h: float = 1.0) -> Floats:
    """Return outcomes of the synthetic world without noise, shape ``(n,)``."""
    x1, _, x3, x4, _, x6 = x.T
    share = t / h
    level = share**2 + 4 * np.maximum(x1, x6) ** 3 / (1 + 2 * x3**2) * np.sin(x4)
    outcome: Floats = np.cos(2 * np.pi * (share - 0.5)) * level
    return outcome


def binary(seed: int, *, n_train: int = 500, n_test: int = 200) -> World:
    """Return the synthetic world with two doses, a tenth and a half of h; t is 0 or 1 with odds from the covariates.

    Examples
    --------
    >>> sorted(set(binary(0).train.t.tolist()))
    [0.0, 1.0]
    """
    _positive(n_train=n_train, n_test=n_test)
    rng = np.random.default_rng(seed)

    def outcome(x: Floats, t: Floats) -> Floats:
        return synthetic_outcome(x, np.where(t > 0, 0.5, 0.1))

    def units(n: int) -> Units:
        x = rng.random((n, 6))
        t = (rng.random(n) < expit(synthetic_tendency(x))).astype(float)
        return Units(x, t, outcome(x, t) + NOISE * rng.normal(size=n))

    return World(units(n_train), units(n_test), 1.0, outcome)


def dosed(seed: int, *, n_train: int = 1000, n_test: int = 200, selection: float = 2.0) -> World:
    """Return a world of three treatments with doses from 0 to 1: two parabolas or a cubic, and a wave.

    The form of the outcomes is that of the semi-synthetic sets of SCIGAN, on ten uniform covariates. Treatments and doses
    that are good for a unit are given to it more often.

    Parameters
    ----------
    seed
        Of weights, covariates, treatments, doses and noise.
    n_train, n_test
        Units.
    selection
        How strongly the better treatment and the better dose are preferred; 1 for doses and 0 for treatments at 0.

    Examples
    --------
    >>> dosed(0).train.t.shape
    (1000, 2)
    """
    _positive(n_train=n_train, n_test=n_test)
    rng = np.random.default_rng(seed)
    weights = np.abs(rng.normal(size=(3, 3, 10)))
    weights /= np.linalg.norm(weights, axis=-1, keepdims=True)

    def outcome(x: Floats, t: Floats) -> Floats:
        which, dose = t[:, 0].astype(int), t[:, 1]
        a, b, c = np.moveaxis(np.einsum("nd,wkd->nwk", x, weights)[np.arange(len(x)), which], -1, 0)
        valley = 0.75 * b / c
        shapes = (
            a + 12 * dose * (b - c * dose),
            a + np.sin(np.pi * b / c * dose),
            a + 12 * dose * (dose - valley) ** 2,
        )
        return np.choose(which, shapes)

    def units(n: int) -> Units:
        x = rng.random((n, 10))
        grid = uniform_grid(0, 1, 33)
        every = np.stack(
            [
                outcome(
                    np.repeat(x, len(grid), 0),
                    np.column_stack([np.full(n * len(grid), float(k)), np.tile(grid, n)]),
                ).reshape(n, -1)
                for k in range(3)
            ],
            1,
        )
        gains = every.max(2)
        odds = softmax(selection * (gains - gains.mean(0)) / gains.std(0), axis=1)
        which = (rng.random((n, 1)) > odds.cumsum(1)[:, :-1]).sum(1)
        best = grid[every.argmax(2)][np.arange(n), which].clip(0.05, 0.95)
        strength = 1 + selection  # a beta law with its mode at the best dose; uniform without selection
        dose = rng.beta(1 + (strength - 1) * best, 1 + (strength - 1) * (1 - best))
        t = np.column_stack([which.astype(float), dose])
        return Units(x, t, outcome(x, t) + NOISE * rng.normal(size=n))

    return World(units(n_train), units(n_test), 1.0, outcome)


def ihdp(
    path: str | Path, seed: int, *, n_train: int = 471, train_h: float = 1.0, test_h: float = 1.0
) -> World:
    """Return the world of the Infant Health and Development Program: real covariates, simulated doses and outcomes.

    Parameters
    ----------
    path
        A CSV file of 747 rows with a header: row number, treatment, then 25 covariates. The treatment and what
        stands after the covariates are not read.
    seed
        Of the split, doses and noise.
    n_train
        Units for training; the others are for the test.
    train_h, test_h
        Training doses lie in ``(test_h - train_h, test_h)`` and those of the test in ``(0, test_h)``.

    Raises
    ------
    DataError
        If the file is not there or is not such a table.
    ConfigError
        If a size or h is not positive, or `n_train` leaves no unit for the test.
    """
    _positive(n_train=n_train, train_h=train_h, test_h=test_h)
    x = read_ihdp(path)
    if n_train >= len(x):
        message = f"n_train must leave some of the {len(x)} units for the test, got {n_train}"
        raise ConfigError(message)
    rng = np.random.default_rng(seed)
    h = max(train_h, test_h)
    centre = x[:, FIRST_COLUMNS].mean()  # of the first group for both, as published
    outcome = partial(_ihdp_outcome, h=h, centre=centre)
    rows = rng.permutation(len(x))

    def units(chosen: NDArray[np.intp], width: float, start: float) -> Units:
        of = x[chosen]
        t = start + width * expit(2 * (_ihdp_tendency(of, centre) + NOISE * rng.normal(size=len(of))))
        return Units(of, t, outcome(of, t) + NOISE * rng.normal(size=len(of)))

    train = units(rows[:n_train], train_h, max(0.0, test_h - train_h))
    return World(train, units(rows[n_train:], test_h, 0.0), test_h, outcome)


def read_ihdp(path: str | Path) -> Floats:
    """Return the 25 covariates, each shifted to begin at 0 and divided by its largest value, shape ``(n, 25)``."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()  # line ends of any kind
        table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:] if line.strip()])
    except (OSError, ValueError) as error:
        message = f"the covariates of IHDP cannot be read from {path}: {error}"
        raise DataError(message) from None
    if table.ndim != 2 or table.shape[1] < N_IHDP_COLUMNS + 2:
        wanted = f"a row number, a treatment and {N_IHDP_COLUMNS} covariates a line"
        message = f"{path} must have {wanted}, got shape {table.shape}"
        raise DataError(message)
    x = table[:, 2 : N_IHDP_COLUMNS + 2]
    scaled: Floats = (x - x.min(0)) / x.max(0)
    return scaled


def _ihdp_tendency(x: Floats, centre: float) -> Floats:
    x1, x2, x3, x4, x5 = x[:, [0, 1, 2, 4, 5]].T
    ratio = np.maximum.reduce([x3, x4, x5]) / (0.2 + np.minimum.reduce([x3, x4, x5]))
    tendency: Floats = x1 / (1 + x2) + ratio + np.tanh(5 * (x[:, SECOND_COLUMNS].mean(1) - centre)) - 2
    return tendency


def _ihdp_outcome(x: Floats, t: Floats, *, h: float, centre: float) -> Floats:
    x1, x2, x3, x4, x5 = x[:, [0, 1, 2, 4, 5]].T
    share = t / h
    level = np.tanh(5 * (x[:, FIRST_COLUMNS].mean(1) - centre))
    level = level + np.exp(0.2 * (x1 - x5)) / (0.1 + np.minimum.reduce([x2, x3, x4]))
    outcome: Floats = np.sin(3 * np.pi * share) / (1.2 - share) * level
    return outcome


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            message = f"{name} must be above 0, got {number}"
            raise ConfigError(message)
