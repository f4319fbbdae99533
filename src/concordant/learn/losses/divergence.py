"""Kullback-Leibler divergence between two models, token by token, where a mask says which tokens count.

The idea: a student is held to a teacher only where that helps, so the mask chooses tokens and the padding says
which tokens there are. Logits are ``(batch, time, vocabulary)``, masks ``(batch, time)``; values are nats a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn.losses.reduction import Reduction, reduced, same_shape

if TYPE_CHECKING:
    from torch import Tensor


def masked_kl(
    logits_p: Tensor,
    logits_q: Tensor,
    mask: Tensor | None = None,
    direction: Literal["forward", "reverse"] = "forward",
    *,
    padding: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the divergence of two models over the tokens that the mask chooses.

    .. math:: \frac{1}{\sum_i a_i}\sum_i a_i\,m_i\,\mathrm{KL}(p_i\,\|\,q_i), \qquad
        \mathrm{KL}(p\,\|\,q) = \sum_v p_v\,(\log p_v - \log q_v)

    The mean is over the tokens there are, so the parts of a token-wise mixture add up:
    ``masked_kl(p, q, m) + masked_kl(p, q, 1 - m)`` is ``masked_kl(p, q)``.

    Parameters
    ----------
    logits_p
        Unnormalised log-probabilities of the teacher, shape ``(..., vocabulary)``. Minus infinity is allowed.
    logits_q
        The same of the student. Divide both by a temperature beforehand where one is wanted.
    mask
        :math:`m` in [0, 1], shape ``(...)``, boolean or a number; ones by default. No gradient runs through it.
    direction
        ``"forward"`` for KL(p || q), which covers all the teacher does, or ``"reverse"`` for KL(q || p), which
        keeps the student to what the teacher does.
    padding
        :math:`a`, true at real tokens, shape ``(...)``; all by default.
    reduction
        ``"mean"`` over real tokens (0 when there are none), ``"sum"``, or ``"none"`` for the shape of `mask`.

    Raises
    ------
    DataError
        If the logits differ in shape (two vocabularies), or a mask does not fit them.
    ConfigError
        If the direction is unknown.

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    >>> q = torch.tensor([[0.9, 0.1], [0.5, 0.5]]).log()
    >>> masked_kl(p, q, torch.tensor([True, False]), reduction="none")
    tensor([0.5108, 0.0000])
    """
    same_shape("masked_kl", logits_p=logits_p, logits_q=logits_q)
    if direction not in ("forward", "reverse"):
        message = f"direction of masked_kl must be 'forward' or 'reverse', got {direction!r}"
        raise ConfigError(message)
    first, second = (logits_p, logits_q) if direction == "forward" else (logits_q, logits_p)
    return _mean_over_tokens(_kl(first, second), mask, padding, reduction)


def masked_distillation(
    student: Tensor,
    teacher_masked: Tensor,
    teacher_else: Tensor,
    mask: Tensor,
    *,
    padding: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the divergence from one teacher where the mask is 1 and from another elsewhere.

    .. math:: \frac{1}{\sum_i a_i}\sum_i a_i\left[
        m_i\,\mathrm{KL}(p^{(1)}_i\,\|\,q_i) + (1-m_i)\,\mathrm{KL}(p^{(2)}_i\,\|\,q_i)\right]

    In MUSCLE the first teacher is the old model, the second the new one, and the mask is 1 at tokens that the
    student gets wrong.

    Parameters
    ----------
    student
        Logits of the model in training, shape ``(..., vocabulary)``.
    teacher_masked, teacher_else
        Logits of the two teachers, of the same shape; no gradient runs into them.
    mask
        :math:`m` in [0, 1], shape ``(...)``.
    padding, reduction
        As for :func:`masked_kl`.

    Raises
    ------
    DataError
        If the shapes do not fit (two vocabularies, for instance).

    References
    ----------
    Echterhoff et al., "MUSCLE: A Model Update Strategy for Compatible LLM Evolution", 2024.

    Examples
    --------
    >>> import torch
    >>> old, new = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]])
    >>> masked_distillation(old, old, new, torch.tensor([1.0])).item()
    0.0
    """
    same_shape(
        "masked_distillation", student=student, teacher_masked=teacher_masked, teacher_else=teacher_else
    )
    share = mask.detach().to(student.dtype)
    _fits_tokens("mask", share, student)
    values = share * _kl(teacher_masked.detach(), student) + (1 - share) * _kl(teacher_else.detach(), student)
    return _mean_over_tokens(values, None, padding, reduction)


def _kl(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    # An impossible token (minus infinity) becomes the lowest finite number: 0 times it is 0 and not NaN.
    lowest = torch.finfo(logits_p.dtype).min
    log_p = logits_p.log_softmax(-1).clamp(min=lowest)
    log_q = logits_q.log_softmax(-1).clamp(min=lowest)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean_over_tokens(
    values: Tensor, mask: Tensor | None, padding: Tensor | None, reduction: Reduction
) -> Tensor:
    for name, given in (("mask", mask), ("padding", padding)):
        if given is not None:
            _fits_tokens(name, given, values.unsqueeze(-1))
    if mask is not None:
        values = values * mask.detach()
    if padding is None:
        return reduced(values, reduction)
    values = torch.where(padding.bool(), values, 0.0)
    if reduction == "mean":
        return values.sum() / padding.bool().sum().clamp(min=1)
    return reduced(values, reduction)


def _fits_tokens(name: str, given: Tensor, logits: Tensor) -> None:
    if given.shape != logits.shape[:-1]:
        message = (
            f"{name} must have one value a token, shape {tuple(logits.shape[:-1])}, got {tuple(given.shape)}"
        )
        raise DataError(message)
