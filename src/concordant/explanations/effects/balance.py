r"""Adversarial balance: a representation of covariates from which the treatment cannot be told.

A network D guesses the treatment from the representation; D descends its loss, and the representation ascends it with
weight :math:`\alpha`, by a gradient that is turned round between the two. ``"tr"`` guesses the dose by squared error,
``"ptr"`` its mean and log-variance, by :math:`\tfrac12[(t-\mu)^2/\sigma^2 + \log\sigma^2]`; which of several treatments
is guessed by cross-entropy in both. The published code takes the two steps in turn, each with an optimiser of its own;
here they are one step of one optimiser. The log-variance is bent into (-4, 4), as the representation could otherwise
drive the loss without limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from concordant.explanations.effects.members import Doses, squared_error
from concordant.learn.losses.density import gaussian_nll
from concordant.learn.networks.ensemble import Ensemble
from concordant.learn.randomness import Seed, generator_of

if TYPE_CHECKING:
    from torch import Tensor

Balance: TypeAlias = Literal["tr", "ptr"]
BALANCES: dict[str, Balance] = {"tr": "tr", "ptr": "ptr"}
BOUNDS = (-4.0, 4.0)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def reversed_gradient(x: Tensor, weight: float = 1.0) -> Tensor:
    """Return the tensor itself, whose gradient comes back times ``-weight``.

    References
    ----------
    Ganin et al., "Domain-Adversarial Training of Neural Networks", 2016.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> reversed_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    result: Tensor = _Reverse.apply(x, weight)  # type: ignore[no-untyped-call]
    return result


class Adversary(nn.Module):
    """A network that guesses treatments from representations, and whose gradient to them is turned round.

    Parameters
    ----------
    members, width
        How many, and width of the representations.
    n_treatments, dosed
        What is guessed: which treatment where there are several, and the dose where there is one.
    kind
        ``"tr"`` or ``"ptr"``.
    seed
        A number or a generator for the initial weights.
    """

    def __init__(
        self, members: int, width: int, n_treatments: int, *, dosed: bool, kind: Balance, seed: Seed = 0
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.n_which = n_treatments if n_treatments > 1 else 0
        self.n_dose = (1 if kind == "tr" else 2) if dosed else 0
        self.guess = Ensemble(
            members, width, self.n_which + self.n_dose, hidden=(width,), activation=relu, seed=generator
        )

    def forward(self, representation: Tensor, doses: Doses, weight: float) -> Tensor:
        """Return the loss of the guesses, from representations of shape ``(members, rows, width)``."""
        guesses = self.guess(reversed_gradient(representation, weight))
        loss: Tensor = guesses.new_zeros(())
        if self.n_which:
            logits = guesses[..., : self.n_which].flatten(0, 1)
            loss = loss + cross_entropy(logits, doses.which.flatten()) * len(guesses)
        if self.n_dose == 1:
            loss = loss + squared_error(guesses[..., -1], doses.dose)
        if self.n_dose == 2:
            nll = gaussian_nll(
                guesses[..., -2], guesses[..., -1], doses.dose, bounds=BOUNDS, reduction="none"
            )
            loss = loss + (nll - math.log(2 * math.pi) / 2).mean(-1).sum()
        return loss
