r"""The algebra of weights by name: what a parent adds to the base, and adding it back.

The delta of a parent is :math:`\delta = \theta - \theta_0`, taken in float32: in bfloat16 the small ones are lost.
Integers, booleans and buffers are no deltas; the result has those of the base.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

import torch

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

Weights: TypeAlias = "Mapping[str, Tensor]"

BUFFERS = ("*running_mean", "*running_var", "*num_batches_tracked", "*position_ids", "*inv_freq")
"""Names, as shell patterns, of what a model holds besides what it learnt."""


def deltas(parent: Weights, base: Weights, *, buffers: Sequence[str] = BUFFERS) -> dict[str, Tensor]:
    """Return what a parent adds to its base, by name.

    Parameters
    ----------
    parent, base
        State dictionaries with the same names and shapes.
    buffers
        Names, or shell patterns of names, of what is no weight; default running statistics and positions.

    Returns
    -------
    dict
        Float32 tensors (float64 for weights in float64); only of weights in floating point.

    Raises
    ------
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> deltas({"w": torch.tensor([1.5]), "steps": torch.tensor(3)}, {"w": torch.tensor([1.0]), "steps": torch.tensor(2)})
    {'w': tensor([0.5000])}
    """
    one_architecture([base, parent])
    return {
        name: wide(parent[name]) - wide(weight)
        for name, weight in base.items()
        if is_weight(name, weight, buffers)
    }


def add_deltas(
    base: Weights, added: Weights | Sequence[Weights], *, scale: float | Sequence[float] = 1.0
) -> dict[str, Tensor]:
    r"""Return the base with scaled deltas on it, :math:`\theta_0 + \sum_i \alpha_i \delta_i`.

    Parameters
    ----------
    base
        Its precision is that of the result.
    added
        Deltas by name, or a sequence of them. Names that one does not have add nothing.
    scale
        :math:`\alpha`, one number or one for each.

    Raises
    ------
    ConfigError
        If there are not as many scales as deltas.
    DataError
        If a delta has a name or shape that the base does not have.

    Examples
    --------
    >>> add_deltas({"w": torch.tensor([1.0])}, {"w": torch.tensor([0.5])}, scale=2.0)
    {'w': tensor([2.])}
    """
    many = [added] if isinstance(added, Mapping) else list(added)
    scales = scales_of(scale, len(many))
    for one in many:
        for name, delta in one.items():
            shape = tuple(base[name].shape) if name in base else "no such weight"
            if shape != tuple(delta.shape):
                message = (
                    f"deltas must fit the base, got {name!r} with {tuple(delta.shape)} where it has {shape}"
                )
                raise DataError(message)

    def with_deltas(name: str, weight: Tensor) -> Tensor:
        total = wide(weight).clone()
        for one, alpha in zip(many, scales, strict=True):
            if name in one:
                total.add_(one[name].to(total), alpha=alpha)
        return total

    return narrowed(base, lambda name: any(name in one for one in many), with_deltas)


def linear(
    parents: Sequence[Weights], shares: Sequence[float] | None = None, *, buffers: Sequence[str] = BUFFERS
) -> dict[str, Tensor]:
    r"""Return the weighted mean of models, :math:`\sum_i s_i \theta_i / \sum_i s_i`.

    Parameters
    ----------
    parents
        State dictionaries with the same names and shapes. The first decides the precision, and gives what is no weight.
    shares
        :math:`s`, one for each parent; default equal ones.
    buffers
        As for :func:`deltas`.

    Raises
    ------
    ConfigError
        If the shares do not fit the parents, or their sum is not positive.
    DataError
        If there are no parents, or names or shapes differ.

    Examples
    --------
    >>> linear([{"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}], [3, 1])
    {'w': tensor([1.])}
    """
    one_architecture(parents)
    normal = normal_shares(shares, len(parents))

    def mean(name: str, weight: Tensor) -> Tensor:
        total = wide(weight) * normal[0]
        for parent, share in zip(parents[1:], normal[1:], strict=True):
            total.add_(wide(parent[name]), alpha=share)
        return total

    return narrowed(parents[0], lambda name: is_weight(name, parents[0][name], buffers), mean)


def cosine_of_weights(first: Weights, second: Weights, *, buffers: Sequence[str] = BUFFERS) -> float:
    """Return the cosine between the matrices of two models as one long vector each.

    Models of one ancestor are near 1, models of two beginnings near 0. Vectors are left out: scales of norms are near
    1 in all models, related or not.

    Parameters
    ----------
    first, second
        State dictionaries with the same names and shapes.
    buffers
        As for :func:`deltas`.
    """
    one_architecture([first, second])
    names = [name for name, weight in first.items() if is_weight(name, weight, buffers) and weight.ndim > 1]
    return _cosine((wide(first[name]), wide(second[name])) for name in names)


def cosine_of_deltas(
    first: Weights, second: Weights, base: Weights, *, buffers: Sequence[str] = BUFFERS
) -> float:
    """Return the cosine between what two parents add to their base.

    Near 0 for parents that learnt unlike things, near 1 for stages of one training. Two models that do not come from
    the base are near a half, whatever they are: both deltas are mostly minus the base.

    Parameters
    ----------
    first, second, base
        State dictionaries with the same names and shapes.
    buffers
        As for :func:`deltas`.

    Examples
    --------
    >>> base, first = {"w": torch.zeros(2)}, {"w": torch.tensor([1.0, 0.0])}
    >>> cosine_of_deltas(first, {"w": torch.tensor([0.0, 2.0])}, base)
    0.0
    """
    one_architecture([base, first, second])
    names = [name for name, weight in base.items() if is_weight(name, weight, buffers)]
    return _cosine(
        (wide(first[name]) - wide(base[name]), wide(second[name]) - wide(base[name])) for name in names
    )


def distance_to_base(parent: Weights, base: Weights, *, buffers: Sequence[str] = BUFFERS) -> float:
    r"""Return how far a parent is from its base, :math:`\|\theta - \theta_0\| / \|\theta_0\|` over the matrices.

    A fine-tuned model is far below 1; an unrelated model of the same scale is near the root of 2.

    Parameters
    ----------
    parent, base
        State dictionaries with the same names and shapes.
    buffers
        As for :func:`deltas`.
    """
    one_architecture([base, parent])
    moved = whole = 0.0
    for name, weight in base.items():
        if is_weight(name, weight, buffers) and weight.ndim > 1:
            moved += squared(wide(parent[name]) - wide(weight))
            whole += squared(wide(weight))
    return math.sqrt(moved / whole) if whole else (math.inf if moved else 0.0)


def is_weight(name: str, weight: Tensor, buffers: Sequence[str] = BUFFERS) -> bool:
    """Return whether a tensor is something that was learnt."""
    return weight.is_floating_point() and not any(fnmatchcase(name, pattern) for pattern in buffers)


def wide(weight: Tensor) -> Tensor:
    """Return a tensor in the precision of the arithmetic: float32, or float64 as it is."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def narrowed(
    base: Weights, changes: Callable[[str], bool], change: Callable[[str, Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return the base with some weights changed, in its own precision; tied weights stay one tensor.

    Parameters
    ----------
    base
        State dictionary.
    changes
        Whether the weight of a name does.
    change
        ``change(name, weight)`` gives the new weight, in any precision.
    """
    result: dict[str, Tensor] = {}
    seen: dict[tuple[int, tuple[int, ...], tuple[int, ...]], str] = {}
    for name, weight in base.items():
        place = (weight.data_ptr(), tuple(weight.shape), weight.stride())
        if weight.numel() and place in seen:
            result[name] = result[seen[place]]
            continue
        seen[place] = name
        result[name] = change(name, weight).to(weight.dtype) if changes(name) else weight.detach().clone()
    return result


def one_architecture(states: Sequence[Weights]) -> None:
    """Refuse state dictionaries of unlike names or shapes."""
    if not states:
        message = "a merge needs at least one parent, got none"
        raise DataError(message)
    first = states[0]
    for place, state in enumerate(states[1:], start=1):
        for name in sorted(first.keys() | state.keys()):
            shapes = [tuple(s[name].shape) if name in s else "no such weight" for s in (first, state)]
            if shapes[0] != shapes[1]:
                message = (
                    f"models can be merged where names and shapes of weights are the same, got {name!r} with "
                    f"{shapes[0]} in the first model and {shapes[1]} in model {place + 1}"
                )
                raise DataError(message)


def scales_of(scale: float | Sequence[float], n: int) -> list[float]:
    """Return one scale a parent."""
    scales = [float(scale)] * n if isinstance(scale, int | float) else [float(one) for one in scale]
    if len(scales) != n or not all(map(math.isfinite, scales)):
        message = f"scale must be one finite number or one for each of the {n} parents, got {scale}"
        raise ConfigError(message)
    return scales


def normal_shares(shares: Sequence[float] | None, n: int) -> list[float]:
    """Return shares that sum to 1."""
    given = [1.0] * n if shares is None else [float(share) for share in shares]
    total = sum(given)
    if len(given) != n or not math.isfinite(total) or total <= 0:
        message = f"shares must be {n} numbers, one a parent, with a positive sum, got {shares}"
        raise ConfigError(message)
    return [share / total for share in given]


def squared(values: Tensor) -> float:
    """Return the sum of squares, added up in float64."""
    return float((values * values).sum(dtype=torch.float64))


def dot(first: Tensor, second: Tensor) -> float:
    """Return the sum of products, added up in float64."""
    return float((first * second).sum(dtype=torch.float64))


def _cosine(pairs: object) -> float:
    product = first_square = second_square = 0.0
    for first, second in pairs:  # type: ignore[attr-defined]
        product += dot(first, second)
        first_square += squared(first)
        second_square += squared(second)
    length = math.sqrt(first_square) * math.sqrt(second_square)
    return product / length if length else 0.0
