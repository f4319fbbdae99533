"""Which rows belong together: the partition that standard errors, degrees of freedom and resampling share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.core.statistics.validation import Floats


@dataclass(frozen=True, slots=True, eq=False)
class ClusterPartition:
    """A partition of n rows into clusters.

    Parameters
    ----------
    codes
        Shape (n,): the cluster of each row, in 0 .. n_clusters - 1.
    sizes
        Shape (n_clusters,): rows in each cluster, all at least 1.
    """

    codes: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.sizes.size)

    @property
    def is_trivial(self) -> bool:
        """Whether every cluster has one row, so that clustering changes nothing."""
        return self.sizes.size == self.codes.size

    def sums(self, values: Floats) -> Floats:
        """Return the sum of `values`, shape (n,), in each cluster, shape (n_clusters,)."""
        sums: Floats = np.bincount(self.codes, weights=values).astype(np.float64, copy=False)
        return sums


def partition(labels: ArrayLike | ClusterPartition, n: int) -> ClusterPartition:
    """Partition `n` rows by their cluster labels.

    Parameters
    ----------
    labels
        Shape (n,): integers, texts or other hashable labels; or a partition, which is returned as it is.
    n
        How many rows there are.

    Raises
    ------
    DataError
        If there are not `n` labels, or some are missing.

    Examples
    --------
    >>> parts = partition(["a", "b", "a"], 3)
    >>> parts.n_clusters, parts.sizes.tolist()
    (2, [2, 1])
    """
    if isinstance(labels, ClusterPartition):
        found = labels
    else:
        array = np.asarray(labels)
        if array.ndim != 1:
            message = f"clusters must have one dimension, got shape {array.shape}"
            raise DataError(message)
        found = _partition(array)
    if found.codes.size != n:
        message = f"clusters must have one label for each of the {n} rows, got {found.codes.size}"
        raise DataError(message)
    return found


def partition_of(labels: ArrayLike | ClusterPartition | None, n: int) -> ClusterPartition | None:
    """Partition `n` rows by their labels, as `partition` does; None where every row stands for itself."""
    found = None if labels is None else partition(labels, n)
    return None if found is None or found.is_trivial else found


def _partition(labels: NDArray[Any]) -> ClusterPartition:
    if labels.dtype.kind in "iu" and labels.size:
        shifted = labels - labels.min()
        if shifted.max() < 4 * labels.size + 64:  # narrow integers need no sorting
            counts = np.bincount(shifted)
            if counts.all():
                return ClusterPartition(shifted.astype(np.intp, copy=False), counts)
            used = counts > 0
            return ClusterPartition((np.cumsum(used) - 1)[shifted], counts[used])
    if labels.dtype.kind == "O":
        missing = sum(label is None or label != label for label in labels)
        known: dict[Any, int] = {}
        codes = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.intp, labels.size)
    else:
        missing = int((labels != labels).sum())
        _, codes = np.unique(labels, return_inverse=True)
    if missing:
        message = f"clusters must have a label for every row, but {missing} of {labels.size} are missing"
        raise DataError(message)
    return ClusterPartition(codes.astype(np.intp, copy=False), np.bincount(codes))
