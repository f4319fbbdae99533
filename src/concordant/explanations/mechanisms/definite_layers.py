r"""State-space layers that can only draw tokens together, or only drive them apart, whatever is learnt.

The rows of ``x_proj`` that make B and C are written as

.. math:: S_C = s P, \qquad S_B = s\,\mathrm{diag}(\lambda)\,P, \qquad \lambda_n = \pm(\mathrm{softplus}(w_n) + f)

with P unit upper triangular, so that :math:`S_C^\top S_B = s^2 P^\top \mathrm{diag}(\lambda) P` has as many eigenvalues
of a sign as :math:`\lambda`, by Sylvester's law of inertia. The scale s is fixed: without it the ones on the diagonal of
P would make the layer give several times as much as before.

References
----------
Vo et al., "Demystifying the Token Dynamics of Deep Selective State Space Models", 2025.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from concordant.core.errors import ConfigError, nearest
from concordant.explanations.mechanisms.state_space_layers import state_space_layers, write_read_matrices

if TYPE_CHECKING:
    from collections.abc import Iterator

DefiniteKind = Literal["positive", "negative", "mixed"]
FLOORS = {"positive": 0.7, "negative": 0.7, "mixed": 0.0}
"""The least size of an eigenvalue in diag(lambda), as in the paper."""


class DefiniteProjection(nn.Module):
    """The weight of ``x_proj`` from what is free in it: rows for the step, the upper part of P, and w.

    Parameters
    ----------
    rank, states
        Rows for the step, and for each of B and C.
    signs
        Of lambda, shape ``(states,)``.
    scale, floor
        s and f.
    """

    signs: Tensor
    scale: Tensor

    def __init__(self, rank: int, states: int, signs: Tensor, scale: float, floor: float) -> None:
        super().__init__()
        self.rank, self.states, self.floor = rank, states, floor
        self.register_buffer("signs", signs)
        self.register_buffer("scale", torch.tensor(scale, dtype=signs.dtype, device=signs.device))

    def forward(self, step: Tensor, upper: Tensor, w: Tensor) -> Tensor:
        """Return the weight, shape ``(rank + 2 * states, channels)``."""
        p = self.scale * (upper.triu(1) + torch.eye(*upper.shape, dtype=upper.dtype, device=upper.device))
        eigenvalues = self.signs * (nn.functional.softplus(w) + self.floor)
        return torch.cat([step, eigenvalues[:, None] * p, p])

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keep the step and what C reads above the diagonal; w starts at 0."""
        step, _, read = torch.split(weight, [self.rank, self.states, self.states])
        return step, read.triu(1), weight.new_zeros(self.states)


def definite(
    model: nn.Module, kind: DefiniteKind, *, match: bool = True, floor: float | None = None
) -> nn.Module:
    """Hold the spectrum of state-space layers to one kind while they are trained, in place.

    Parameters
    ----------
    model
        A model with layers as `state_space_layers` finds them, or one such layer.
    kind
        ``"positive"`` drives tokens apart, ``"negative"`` draws them together, ``"mixed"`` has signs in turns.
    match
        Whether to choose the scale so that the product of S_C and S_B has the norm that it had: for tokens without a
        preferred direction, the layer then gives as much as before. Otherwise the scale is 1.
    floor
        The least size of lambda, at least 0; by default that of the paper, 0.7, and 0 for ``"mixed"``.

    Returns
    -------
    the model

    Raises
    ------
    ConfigError
        If there is no such kind, the floor is negative, or a layer is held already or has more states than channels.
    ModelError
        If the model has no such layers.

    Examples
    --------
    >>> from transformers import MambaConfig, MambaModel
    >>> from concordant.explanations.mechanisms.spectra import spectrum_report
    >>> with torch.random.fork_rng():
    ...     model = MambaModel(MambaConfig(vocab_size=8, hidden_size=8, state_size=2, num_hidden_layers=3))
    >>> spectrum_report(model).shares["mixed"], spectrum_report(definite(model, "negative")).shares["negative"]
    (1.0, 1.0)
    """
    if kind not in FLOORS:
        message = f"there is no kind {kind!r} of spectrum to hold; {nearest(str(kind), FLOORS)}"
        raise ConfigError(message)
    floor = FLOORS[kind] if floor is None else floor
    if not floor >= 0:
        message = f"floor of definite must be at least 0, got {floor}"
        raise ConfigError(message)
    layers = state_space_layers(model)
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer.x_proj, "weight"):
            message = f"x_proj of the layer {name!r} is parametrized already: call undo_definite on it first"
            raise ConfigError(message)
        states, channels = layer.A_log.shape[-1], layer.x_proj.in_features
        if states > channels:
            message = f"a layer can be held with at most as many states as channels; {name!r} has {states} and {channels}"
            raise ConfigError(message)
    for layer in layers.values():
        _hold(layer, kind, floor, match=match)
    return model


def undo_definite(model: nn.Module) -> nn.Module:
    """Let go of what `definite` holds, in place; the weights stay as they are.

    Parameters
    ----------
    model
        As given to `definite`.

    Returns
    -------
    the model

    Raises
    ------
    ConfigError
        If no layer is held.
    """
    held = list(_held(model))
    if not held:
        message = f"no layer of the {type(model).__name__} is held by definite"
        raise ConfigError(message)
    for layer in held:
        parametrize.remove_parametrizations(layer.x_proj, "weight", leave_parametrized=True)
    return model


def _held(model: nn.Module) -> Iterator[Any]:
    for layer in state_space_layers(model).values():
        if parametrize.is_parametrized(layer.x_proj, "weight") and isinstance(
            layer.x_proj.parametrizations.weight[0], DefiniteProjection
        ):
            yield layer


def _hold(layer: Any, kind: DefiniteKind, floor: float, *, match: bool) -> None:
    weight = layer.x_proj.weight.detach()
    rank, states = layer.dt_proj.in_features, layer.A_log.shape[-1]
    signs = weight.new_ones(states)
    if kind == "negative":
        signs.neg_()
    elif kind == "mixed":
        # In turns: the states of a layer start with decays in ascending order.
        signs[1::2] = -1
    made = DefiniteProjection(rank, states, signs, 1.0, floor)
    if match:
        _, s_b, s_c = made(*made.right_inverse(weight)).split([rank, states, states])
        before, after = product_norm(*write_read_matrices(layer)), product_norm(s_b, s_c)
        made = DefiniteProjection(rank, states, signs, float((before / after).sqrt()), floor)
    parametrize.register_parametrization(layer.x_proj, "weight", made)


def product_norm(s_b: Tensor, s_c: Tensor) -> Tensor:
    r"""Return the Frobenius norm of :math:`S_C^\top S_B`, from products of the size of the states alone."""
    return ((s_c @ s_c.T) * (s_b @ s_b.T)).sum().clamp(min=0).sqrt()
