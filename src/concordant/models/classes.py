"""Class probabilities: made of logits, and the label that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows that sum to 1, shape ``(n, n_classes)``.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3)]])).round(4).tolist()
    [[0.5, 0.5], [0.25, 0.75]]
    """
    odds: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


def most_probable(probabilities: NDArray[Any], classes: Sequence[Any] | None) -> NDArray[Any]:
    """Return the label of the greatest probability in each row, or its position where classes are not named.

    Examples
    --------
    >>> most_probable(np.array([[0.2, 0.8], [0.6, np.nan]]), ["no", "yes"]).tolist()
    ['yes', 'no']
    """
    best: NDArray[Any] = np.nan_to_num(probabilities, nan=-np.inf).argmax(axis=1)
    return best if classes is None else np.asarray(classes)[best]
