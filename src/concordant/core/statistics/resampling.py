"""Resamples of the rows of arrays: the values of a statistic on them, and on all rows but some."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from concordant.core.statistics.clusters import ClusterPartition
    from concordant.core.statistics.validation import Floats

_BLOCK = 2**19  # numbers drawn at a time: 4 MB, so that the memory is bounded and a block stays in the cache
_JACKKNIFE_GROUPS = 256


class Evaluator:
    """A statistic, called once a resample or, if it takes `axis`, once a block of resamples."""

    def __init__(self, statistic: Callable[..., Any]) -> None:
        self._statistic = statistic
        try:
            self._takes_axis = "axis" in inspect.signature(statistic).parameters
        except (TypeError, ValueError):
            self._takes_axis = False

    def once(self, samples: list[NDArray[Any]]) -> float:
        """Evaluate on the rows themselves."""
        return float(self._statistic(*samples, axis=-1) if self._takes_axis else self._statistic(*samples))

    def many(self, samples: list[NDArray[Any]], indices: list[NDArray[np.intp]]) -> Floats:
        """Evaluate on rows `indices`, each of shape (resamples, rows); one set serves all paired arrays."""
        indices = indices * len(samples) if len(indices) == 1 else indices
        if self._takes_axis:
            drawn = [sample[index] for sample, index in zip(samples, indices, strict=True)]
            return np.asarray(self._statistic(*drawn, axis=-1), dtype=np.float64)
        rows = zip(*indices, strict=True)
        drawn_rows = ([s[i] for s, i in zip(samples, row, strict=True)] for row in rows)
        return np.array([float(self._statistic(*drawn)) for drawn in drawn_rows])

    def resampled(
        self, samples: list[NDArray[Any]], sizes: list[int], n_replicates: int, rng: np.random.Generator
    ) -> Floats:
        """Evaluate on resamples of rows; one size serves all paired arrays, or each array has its own."""
        blocks = [
            self.many(samples, [rng.integers(0, size, (count, size)) for size in sizes])
            for count in blocks_of(n_replicates, sum(sizes))
        ]
        return np.concatenate(blocks)


def clustered_replicates(
    evaluate: Evaluator,
    samples: list[NDArray[Any]],
    members: list[NDArray[np.intp]],
    n_replicates: int,
    rng: np.random.Generator,
) -> Floats:
    """Evaluate on resamples of clusters, each given by the row numbers of its members."""
    groups = len(members)
    rows = sum(len(member) for member in members)
    if len({len(member) for member in members}) == 1:
        table = np.stack(members)
        blocks = []
        for count in blocks_of(n_replicates, rows):
            drawn = table[rng.integers(0, groups, (count, groups))].reshape(count, rows)
            blocks.append(evaluate.many(samples, [drawn]))
        return np.concatenate(blocks)
    replicates = np.empty(n_replicates)
    for at in range(n_replicates):
        drawn = np.concatenate([members[c] for c in rng.integers(0, groups, groups)])
        replicates[at] = evaluate.once([sample[drawn] for sample in samples])
    return replicates


def jackknife(
    evaluate: Evaluator, samples: list[NDArray[Any]], units: list[list[NDArray[np.intp]]], *, paired: bool
) -> Floats:
    """Return the influence of every unit (row, group or cluster), of all samples one after the other."""
    influences = []
    for at, groups in enumerate(units):
        left_out = np.empty(len(groups))
        for which, group in enumerate(groups):
            rest = [
                np.delete(sample, group, axis=0) if paired or at == k else sample
                for k, sample in enumerate(samples)
            ]
            left_out[which] = evaluate.once(rest) if len(rest[at]) else math.nan
        if len(groups) > 1:
            # The weight 1 / n of each sample makes the influences of samples of different sizes comparable.
            influences.append((left_out.mean() - left_out) * (len(groups) - 1) / len(groups))
    return np.concatenate(influences)


def jackknife_groups(n: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return the rows that a jackknife leaves out together: each by itself, or random groups of many rows."""
    if n <= _JACKKNIFE_GROUPS:
        return [np.array([row]) for row in range(n)]
    return np.array_split(rng.permutation(n), _JACKKNIFE_GROUPS)


def members_of(parts: ClusterPartition) -> list[NDArray[np.intp]]:
    """Return the row numbers of each cluster."""
    order = np.argsort(parts.codes, kind="stable")
    return np.split(order, np.cumsum(parts.sizes)[:-1])


def blocks_of(n_replicates: int, width: int) -> list[int]:
    """Split a number of replicates of `width` numbers each into blocks of bounded size."""
    block = max(1, _BLOCK // width)
    full, rest = divmod(n_replicates, block)
    return [block] * full + ([rest] if rest else [])
