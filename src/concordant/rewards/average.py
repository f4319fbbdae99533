r"""Rewards of people in general: Bradley-Terry, and one that also says how far people differ.

Both are functions of the features of a thing alone. :class:`AverageReward` learns one number, the maximum-likelihood
score of comparisons by everybody. With ``spread=True`` it learns mean and variance: the utility of a thing is a Gaussian
over people, and

.. math:: p(a \succ b) = \Phi\!\left(\frac{\mu_a - \mu_b}{\sqrt{\sigma_a^2 + \sigma_b^2}}\right)

so that a large variance points at things that people disagree about (distributional preference learning).

References
----------
Bradley, Terry, "Rank analysis of incomplete block designs", Biometrika 1952. Siththaranjan, Laidlaw, Hadfield-Menell,
"Distributional Preference Learning: Understanding and Accounting for Hidden Context in RLHF", ICLR 2024.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import softplus

from concordant.core.errors import ConfigError, DataError
from concordant.learn import MLP, Batches, bradley_terry, cosine, train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor, nn

    from concordant.learn import History
    from concordant.rewards.comparisons import Comparisons

    Floats = NDArray[np.float32]

LEAST_VARIANCE = 1e-3
"""Keeps the probability of a preference away from a step."""


class AverageReward:
    """A reward that is one function for everybody.

    Parameters
    ----------
    spread
        Whether the variance over people is learnt beside the mean.
    hidden
        Widths of the hidden layers.
    steps, batch_size, learning_rate
        Of Adam, with a cosine schedule; comparisons a batch.
    seed
        Decides the initial weights and the batches.
    device
        As for :func:`~concordant.learn.train`.

    Attributes
    ----------
    network_, history_
        After `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from concordant.rewards.comparisons import Comparisons
    >>> a, b = np.random.default_rng(0).normal(size=(2, 50, 4, 1))
    >>> model = AverageReward(hidden=(16,), steps=100, learning_rate=0.01).fit(Comparisons(a, b, (a > b)[..., 0]))
    >>> low, high = model.reward([[-1.0], [1.0]])
    >>> bool(high > low)
    True
    """

    network_: MLP
    history_: History

    def __init__(
        self,
        *,
        spread: bool = False,
        hidden: Sequence[int] = (128, 128),
        steps: int = 500,
        batch_size: int = 2048,
        learning_rate: float = 1e-3,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.spread, self.hidden, self.seed, self.device = spread, tuple(hidden), seed, device
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate

    def fit(self, answers: Comparisons) -> AverageReward:
        """Learn from the answers of many people, of whom nothing is remembered but what they answered.

        Raises
        ------
        DataError
            If there is no answer.
        """
        if not answers.given.any():
            message = "a reward needs at least one comparison to learn from, got none"
            raise DataError(message)
        network_seed, order_seed = child_seeds(self.seed, 2)
        network = MLP(answers.n_features, 1 + self.spread, hidden=self.hidden, seed=network_seed)
        sides = tuple(torch.from_numpy(side[answers.given]) for side in (answers.preferred, answers.other))
        self.history_ = train(
            network,
            spread_loss if self.spread else plain_loss,
            Batches(sides, min(self.batch_size, len(sides[0]))),
            steps=self.steps,
            optimizer=partial(torch.optim.Adam, lr=self.learning_rate),
            schedule=cosine,
            seed=order_seed,
            device=self.device,
            progress=False,
        )
        self.network_ = network.eval()
        return self

    def reward(self, things: ArrayLike) -> Floats:
        """Return the (mean) rewards ``(...)`` of things ``(..., features)``."""
        return self._outputs(things)[..., 0]

    def variance(self, things: ArrayLike) -> Floats:
        """Return the variance over people of the rewards ``(...)`` of things ``(..., features)``.

        Raises
        ------
        ConfigError
            If it was not learnt.
        """
        if not self.spread:
            message = "the variance over people is learnt with spread=True only"
            raise ConfigError(message)
        values: Floats = np.logaddexp(0, self._outputs(things)[..., 1]) + np.float32(LEAST_VARIANCE)
        return values

    def _outputs(self, things: ArrayLike) -> Floats:
        network = getattr(self, "network_", None)
        if network is None:
            message = "AverageReward has learnt nothing yet: call fit first"
            raise ConfigError(message)
        place = next(network.parameters()).device
        with torch.inference_mode():
            found: Floats = network(torch.as_tensor(np.asarray(things, np.float32)).to(place)).cpu().numpy()
        return found


def plain_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the Bradley-Terry loss of preferred and other things, each ``(batch, features)``."""
    preferred, other = batch
    return bradley_terry(model(preferred).squeeze(-1), model(other).squeeze(-1))


def spread_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the negative log-probability that Gaussian utilities order preferred and other things so."""
    first, second = (model(side) for side in batch)
    variance = softplus(first[:, 1]) + softplus(second[:, 1]) + 2 * LEAST_VARIANCE
    standard = (first[:, 0] - second[:, 0]) / variance.sqrt()
    loss: Tensor = -torch.special.log_ndtr(standard).mean()
    return loss
