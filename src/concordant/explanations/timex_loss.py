r"""The loss of TimeX, part by part, over all pairs of a batch at once.

Consistency of behaviour (cosines of latents), of labels (divergences of predictions), and what keeps masks small and
in one piece. Where the published code and the paper part, the paper is followed and the code is an option.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch.nn.functional import logsigmoid

from concordant.core.errors import DataError
from concordant.learn.losses.reduction import in_unit_interval

if TYPE_CHECKING:
    from torch import Tensor

LabelRelation: TypeAlias = Literal["pairwise", "scalar"]
Connection: TypeAlias = Literal["absolute", "norm"]


def mask_size_loss(log_odds: Tensor, rate: float) -> Tensor:
    r"""Return the divergence of keep-probabilities from a rate that is wanted, mean over all numbers, nats.

    .. math:: \mathrm{mean}\left[p\log\frac pr + (1-p)\log\frac{1-p}{1-r}\right]

    Parameters
    ----------
    log_odds
        Of keeping, any shape.
    rate
        :math:`r` in (0, 1).

    Raises
    ------
    ConfigError
        If the rate is outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> mask_size_loss(torch.zeros(3), 0.5).item()
    0.0
    >>> round(mask_size_loss(torch.full((3,), 50.0), 0.5).item(), 4)  # log 2
    0.6931
    """
    in_unit_interval("mask_size_loss", rate=rate)
    p = log_odds.sigmoid()
    kept, dropped = logsigmoid(log_odds) - math.log(rate), logsigmoid(-log_odds) - math.log1p(-rate)
    return (p * kept + (1 - p) * dropped).mean()


def connection_loss(p: Tensor, form: Connection = "absolute") -> Tensor:
    r"""Return how much keep-probabilities jump from one step to the next.

    .. math:: \mathrm{mean}_{t}\,|p_t - p_{t+1}|

    Parameters
    ----------
    p
        Keep-probabilities, shape ``(batch, time, channel)``.
    form
        ``"absolute"`` as in the paper. ``"norm"`` as in its code: the Euclidean norm of all jumps of the batch, divided
        by their number, which is smaller by about the root of that number. (The code takes the jumps of several
        channels along the batch. Not here.)

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[[0.0], [1.0], [1.0]]])
    >>> connection_loss(p).item(), connection_loss(p, "norm").item()
    (0.5, 0.5)
    """
    if p.shape[1] < 2:
        return p.new_zeros(())
    jumps = p.diff(dim=1)
    if form == "norm":
        norm: Tensor = torch.linalg.vector_norm(jumps)
        return norm / jumps.numel()
    return jumps.abs().mean()


def scalar_label_loss(probabilities: Tensor, reference: Tensor) -> Tensor:
    r"""Return the label consistency of the published code, which compares two means and not the pairs.

    .. math:: \left(\bar D(q) - \bar D(r)\right)^2, \qquad \bar D(q) = \frac1C\,\mathrm{mean}_{i<j}\;
        \tfrac12\left[\mathrm{KL}(m_{ij}\|q_i) + \mathrm{KL}(m_{ij}\|q_j)\right],\; m_{ij} = \tfrac12 (q_i + q_j)

    A batch whose divergences are right on average and wrong in every pair has loss 0: use
    :func:`concordant.learn.pairwise_jensen_shannon_loss` for anything but a comparison with that code.

    Parameters
    ----------
    probabilities, reference
        Distributions over C classes, shape ``(n, C)``, n at least 2.

    Raises
    ------
    DataError
        If there are fewer than two rows.

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> scalar_label_loss(p, p[[2, 0, 1]]).item() < 1e-12  # every pair is wrong
    True
    """
    if len(probabilities) < 2:
        message = f"scalar_label_loss needs at least two rows, got {len(probabilities)}"
        raise DataError(message)
    return (_mean_divergence(probabilities) - _mean_divergence(reference)).square()


def _mean_divergence(q: Tensor) -> Tensor:
    q = q.clamp(min=torch.finfo(q.dtype).tiny)
    first, second = torch.triu_indices(len(q), len(q), 1, device=q.device)
    middle = (q[first] + q[second]) / 2
    log_q = q.log()
    return (middle * (middle.log() - (log_q[first] + log_q[second]) / 2)).mean()
