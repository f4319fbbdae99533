"""Policy gradients for language models: advantages of groups (RLOO, GRPO) and of tokens (PPO), and the losses on them.

Log-probabilities, rewards and masks of tokens are ``(batch, time)``, aligned with the tokens of the answers; rewards
of groups are ``(prompts, samples)``. Nats throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses.reduction import in_unit_interval, positive, same_shape

if TYPE_CHECKING:
    from torch import Tensor

Average: TypeAlias = Literal["tokens", "sequences", "totals"]


def rloo_advantages(rewards: Tensor) -> Tensor:
    r"""Return each reward less the mean of the others of its prompt: a baseline without bias.

    .. math:: A_i = r_i - \frac{1}{k-1}\sum_{j\ne i} r_j

    Parameters
    ----------
    rewards
        Shape ``(prompts, samples)``, at least two samples.

    Raises
    ------
    DataError
        If the shape is another.

    References
    ----------
    Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style Optimization", 2024.

    Examples
    --------
    >>> import torch
    >>> rloo_advantages(torch.tensor([[1.0, 0.0, 0.0]]))
    tensor([[ 1.0000, -0.5000, -0.5000]])
    """
    k = _group_size("rloo_advantages", rewards)
    return (rewards - rewards.mean(-1, keepdim=True)) * (k / (k - 1))


def grpo_advantages(rewards: Tensor, *, scaled: bool = True, epsilon: float = 1e-4) -> Tensor:
    r"""Return each reward less the mean of its group, in standard deviations of the group.

    .. math:: A_i = \frac{r_i - \bar r}{s + \epsilon},\qquad s^2 = \frac{1}{k-1}\sum_j (r_j - \bar r)^2

    Parameters
    ----------
    rewards
        Shape ``(prompts, samples)``, at least two samples.
    scaled
        Whether to divide; without, easy and hard prompts keep their weight (Dr. GRPO).
    epsilon
        Keeps a group of equal rewards at 0.

    Raises
    ------
    DataError
        If the shape is another.

    References
    ----------
    Shao et al., "DeepSeekMath", 2024; Liu et al., "Understanding R1-Zero-Like Training", 2025.

    Examples
    --------
    >>> import torch
    >>> grpo_advantages(torch.tensor([[1.0, 0.0], [3.0, 3.0]]), epsilon=0.0001).round(decimals=2)
    tensor([[ 0.7100, -0.7100],
            [ 0.0000,  0.0000]])
    """
    _group_size("grpo_advantages", rewards)
    centred = rewards - rewards.mean(-1, keepdim=True)
    return centred / (rewards.std(-1, keepdim=True) + epsilon) if scaled else centred


def kl_estimate(
    log_probabilities: Tensor, reference: Tensor, kind: Literal["k1", "k2", "k3"] = "k3"
) -> Tensor:
    r"""Return an estimate a token of KL(policy || reference) from tokens that the policy drew.

    With :math:`\delta = \log\pi - \log\pi_0`: k1 is :math:`\delta` (no bias), k2 :math:`\delta^2/2` (little
    variance), k3 :math:`e^{-\delta} - 1 + \delta` (no bias, never negative).

    Parameters
    ----------
    log_probabilities, reference
        Of the same tokens under both, any common shape.
    kind
        ``"k1"``, ``"k2"`` or ``"k3"``.

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If the kind is unknown.

    References
    ----------
    Schulman, "Approximating KL Divergence", 2020.

    Examples
    --------
    >>> import torch
    >>> kl_estimate(torch.tensor([0.0]), torch.tensor([-1.0]))
    tensor([0.3679])
    """
    same_shape("kl_estimate", log_probabilities=log_probabilities, reference=reference)
    delta = log_probabilities - reference
    estimates = {"k1": lambda: delta, "k2": lambda: delta**2 / 2, "k3": lambda: torch.expm1(-delta) + delta}
    if kind not in estimates:
        message = f"kind of kl_estimate must be 'k1', 'k2' or 'k3', got {kind!r}"
        raise ConfigError(message)
    return estimates[kind]()


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, beta: float = 0.05) -> Tensor:
    r"""Return a reward a token: :math:`-\beta\,\mathrm{KL}_t` everywhere, and the score of the answer at its last token.

    Parameters
    ----------
    scores
        Shape ``(batch,)``.
    kl
        Estimates a token, shape ``(batch, time)``.
    mask
        True at the tokens of the answer, shape ``(batch, time)``; a row without any gets no score.
    beta
        Weight of the divergence, at least 0.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> token_rewards(torch.tensor([2.0]), torch.ones(1, 3), torch.tensor([[True, True, False]]), beta=0.5)
    tensor([[-0.5000,  1.5000,  0.0000]])
    """
    same_shape("token_rewards", kl=kl, mask=mask)
    if scores.shape != mask.shape[:1]:
        message = f"token_rewards needs one score a row, shape ({len(mask)},), got {tuple(scores.shape)}"
        raise DataError(message)
    real = mask.bool()
    places = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(real, places, -1).amax(-1, keepdim=True)
    return torch.where(real, -beta * kl, 0.0) + torch.where(real & (places == last), scores[:, None], 0.0)


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float = 1.0, trace: float = 0.95
) -> Tensor:
    r"""Return generalised advantages; plus `values` they are the returns that a critic learns.

    .. math:: A_t = \delta_t + \gamma\lambda A_{t+1},\qquad \delta_t = r_t + \gamma V_{t+1} - V_t

    Parameters
    ----------
    rewards, values, mask
        Shape ``(batch, time)``; the masked tokens of a row are one stretch, after which the value is 0.
    discount, trace
        :math:`\gamma` and :math:`\lambda` in [0, 1].

    Returns
    -------
    Tensor
        Shape ``(batch, time)``, 0 outside the mask, without gradient.

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If a number is outside [0, 1].

    References
    ----------
    Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", 2016.

    Examples
    --------
    >>> import torch
    >>> rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    >>> generalized_advantages(rewards, values, torch.ones(1, 2), trace=1.0)
    tensor([[0.5000, 0.5000]])
    """
    same_shape("generalized_advantages", rewards=rewards, values=values, mask=mask)
    in_unit_interval("generalized_advantages", discount=discount, trace=trace)
    real = mask.to(rewards.dtype)
    values = values.detach() * real
    following = torch.cat([values[:, 1:], values.new_zeros(len(values), 1)], dim=1)
    errors = (rewards.detach() + discount * following - values) * real
    advantages, after = [], errors.new_zeros(len(errors))
    for error, counts in zip(reversed(errors.unbind(1)), reversed(real.unbind(1)), strict=True):
        after = (error + discount * trace * after) * counts
        advantages.append(after)
    return torch.stack(advantages[::-1], dim=1)


def policy_gradient(
    log_probabilities: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    old: Tensor | None = None,
    clip: float | tuple[float, float] = 0.2,
    average: Average = "tokens",
) -> Tensor:
    r"""Return a loss whose gradient is the policy gradient, clipped where the policy has left the one that sampled.

    .. math::

        -\min\left(\rho_t A_t,\ \mathrm{clip}(\rho_t, 1-\epsilon_-, 1+\epsilon_+) A_t\right),\qquad
        \rho_t = \frac{\pi(y_t)}{\pi_\text{old}(y_t)}

    Parameters
    ----------
    log_probabilities
        Of the tokens under the policy, shape ``(batch, time)``.
    advantages
        One a row ``(batch,)`` (RLOO, GRPO) or one a token ``(batch, time)`` (PPO); no gradient runs through them.
    mask
        True at the tokens of the answers, shape ``(batch, time)``.
    old
        Log-probabilities under the policy that sampled; by default that policy is the present one (REINFORCE).
    clip
        :math:`\epsilon`, one for both sides, or the lower and the upper one.
    average
        How the tokens count, see :func:`token_average`: ``"tokens"`` alike, ``"sequences"`` as GRPO was published,
        ``"totals"`` for the gradient of the expected reward itself (REINFORCE, RLOO).

    Returns
    -------
    Tensor
        A scalar. With `old` absent its value is minus the mean advantage.

    Raises
    ------
    DataError
        If the shapes do not fit.
    ConfigError
        If `average` is unknown or a clip is not positive.

    References
    ----------
    Williams, 1992; Schulman et al., "Proximal Policy Optimization Algorithms", 2017; upper clip: Yu et al., "DAPO", 2025.

    Examples
    --------
    >>> import torch
    >>> log_p = torch.tensor([[0.5, 0.25]]).log().requires_grad_()
    >>> loss = policy_gradient(log_p, torch.tensor([2.0]), torch.ones(1, 2))
    >>> loss.backward()
    >>> loss.item(), log_p.grad.tolist()
    (-2.0, [[-1.0, -1.0]])
    """
    same_shape("policy_gradient", log_probabilities=log_probabilities, mask=mask, old=old)
    low, high = clip if isinstance(clip, tuple) else (clip, clip)
    positive("policy_gradient", clip_low=low, clip_high=high)
    if advantages.shape not in (mask.shape, mask.shape[:1]):
        message = f"advantages must have shape {tuple(mask.shape[:1])} or {tuple(mask.shape)}, got {tuple(advantages.shape)}"
        raise DataError(message)
    gains = (advantages[:, None] if advantages.ndim == 1 else advantages).detach()
    sampled = log_probabilities.detach() if old is None else old.detach()
    real = mask.bool()
    # Padding may hold anything; it is taken out before the exponential, so that its gradient is 0 and not NaN.
    ratio = torch.exp(torch.where(real, log_probabilities - sampled, 0.0))
    values = -torch.minimum(ratio * gains, ratio.clamp(1 - low, 1 + high) * gains)
    return token_average(values, mask, average)


def token_average(values: Tensor, mask: Tensor, average: Average = "tokens") -> Tensor:
    """Return one number for the tokens of a batch of answers.

    Parameters
    ----------
    values, mask
        Shape ``(batch, time)``; outside the mask values do not count, even if they are not finite.
    average
        ``"tokens"``: the mean over all tokens. ``"sequences"``: the mean over rows of their means, so that a token of a
        short answer counts more. ``"totals"``: the mean over rows of their sums.

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If `average` is unknown.

    Examples
    --------
    >>> import torch
    >>> values, mask = torch.tensor([[1.0, 3.0], [4.0, 9.0]]), torch.tensor([[True, True], [True, False]])
    >>> [round(token_average(values, mask, kind).item(), 2) for kind in ("tokens", "sequences", "totals")]
    [2.67, 3.0, 4.0]
    """
    same_shape("token_average", values=values, mask=mask)
    if average not in get_args(Average):
        message = f"average must be 'tokens', 'sequences' or 'totals', got {average!r}"
        raise ConfigError(message)
    real = mask.bool()
    values = torch.where(real, values, 0.0)
    if average == "tokens":
        return values.sum() / real.sum().clamp(min=1)
    sums = values.sum(-1)
    return (sums / real.sum(-1).clamp(min=1) if average == "sequences" else sums).mean()


def critic_loss(
    values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    old: Tensor | None = None,
    clip: float | None = None,
    average: Average = "tokens",
) -> Tensor:
    r"""Return half the squared error of a critic, with the step away from its old values limited as in PPO.

    .. math:: \tfrac12 \max\left[(V_t - R_t)^2,\ (\mathrm{clip}(V_t, V^\text{old}_t \pm \epsilon) - R_t)^2\right]

    Parameters
    ----------
    values, returns, mask
        Shape ``(batch, time)``; returns are advantages plus old values, see :func:`generalized_advantages`.
    old
        Values at the time of sampling; needed where `clip` is given.
    clip
        :math:`\epsilon`, greater than 0; no limit by default.
    average
        As for :func:`token_average`.

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If `clip` is not positive or comes without `old`, or `average` is unknown.

    References
    ----------
    Schulman et al., "Proximal Policy Optimization Algorithms", 2017; the limit: its reference implementation.

    Examples
    --------
    >>> import torch
    >>> values, returns = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> critic_loss(values, returns, torch.ones(1, 2)).item()
    1.25
    """
    same_shape("critic_loss", values=values, returns=returns, mask=mask, old=old)
    errors = (values - returns.detach()).square()
    if clip is not None:
        positive("critic_loss", clip=clip)
        if old is None:
            message = "critic_loss needs the old values where it clips: give old, or leave clip out"
            raise ConfigError(message)
        near = old.detach() + (values - old.detach()).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns.detach()).square())
    return token_average(errors / 2, mask, average)


def _group_size(caller: str, rewards: Tensor) -> int:
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        message = f"{caller} needs rewards (prompts, samples) with at least 2 samples, got shape {tuple(rewards.shape)}"
        raise DataError(message)
    return rewards.shape[1]
