r"""Whether the classifier, fed with the explanation alone, does what it did: its class, and its place in the latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.explanations.judging.perturbation import Behaviour


def agreements(kept: Behaviour, whole: Behaviour) -> dict[str, NDArray[np.float64]]:
    """Return the measures of agreement that can be had, each of shape ``(n,)``, by name.

    Parameters
    ----------
    kept, whole
        What the classifier does with what is kept of n series, and with the whole of them.
    """
    same = kept.probabilities.argmax(1) == whole.probabilities.argmax(1)
    found = {"label_agreement_rate": same.astype(np.float64)}
    if kept.latents is not None and whole.latents is not None:
        found["latent_cosine_score"] = latent_cosines(kept.latents, whole.latents)
        found["latent_gram_loss"] = latent_gram_losses(kept.latents, whole.latents)
    return found


def latent_cosines(kept: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return the cosine of each latent and the other of its series, in [-1, 1], shape ``(n,)``.

    Parameters
    ----------
    kept, whole
        Shape ``(n, d)``; a row of zeros has cosine 0.

    Examples
    --------
    >>> latent_cosines([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]).tolist()
    [1.0, 0.0]
    """
    cosines: NDArray[np.float64] = np.clip((_unit(kept) * _unit(whole)).sum(1), -1, 1)
    return cosines


def latent_gram_losses(kept: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    r"""Return how much each series moves among all, shape ``(n,)``; their mean is the behaviour loss of TimeX.

    .. math:: \frac1n \sum_j \left(\cos(z_i, z_j) - \cos(z'_i, z'_j)\right)^2

    With unit rows :math:`u` and :math:`v` this is :math:`\frac1n (u_i^\top U u_i - 2\,u_i^\top C v_i + v_i^\top V v_i)`,
    where :math:`U, C, V` are the sums of :math:`u u^\top, u v^\top, v v^\top` over series, so the n x n cosines are
    never made.

    Parameters
    ----------
    kept, whole
        Shape ``(n, d)``.

    Examples
    --------
    >>> latent_gram_losses([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]).tolist()
    [0.5, 0.5]
    """
    u, v = _unit(whole), _unit(kept)
    losses = (_squares(u, u) - 2 * _squares(u, v) + _squares(v, v)) / len(u)
    return np.maximum(losses, 0)  # rounding


def _squares(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over j of ``(u_i . u_j) (v_i . v_j)``, shape ``(n,)``."""
    sums: NDArray[np.float64] = ((u @ (u.T @ v)) * v).sum(1)
    return sums


def _unit(latents: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(latents, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(norms > 0, norms, 1)
    return unit
