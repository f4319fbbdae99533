r"""Histories of items: which of them were right after each step, and what became of them at the end.

With :math:`r_{it}` whether item i is right after step t of T, every item is in exactly one state:

=============  ============================================================
kept           right from the first step to the last
learnt         wrong at first, then right, and right ever since
regained       right at the end, and lost once or more on the way
forgotten      right after some earlier step, wrong at the end
never          never right
=============  ============================================================

The forgetting of a set s of items that were learnt at step :math:`t_s` is their accuracy right after it minus their
accuracy at the end, :math:`a_{s t_s} - a_{sT}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STATES = ("kept", "learnt", "regained", "forgotten", "never")
"""What can become of an item; the codes of :func:`item_states` are their positions."""


def item_states(right: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return what became of each item.

    Parameters
    ----------
    right
        Whether each item was right after each step, shape ``(n_items, n_steps)``, at least one step.

    Returns
    -------
    array of int, shape ``(n_items,)``
        Positions in `STATES`.

    Raises
    ------
    DataError
        If it is no table of true and false.

    Examples
    --------
    >>> right = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)
    >>> [STATES[code] for code in item_states(right)]
    ['kept', 'learnt', 'regained', 'forgotten', 'never']
    """
    right = _checked(right)
    now, ever, always = right[:, -1], right.any(axis=1), right.all(axis=1)
    fell = (right[:, :-1] & ~right[:, 1:]).any(axis=1)
    conditions = [always, now & ~fell, now, ever]
    return np.select(conditions, range(4), 4).astype(np.intp)


def n_changes(right: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how often each item changed between right and wrong from one step to the next, shape ``(n_items,)``.

    Parameters
    ----------
    right
        As for :func:`item_states`.

    Examples
    --------
    >>> n_changes(np.array([[True, False, True], [False, False, True]])).tolist()
    [2, 1]
    """
    right = _checked(right)
    changes: NDArray[np.intp] = (right[:, 1:] != right[:, :-1]).sum(axis=1)
    return changes


def retention_matrix(right: NDArray[np.bool_], sets: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the accuracy of each set of items after each step.

    Parameters
    ----------
    right
        As for :func:`item_states`.
    sets
        Which set each item belongs to, whole numbers from 0, shape ``(n_items,)``.

    Returns
    -------
    array, shape ``(n_sets, n_steps)``
        Accuracies, NaN for a set without items.

    Raises
    ------
    DataError
        If there are not as many sets as items.

    Examples
    --------
    >>> right = np.array([[1, 1], [1, 0], [0, 1]], dtype=bool)
    >>> retention_matrix(right, [0, 0, 1])
    array([[1. , 0.5],
           [0. , 1. ]])
    """
    right, sets = _checked(right), np.asarray(sets)
    if sets.shape != right.shape[:1] or sets.dtype.kind not in "iu" or (len(sets) and sets.min() < 0):
        message = (
            f"sets must be whole numbers from 0, one of the {len(right)} items each, "
            f"got an array of {sets.dtype} of shape {sets.shape}"
        )
        raise DataError(message)
    counts = np.bincount(sets)
    sums = np.stack([np.bincount(sets, weights=column) for column in right.T], axis=1)
    shares = np.full(sums.shape, np.nan)
    np.divide(sums, counts[:, None], out=shares, where=counts[:, None] > 0)
    return shares


def forgetting(matrix: NDArray[np.float64], learnt_at: Sequence[int] | None = None) -> NDArray[np.float64]:
    """Return by how much the accuracy of each set has fallen since it was learnt; below 0 where it rose.

    Parameters
    ----------
    matrix
        Accuracies of shape ``(n_sets, n_steps)``, from :func:`retention_matrix`.
    learnt_at
        The step after which each set had just been learnt, shape ``(n_sets,)``; by default set s at step s.

    Raises
    ------
    DataError
        If there is no such step.

    Examples
    --------
    >>> forgetting(np.array([[1.0, 0.5], [0.0, 0.75]])).tolist()
    [0.5, 0.0]
    """
    steps = np.arange(len(matrix)) if learnt_at is None else np.asarray(learnt_at)
    if steps.shape != (len(matrix),) or (
        len(steps) and not 0 <= steps.min() <= steps.max() < matrix.shape[1]
    ):
        message = (
            f"learnt_at must name one of the steps 0 to {matrix.shape[1] - 1} for each of {len(matrix)} sets, "
            f"got {steps.tolist()}"
        )
        raise DataError(message)
    fallen: NDArray[np.float64] = matrix[np.arange(len(matrix)), steps] - matrix[:, -1]
    return fallen


def _checked(right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    right = np.asarray(right)
    if right.ndim != 2 or right.shape[1] < 1 or right.dtype != bool:
        message = (
            f"histories are a table of true and false, an item a row and a step a column, "
            f"got an array of {right.dtype} of shape {right.shape}"
        )
        raise DataError(message)
    return right
