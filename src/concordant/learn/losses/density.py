"""Negative log-likelihood of a Gaussian whose mean and variance are predicted: how dynamics models are trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from concordant.core.errors import ConfigError
from concordant.learn.losses.reduction import Reduction, reduced, same_shape

if TYPE_CHECKING:
    from torch import Tensor


def gaussian_nll(
    mean: Tensor,
    log_variance: Tensor,
    target: Tensor,
    *,
    bounds: tuple[Tensor | float, Tensor | float] | None = None,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the negative log-density of the targets, one value a dimension.

    .. math:: \tfrac12\left[\log 2\pi + \ell + (y-\mu)^2 e^{-\ell}\right],\qquad \ell = \log\sigma^2

    Parameters
    ----------
    mean, log_variance, target
        Tensors of one shape, ``(..., d)``.
    bounds
        Lowest and highest log-variance, numbers or tensors of shape ``(d,)`` (learnable where wanted):
        see :func:`soft_bounds`. None by default.
    weights
        A weight a value.
    reduction
        ``"mean"`` over all values (nats a dimension), ``"sum"`` or ``"none"``.

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If the lower bound is not below the upper one.

    References
    ----------
    Nix, Weigend, "Estimating the mean and variance of the target probability distribution", 1994;
    bounds: Chua et al., "Deep Reinforcement Learning in a Handful of Trials", 2018.

    Examples
    --------
    >>> import torch
    >>> zero = torch.zeros(3)
    >>> round(gaussian_nll(zero, zero, zero).item(), 4)  # log(2 pi) / 2
    0.9189
    """
    same_shape("gaussian_nll", mean=mean, log_variance=log_variance, target=target)
    if bounds is not None:
        log_variance = soft_bounds(log_variance, *bounds)
    squared = (target - mean) ** 2 * torch.exp(-log_variance)
    return reduced(0.5 * (math.log(2 * math.pi) + log_variance + squared), reduction, weights)


def soft_bounds(values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    r"""Return the values bent smoothly into the range from low to high, so that a gradient is left outside it.

    .. math:: b + \mathrm{softplus}(a - b - \mathrm{softplus}(a - x)), \qquad b = \text{low},\ a = \text{high}

    Close to the upper bound the result may pass it by at most ``softplus(low - high)``.

    Raises
    ------
    ConfigError
        If `low` is not below `high`.

    Examples
    --------
    >>> import torch
    >>> soft_bounds(torch.tensor([-100.0, 0.0, 100.0]), -10, 10).round(decimals=3)
    tensor([-10.,   0.,  10.])
    """
    floor, ceiling = torch.as_tensor(low), torch.as_tensor(high)
    if not bool((floor < ceiling).all()):
        message = f"the lower bound must be below the upper one, got {low} and {high}"
        raise ConfigError(message)
    values = high - softplus(high - values)
    return low + softplus(values - low)
