"""InfoNCE: a query must find its own key among the keys of the batch, which bounds mutual information from below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy, normalize

from concordant.core.errors import DataError
from concordant.learn.losses.reduction import Reduction, positive, reduced, same_shape

if TYPE_CHECKING:
    from torch import Tensor


def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: Tensor | float = 0.1,
    symmetric: bool = False,
    cosine: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return how hard it is to tell the key of each query from the other keys of the batch.

    .. math:: -\log\frac{\exp(s(q_i, k_i)/\tau)}{\sum_j \exp(s(q_i, k_j)/\tau)}

    Parameters
    ----------
    queries, keys
        Vectors, shape ``(n, d)``; row i of one belongs to row i of the other.
    temperature
        :math:`\tau`, greater than 0.
    symmetric
        Whether the mean with the loss of keys that look for their queries is taken (CLIP).
    cosine
        Whether :math:`s` is the cosine; otherwise the inner product.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` (then ``(n,)``).

    Raises
    ------
    DataError
        If the two are not matrices of one shape.
    ConfigError
        If the temperature is not positive.

    References
    ----------
    van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018.

    Examples
    --------
    >>> import torch
    >>> same = torch.ones(4, 2)  # nothing to tell them apart by: log 4
    >>> round(info_nce(same, same).item(), 4)
    1.3863
    """
    same_shape("info_nce", queries=queries, keys=keys)
    positive("info_nce", temperature=temperature)
    if queries.ndim != 2:
        message = f"info_nce needs queries and keys of shape (n, d), got {tuple(queries.shape)}"
        raise DataError(message)
    if cosine:
        queries, keys = normalize(queries, dim=-1), normalize(keys, dim=-1)
    return info_nce_of_scores(queries @ keys.T / temperature, symmetric=symmetric, reduction=reduction)


def info_nce_of_scores(scores: Tensor, *, symmetric: bool = False, reduction: Reduction = "mean") -> Tensor:
    """Return the same loss for scores of any critic, those of the right pairs on the diagonal.

    Parameters
    ----------
    scores
        Score of query i with key j, shape ``(n, n)``, nats.
    symmetric, reduction
        As for :func:`info_nce`.

    Raises
    ------
    DataError
        If the scores are not a square matrix.

    Examples
    --------
    >>> import torch
    >>> round(info_nce_of_scores(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item(), 4)
    0.3133
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        message = f"info_nce_of_scores needs a square matrix of scores, got shape {tuple(scores.shape)}"
        raise DataError(message)
    own = torch.arange(len(scores), device=scores.device)
    values = cross_entropy(scores, own, reduction="none")
    if symmetric:
        values = (values + cross_entropy(scores.T, own, reduction="none")) / 2
    return reduced(values, reduction)
