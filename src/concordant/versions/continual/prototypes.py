r"""Prototypes: a class is the mean of what was seen of it, and an input belongs to the nearest mean.

.. math:: c_y = \frac{1}{n_y}\sum_{i: y_i = y} f(x_i), \qquad \hat y(x) = \arg\min_y \lVert f(x) - c_y \rVert

The body f is not trained, so nothing that was learnt is ever overwritten, and the order of the sets does not matter.

References
----------
J. Snell et al. (2017), Prototypical networks for few-shot learning, NeurIPS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError, ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Prototypes:
    """Means of classes that grow with what is shown.

    Examples
    --------
    >>> seen = Prototypes()
    >>> seen.add([[0.0, 0.0], [2.0, 0.0]], [0, 0])
    >>> seen.add([[0.0, 5.0]], [3])
    >>> seen.predict([[1.0, 1.0], [0.0, 4.0]]).tolist()
    [0, 3]
    """

    def __init__(self) -> None:
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._counts: dict[int, int] = {}

    def add(self, embeddings: ArrayLike, labels: ArrayLike) -> None:
        """Take in a support set.

        Parameters
        ----------
        embeddings
            What the body makes of the inputs, shape ``(n, width)``.
        labels
            Whole numbers, shape ``(n,)``.

        Raises
        ------
        DataError
            If the shapes do not fit one another or what was taken in before.
        """
        embeddings, labels = np.asarray(embeddings, dtype=np.float64), np.asarray(labels)
        known = next(iter(self._sums.values())).shape if self._sums else embeddings.shape[1:]
        if embeddings.ndim != 2 or embeddings.shape != (*labels.shape, *known):
            message = (
                f"prototypes need embeddings (n, width) of one width and labels (n,), "
                f"got {embeddings.shape} and {labels.shape}"
            )
            raise DataError(message)
        for label in np.unique(labels).tolist():
            of_label = embeddings[labels == label]
            self._sums[label] = self._sums.get(label, 0.0) + of_label.sum(axis=0)
            self._counts[label] = self._counts.get(label, 0) + len(of_label)

    def predict(self, embeddings: ArrayLike) -> NDArray[np.intp]:
        """Return the label of the nearest mean of each row; of several at one distance the lowest.

        Parameters
        ----------
        embeddings
            Shape ``(n, width)``.

        Raises
        ------
        ModelError
            If nothing was taken in.
        """
        if not self._sums:
            message = "prototypes can predict after a support set was added, and none was"
            raise ModelError(message)
        labels = sorted(self._sums)
        means = np.stack([self._sums[label] / self._counts[label] for label in labels])
        embeddings = np.asarray(embeddings, dtype=np.float64)
        distances = (means**2).sum(axis=1) - 2.0 * embeddings @ means.T  # but for a constant of each row
        nearest: NDArray[np.intp] = np.array(labels, dtype=np.intp)[distances.argmin(axis=1)]
        return nearest
