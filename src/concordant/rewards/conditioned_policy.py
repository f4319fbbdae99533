r"""A policy for every person from recorded moves that were made for nobody: offline learning with a hidden vector.

The record is of moves from state to state. Rewards are filled in afterwards, r(s', z) for many hidden vectors z, and one
value function and one policy are learnt for all z. The dynamics are taken to be deterministic, so that the advantage
of a recorded move needs no action-value function:

.. math::

    A = r(s', z) + \gamma V(s', z) - V(s, z),\qquad
    L_V = |\tau - [A < 0]|\,A^2,\qquad
    L_\pi = \min(e^{\beta A / \sigma_A}, w_{\max})\,\|\pi(s, z) - a\|^2

The expectile :math:`\tau > 1/2` makes the value that of the better moves (implicit V-learning); the policy imitates moves
by how much better they were.

References
----------
Kostrikov, Nair, Levine, "Offline Reinforcement Learning with Implicit Q-Learning", ICLR 2022. Peng et al.,
"Advantage-Weighted Regression", 2019.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.learn import MLP, cosine, train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from concordant.learn import History

    Floats = NDArray[np.float32]


class ConditionedPolicy:
    r"""A policy and a value that are told for whom they are.

    Parameters
    ----------
    discount
        :math:`\gamma`, from 0 to below 1, a move.
    expectile
        :math:`\tau`, from 0.5 (the value of what the record does) to below 1 (that of its best moves).
    sharpness
        :math:`\beta`, at least 0, how much better moves are preferred, in standard deviations of the advantage.
    most
        :math:`w_{\max}`, largest weight of a move.
    hidden
        Widths of the hidden layers.
    steps, batch_size, learning_rate
        Of Adam, with a cosine schedule.
    follow
        Share by which the slow copy of the value, which the targets are made of, moves each step.
    seed
        Decides the initial weights and the batches.
    device
        As for :func:`~concordant.learn.train`.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    """

    networks_: nn.ModuleDict
    history_: History

    def __init__(
        self,
        *,
        discount: float = 0.9,
        expectile: float = 0.8,
        sharpness: float = 5.0,
        most: float = 100.0,
        hidden: Sequence[int] = (64, 64),
        steps: int = 1000,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        follow: float = 0.02,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        if not 0 <= discount < 1:
            message = f"discount of ConditionedPolicy must be from 0 to below 1, got {discount}"
            raise ConfigError(message)
        if not 0.5 <= expectile < 1:
            message = f"expectile of ConditionedPolicy must be from 0.5 to below 1, got {expectile}"
            raise ConfigError(message)
        if not sharpness >= 0:
            message = f"sharpness of ConditionedPolicy must be at least 0, got {sharpness}"
            raise ConfigError(message)
        self.discount, self.expectile, self.sharpness, self.most = discount, expectile, sharpness, most
        self.hidden, self.steps, self.batch_size = tuple(hidden), steps, batch_size
        self.learning_rate, self.follow, self.seed, self.device = learning_rate, follow, seed, device

    def fit(
        self, states: ArrayLike, actions: ArrayLike, next_states: ArrayLike, rewards: ArrayLike, z: ArrayLike
    ) -> ConditionedPolicy:
        """Learn from a record of moves.

        Parameters
        ----------
        states, next_states
            Before and after each move, shape ``(moves, d_state)``.
        actions
            Shape ``(moves, d_action)``.
        rewards
            Of each state that was reached for each hidden vector, shape ``(vectors, moves)``, such as
            :meth:`~concordant.rewards.vpl.VariationalPreferences.win_rate`.
        z
            Hidden vectors, shape ``(vectors, latent)``; latent may be 0 where the policy is for everybody.

        Raises
        ------
        DataError
            If the shapes do not fit.
        """
        record = [torch.from_numpy(np.asarray(x, np.float32)) for x in (states, actions, next_states)]
        filled, vectors = (torch.from_numpy(np.asarray(x, np.float32)) for x in (rewards, z))
        moves = len(record[0])
        shapes = [tuple(x.shape) for x in (*record, filled, vectors)]
        fits = all(x.ndim == 2 and len(x) == moves for x in record) and record[0].shape == record[2].shape
        if not fits or not moves or vectors.ndim != 2 or filled.shape != (len(vectors), moves):
            message = (
                "a record needs states, actions and next states (moves, d), rewards (vectors, moves) and z "
                f"(vectors, latent), got {', '.join(map(str, shapes))}"
            )
            raise DataError(message)
        n_inputs = record[0].shape[1] + vectors.shape[1]
        seeds = child_seeds(self.seed, 3)
        networks = nn.ModuleDict(
            {
                "policy": MLP(n_inputs, record[1].shape[1], hidden=self.hidden, seed=seeds[0]),
                "value": MLP(n_inputs, 1, hidden=self.hidden, seed=seeds[1]),
            }
        )
        slow = copy.deepcopy(networks["value"]).requires_grad_(requires_grad=False)

        def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
            move = torch.randint(moves, (self.batch_size,), generator=generator)
            person = torch.randint(len(vectors), (self.batch_size,), generator=generator)
            yield (*(x[move] for x in record), filled[person, move], vectors[person])

        def loss(model: Any, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
            state, action, reached, reward, vector = batch
            here = torch.cat([state, vector], dim=1)
            with torch.no_grad():
                slow.to(here.device)
                for target, source in zip(slow.parameters(), model["value"].parameters(), strict=True):
                    target.lerp_(source, self.follow)
                ahead = slow(torch.cat([reached, vector], dim=1)).squeeze(1)
            advantage = reward + self.discount * ahead - model["value"](here).squeeze(1)
            fixed = advantage.detach()
            side = torch.where(fixed < 0, 1 - self.expectile, self.expectile)
            value_loss = (side * advantage**2).mean()
            weights = torch.exp(self.sharpness * fixed / fixed.std().clamp(min=1e-6)).clamp(max=self.most)
            error = (model["policy"](here) - action).square().sum(1)
            imitation = (weights * error).mean() / weights.mean()
            return {"loss": value_loss + imitation, "value_loss": value_loss, "imitation": imitation}

        self.history_ = train(
            networks,
            loss,
            batches,
            steps=self.steps,
            optimizer=partial(torch.optim.Adam, lr=self.learning_rate),
            schedule=cosine,
            seed=seeds[2],
            device=self.device,
            progress=False,
        )
        self.networks_ = networks.eval()
        return self

    def act(
        self,
        observations: ArrayLike,
        *,
        goals: ArrayLike | None = None,
        generator: np.random.Generator | None = None,
    ) -> Floats:
        """Return the actions ``(n, d_action)`` in states ``(n, d_state)`` for hidden vectors `goals` ``(n, latent)``.

        The policy is deterministic; `generator` is there because others draw (`concordant.models.base.Policy`).

        Raises
        ------
        ConfigError
            If nothing was learnt yet.
        """
        networks = getattr(self, "networks_", None)
        if networks is None:
            message = "ConditionedPolicy has learnt nothing yet: call fit first"
            raise ConfigError(message)
        place = next(networks.parameters()).device
        parts = [np.asarray(x, np.float32) for x in (observations, goals) if x is not None]
        with torch.inference_mode():
            inputs = torch.from_numpy(np.concatenate(parts, axis=1)).to(place)
            found: Floats = networks["policy"](inputs).cpu().numpy()
        return found
