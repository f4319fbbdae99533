r"""Straight-through masks: a hard choice forwards, the slope of a soft one backwards.

The choice is exactly 0 or 1, so the rest of a network sees what it will see in use; the gradient is that of the
relaxed (Gumbel-softmax, binary concrete) choice, which is biased and works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from concordant.learn.losses.reduction import positive

if TYPE_CHECKING:
    from torch import Tensor


def straight_through(
    logits: Tensor, *, generator: torch.Generator | None = None, temperature: float = 1.0
) -> Tensor:
    r"""Return a mask of zeros and ones, one with probability :math:`\sigma(\text{logit})`.

    .. math:: m = 1[\,s > \tfrac12\,],\quad s = \sigma\left(\frac{\text{logit} + \log u - \log(1-u)}{\tau}\right),
        \quad \frac{\partial m}{\partial\,\text{logit}} := \frac{\partial s}{\partial\,\text{logit}}

    Parameters
    ----------
    logits
        Log-odds of a one, any shape.
    generator
        Source of :math:`u`, on the device of the logits. None for no noise: the more probable value, for use.
    temperature
        :math:`\tau > 0`: lower is a steeper slope over a narrower range.

    Returns
    -------
    Tensor
        Zeros and ones, shape and type of the logits.

    Raises
    ------
    ConfigError
        If the temperature is not positive.

    References
    ----------
    Bengio, Léonard, Courville, 2013; Maddison, Mnih, Teh, "The Concrete Distribution", 2017.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([-3.0, 0.5], requires_grad=True)
    >>> mask = straight_through(logits)
    >>> mask.detach()
    tensor([0., 1.])
    >>> mask.sum().backward()
    >>> logits.grad
    tensor([0.0452, 0.2350])
    """
    positive("straight_through", temperature=temperature)
    if generator is not None:
        noise = _uniform(logits, generator)
        logits = logits + noise.log() - torch.log1p(-noise)
    soft = torch.sigmoid(logits / temperature)
    hard = (logits > 0).to(soft.dtype)
    return hard + (soft - soft.detach())  # the bracket is exactly 0


def straight_through_one_hot(
    logits: Tensor, *, generator: torch.Generator | None = None, temperature: float = 1.0
) -> Tensor:
    r"""Return one-hot vectors, each class with its softmax probability, with the slope of the Gumbel-softmax.

    Parameters
    ----------
    logits
        Unnormalised log-probabilities, shape ``(..., classes)``.
    generator
        Source of the Gumbel noise, on the device of the logits. None for no noise: the most probable class.
    temperature
        Greater than 0.

    Returns
    -------
    Tensor
        Zeros and a single one along the last axis, shape and type of the logits.

    Raises
    ------
    ConfigError
        If the temperature is not positive.

    References
    ----------
    Jang, Gu, Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017.

    Examples
    --------
    >>> import torch
    >>> straight_through_one_hot(torch.tensor([0.1, 2.0, -1.0]))
    tensor([0., 1., 0.])
    """
    positive("straight_through_one_hot", temperature=temperature)
    if generator is not None:
        logits = logits - (-_uniform(logits, generator).log()).log()
    soft = (logits / temperature).softmax(-1)
    hard = one_hot(logits.argmax(-1), logits.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)
    limits = torch.finfo(like.dtype)
    return drawn.clamp(limits.tiny, 1 - limits.eps)  # open at both ends, for the logarithms
