"""Random numbers that belong to an item: the same whatever other items stand beside it, and in which order.

A generator that is drawn from row by row gives an item other numbers as soon as one item is left out before
it. Here the numbers of an item are a function of its id, the seed and a counter, so that a run on the first
ten items rewrites them as the full run does.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def item_keys(ids: pl.Series, purpose: str, seed: int) -> NDArray[np.uint64]:
    """Return one 64-bit key an item, made of its id, what the numbers are for, and the seed.

    Parameters
    ----------
    ids
        Ids of the items, n texts.
    purpose
        What the numbers are for, so that two uses of one seed are independent.
    seed
        The user's seed.

    Examples
    --------
    >>> import polars as pl
    >>> one, two = item_keys(pl.Series(["a", "b"]), "typos", 0)
    >>> bool(one != two), bool(item_keys(pl.Series(["b"]), "typos", 0)[0] == two)
    (True, True)
    """
    start = hashlib.blake2b(f"{purpose}:{seed}:".encode(), digest_size=8)
    digests = []
    for name in ids.to_list():
        state = start.copy()
        state.update(name.encode())
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def uniforms(keys: NDArray[np.uint64], counts: ArrayLike) -> NDArray[np.float64]:
    """Return ``counts[i]`` numbers in [0, 1) for item i, one item after the other.

    The numbers are those of the generator SplitMix64 started at the item's key.

    Parameters
    ----------
    keys
        Shape ``(n,)``, from `item_keys`.
    counts
        Shape ``(n,)`` or one number: how many an item gets.

    Returns
    -------
    np.ndarray
        Shape ``(sum(counts),)``.

    References
    ----------
    G. L. Steele, D. Lea, C. H. Flood (2014), Fast splittable pseudorandom number generators, OOPSLA.

    Examples
    --------
    >>> uniforms(np.array([0], np.uint64), 2).round(4).tolist()
    [0.8833, 0.4315]
    """
    counts = np.broadcast_to(np.asarray(counts, dtype=np.int64), keys.shape)
    starts = np.cumsum(counts) - counts
    counter = np.arange(int(counts.sum())) - np.repeat(starts, counts)
    state = np.repeat(keys, counts) + (counter + 1).astype(np.uint64) * _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    drawn: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn


def normals(keys: NDArray[np.uint64], count: int) -> NDArray[np.float64]:
    """Return `count` standard normal numbers for each item, shape ``(n, count)``, by Box and Muller."""
    pairs = uniforms(keys, 2 * count).reshape(len(keys), count, 2)
    return np.sqrt(-2.0 * np.log1p(-pairs[..., 0])) * np.cos(2.0 * np.pi * pairs[..., 1])
