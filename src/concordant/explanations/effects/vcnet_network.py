r"""The network of VCNet: weights that are splines of the dose, a head for its density, and targeted regularisation.

.. math:: L = \mathrm{mean}\,(y - Q)^2 - \alpha\,\mathrm{mean} \log g(t|x)
    + \beta\,\mathrm{mean}\,(y - Q - \epsilon(t) / g(t|x))^2

Q is a network whose weights are :math:`\sum_k w_k b_k(t)` with a truncated power basis b; g a density over the range of
doses, linear between the points of a grid; and :math:`\epsilon` a spline that moves the prediction by
:math:`\epsilon(t)/g`. The density is kept from below, and no gradient of the last term reaches it.

References
----------
Nie, Ye, Liu, Nicolae, "VCNet and Functional Targeted Regularization For Learning Causal Effects of Continuous
Treatments", 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import relu

from concordant.explanations.effects.members import Doses, OutcomeNetwork, member_linear, squared_error
from concordant.learn.networks.ensemble import Ensemble
from concordant.learn.randomness import Seed, generator_of

if TYPE_CHECKING:
    from torch import Tensor

KNOTS = (0.33, 0.66)
DEGREE = 2
N_BASIS = DEGREE + 1 + len(KNOTS)
LEAST_DENSITY = 0.1


def power_basis(dose: Tensor) -> Tensor:
    """Return 1, t, t^2 and the squares of what t is above each knot, shape ``(..., 5)``.

    Examples
    --------
    >>> import torch
    >>> power_basis(torch.tensor(0.5)).tolist()[:3]
    [1.0, 0.5, 0.25]
    """
    powers = [dose**k for k in range(DEGREE + 1)]
    above = [relu(dose - knot) ** DEGREE for knot in KNOTS]
    return torch.stack([*powers, *above], -1)


def grid_density(logits: Tensor, dose: Tensor) -> Tensor:
    """Return a density on [0, 1] that is linear between equally distant points; outside, that of the nearer end.

    Parameters
    ----------
    logits
        Shape ``(..., points)``: the density at the points is in proportion to their exponentials.
    dose
        Shape ``(...)``.

    Examples
    --------
    >>> import torch
    >>> round(grid_density(torch.zeros(11), torch.tensor(0.37)).item(), 6)  # uniform
    1.0
    """
    cells = logits.shape[-1] - 1
    heights = logits.softmax(-1)
    area = (heights[..., 1:] + heights[..., :-1]).sum(-1) / (2 * cells)
    place = dose.clamp(0, 1) * cells
    lower = place.floor().clamp(max=cells - 1)
    low, high = (heights.gather(-1, (lower + k).long()[..., None]).squeeze(-1) for k in (0, 1))
    return (low + (place - lower) * (high - low)) / area


class VCNetNetwork(OutcomeNetwork):
    """Covariates through a trunk and a head whose weights vary with the dose.

    Parameters
    ----------
    members, n_columns, seed
        As for :class:`concordant.explanations.effects.transtee_network.TransTEENetwork`; there is one treatment,
        and it has a dose.
    width
        Of the layers; two in the trunk and two in the head.
    cells
        Cells of the grid of the density.
    density_weight, targeted_weight
        Alpha and beta; a beta of 0 leaves the targeted regularisation out.
    """

    def __init__(
        self,
        members: int,
        n_columns: int,
        *,
        width: int = 50,
        cells: int = 10,
        density_weight: float = 0.5,
        targeted_weight: float = 0.05,
        seed: Seed = 0,
    ) -> None:
        super().__init__(members)
        generator = generator_of(seed)
        self.density_weight, self.targeted_weight = density_weight, targeted_weight
        self.trunk = Ensemble(members, n_columns, width, hidden=(width,), activation=relu, seed=generator)
        self.density = member_linear(members, width, cells + 1, generator)
        self.layers = nn.ModuleList(
            member_linear(members, width, n_outputs * N_BASIS, generator) for n_outputs in (width, 1)
        )
        self.shift = nn.Parameter(torch.zeros(members, 1, N_BASIS))

    def forward(self, x: Tensor, doses: Doses) -> Tensor:
        """Map covariates ``(members, rows, columns)`` and doses to outcomes ``(members, rows)``."""
        outcome, density, shift = self._parts(x, doses.dose)
        return outcome + shift / density.clamp(min=LEAST_DENSITY) if self.targeted_weight else outcome

    def losses(self, x: Tensor, doses: Doses, y: Tensor) -> dict[str, Tensor]:
        """Return the squared error, the density's negative log-likelihood and the targeted regularisation."""
        outcome, density, shift = self._parts(x, doses.dose)
        error = squared_error(outcome, y)
        nll = -density.clamp(min=1e-6).log().mean(-1).sum()
        targeted = squared_error(outcome + shift / density.detach().clamp(min=LEAST_DENSITY), y)
        loss = error + self.density_weight * nll + self.targeted_weight * targeted
        return {"loss": loss, "error": error, "density": nll, "targeted": targeted}

    def _parts(self, x: Tensor, dose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        basis = power_basis(dose)
        trunk = relu(self.trunk(x))
        hidden = trunk
        for index, layer in enumerate(self.layers):
            hidden = relu(hidden) if index else hidden
            hidden = (layer(hidden).unflatten(-1, (-1, N_BASIS)) * basis[:, :, None]).sum(-1)
        return hidden.squeeze(-1), grid_density(self.density(trunk), dose), (basis * self.shift).sum(-1)
