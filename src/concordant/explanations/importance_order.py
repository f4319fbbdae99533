"""What an attribution calls most important: the order of the numbers of each series, and masks of the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def importance_places(attribution: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Return the place of every number in the order of its series, 0 for the most important; equal ones at random.

    Parameters
    ----------
    attribution
        More is more important, shape ``(n, ...)``.
    seed
        Decides which of equal attributions come first.

    Examples
    --------
    >>> importance_places([[0.1, 0.9, 0.5, 0.4]]).tolist()
    [[3, 0, 1, 2]]
    """
    values = np.asarray(attribution, np.float64)
    flat = values.reshape(len(values), -1)
    numbers = np.broadcast_to(np.arange(flat.shape[1]), flat.shape)
    tie_break = np.random.default_rng(seed).permuted(numbers, axis=1)
    places = np.empty(flat.shape, np.int64)
    np.put_along_axis(places, np.lexsort((tie_break, -flat), axis=-1), numbers, axis=1)
    return places.reshape(values.shape)


def most_important(attribution: ArrayLike, share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Return a mask of the largest attributions of each series, the same number for all.

    Parameters
    ----------
    attribution
        Shape ``(n, ...)``.
    share
        Of the numbers of a series that are kept, in [0, 1], rounded to a whole number.
    seed
        Decides which of equal attributions are kept.

    Examples
    --------
    >>> most_important([[0.1, 0.9, 0.5, 0.4]], 0.5).tolist()
    [[False, True, True, False]]
    """
    places = importance_places(attribution, seed)
    mask: NDArray[np.bool_] = places < round(share * places[0].size)
    return mask


def shuffled_masks(masks: ArrayLike, seed: int) -> NDArray[np.float32]:
    """Return masks of the same sizes in places of no meaning: each series' mask in a random order.

    Parameters
    ----------
    masks
        Shape ``(n, ...)``.
    seed
        Decides the order.

    Examples
    --------
    >>> shuffled_masks([[1.0, 1.0, 0.0]], seed=0).sum()
    np.float32(2.0)
    """
    values = np.asarray(masks, np.float32)
    return np.random.default_rng(seed).permuted(values.reshape(len(values), -1), axis=1).reshape(values.shape)
