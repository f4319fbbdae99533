r"""SLERP: between two models along an arc, tensor by tensor, with a share that may change over depth.

With the angle :math:`\omega = \arccos(\langle u, v\rangle / \|u\|\|v\|)` between the flattened weights u and v,

.. math:: \theta = \frac{\sin((1-t)\,\omega)}{\sin\omega}\,u + \frac{\sin(t\,\omega)}{\sin\omega}\,v

Where :math:`|\cos\omega| > 0.9995` the line is taken. Models fine-tuned from one base are nearly parallel, so that
many tensors take it: :func:`slerp_branches` says which.

References
----------
K. Shoemake (1985), Animating rotation with quaternion curves, SIGGRAPH. W. Lu, R. K. Luu and M. J. Buehler (2025),
Fine-tuning large language models for domain adaptation, npj Computational Materials, for the schedule over depth.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import numpy as np

from concordant.core.errors import ConfigError
from concordant.versions.merging.weights import (
    BUFFERS,
    Weights,
    dot,
    is_weight,
    narrowed,
    one_architecture,
    squared,
    wide,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

PARALLEL = 0.9995
"""Absolute cosine above which two tensors are joined by a line."""

Branch = Literal["spherical", "linear"]


def slerp(
    first: Weights,
    second: Weights,
    t: float | Callable[[str], float],
    *,
    buffers: Sequence[str] = BUFFERS,
) -> dict[str, Tensor]:
    """Return the models between two, each tensor on the arc between its two versions.

    Parameters
    ----------
    first, second
        State dictionaries with the same names and shapes, of one ancestor: between models of two beginnings there is
        noise. The first decides the precision, and gives what is no weight.
    t
        How far from the first to the second, in [0, 1]; or a function of the name, such as a :func:`depth_schedule`.
    buffers
        As for `concordant.versions.merging.deltas`.

    Raises
    ------
    ConfigError
        If t is not in [0, 1].
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> import torch
    >>> slerp({"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}, 0.5)
    {'w': tensor([0.7071, 0.7071])}
    """
    one_architecture([first, second])

    def between(name: str, weight: Tensor) -> Tensor:
        share = t(name) if callable(t) else t
        return slerp_tensor(wide(weight), wide(second[name]), share)[0]

    return narrowed(first, lambda name: is_weight(name, first[name], buffers), between)


def slerp_branches(first: Weights, second: Weights, *, buffers: Sequence[str] = BUFFERS) -> dict[str, Branch]:
    """Return which branch :func:`slerp` takes for each weight: "spherical", or "linear" for nearly parallel ones.

    Parameters
    ----------
    first, second, buffers
        As for :func:`slerp`.

    Examples
    --------
    >>> import torch
    >>> slerp_branches({"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([1.0, 0.01])})
    {'w': 'linear'}
    """
    one_architecture([first, second])
    return {
        name: branch(cosine(wide(weight), wide(second[name])))
        for name, weight in first.items()
        if is_weight(name, weight, buffers)
    }


def slerp_tensor(u: Tensor, v: Tensor, t: float) -> tuple[Tensor, float]:
    """Return one tensor between two in float32 or float64, and the cosine between these."""
    if not 0.0 <= t <= 1.0:
        message = f"t, the way from the first model to the second, must be from 0 to 1, got {t}"
        raise ConfigError(message)
    between = cosine(u, v)
    if branch(between) == "linear":
        return u.lerp(v, t), between
    omega = math.acos(between)
    mixed = u * (math.sin((1.0 - t) * omega) / math.sin(omega))
    return mixed.add_(v, alpha=math.sin(t * omega) / math.sin(omega)), between


def cosine(u: Tensor, v: Tensor) -> float:
    """Return the cosine between two tensors as vectors; 1 where one of them is nothing."""
    length = math.sqrt(squared(u)) * math.sqrt(squared(v))
    return max(-1.0, min(1.0, dot(u, v) / length)) if length else 1.0


def branch(between: float) -> Branch:
    """Return how tensors of a cosine are joined."""
    return "linear" if abs(between) > PARALLEL else "spherical"


def depth_schedule(
    values: Mapping[str | None, float | Sequence[float]], n_layers: int
) -> Callable[[str], float]:
    """Return a function from names of weights to numbers that change over the layers.

    Parameters
    ----------
    values
        For parts of names, such as "self_attn", a number or several that are spread evenly over the depth, with lines
        between them. The first part that the name has decides; None stands for all other names.
    n_layers
        Of the models. The layer of a weight is the first number in its name. A weight of no layer (embedding, last
        norm, head) takes the first number, as in mergekit.

    Raises
    ------
    ConfigError
        If there is no number for other names, or a list is empty.

    Examples
    --------
    >>> t = depth_schedule({"mlp": [1, 0.5, 0], None: 0.5}, n_layers=5)
    >>> [t(f"layers.{layer}.mlp.weight") for layer in range(5)], t("layers.0.self_attn.weight")
    ([1.0, 0.75, 0.5, 0.25, 0.0], 0.5)
    """
    if None not in values:
        message = "a schedule over depth needs a number for names that no part matches: give one for None"
        raise ConfigError(message)
    if n_layers < 1:
        message = f"a schedule over depth needs at least 1 layer, got {n_layers}"
        raise ConfigError(message)
    points = {part: np.atleast_1d(np.asarray(value, np.float64)) for part, value in values.items()}
    if empty := [part for part, numbers in points.items() if not numbers.size]:
        message = f"a schedule over depth needs at least one number for each part, got none for {empty[0]!r}"
        raise ConfigError(message)

    def at(name: str) -> float:
        part = next((part for part in points if part is not None and part in name), None)
        numbers = points[part]
        return float(np.interp(depth_of(name, n_layers) * (len(numbers) - 1), range(len(numbers)), numbers))

    return at


def depth_of(name: str, n_layers: int) -> float:
    """Return how deep a weight is, from 0 (first layer, or no layer) to 1 (last layer)."""
    layer = layer_of(name)
    if layer is None or n_layers == 1:
        return 0.0
    return min(1.0, int(layer.rsplit(".", 1)[-1]) / (n_layers - 1))


def layer_of(name: str) -> str | None:
    """Return the part of a name up to its first number, or None.

    Examples
    --------
    >>> layer_of("model.layers.11.mlp.down_proj.weight"), layer_of("lm_head.weight")
    ('model.layers.11', None)
    """
    found = re.match(r"(?:[^.]*\.)*?\d+(?=\.|$)", name)
    return found[0] if found else None
