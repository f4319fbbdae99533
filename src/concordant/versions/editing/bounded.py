r"""Bounded drift: a training may go on as long as the model stays near what it was, and no longer.

A model with loss :math:`L_0` on a fixed general text is kept only while its loss there is at most
:math:`L_0 (1 + \varepsilon)`. Of the epochs within the bound the *last* is taken, never the best by what is to be
improved: that would choose by the test. One run serves several bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn


@dataclass(frozen=True)
class Kept:
    """The last state of a run within a bound.

    Parameters
    ----------
    epoch
        After which it was taken, from 1; 0 is the model as it was.
    general_loss
        Its loss on the general text, in nats a token.
    weights
        The trained weights by name, copies; those of the model as it was at epoch 0.
    """

    epoch: int
    general_loss: float
    weights: Mapping[str, Tensor]


def last_within(losses: Sequence[float], start: float, bound: float) -> int:
    r"""Return the last epoch, from 1, whose loss is at most :math:`L_0 (1 + \varepsilon)`; 0 where there is none.

    Parameters
    ----------
    losses
        On the general text, after each epoch.
    start
        :math:`L_0`, greater than 0.
    bound
        :math:`\varepsilon`, at least 0.

    Raises
    ------
    ConfigError
        If the bound is negative.
    DataError
        If the loss at the start is not above 0: a share of nothing bounds nothing.

    Examples
    --------
    >>> last_within([2.001, 2.01, 2.002, 2.2], 2.0, 1e-3)
    3
    >>> last_within([2.1, 2.2], 2.0, 1e-3)
    0
    """
    if not bound >= 0:
        message = f"the bound on the drift must be at least 0, got {bound}"
        raise ConfigError(message)
    if not start > 0:
        message = f"the loss on the general text must be above 0 before the training, got {start}"
        raise DataError(message)
    return max((epoch for epoch, loss in enumerate(losses, 1) if loss <= start * (1 + bound)), default=0)


def bounded_epochs(
    model: nn.Module,
    epoch: Callable[[int], None],
    general_loss: Callable[[nn.Module], float],
    *,
    epochs: int,
    bounds: Sequence[float],
) -> dict[float, Kept]:
    """Run epochs, and keep for each bound the last state within it.

    Parameters
    ----------
    model
        What is trained, in place: those of its parameters that take a gradient.
    epoch
        Trains it for one epoch, told which, from 0.
    general_loss
        Its loss on a fixed general text; the same rows every time.
    epochs
        How many.
    bounds
        Shares by which the loss may rise.

    Returns
    -------
    dict
        By bound.

    Raises
    ------
    ConfigError, DataError
        As for :func:`last_within`.
    """
    start = general_loss(model)
    losses: list[float] = []
    kept = {bound: Kept(0, start, trained_weights(model)) for bound in bounds}
    for done in range(epochs):
        epoch(done)
        losses.append(general_loss(model))
        within = [bound for bound in bounds if last_within(losses, start, bound) == len(losses)]
        if within:
            state = Kept(len(losses), losses[-1], trained_weights(model))
            kept |= dict.fromkeys(within, state)
    return kept


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters that take a gradient, by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
