"""Losses on pairs of which one side is preferred: rewards (Bradley-Terry) and policies (DPO, IPO, ORPO).

All take one number a pair and side, shape ``(pairs,)`` or any other common shape, and give nats.
``log_probability`` of an answer is the sum of the log-probabilities of its tokens, in nats, unless said otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid

from concordant.core.errors import DataError
from concordant.learn.losses.reduction import Reduction, in_unit_interval, positive, reduced, same_shape

if TYPE_CHECKING:
    from torch import Tensor


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    margin: Tensor | float | None = None,
    scale: Tensor | float = 1.0,
    label_smoothing: Tensor | float = 0.0,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the negative log-likelihood that the chosen side wins, under the Bradley-Terry model.

    .. math:: -(1-\epsilon)\log\sigma(d) - \epsilon\log\sigma(-d),\qquad d = s\,(r_c - r_r) - m

    Parameters
    ----------
    chosen, rejected
        Rewards of the two sides, shape ``(pairs,)``.
    margin
        By how much the chosen side must win, :math:`m`, one for all or one a pair; none by default.
    scale
        :math:`s > 0`, the inverse temperature of the judge, one for all or one a pair.
    label_smoothing
        :math:`\epsilon` in [0, 1]: the share of labels that are held to be the wrong way round, one for all or one a
        pair.
    weights
        A weight a pair. The margin given here is the "scaled" Bradley-Terry loss of HelpSteer2-Preference.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` (then the shape of `chosen`).

    Raises
    ------
    DataError
        If the shapes differ.
    ConfigError
        If the scale is not positive, or the smoothing is outside [0, 1].

    References
    ----------
    Bradley, Terry, "Rank analysis of incomplete block designs", Biometrika 1952; margin: Touvron et al.,
    "Llama 2", 2023; scaled: Wang et al., "HelpSteer2-Preference", 2024.

    Examples
    --------
    >>> import torch
    >>> chosen, rejected = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    >>> bradley_terry(chosen, rejected, reduction="none")
    tensor([0.3133, 0.6931])
    """
    same_shape("bradley_terry", chosen=chosen, rejected=rejected)
    positive("bradley_terry", scale=scale)
    in_unit_interval("bradley_terry", label_smoothing=label_smoothing)
    difference = scale * (chosen - rejected)
    return reduced(_cross_entropy(difference, margin, 1 - label_smoothing), reduction, weights)


def dpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor | None = None,
    reference_rejected: Tensor | None = None,
    *,
    beta: Tensor | float = 0.1,
    label: Tensor | float = 1.0,
    weights: Tensor | None = None,
    margin: Tensor | float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the loss of direct preference optimisation, with a soft label a pair.

    .. math::

        -C\log\sigma(d) - (1-C)\log\sigma(-d),\qquad
        d = \beta\left[\log\frac{\pi(y_c)}{\pi_0(y_c)} - \log\frac{\pi(y_r)}{\pi_0(y_r)}\right] - m

    Parameters
    ----------
    policy_chosen, policy_rejected
        Log-probabilities of the two answers under the policy, shape ``(pairs,)``, nats.
    reference_chosen, reference_rejected
        The same under the reference; both or neither. Without them the reference is uniform over answers
        (reference-free).
    beta
        Strength of the pull to the reference, greater than 0, one for all or one a pair.
    label
        :math:`C` in [0, 1], the probability that the chosen answer is the better one: one minus the label
        smoothing of conservative DPO; the consistency of the ranking in CREAM. One for all or one a pair.
    weights
        A weight a pair.
    margin
        The offset :math:`m` of ODPO and SimPO, one for all or one a pair.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` (then the shape of `policy_chosen`).

    Raises
    ------
    DataError
        If the shapes differ, or only one side of the reference is given.
    ConfigError
        If `beta` is not positive, or `label` is outside [0, 1].

    References
    ----------
    Rafailov et al., "Direct Preference Optimization", 2023; Wang et al., "CREAM", 2024.

    Examples
    --------
    >>> import torch
    >>> chosen, rejected = torch.tensor([-4.0]), torch.tensor([-6.0])
    >>> round(dpo(chosen, rejected, chosen, rejected).item(), 4)  # at the reference: log 2
    0.6931
    >>> round(dpo(chosen, rejected, beta=0.5, label=0.9).item(), 4)
    0.4133
    """
    positive("dpo", beta=beta)
    in_unit_interval("dpo", label=label)
    ratio = _log_ratio("dpo", policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return reduced(_cross_entropy(beta * ratio, margin, label), reduction, weights)


def ipo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor | None = None,
    reference_rejected: Tensor | None = None,
    *,
    beta: Tensor | float = 0.1,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the loss of identity preference optimisation, which stops pushing at a fixed log-ratio.

    .. math::

        \left(\log\frac{\pi(y_c)}{\pi_0(y_c)} - \log\frac{\pi(y_r)}{\pi_0(y_r)} - \frac{1}{2\beta}\right)^2

    Parameters
    ----------
    policy_chosen, policy_rejected, reference_chosen, reference_rejected
        As for :func:`dpo`; trainers in use give means over tokens here, so that long answers do not dominate.
    beta
        Strength of the pull to the reference, greater than 0: the log-ratio aimed at is ``1 / (2 beta)`` nats.
    weights, reduction
        As for :func:`dpo`. The unit is nats squared.

    Raises
    ------
    DataError, ConfigError
        As for :func:`dpo`.

    References
    ----------
    Azar et al., "A General Theoretical Paradigm to Understand Learning from Human Preferences", 2023.

    Examples
    --------
    >>> import torch
    >>> ipo(torch.tensor([-1.0]), torch.tensor([-6.0]), beta=0.1).item()  # the log-ratio is the target, 5
    0.0
    """
    positive("ipo", beta=beta)
    ratio = _log_ratio("ipo", policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return reduced((ratio - 1 / (2 * beta)) ** 2, reduction, weights)


def orpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    *,
    nll: Tensor | None = None,
    beta: Tensor | float = 0.1,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the loss of odds-ratio preference optimisation: imitation of the chosen answer and a log odds ratio.

    .. math::

        -\log p_c - \beta\log\sigma\left(\log\frac{p_c}{1-p_c} - \log\frac{p_r}{1-p_r}\right)

    Parameters
    ----------
    policy_chosen, policy_rejected
        **Means** over tokens of the log-probabilities of the two answers, at most 0, shape ``(pairs,)``, nats a token.
    nll
        The imitation loss a pair where it is not that of the chosen answer alone (prompt and answer, for
        instance); ``-policy_chosen`` by default.
    beta
        Weight of the log odds ratio (lambda in the paper), greater than 0.
    weights, reduction
        As for :func:`dpo`.

    Raises
    ------
    DataError
        If the shapes differ, or a log-probability is above 0.
    ConfigError
        If `beta` is not positive.

    References
    ----------
    Hong, Lee, Thorne, "ORPO: Monolithic Preference Optimization without Reference Model", 2024.

    Examples
    --------
    >>> import torch
    >>> half = torch.tensor([0.5]).log()
    >>> round(orpo(half, half, beta=1.0).item(), 4)  # log 2 for the imitation and log 2 for the tie
    1.3863
    """
    same_shape("orpo", policy_chosen=policy_chosen, policy_rejected=policy_rejected, nll=nll)
    positive("orpo", beta=beta)
    imitation = -policy_chosen if nll is None else nll
    odds_ratio = _log_odds(policy_chosen) - _log_odds(policy_rejected)
    return reduced(imitation - beta * logsigmoid(odds_ratio), reduction, weights)


def _cross_entropy(difference: Tensor, margin: Tensor | float | None, label: Tensor | float) -> Tensor:
    _fits("margin", margin, difference)
    _fits("label", label, difference)
    if margin is not None:
        difference = difference - margin
    if isinstance(label, int | float) and label == 1:
        return -logsigmoid(difference)
    return -label * logsigmoid(difference) - (1 - label) * logsigmoid(-difference)


def _fits(name: str, value: Tensor | float | None, pairs: Tensor) -> None:
    if isinstance(value, torch.Tensor) and value.ndim and value.shape != pairs.shape:
        message = f"{name} must be one number or have the shape of the pairs {tuple(pairs.shape)}, got {tuple(value.shape)}"
        raise DataError(message)


def _log_ratio(
    caller: str, chosen: Tensor, rejected: Tensor, base_chosen: Tensor | None, base_rejected: Tensor | None
) -> Tensor:
    if (base_chosen is None) != (base_rejected is None):
        missing = "reference_chosen" if base_chosen is None else "reference_rejected"
        message = f"{caller} needs both sides of the reference or neither, got no {missing}"
        raise DataError(message)
    same_shape(
        caller,
        policy_chosen=chosen,
        policy_rejected=rejected,
        reference_chosen=base_chosen,
        reference_rejected=base_rejected,
    )
    ratio = chosen - rejected
    return ratio if base_chosen is None or base_rejected is None else ratio - (base_chosen - base_rejected)


def _log_odds(log_probability: Tensor) -> Tensor:
    if bool((log_probability > 0).any()):
        message = f"orpo needs log-probabilities, which are at most 0, got {log_probability.max().item():g}"
        raise DataError(message)
    # Odds of a certain answer are infinite; the largest probability below one keeps value and gradient finite.
    bounded = log_probability.clamp(max=-torch.finfo(log_probability.dtype).eps)
    return bounded - torch.log(-torch.expm1(bounded))
