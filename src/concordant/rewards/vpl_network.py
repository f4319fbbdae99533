"""The networks of variational preference learning, and the bound that they are trained on.

See `concordant.rewards.vpl`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from concordant.learn import MLP, soft_bounds
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

LOG_VARIANCES = (-8.0, 4.0)
"""Softly, the lowest and the highest log-variance of a posterior: a variance that vanishes has no gradient."""


class PreferenceNetwork(nn.Module):
    """The set encoder and the reward.

    Parameters
    ----------
    n_features, n_latent
        Features of what is compared, and length of the hidden vector.
    hidden
        Widths of the three networks: of a comparison, of a set, of the reward.
    seed
        For the initial weights.
    """

    def __init__(self, n_features: int, n_latent: int, hidden: Sequence[int], seed: int) -> None:
        super().__init__()
        seeds = child_seeds(seed, 3)
        self.n_latent = n_latent
        width = hidden[-1]
        self.of_comparison = MLP(2 * n_features, width, hidden=hidden, seed=seeds[0])
        self.of_set = MLP(width + 1, 2 * n_latent, hidden=(width,), seed=seeds[1])
        self.of_thing = MLP(n_features + n_latent, 1, hidden=hidden, seed=seeds[2])

    def encode(self, preferred: Tensor, other: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, ``(..., latent)``, of answers ``(..., n, features)`` given where ``(..., n)``."""
        counts = given.sum(-1, keepdim=True).to(preferred.dtype)
        features = self.of_comparison(torch.cat([preferred, other], dim=-1)) * given[..., None]
        mean = features.sum(-2) / counts.clamp(min=1)
        # How many there are says how sure one may be; n / (n + 1) keeps any number in [0, 1).
        mean, log_variance = self.of_set(torch.cat([mean, counts / (counts + 1)], dim=-1)).chunk(2, dim=-1)
        return mean, soft_bounds(log_variance, *LOG_VARIANCES)

    def reward(self, things: Tensor, z: Tensor) -> Tensor:
        """Return the rewards ``(...)`` of things ``(..., features)`` for people ``(..., latent)``; both broadcast."""
        shape = (things[..., 0] + z[..., 0]).shape
        both = [part.expand(*shape, part.shape[-1]) for part in (things, z)]
        reward: Tensor = self.of_thing(torch.cat(both, dim=-1)).squeeze(-1)
        return reward


def elbo_loss(
    model: PreferenceNetwork, batch: Mapping[str, Any], n_context: int, weight: float
) -> dict[str, Tensor]:
    """Return the loss of a batch of people, for :func:`~concordant.learn.train`.

    Draws, from the global generator that `train` seeds, which answers of each person are context and which are
    targets, how many of the context are read, and the noise of the hidden vector.

    Parameters
    ----------
    model
        The network.
    batch
        ``preferred`` and ``other`` of shape ``(people, n, features)``, ``given`` of shape ``(people, n)``.
    n_context
        Most answers that are context.
    weight
        Of the divergence, as it is at this step.

    Returns
    -------
    dict
        ``loss``, the negative bound; ``log_likelihood``, nats a target; ``kl``, nats a person.
    """
    given = batch["given"]
    people, n = given.shape
    # A random order in which what was not given comes last.
    order = (torch.rand(people, n, device=given.device) + ~given).argsort(dim=1)
    rows = torch.arange(people, device=given.device)[:, None]
    preferred, other = batch["preferred"][rows, order], batch["other"][rows, order]
    counts = given.sum(dim=1, keepdim=True)
    ends = (counts * n_context // n).clamp(min=1)  # of the places for context; one is left for a target
    places = torch.arange(n, device=given.device)
    read = (torch.rand(people, 1, device=given.device) * (ends + 1)).floor()
    mean, log_variance = model.encode(
        preferred[:, :n_context], other[:, :n_context], (places < read)[:, :n_context]
    )
    z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    start = int(ends.min())
    targets = ((places >= ends) & (places < counts))[:, start:]
    difference = model.reward(preferred[:, start:], z[:, None]) - model.reward(other[:, start:], z[:, None])
    likelihoods = (logsigmoid(difference) * targets).sum(1) / targets.sum(1).clamp(min=1)
    log_likelihood = likelihoods.mean()
    kl = gaussian_kl(mean, log_variance).mean()
    return {"loss": weight * kl - log_likelihood, "log_likelihood": log_likelihood, "kl": kl}


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return the divergence of diagonal Gaussians from the standard normal, nats, summed over the last axis.

    .. math:: \tfrac12\sum_j \left[\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right]

    Examples
    --------
    >>> import torch
    >>> gaussian_kl(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).tolist()
    [0.5]
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)


def cyclic_cosine(step: int, steps: int, cycles: int = 4, *, rising: float = 0.5) -> float:
    """Return a factor that rises from 0 to 1 along half a cosine, stays there, and starts again.

    Parameters
    ----------
    step, steps
        From 0 to ``steps - 1``.
    cycles
        How often, at least 1.
    rising
        The share of a cycle in which it rises, in (0, 1].

    Examples
    --------
    >>> [round(cyclic_cosine(step, 8, 2), 3) for step in range(8)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0]
    """
    place = (step * cycles / steps) % 1.0
    return (1 - math.cos(math.pi * min(1.0, place / rising))) / 2
