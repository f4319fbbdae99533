"""What all losses share: one value a row, its weight, and how the values become one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def reduced(values: Tensor, reduction: Reduction = "mean", weights: Tensor | None = None) -> Tensor:
    """Return the values times their weights, as their mean, their sum or as they are.

    The mean divides by the number of values and not by the sum of the weights, as importance-weighted and
    magnitude-weighted losses are written: weights that average one leave the size of the gradient as it is.

    Parameters
    ----------
    values
        Losses, any shape.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.
    weights
        Non-negative weights of the shape of the values; one each by default.

    Examples
    --------
    >>> import torch
    >>> reduced(torch.tensor([1.0, 3.0]), weights=torch.tensor([2.0, 0.0])).item()
    1.0
    """
    if reduction not in get_args(Reduction):
        message = f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        raise ConfigError(message)
    if weights is not None:
        same_shape("a weighted loss", values=values, weights=weights)
        values = values * weights
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.mean()


def same_shape(caller: str, **tensors: Tensor | None) -> None:
    """Refuse tensors of different shapes; None stands for one that was not given.

    Examples
    --------
    >>> import torch
    >>> same_shape("dpo", policy_chosen=torch.zeros(2), policy_rejected=torch.zeros(3))
    Traceback (most recent call last):
    concordant.core.errors.DataError: dpo needs tensors of one shape, got policy_chosen (2,) and policy_rejected (3,)
    """
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor is not None}
    if len(set(given.values())) > 1:
        shapes = " and ".join(f"{name} {shape}" for name, shape in given.items())
        message = f"{caller} needs tensors of one shape, got {shapes}"
        raise DataError(message)


def positive(caller: str, **numbers: float | Tensor) -> None:
    """Refuse numbers that are not greater than zero."""
    for name, number in numbers.items():
        if not bool((number > 0).all() if not isinstance(number, int | float) else number > 0):
            message = f"{name} of {caller} must be greater than 0, got {number}"
            raise ConfigError(message)


def in_unit_interval(caller: str, **numbers: float | Tensor) -> None:
    """Refuse numbers outside [0, 1]."""
    for name, number in numbers.items():
        inside = (number >= 0) & (number <= 1)
        if not bool(inside if isinstance(inside, bool) else inside.all()):
            message = f"{name} of {caller} must be from 0 to 1, got {number}"
            raise ConfigError(message)
