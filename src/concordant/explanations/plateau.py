"""A schedule of the learning rate that a validation drives: a tenth of it whenever the loss has long been no lower."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

WAIT, PATIENCE, FALL = 21, 5, 0.1
LEAST_GAIN = 1e-5
"""Share of the lowest loss by which another must be lower to count."""


class Plateau:
    """A validation and a schedule for :func:`concordant.learn.train` at once.

    After 21 validations the learning rate falls to a tenth each time that more than 5 in a row were not lower than
    the lowest since then, as TimeX was trained in its published code.

    Parameters
    ----------
    validate
        A function of the model; lower is better.

    Examples
    --------
    >>> losses = iter([1.0] * 50)
    >>> plateau = Plateau(lambda model: next(losses))
    >>> for _ in range(28):
    ...     _ = plateau(None)
    >>> plateau.schedule(28, 50)
    0.1
    """

    def __init__(self, validate: Callable[[nn.Module], float | Tensor]) -> None:
        self.validate, self.factor = validate, 1.0
        self._seen, self._waited, self._lowest = 0, 0, float("inf")

    def __call__(self, model: nn.Module) -> float:
        """Return the loss of the model."""
        loss = float(self.validate(model))
        self._seen += 1
        if self._seen > WAIT:
            lower = (
                loss < self._lowest - LEAST_GAIN * abs(self._lowest) if self._lowest < float("inf") else True
            )
            self._lowest, self._waited = (loss, 0) if lower else (self._lowest, self._waited + 1)
            if self._waited > PATIENCE:
                self.factor, self._waited = self.factor * FALL, 0
        return loss

    def schedule(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by now."""
        del step, steps
        return self.factor
