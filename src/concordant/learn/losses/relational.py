"""Relation preservation: two models agree when they place the rows of a batch in the same way relative to each other.

The idea: what is compared are not the outputs but the n x n relations among them, so the two models may have
outputs of different width. Relations are cosines of embeddings, or Jensen-Shannon divergences of predicted classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from concordant.core.errors import DataError
from concordant.learn.losses.reduction import Reduction, reduced

if TYPE_CHECKING:
    from torch import Tensor


def cosine_gram(embeddings: Tensor) -> Tensor:
    """Return the cosines of all pairs of rows.

    Parameters
    ----------
    embeddings
        Vectors, shape ``(n, d)``. A row of zeros has cosine 0 with all rows.

    Raises
    ------
    DataError
        If it is not a matrix.

    Examples
    --------
    >>> import torch
    >>> cosine_gram(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor([[1., 0.],
            [0., 1.]])
    """
    _matrix("cosine_gram", embeddings)
    unit = normalize(embeddings, dim=-1)
    return unit @ unit.T


def gram_loss(embeddings: Tensor, reference: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Return the squared difference of the cosines within one batch of embeddings and within another.

    .. math:: \frac1{n^2}\sum_{ij}\left(\cos(z_i, z_j) - \cos(r_i, r_j)\right)^2

    Parameters
    ----------
    embeddings, reference
        Vectors of the same n items, shapes ``(n, d)`` and ``(n, e)``.
    reduction
        ``"mean"`` over all pairs (each counted twice, and the diagonal, which is 0), ``"sum"``, or
        ``"none"`` for ``(n, n)``.

    Raises
    ------
    DataError
        If they are not matrices with equally many rows.

    References
    ----------
    Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.

    Examples
    --------
    >>> import torch
    >>> turned = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> gram_loss(torch.eye(2), turned).item()  # a rotation keeps all angles
    0.0
    """
    _same_rows("gram_loss", embeddings, reference)
    return reduced((cosine_gram(embeddings) - cosine_gram(reference)) ** 2, reduction)


def pairwise_jensen_shannon(probabilities: Tensor) -> Tensor:
    r"""Return the Jensen-Shannon divergence of all pairs of rows, from 0 to log 2, nats.

    .. math:: \mathrm{JS}(p, q) = H\left(\tfrac{p+q}2\right) - \tfrac12 H(p) - \tfrac12 H(q)

    Parameters
    ----------
    probabilities
        Distributions over classes, shape ``(n, classes)``; rows sum to one. Memory is ``n * n * classes`` numbers.

    Raises
    ------
    DataError
        If it is not a matrix.

    Examples
    --------
    >>> import torch
    >>> pairwise_jensen_shannon(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([[0.0000, 0.6931],
            [0.6931, 0.0000]])
    """
    _matrix("pairwise_jensen_shannon", probabilities)
    # The slope of the entropy at 0 is infinite; below the smallest normal number nothing is left to learn.
    p = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny)
    entropies = torch.special.entr(p).sum(-1)
    mixtures = torch.special.entr((p[:, None] + p[None, :]) / 2).sum(-1)
    divergences: Tensor = mixtures - (entropies[:, None] + entropies[None, :]) / 2
    return divergences.clamp(min=0)


def pairwise_jensen_shannon_loss(
    probabilities: Tensor, reference: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Return the squared difference of the divergences within one batch of predictions and within another.

    .. math:: \frac1{n^2}\sum_{ij}\left(\mathrm{JS}(p_i, p_j) - \mathrm{JS}(r_i, r_j)\right)^2

    Parameters
    ----------
    probabilities, reference
        Distributions for the same n items, shapes ``(n, classes)`` and ``(n, other classes)``.
    reduction
        As for :func:`gram_loss`. The unit is nats squared.

    Raises
    ------
    DataError
        If they are not matrices with equally many rows.

    References
    ----------
    Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> pairwise_jensen_shannon_loss(p, p.flip(-1)).item()  # renaming the classes changes no relation
    0.0
    """
    _same_rows("pairwise_jensen_shannon_loss", probabilities, reference)
    difference = pairwise_jensen_shannon(probabilities) - pairwise_jensen_shannon(reference)
    return reduced(difference**2, reduction)


def _matrix(caller: str, tensor: Tensor) -> None:
    if tensor.ndim != 2:
        message = f"{caller} needs a matrix with one row an item, got shape {tuple(tensor.shape)}"
        raise DataError(message)


def _same_rows(caller: str, first: Tensor, second: Tensor) -> None:
    _matrix(caller, first)
    _matrix(caller, second)
    if len(first) != len(second):
        message = f"{caller} needs the same items on both sides, got {len(first)} and {len(second)} rows"
        raise DataError(message)
