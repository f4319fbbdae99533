"""Corrupted images: what part of an image, and how clean, a learner needs to know it again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def occluded(
    images: NDArray[np.floating], share: float, rng: np.random.Generator, *, fill: float = 0.0
) -> NDArray[np.floating]:
    """Return images with a square put over each, at a place of its own.

    Parameters
    ----------
    images
        Shape ``(n, height, width)`` or ``(n, height, width, channels)``; they are left as they are.
    share
        Of the area that the square covers, in [0, 1]; its side is the whole number of pixels that comes nearest, and no
        longer than the image.
    rng
        Decides the places.
    fill
        Value of the square.

    Raises
    ------
    ConfigError
        If the share is not in [0, 1].
    DataError
        If they are no images.

    Examples
    --------
    >>> covered = occluded(np.ones((2, 8, 8)), 0.25, np.random.default_rng(0))
    >>> (covered == 0).sum(axis=(1, 2)).tolist()
    [16, 16]
    """
    _check(images, share)
    n, height, width = images.shape[:3]
    side = min(round(math.sqrt(share * height * width)), height, width)
    top, left = rng.integers(height - side + 1, size=n), rng.integers(width - side + 1, size=n)
    down, across = np.arange(height), np.arange(width)
    inside_down = (down >= top[:, None]) & (down < top[:, None] + side)
    inside_across = (across >= left[:, None]) & (across < left[:, None] + side)
    mask = inside_down[:, :, None] & inside_across[:, None, :]
    return _replaced(images, mask, fill)


def noisy(
    images: NDArray[np.floating],
    share: float,
    rng: np.random.Generator,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> NDArray[np.floating]:
    """Return images in which random pixels have random values.

    Parameters
    ----------
    images
        As for :func:`occluded`.
    share
        Of the pixels that are replaced, in [0, 1]; exactly so many of each image, rounded.
    rng
        Decides which, and their values.
    low, high
        The values are uniform between them; all channels of a pixel are replaced.

    Raises
    ------
    ConfigError
        If the share is not in [0, 1], or `low` is above `high`.
    DataError
        If they are no images.

    Examples
    --------
    >>> disturbed = noisy(np.full((2, 8, 8), -1.0), 0.25, np.random.default_rng(0))
    >>> (disturbed != -1).sum(axis=(1, 2)).tolist(), bool((disturbed <= 1).all())
    ([16, 16], True)
    """
    _check(images, share)
    if low > high:
        message = f"noise needs low <= high, got {low} and {high}"
        raise ConfigError(message)
    n, height, width = images.shape[:3]
    rank = rng.random((n, height * width)).argsort(axis=1).argsort(axis=1)
    mask = (rank < round(share * height * width)).reshape(n, height, width)
    return _replaced(images, mask, rng.uniform(low, high, size=images.shape))


def _replaced(
    images: NDArray[np.floating], mask: NDArray[np.bool_], values: float | NDArray[np.float64]
) -> NDArray[np.floating]:
    mask = mask[..., None] if images.ndim == 4 else mask
    return np.where(mask, values, images).astype(images.dtype)


def _check(images: NDArray[np.floating], share: float) -> None:
    if images.ndim not in (3, 4) or images.dtype.kind != "f":
        message = (
            f"images must be real numbers of shape (n, height, width) or (n, height, width, channels), "
            f"got {images.dtype} of shape {images.shape}"
        )
        raise DataError(message)
    if not 0.0 <= share <= 1.0:
        message = f"the share of an image that is corrupted must be from 0 to 1, got {share}"
        raise ConfigError(message)
