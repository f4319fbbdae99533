"""The networks that TransTEE is compared with: a plain one, and heads by treatment and by stratum of the dose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import one_hot, relu

from concordant.explanations.effects.members import Doses, OutcomeNetwork, member_linear
from concordant.learn.networks.ensemble import Ensemble
from concordant.learn.randomness import Seed, generator_of

if TYPE_CHECKING:
    from torch import Tensor


class PlainNetwork(OutcomeNetwork):
    """A multilayer perceptron on covariates and treatment side by side.

    Parameters
    ----------
    members, n_columns, n_treatments, dosed, seed
        As for :class:`concordant.explanations.effects.transtee_network.TransTEENetwork`.
    hidden
        Widths between input and outcome.

    Examples
    --------
    >>> import torch
    >>> network = PlainNetwork(2, 6, 3, dosed=True, seed=0)
    >>> network(torch.zeros(2, 8, 6), Doses(torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8))).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        members: int,
        n_columns: int,
        n_treatments: int,
        *,
        dosed: bool,
        hidden: tuple[int, ...] = (50, 50),
        seed: Seed = 0,
    ) -> None:
        super().__init__(members)
        self.n_which, self.dosed = n_treatments if n_treatments > 1 else 0, dosed
        n_inputs = n_columns + self.n_which + dosed
        self.net = Ensemble(members, n_inputs, 1, hidden=hidden, activation=relu, seed=seed)

    def forward(self, x: Tensor, doses: Doses) -> Tensor:
        """Map covariates ``(members, rows, columns)`` and doses to outcomes ``(members, rows)``."""
        parts = [x]
        if self.n_which:
            parts.append(one_hot(doses.which, self.n_which).to(x))
        if self.dosed:
            parts.append(doses.inputs())
        outcome: Tensor = self.net(torch.cat(parts, -1)).squeeze(-1)
        return outcome


class HeadsNetwork(OutcomeNetwork):
    """A trunk on covariates, and a head a treatment and stratum of its dose: TARNet, or DRNet where heads see the dose.

    Parameters
    ----------
    members, n_columns, n_treatments, dosed, seed
        As for :class:`concordant.explanations.effects.transtee_network.TransTEENetwork`.
    strata
        Equally wide parts of the range of doses in training; doses outside go to the nearest.
    sees_dose
        Whether the dose is an input of every layer of the heads.
    width
        Of the layers; two in the trunk and two in each head.

    References
    ----------
    Shalit, Johansson, Sontag, "Estimating individual treatment effect: generalization bounds and algorithms", 2017 (TARNet).
    Schwab et al., "Learning Counterfactual Representations for Estimating Individual Dose-Response Curves", 2020 (DRNet).
    """

    def __init__(
        self,
        members: int,
        n_columns: int,
        n_treatments: int,
        *,
        dosed: bool,
        strata: int = 5,
        sees_dose: bool,
        width: int = 50,
        seed: Seed = 0,
    ) -> None:
        super().__init__(members)
        generator = generator_of(seed)
        self.strata = strata if dosed else 1
        self.sees_dose = sees_dose and dosed
        self.n_heads = n_treatments * self.strata
        self.trunk = Ensemble(members, n_columns, width, hidden=(width,), activation=relu, seed=generator)
        extra = int(self.sees_dose)
        self.layers = nn.ModuleList(
            member_linear(members * self.n_heads, width + extra, n_outputs, generator)
            for n_outputs in (width, 1)
        )

    def head_of(self, doses: Doses) -> Tensor:
        """Return the number of the head that is for each row, shape ``(members, rows)``."""
        stratum = (doses.dose * self.strata).floor().long().clamp(0, self.strata - 1)
        return doses.which * self.strata + (stratum if self.strata > 1 else 0)

    def forward(self, x: Tensor, doses: Doses) -> Tensor:
        """Map covariates ``(members, rows, columns)`` and doses to outcomes ``(members, rows)``."""
        dose = doses.inputs().repeat_interleave(self.n_heads, 0)
        hidden = relu(self.trunk(x)).repeat_interleave(self.n_heads, 0)
        for index, layer in enumerate(self.layers):
            hidden = relu(hidden) if index else hidden
            hidden = layer(torch.cat([hidden, dose], -1) if self.sees_dose else hidden)
        by_head = hidden.view(len(x), self.n_heads, -1)  # every head on every row
        outcome: Tensor = by_head.gather(1, self.head_of(doses)[:, None]).squeeze(1)
        return outcome
