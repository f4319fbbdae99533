"""An ensemble of multilayer perceptrons as one module: the members are a leading axis of every weight.

One batched product a layer does what a product a member and layer would, so a step costs the arithmetic and not
the calls. The members share nothing: a loss that is a sum over members gives each the gradient it has alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import silu

from concordant.core.errors import DataError
from concordant.learn.networks.mlp import MLP, checked_widths
from concordant.learn.randomness import Seed, generator_of, uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Ensemble(nn.Module):
    """Members of one shape, trained and asked together.

    For a training that equals that of separate members, **sum** the mean losses of the members: a mean over members
    would divide each gradient by their number. Optimisers that work number by number (SGD, Adam) then agree;
    clipping by the norm of all gradients does not, as the norm is then that of all members together.

    Parameters
    ----------
    n_members
        How many, at least 1.
    n_inputs, n_outputs, hidden, activation, seed
        As for :class:`MLP`; each member starts from weights of its own.

    Raises
    ------
    ConfigError
        If a width or the number of members is below 1.

    References
    ----------
    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", 2017.

    Examples
    --------
    >>> import torch
    >>> ensemble = Ensemble(7, 3, 2, hidden=(16,), seed=0)
    >>> ensemble(torch.zeros(5, 3)).shape  # one input, all members
    torch.Size([7, 5, 2])
    >>> ensemble(torch.zeros(7, 5, 3)).shape  # an input a member
    torch.Size([7, 5, 2])
    """

    def __init__(
        self,
        n_members: int,
        n_inputs: int,
        n_outputs: int,
        *,
        hidden: Sequence[int] = (200, 200, 200, 200),
        activation: Callable[[Tensor], Tensor] = silu,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        checked_widths("Ensemble", n_members)
        generator = generator_of(seed)
        self.n_members = n_members
        self.widths = checked_widths("Ensemble", n_inputs, *hidden, n_outputs)
        self.activation = activation
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        self.weights = nn.ParameterList(uniform((n_members, i, o), i, generator) for i, o in pairs)
        self.biases = nn.ParameterList(uniform((n_members, 1, o), i, generator) for i, o in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, n_inputs)``, or ``(n_members, n, n_inputs)``, to ``(n_members, n, n_outputs)``."""
        if x.ndim == 2:
            x = x.expand(self.n_members, *x.shape)
        if x.ndim != 3 or x.shape[0] != self.n_members or x.shape[2] != self.widths[0]:
            message = (
                f"an ensemble needs inputs of shape (n, {self.widths[0]}) or "
                f"({self.n_members}, n, {self.widths[0]}), got {tuple(x.shape)}"
            )
            raise DataError(message)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if index < last:
                x = self.activation(x)
        return x

    @classmethod
    def of(cls, members: Sequence[MLP]) -> Ensemble:
        """Return the ensemble with the weights of separate members.

        Raises
        ------
        DataError
            If there are none, or they differ in their widths.
        """
        if not members or len({member.widths for member in members}) > 1:
            got = ", ".join(str(member.widths) for member in members) or "no members"
            message = f"an ensemble needs members of the same widths, got {got}"
            raise DataError(message)
        first, *between, last = members[0].widths
        ensemble = cls(len(members), first, last, hidden=between, activation=members[0].activation)
        with torch.no_grad():
            for index, member in enumerate(members):
                for layer, weight, bias in zip(member.maps(), ensemble.weights, ensemble.biases, strict=True):
                    weight[index].copy_(layer.weight.T)
                    bias[index, 0].copy_(layer.bias)
        return ensemble

    def member(self, index: int) -> MLP:
        """Return a copy of one member as a module of its own."""
        first, *between, last = self.widths
        copy = MLP(first, last, hidden=between, activation=self.activation)
        with torch.no_grad():
            for layer, weight, bias in zip(copy.maps(), self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[index].T)
                layer.bias.copy_(bias[index, 0])
        return copy
