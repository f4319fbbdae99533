"""The weights of the validation that was best, kept in memory while a model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


class BestWeights:
    """A validation for :func:`concordant.learn.train` that remembers the weights with the lowest loss.

    Parameters
    ----------
    loss
        A function of the model; lower is better.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(1, 1, device="meta").to_empty(device="cpu")
    >>> best = BestWeights(lambda model: model.bias.square().sum())
    >>> for value in (2.0, 1.0, 3.0):
    ...     _ = torch.nn.init.constant_(model.bias, value)
    ...     _ = best(model)
    >>> best.restore(model)
    >>> model.bias.item(), best.lowest
    (1.0, 1.0)
    """

    def __init__(self, loss: Callable[[nn.Module], float | Tensor]) -> None:
        self.loss = loss
        self.lowest: float | None = None
        self._weights: dict[str, Tensor] = {}

    def __call__(self, model: nn.Module) -> float:
        """Return the loss of the model."""
        with torch.no_grad():
            value = float(self.loss(model))
        if self.lowest is None or value < self.lowest:
            self.lowest = value
            self._weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        return value

    def restore(self, model: nn.Module) -> None:
        """Put the best weights back into the model, if there was a validation."""
        if self.lowest is not None:
            model.load_state_dict(self._weights)
