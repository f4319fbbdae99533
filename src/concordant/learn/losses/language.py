"""Log-probabilities of tokens under a language model, and supervised fine-tuning on the tokens that count.

Everything is aligned with the tokens: entry i of a ``(batch, time)`` tensor is about token i, which the logits at
i - 1 predict. The first token has no prediction and counts as certain (log-probability 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from concordant.core.errors import DataError
from concordant.learn.losses.reduction import Reduction, reduced, same_shape

if TYPE_CHECKING:
    from torch import Tensor


def token_log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability of each token given those before it, nats.

    Parameters
    ----------
    logits
        Output of a causal language model, shape ``(batch, time, vocabulary)``.
    tokens
        Its input, integers, shape ``(batch, time)``. Padding may be any token: leave it out by a mask afterwards.

    Returns
    -------
    Tensor
        Shape ``(batch, time)``; 0 at the first token.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> token_log_probabilities(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]]))
    tensor([[ 0.0000, -0.6931, -0.6931]])
    """
    _fit_tokens("token_log_probabilities", logits, tokens)
    before = logits[:, :-1]
    chosen = before.gather(-1, tokens[:, 1:, None].long()).squeeze(-1)
    values = chosen - before.logsumexp(-1)
    return torch.cat([values.new_zeros(len(values), 1), values], dim=1)[:, : tokens.shape[1]]


def answer_mask(prompt_lengths: Tensor, lengths: Tensor, time: int) -> Tensor:
    """Return true at the tokens of answers, for rows of prompt, answer and padding on the right.

    Parameters
    ----------
    prompt_lengths
        Tokens of each prompt, shape ``(batch,)``.
    lengths
        Tokens of each prompt with its answer, shape ``(batch,)``.
    time
        Width of the batch.

    Raises
    ------
    DataError
        If a prompt is longer than its row, or a row longer than the batch.

    Examples
    --------
    >>> import torch
    >>> answer_mask(torch.tensor([1, 2]), torch.tensor([3, 4]), 4).int()
    tensor([[0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    same_shape("answer_mask", prompt_lengths=prompt_lengths, lengths=lengths)
    if bool((prompt_lengths > lengths).any()) or bool((lengths > time).any()):
        message = (
            f"answer_mask needs prompt_lengths <= lengths <= {time}, "
            f"got {prompt_lengths.tolist()} and {lengths.tolist()}"
        )
        raise DataError(message)
    places = torch.arange(time, device=lengths.device)
    return (places >= prompt_lengths[:, None]) & (places < lengths[:, None])


def sequence_log_probability(logits: Tensor, tokens: Tensor, mask: Tensor, *, mean: bool = False) -> Tensor:
    """Return the log-probability of the masked part of each row, as :func:`dpo` takes it.

    Parameters
    ----------
    logits, tokens
        As for :func:`token_log_probabilities`.
    mask
        True at the tokens of the answer, shape ``(batch, time)``.
    mean
        Whether to divide by the number of tokens, as :func:`orpo` needs; a row without any then has 0.

    Returns
    -------
    Tensor
        Shape ``(batch,)``, nats, or nats a token.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([[False, True, True]])
    >>> sequence_log_probability(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]]), mask)
    tensor([-1.3863])
    """
    same_shape("sequence_log_probability", tokens=tokens, mask=mask)
    counts = mask.bool()
    totals = token_log_probabilities(logits, tokens).masked_fill(~counts, 0.0).sum(-1)
    return totals / counts.sum(-1).clamp(min=1) if mean else totals


def sft_nll(logits: Tensor, tokens: Tensor, mask: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Return the negative log-likelihood of the masked tokens: supervised fine-tuning.

    .. math:: -\frac{1}{\sum_i m_i}\sum_i m_i \log p(y_i \mid y_{<i})

    Parameters
    ----------
    logits, tokens
        As for :func:`token_log_probabilities`.
    mask
        :math:`m`, true at the tokens to learn, shape ``(batch, time)``; the first token of a row never counts.
    reduction
        ``"mean"`` over the tokens that count in the whole batch (0 when there are none), ``"sum"``, or ``"none"``
        for ``(batch, time)``. Means of batches with different numbers of tokens do not average to the mean of
        all: accumulate sums where that matters.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([[False, True, True]])
    >>> round(sft_nll(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]]), mask).item(), 4)
    0.6931
    """
    same_shape("sft_nll", tokens=tokens, mask=mask)
    if reduction == "none":
        return -token_log_probabilities(logits, tokens).masked_fill(~mask.bool(), 0.0)
    _fit_tokens("sft_nll", logits, tokens)
    # Only the tokens that count go through the softmax over the vocabulary: an eighth of the time of a small model.
    counts = mask[:, 1:].bool()
    chosen, targets = logits[:, :-1][counts], tokens[:, 1:][counts].long()
    precise = (
        chosen if chosen.dtype == torch.float64 else chosen.float()
    )  # a sum of many is coarse in half precision
    total = cross_entropy(precise, targets, reduction="sum")
    return total / counts.sum().clamp(min=1) if reduction == "mean" else reduced(total, reduction)


def _fit_tokens(caller: str, logits: Tensor, tokens: Tensor) -> None:
    if logits.ndim != 3 or logits.shape[:2] != tokens.shape:
        message = (
            f"{caller} needs logits (batch, time, vocabulary) and tokens (batch, time), "
            f"got {tuple(logits.shape)} and {tuple(tokens.shape)}"
        )
        raise DataError(message)
