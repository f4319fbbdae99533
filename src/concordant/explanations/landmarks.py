"""Landmarks: vectors in the classifier's latent space that stand for kinds of explanations, each with its examples.

They start at latents of training rows of all classes, and each masked row is handed to the landmark nearest by
cosine, drawn a little at random while training; a landmark moves so that its rows keep their relations. Afterwards
those that few rows are nearest to are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from concordant.core.errors import DataError
from concordant.learn.networks.masks import straight_through_one_hot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.series_model import Series

TEMPERATURE = 0.1
FEWEST_ROWS = 6
N_EXAMPLES = 5


@dataclass(frozen=True)
class Landmarks:
    """The landmarks that are in use, the one with the most rows first.

    Attributes
    ----------
    vectors
        In the latent space, shape ``(k, d)``.
    n_rows
        How many training rows each is the nearest of, shape ``(k,)``.
    examples
        Numbers of the training rows whose masked latents are nearest to each, the nearest first, shape ``(k, 5)``, or
        fewer columns where there are fewer rows.
    cosines
        Of those rows and the landmark, shape of `examples`.
    """

    vectors: NDArray[np.float32]
    n_rows: NDArray[np.int64]
    examples: NDArray[np.int64]
    cosines: NDArray[np.float32]

    def nearest(self, latent: Series) -> NDArray[np.int64]:
        """Return the number of the landmark that is nearest by cosine to each latent, shape ``(n,)``.

        Parameters
        ----------
        latent
            Of masked series, shape ``(n, d)``, as ``TimeX.surrogate(x).latent`` is.

        Raises
        ------
        DataError
            If the latents have another width, or no landmark is in use.

        Examples
        --------
        >>> import numpy as np
        >>> found = Landmarks(np.eye(2), np.array([9, 6]), np.zeros((2, 0), int), np.zeros((2, 0)))
        >>> found.nearest(np.array([[0.1, 2.0], [3.0, 1.0]])).tolist()
        [1, 0]
        """
        given = np.asarray(latent.detach().cpu() if isinstance(latent, Tensor) else latent)
        if given.ndim != 2 or not len(self.vectors) or given.shape[1] != self.vectors.shape[1]:
            message = (
                f"latents must have shape (n, {self.vectors.shape[1]}) for the {len(self.vectors)} landmarks in use "
                f"(at least one), got {given.shape}"
            )
            raise DataError(message)
        lengths = np.linalg.norm(self.vectors, axis=1)
        nearest: NDArray[np.int64] = (given @ (self.vectors / np.maximum(lengths, 1e-12)[:, None]).T).argmax(
            1
        )
        return nearest


def stratified_rows(classes: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return n numbers of rows, as evenly over the classes as there are rows, at most all of them.

    Parameters
    ----------
    classes
        Shape ``(rows,)``.
    n
        How many.
    generator
        Decides which rows of a class.

    Examples
    --------
    >>> import torch
    >>> classes = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> classes[stratified_rows(classes, 4, torch.Generator().manual_seed(0))].tolist()
    [0, 1, 0, 1]
    """
    order = torch.randperm(len(classes), generator=generator)
    shuffled = classes.cpu()[order]
    # The rank of a row within its class: the first of every class come first, then the second of every class.
    by_class = shuffled.argsort(stable=True)
    ranks = torch.cat([torch.arange(size) for size in shuffled.bincount().tolist()])
    return order[by_class[ranks.argsort(stable=True)]][:n]


def nearest_landmark(latent: Tensor, landmarks: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return for each latent the landmark it is handed to, shape ``(n, d)``, with a slope for the landmarks alone.

    Parameters
    ----------
    latent
        Of masked series, shape ``(n, d)``; no gradient runs into it.
    landmarks
        Shape ``(k, d)``.
    generator
        Source of the draw; None for the nearest.
    """
    cosines = normalize(latent.detach(), dim=-1) @ normalize(landmarks, dim=-1).T
    chosen = straight_through_one_hot(cosines.log_softmax(-1), generator=generator, temperature=TEMPERATURE)
    return chosen @ landmarks


def found_landmarks(landmarks: Tensor, latent: Tensor) -> Landmarks:
    """Return the landmarks that at least 6 rows are nearest to.

    Parameters
    ----------
    landmarks
        Shape ``(k, d)``.
    latent
        Of the masked training series, shape ``(n, d)``.

    Examples
    --------
    >>> import torch
    >>> latent = torch.tensor([[1.0, 0.1 * i] for i in range(7)])
    >>> found = found_landmarks(torch.eye(2), latent)
    >>> found.n_rows.tolist(), found.examples.tolist()
    ([7], [[0, 1, 2, 3, 4]])
    """
    cosines = normalize(landmarks, dim=-1) @ normalize(latent, dim=-1).T
    n_rows = cosines.argmax(0).bincount(minlength=len(landmarks))
    used = (n_rows >= FEWEST_ROWS).nonzero()[:, 0]
    used = used[n_rows[used].argsort(descending=True, stable=True)]
    nearest = cosines[used].sort(dim=-1, descending=True, stable=True)
    return Landmarks(
        landmarks[used].numpy(force=True),
        n_rows[used].numpy(force=True),
        nearest.indices[:, :N_EXAMPLES].numpy(force=True),
        nearest.values[:, :N_EXAMPLES].numpy(force=True),
    )
