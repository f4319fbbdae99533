"""What a classifier says of series of which a part is replaced: the one question that explainers of any classifier ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import DataError
from concordant.core.progress import progress_bars
from concordant.explanations.classifiers import checked_series

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.explanations.classifiers import Classifier

BATCH = 8192
"""Series a call of the classifier."""


def replaced_probabilities(
    classifier: Classifier,
    x: NDArray[Any],
    kept: NDArray[np.bool_],
    stand_ins: NDArray[Any],
    classes: NDArray[np.int64],
    *,
    batch_size: int = BATCH,
    progress: bool = False,
) -> NDArray[np.float64]:
    r"""Return the probability of a class when only a part of a series is kept, mean over what may stand in for the rest.

    .. math:: v_{im} = \mathrm{mean}_b\; p_{c_i}\left(k_m \odot x_i + (1 - k_m) \odot b\right)

    Parameters
    ----------
    classifier
        See :class:`concordant.explanations.Classifier`.
    x
        Series, shape ``(n, time, channel)``.
    kept
        What is kept, in turn, shape ``(m, time, channel)``.
    stand_ins
        What may stand in, shape ``(b, time, channel)``, the same for all series.
    classes
        Whose probability, shape ``(n,)``.
    batch_size
        Series a call of the classifier; all n * m * b are gone through.
    progress
        Whether to draw a bar on a terminal.

    Returns
    -------
    array of shape ``(n, m)``

    Examples
    --------
    >>> from concordant.explanations.classifiers import as_classifier
    >>> likes_ones = as_classifier(lambda x: np.stack([x.mean((1, 2)), 1 - x.mean((1, 2))], 1))
    >>> x, zeros = np.ones((1, 2, 1)), np.zeros((1, 2, 1))
    >>> kept = np.array([[True, True], [True, False], [False, False]])[..., None]
    >>> replaced_probabilities(likes_ones, x, kept, zeros, np.array([0])).tolist()
    [[1.0, 0.5, 0.0]]
    """
    shape = (len(x), len(kept), len(stand_ins))
    total = int(np.prod(shape))
    found = np.empty(total)
    with progress_bars() as tell:
        for start in range(0, total, batch_size):
            cut = slice(start, min(start + batch_size, total))
            row, mask, stand_in = np.unravel_index(np.arange(cut.start, cut.stop), shape)
            given = np.where(kept[mask], x[row], stand_ins[stand_in])
            found[cut] = classifier.probabilities(given)[np.arange(len(row)), classes[row]]
            if progress:
                tell("replacing", cut.stop, total)
    mean: NDArray[np.float64] = found.reshape(shape).mean(-1)
    return mean


def checked_training(training: ArrayLike, x: NDArray[Any]) -> NDArray[Any]:
    """Return training series as an array, or refuse those that have not the steps and channels of `x`.

    Raises
    ------
    DataError
        If they cannot be used.
    """
    known = checked_series(training, "training")
    if known.shape[1:] != x.shape[1:]:
        message = f"training must have the (time, channel) {x.shape[1:]} of the series, got {known.shape[1:]}"
        raise DataError(message)
    return known
