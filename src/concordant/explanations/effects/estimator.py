"""What all estimators of effects share: data as tables of numbers, members on resampled rows, predictions and curves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.critical import normal_critical
from concordant.explanations.best_weights import BestWeights
from concordant.explanations.effects.checks import Treatments, checked_columns, checked_outcomes
from concordant.explanations.effects.curves import ResponseCurve
from concordant.explanations.effects.members import Doses, OutcomeNetwork, squared_error
from concordant.learn.loop import train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor, nn

    from concordant.learn.history import History

N_VALIDATIONS = 40
BLOCK = 16_384
"""Rows that are predicted at a time."""


class EffectEstimator(ABC):
    """An estimator of what comes of a treatment, trained on what was observed: one network a member, all at once.

    Covariates, doses and outcomes are brought to one scale by the training rows. Several members start from weights of
    their own and, with `bootstrap`, see rows drawn anew; their spread gives the intervals.

    Parameters
    ----------
    kind
        ``"continuous"``: `t` is a dose. ``"binary"``: `t` is 0 or 1. ``"dosage"``: `t` has two columns, which
        treatment (0, 1, ...) and its dose.
    members
        How many networks, at least 1.
    bootstrap
        Whether each of several members is trained on rows drawn with replacement.
    steps, batch_size
        How long: optimiser steps and rows a step.
    validation_share
        Share of the rows that are held out, in [0, 1): the weights of the step that predicts them best are kept, out of
        40 steps that are tried. With 0 all rows are trained on, and the last weights are kept.
    learning_rate, weight_decay, schedule
        Of AdamW, and of :func:`concordant.learn.train`.
    seed
        Decides weights, resampled rows, order and dropout.
    device
        Of the training, ``"auto"`` for a GPU where there is one.
    progress
        Whether to draw a bar on a terminal.

    Attributes
    ----------
    history
        The record of the training, after `fit`: losses are sums over members.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    """

    def __init__(
        self,
        *,
        kind: str = "continuous",
        members: int = 1,
        bootstrap: bool = True,
        steps: int = 800,
        batch_size: int = 128,
        validation_share: float = 0.2,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        schedule: str = "cosine",
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
    ) -> None:
        self.treatments = Treatments(kind)
        for name, number in (("members", members), ("steps", steps), ("batch_size", batch_size)):
            if number < 1:
                message = f"{name} of {type(self).__name__} must be at least 1, got {number}"
                raise ConfigError(message)
        self.members, self.bootstrap = members, bootstrap
        if not 0 <= validation_share < 1:
            message = (
                f"validation_share of {type(self).__name__} must be from 0 to below 1, got {validation_share}"
            )
            raise ConfigError(message)
        self.steps, self.batch_size, self.validation_share = steps, batch_size, validation_share
        self.learning_rate, self.weight_decay, self.schedule = learning_rate, weight_decay, schedule
        self.seed, self.device, self.progress = seed, device, progress

    @abstractmethod
    def network(self, n_columns: int, n_treatments: int, *, dosed: bool, seed: int) -> OutcomeNetwork:
        """Return an untrained network, with the members as the leading axis of its weights."""

    def fit(self, X: ArrayLike, t: ArrayLike, y: ArrayLike) -> Self:
        """Train on observed rows.

        Parameters
        ----------
        X
            Covariates, shape ``(n, columns)``, finite numbers.
        t
            What was given: shape ``(n,)``, or ``(n, 2)`` for dosages.
        y
            The outcome, shape ``(n,)``.

        Raises
        ------
        DataError
            If the rows do not fit together, a number is not finite, or all were treated alike.
        """
        x = checked_columns(X)
        y = checked_outcomes(y, len(x))
        which, dose = self.treatments.fit(t, len(x))
        self._x_scale, self._y_scale = _scale(x), _scale(y)
        self.n_columns = x.shape[1]
        weights_seed, rows_seed, train_seed = child_seeds(self.seed, 3)
        self.net = self.network(
            self.n_columns, self.treatments.n, dosed=self.treatments.dosed, seed=weights_seed
        )
        data = (self._scaled(x), *map(torch.as_tensor, (which, dose)), _tensor(y, self._y_scale))
        rows, held_out = self._rows(len(x), np.random.default_rng(rows_seed))
        best = BestWeights(partial(_validation_error, data=tuple(part[held_out] for part in data)))
        self.history: History = train(
            self.net,
            _loss,
            MemberBatches(data, rows, self.batch_size),
            steps=self.steps,
            optimizer=partial(
                torch.optim.AdamW, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
            ),
            schedule=self.schedule,
            validate=best if len(held_out) else None,
            validate_every=max(1, self.steps // N_VALIDATIONS),
            device=self.device,
            seed=train_seed,
            progress=self.progress,
        )
        best.restore(self.net)
        self.net.eval()
        return self

    def predict(self, X: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
        """Return the outcome of each row under a treatment, the mean over members, shape ``(n,)``.

        Parameters
        ----------
        X
            Covariates, shape ``(n, columns)``.
        t
            A treatment a row as in `fit`, or one for all.
        """
        mean: NDArray[np.float64] = self.predict_members(X, t).mean(0)
        return mean

    def predict_members(self, X: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
        """Return what each member predicts, shape ``(members, n)``."""
        x = self._checked(X)
        which, dose = self.treatments.read(t, len(x))
        return self._outcomes(self._scaled(x), torch.as_tensor(which), torch.as_tensor(dose))

    def effect(self, X: ArrayLike, treated: ArrayLike, control: ArrayLike) -> NDArray[np.float64]:
        """Return how much higher the outcome of each row is under one treatment than under another, shape ``(n,)``."""
        return self.predict(X, treated) - self.predict(X, control)

    def individual_curves(
        self,
        X: ArrayLike,
        grid: ArrayLike,
        *,
        treatment: int = 0,
    ) -> NDArray[np.float64]:
        """Return the outcome of each row at each dose, the mean over members, shape ``(n, doses)``."""
        mean: NDArray[np.float64] = self._curves(X, grid, treatment).mean(0)
        return mean

    def response_curve(
        self,
        X: ArrayLike,
        grid: ArrayLike,
        *,
        treatment: int = 0,
        level: float = 0.95,
    ) -> ResponseCurve:
        r"""Return the mean outcome of these rows at each dose, with intervals.

        An interval is :math:`m \pm z\,s` with the mean m and the standard deviation s of the members' curves; with one
        member it is everything.

        Parameters
        ----------
        X
            Covariates of the rows that are averaged over, shape ``(n, columns)``.
        grid
            Doses, shape ``(doses,)``, in the unit of `fit`; 0 and 1 for a binary treatment.
        treatment
            Which treatment, for dosages.
        level
            Of the intervals, in (0, 1).

        Raises
        ------
        ConfigError
            If it was not fitted, or there is no such treatment.
        """
        curves = self._curves(X, grid, treatment).mean(1)
        mean = curves.mean(0)
        half = np.full_like(mean, np.inf)
        if len(curves) > 1:
            half = normal_critical(level) * curves.std(0, ddof=1)
        return ResponseCurve(np.asarray(grid, float), mean, mean - half, mean + half, level, curves)

    def _rows(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return the rows that each member is trained on, shape ``(members, rows)``, and those that none is."""
        order = rng.permutation(n)
        held_out, kept = np.split(order, [round(self.validation_share * n)])
        if not len(kept):
            message = f"training needs at least one row that is not held out, got {n} rows"
            raise DataError(message)
        rows = np.tile(kept, (self.members, 1))
        if self.members > 1 and self.bootstrap:
            rows = kept[rng.integers(len(kept), size=rows.shape)]
        return torch.as_tensor(rows), torch.as_tensor(held_out)

    def _curves(self, X: ArrayLike, grid: ArrayLike, treatment: int) -> NDArray[np.float64]:
        """Return the outcomes of every member, row and dose, shape ``(members, n, doses)``."""
        x = self._checked(X)
        which, dose = self.treatments.read_grid(grid, treatment)
        every = self._scaled(x).repeat_interleave(len(dose), 0)
        found = self._outcomes(every, *(torch.as_tensor(np.tile(part, len(x))) for part in (which, dose)))
        return found.reshape(self.members, len(x), len(dose))

    def _outcomes(self, x: Tensor, which: Tensor, dose: Tensor) -> NDArray[np.float64]:
        device = next(self.net.parameters()).device
        parts = []
        with torch.no_grad():
            for block in zip(*(torch.split(part, BLOCK) for part in (x, which, dose)), strict=True):
                rows = [part.to(device).expand(self.members, *part.shape) for part in block]
                parts.append(self.net(rows[0], Doses(*rows[1:])).cpu())
        mean, spread = self._y_scale
        scaled: NDArray[np.float64] = torch.cat(parts, 1).double().numpy() * spread + mean
        return scaled

    def _scaled(self, x: NDArray[np.float64]) -> Tensor:
        return _tensor(x, self._x_scale)

    def _checked(self, X: ArrayLike) -> NDArray[np.float64]:
        if not hasattr(self, "net"):
            message = f"this {type(self).__name__} has not been fitted: call fit(X, t, y) first"
            raise ConfigError(message)
        x = checked_columns(X)
        if x.shape[1] != self.n_columns:
            message = f"X must have the {self.n_columns} columns that it was fitted on, got {x.shape[1]}"
            raise DataError(message)
        return x


class MemberBatches:
    """Shuffled batches for several members at once, each with rows of its own.

    Parameters
    ----------
    data
        Tensors of equally many rows.
    rows
        The rows of each member, shape ``(members, n)``.
    size
        Rows a batch.
    """

    def __init__(self, data: tuple[Tensor, ...], rows: Tensor, size: int) -> None:
        self.data, self.rows, self.size = data, rows, size

    def __len__(self) -> int:
        return -(-self.rows.shape[1] // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Go through one epoch; parts of a batch have shape ``(members, size, ...)``."""
        order = torch.rand(self.rows.shape, generator=generator).argsort(1)
        shuffled = self.rows.gather(1, order)
        for chosen in torch.split(shuffled, self.size, 1):
            yield tuple(part[chosen] for part in self.data)


def _loss(net: nn.Module, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    assert isinstance(net, OutcomeNetwork)
    x, which, dose, y = batch
    return net.losses(x, Doses(which, dose), y)


def _validation_error(net: nn.Module, *, data: tuple[Tensor, ...]) -> Tensor:
    assert isinstance(net, OutcomeNetwork)
    x, which, dose, y = (part.expand(net.members, *part.shape) for part in data)
    return squared_error(net(x, Doses(which, dose)), y)


def _scale(values: NDArray[np.float64]) -> tuple[Any, Any]:
    """Return mean and standard deviation, which is 1 where all are alike."""
    spread = values.std(0)
    return values.mean(0), np.where(spread > 0, spread, 1.0)


def _tensor(values: NDArray[np.float64], scale: tuple[Any, Any]) -> Tensor:
    mean, spread = scale
    return torch.as_tensor((values - mean) / spread, dtype=torch.float32)
