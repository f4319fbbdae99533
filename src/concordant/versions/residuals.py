r"""Instruction residuals: what instruction tuning added to a base, added to a newer base without training.

With an instruct model and its base, the residual is :math:`\theta_r = \theta_\mathrm{inst} - \theta_\mathrm{base}`. After
the base was trained further, on new texts, to :math:`\theta'_\mathrm{base}`, the restored instruct model is

.. math:: \theta'_\mathrm{inst} = \theta'_\mathrm{base} + c\,\theta_r

with coefficient :math:`c = 1`. Judge both gains: at any c what the instruct model could do may be lost, and what the base
learnt since too. Differences are float32. Where the instruct model has more tokens, their rows are all residual.

References
----------
I. Jindal et al. (2024), Balancing continuous pre-training and instruction fine-tuning, arXiv 2410.10739.
"""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

import torch

from concordant.core.errors import DataError
from concordant.versions.merging.weights import BUFFERS, add_deltas, deltas, dot, squared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from concordant.versions.merging.weights import Weights

VOCABULARY = ("*embed*", "*wte*", "*lm_head*", "*output_layer*")
"""Names, as shell patterns, of weights with a row for each token."""


class Drift(NamedTuple):
    """How far an updated base has moved, held against the residual that is to be added.

    Parameters
    ----------
    cosine
        Between the two changes of the base, over all weights; near 0 where they are about other things.
    length_ratio
        Length of the update over that of the residual. The larger, the further is the updated base from the one
        that the residual was made for.
    """

    cosine: float
    length_ratio: float


def residual(instruct: Weights, base: Weights, *, buffers: Sequence[str] = BUFFERS) -> dict[str, Tensor]:
    """Return what instruction tuning added to a base.

    Parameters
    ----------
    instruct, base
        State dictionaries of one architecture. The instruct model may have further tokens behind those of the base.
    buffers
        Names, or shell patterns of names, of what is no weight; default running statistics and positions.

    Returns
    -------
    dict
        Float32 tensors in the shapes of the instruct model.

    Raises
    ------
    DataError
        If names or shapes differ, other than by further tokens.

    Examples
    --------
    >>> base = {"embed.weight": torch.tensor([[1.0]]), "w": torch.tensor([2.0])}
    >>> instruct = {"embed.weight": torch.tensor([[1.5], [7.0]]), "w": torch.tensor([2.0])}
    >>> residual(instruct, base)["embed.weight"].tolist()
    [[0.5], [7.0]]
    """
    return deltas(instruct, grown(base, instruct), buffers=buffers)


def add_residual(updated: Weights, added: Weights, *, coefficient: float = 1.0) -> dict[str, Tensor]:
    """Return an updated base with a residual on it.

    Parameters
    ----------
    updated
        State dictionary; its precision is that of the result.
    added
        From :func:`residual`.
    coefficient
        How much of it, any finite number; default 1. The rows of further tokens are scaled alike.

    Raises
    ------
    ConfigError
        If the coefficient is not finite.
    DataError
        If names or shapes differ, other than by further tokens.

    Examples
    --------
    >>> add_residual({"w": torch.tensor([2.0])}, {"w": torch.tensor([0.5])}, coefficient=2.0)
    {'w': tensor([3.])}
    """
    return add_deltas(grown(updated, added), added, scale=coefficient)


def recovery(restored: float, updated: float, instruct: float) -> float:
    r"""Return the share of lost ability that is back, :math:`(e - c) / (b - c)`.

    Parameters
    ----------
    restored, updated, instruct
        Scores of the updated base with the residual (e), of the updated base alone (c), and of the instruct model (b).

    Returns
    -------
    float
        1 where all is back, 0 where nothing is, above 1 where it is better than before; NaN where nothing was lost.

    Examples
    --------
    >>> recovery(0.75, 0.25, 1.0)
    0.6666666666666666
    """
    lost = instruct - updated
    return (restored - updated) / lost if lost > 0 else math.nan


def drift(updated: Weights, base: Weights, added: Weights) -> Drift:
    """Return how far an updated base has moved from the base of a residual.

    Parameters
    ----------
    updated, base
        State dictionaries of one architecture.
    added
        From :func:`residual`.

    Examples
    --------
    >>> base, updated = {"w": torch.tensor([0.0, 0.0])}, {"w": torch.tensor([3.0, 0.0])}
    >>> drift(updated, base, {"w": torch.tensor([0.0, 6.0])})
    Drift(cosine=0.0, length_ratio=0.5)
    """
    moved = deltas(grown(updated, added), grown(base, added))
    product = sum(dot(moved[name], added[name]) for name in added)
    length, other = (math.sqrt(sum(squared(one[name]) for name in added)) for one in (moved, added))
    return Drift(
        product / (length * other) if length and other else 0.0,
        length / other if other else math.inf,
    )


def grown(weights: Weights, like: Weights) -> dict[str, Tensor]:
    """Return weights with rows of zeros for tokens that a larger vocabulary has more.

    Parameters
    ----------
    weights
        State dictionary.
    like
        Weights by name, in the shapes wanted.

    Raises
    ------
    DataError
        If a vocabulary would have to shrink.
    """
    return {
        name: with_rows(name, weight, like[name].shape[0]) if name in like and weight.ndim == 2 else weight
        for name, weight in weights.items()
    }


def with_rows(name: str, weight: Tensor, n_rows: int) -> Tensor:
    """Return a weight of tokens with rows of zeros up to a number; any other weight as it is."""
    if not any(fnmatchcase(name, pattern) for pattern in VOCABULARY) or weight.shape[0] == n_rows:
        return weight
    if weight.shape[0] > n_rows:
        message = (
            f"a residual needs an instruct model with at least the tokens of the bases, got {n_rows} rows of "
            f"{name!r} in it where a base has {weight.shape[0]}"
        )
        raise DataError(message)
    return torch.cat((weight, weight.new_zeros(n_rows - weight.shape[0], weight.shape[1])))
