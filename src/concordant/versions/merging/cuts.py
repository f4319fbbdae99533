"""The largest entries of what comes piece by piece: a threshold, and how many of those that equal it are in.

For one tensor the threshold is a selection. For a layer or a model that is larger than memory it is found in two
readings: counts of the upper bits of all absolute values, then of the lower bits where the rank lies. The bits of
non-negative floats are in the order of the floats, so that this is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

LOW_BITS = 15
N_UPPER = 1 << (32 - LOW_BITS - 1)
PIECE = 1 << 18
"""Entries that are worked on at once: they stay in the cache of the processor."""


@dataclass(slots=True)
class Largest:
    """The largest entries by absolute value; of equal ones those that come first.

    Parameters
    ----------
    threshold
        The smallest absolute value among them.
    n_equal
        How many entries that equal the threshold are still to come in; None for all of them.
    """

    threshold: float
    n_equal: int | None = None

    def mask(self, sizes: Tensor) -> Tensor:
        """Return true at those among the next absolute values, and count down."""
        if self.n_equal is None:
            return sizes >= self.threshold
        mask = sizes > self.threshold
        if self.n_equal:
            equal = (sizes == self.threshold).nonzero()[: self.n_equal, 0]
            mask[equal] = True
            self.n_equal -= len(equal)
        return mask


@dataclass(slots=True)
class Band:
    """The largest entries without the very largest.

    Parameters
    ----------
    upper
        The largest entries that survive, and those above them.
    removed
        The very largest, that do not; None where there are none.
    """

    upper: Largest | None
    removed: Largest | None = None

    def mask(self, sizes: Tensor) -> Tensor | None:
        """Return true at those among the next absolute values; None for all."""
        kept = None if self.upper is None else self.upper.mask(sizes)
        if self.removed is None:
            return kept
        removed = self.removed.mask(sizes)
        return ~removed if kept is None else kept & ~removed


def tensor_band(sizes: NDArray[np.float32], ranks: tuple[int, int]) -> Band:
    """Return the band of one tensor.

    Parameters
    ----------
    sizes
        Absolute values, flat; their order is lost.
    ranks
        From and to (without), the largest first.
    """
    first, end = ranks
    upper = _selected(sizes, end)
    return Band(upper, _selected(sizes[max(0, len(sizes) - end) :], first) if first else None)


def _selected(sizes: NDArray[np.float32], k: int) -> Largest | None:
    n = len(sizes)
    if k >= n:
        return None
    sizes.partition(n - k)
    threshold = sizes[n - k]
    inside = int(np.count_nonzero(sizes[n - k :] == threshold))
    return Largest(float(threshold), inside if (sizes[: n - k] == threshold).any() else None)


def group_bands(
    n_entries: int, ranks: Sequence[tuple[int, int]], pieces: Callable[[], Iterable[Sequence[Tensor]]]
) -> list[Band]:
    """Return the bands of each parent over tensors that are read twice.

    Parameters
    ----------
    n_entries
        Of the group of tensors.
    ranks
        For each parent: from and to (without), the largest first.
    pieces
        Starts a reading: the absolute values in float32, piece by piece, for each parent.
    """
    wanted = [[k for k in (end, first) if 0 < k < n_entries] for first, end in ranks]
    counts = [np.zeros(N_UPPER, np.int64) for _ in ranks]
    for piece in pieces():
        for count, sizes in zip(counts, piece, strict=True):
            count += np.bincount(_bits(sizes) >> LOW_BITS, minlength=N_UPPER)
    bins = [[_rank(count, k) for k in ks] for count, ks in zip(counts, wanted, strict=True)]
    fine = [[np.zeros(1 << LOW_BITS, np.int64) for _ in ks] for ks in wanted]
    for piece in pieces():
        for sizes, found, into in zip(piece, bins, fine, strict=True):
            bits = _bits(sizes)
            for (place, _), count in zip(found, into, strict=True):
                inside = bits[bits >> LOW_BITS == place] & ((1 << LOW_BITS) - 1)
                count += np.bincount(inside, minlength=1 << LOW_BITS)
    bands = []
    for (first, end), ks, found, into in zip(ranks, wanted, bins, fine, strict=True):
        cuts = {k: _cut(place, left, count) for k, (place, left), count in zip(ks, found, into, strict=True)}
        bands.append(Band(cuts.get(end), cuts.get(first)))
    return bands


def _bits(sizes: Tensor) -> NDArray[np.int32]:
    return sizes.contiguous().view(torch.int32).numpy()


def _rank(count: NDArray[np.int64], k: int) -> tuple[int, int]:
    """Return the bin of the k-th largest entry, and which one it is within the bin, from 1."""
    above = count[::-1].cumsum()
    place = int(np.searchsorted(above, k))
    return len(count) - 1 - place, k - (int(above[place - 1]) if place else 0)


def _cut(upper: int, k: int, count: NDArray[np.int64]) -> Largest:
    lower, inside = _rank(count, k)
    bits = np.array([(upper << LOW_BITS) | lower], np.int32)
    n_equal = None if inside == count[lower] else inside
    return Largest(float(bits.view(np.float32)[0]), n_equal)
