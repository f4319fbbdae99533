"""The network of TransTEE: a token of the treatment attends to a token a covariate, and tells the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import nn
from torch.nn.functional import relu

from concordant.explanations.effects.balance import BALANCES, Adversary, Balance
from concordant.explanations.effects.members import (
    AttentionBlock,
    Doses,
    OutcomeNetwork,
    member_linear,
    squared_error,
)
from concordant.learn.networks.ensemble import Ensemble
from concordant.learn.randomness import Seed, generator_of, uniform

if TYPE_CHECKING:
    from torch import Tensor

Columns: TypeAlias = Literal["own", "shared"]


class TransTEENetwork(OutcomeNetwork):
    """Attention from a treatment to covariates.

    Parameters
    ----------
    members
        How many networks, side by side.
    n_columns
        Covariates.
    n_treatments
        How many treatments there are; an embedding tells them apart where there are several.
    dosed
        Whether a treatment has a dose.
    width, heads, feedforward, layers, dropout
        Of the blocks: one after the other over covariates, and the same number for the treatment.
    columns
        ``"own"``: each covariate has a map of its own to its token. ``"shared"``: one map for all, as in the published
        code; then nothing tells columns apart, and exchanging them changes nothing.
    balance, balance_weight
        Adversary against what the covariates' tokens say of the treatment, or None, and its weight.
    seed
        A number or a generator for the initial weights.

    Examples
    --------
    >>> import torch
    >>> network = TransTEENetwork(3, 6, 1, dosed=True, seed=0)
    >>> doses = Doses(torch.zeros(3, 8, dtype=torch.long), torch.rand(3, 8, generator=torch.Generator()))
    >>> network(torch.zeros(3, 8, 6), doses).shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        members: int,
        n_columns: int,
        n_treatments: int,
        *,
        dosed: bool,
        width: int = 10,
        heads: int = 2,
        feedforward: int = 20,
        layers: int = 1,
        dropout: float = 0.0,
        columns: Columns = "own",
        balance: Balance | None = None,
        balance_weight: float = 0.5,
        seed: Seed = 0,
    ) -> None:
        super().__init__(members)
        generator = generator_of(seed)
        n_maps = n_columns if columns == "own" else 1
        self.slopes = uniform((members, 1, n_maps, width), 1, generator)
        self.starts = uniform((members, 1, n_maps, width), 1, generator)
        self.which = uniform((members, n_treatments, width), 1, generator) if n_treatments > 1 else None
        self.dose = member_linear(members, 1, width, generator) if dosed else None
        both = dosed and n_treatments > 1
        self.join = member_linear(members, 2 * width, width, generator) if both else None

        def blocks() -> nn.ModuleList:
            made = (
                AttentionBlock(members, width, heads, feedforward, dropout, generator) for _ in range(layers)
            )
            return nn.ModuleList(made)

        self.encoder, self.decoder = blocks(), blocks()
        self.head = Ensemble(members, width, 1, hidden=(width,), activation=relu, seed=generator)
        self.balance_weight = balance_weight
        self.adversary = (
            Adversary(members, width, n_treatments, dosed=dosed, kind=BALANCES[balance], seed=generator)
            if balance is not None
            else None
        )

    def forward(self, x: Tensor, doses: Doses) -> Tensor:
        """Map covariates ``(members, rows, columns)`` and doses to outcomes ``(members, rows)``."""
        return self._outcome(self._memory(self._covariates(x)), doses)

    def losses(self, x: Tensor, doses: Doses, y: Tensor) -> dict[str, Tensor]:
        """Return the squared error, and the adversary's loss where there is one."""
        tokens = self._covariates(x)
        error = squared_error(self._outcome(self._memory(tokens), doses), y)
        if self.adversary is None:
            return {"loss": error}
        guess = self.adversary(tokens.mean(2), doses, self.balance_weight)
        return {"loss": error + guess, "error": error, "adversary": guess}

    def _covariates(self, x: Tensor) -> Tensor:
        return x[..., None] * self.slopes + self.starts

    def _memory(self, tokens: Tensor) -> Tensor:
        for block in self.encoder:
            tokens = block(tokens, tokens)
        return tokens

    def _outcome(self, memory: Tensor, doses: Doses) -> Tensor:
        token = self._treatment(doses)[:, :, None]
        for block in self.decoder:
            token = block(token, memory)
        outcome: Tensor = self.head(token[:, :, 0]).squeeze(-1)
        return outcome

    def _treatment(self, doses: Doses) -> Tensor:
        parts: list[Tensor] = []
        if self.which is not None:
            index = doses.which[..., None].expand(-1, -1, self.which.shape[-1])
            parts.append(self.which.gather(1, index))
        if self.dose is not None:
            parts.append(self.dose(doses.inputs()))
        joined: Tensor = parts[0] if self.join is None else self.join(torch.cat(parts, -1))
        return joined
