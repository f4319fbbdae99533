"""Which series or rows of a set stand for each class: typical ones, the least sure, and one that is misclassified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.series_set import SeriesSet

MOST = 12
MOST_OF_CLASS = 3


@dataclass(frozen=True, slots=True)
class Examples:
    """Some rows of a class.

    Attributes
    ----------
    label
        Number of the class: the true one, or the one that the classifier gives where that is not known.
    n
        Rows of the class.
    n_right
        How many of them the classifier gives the class; None where that is not known.
    rows, why
        The chosen rows, and what each stands for.
    """

    label: int
    n: int
    n_right: int | None
    rows: list[int]
    why: list[str]


def chosen_examples(data: SeriesSet, probabilities: NDArray[Any], *, most: int = MOST) -> list[Examples]:
    """Choose rows of each class, of the largest classes first.

    Typical are those that are right and nearest to the mean of all of the class that are right; the least sure is right
    with the lowest probability, and the misclassified one is wrong with the highest.

    Parameters
    ----------
    data
        The set.
    probabilities
        Of the classes, shape ``(n, classes)``.
    most
        How many rows in all, at most.

    Examples
    --------
    >>> from concordant.explanations import SeriesSet
    >>> data = SeriesSet("made", np.array([[[0.0]], [[1.0]], [[5.0]]]), ("a",), labels=np.array([0, 0, 0]))
    >>> (found,) = chosen_examples(data, np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    >>> found.rows, found.why, found.n_right
    ([0, 1, 2], ['typical', 'least sure', 'misclassified'], 2)
    """
    said = probabilities.argmax(1)
    known = data.labels is not None
    of_class = np.asarray(data.labels) if known else said
    labels, sizes = np.unique(of_class, return_counts=True)
    kept = np.sort(labels[np.argsort(-sizes, kind="stable")][:most])
    k = min(MOST_OF_CLASS, max(1, most // max(1, len(kept))))
    flat = np.asarray(data.x, np.float64).reshape(len(data.x), -1)
    spread = flat.std(0)
    flat = flat / np.where(spread > 0, spread, 1.0)
    groups = []
    for label in kept.tolist():
        members = np.flatnonzero(of_class == label)
        right, wrong = members[said[members] == label], members[said[members] != label]
        distance = np.linalg.norm(flat[right] - flat[right].mean(0), axis=1) if len(right) else np.zeros(0)
        typical = right[np.argsort(distance, kind="stable")]
        least = right[np.argsort(probabilities[right, label], kind="stable")]
        worst = wrong[np.argsort(-probabilities[wrong, said[wrong]], kind="stable")]
        rows, why = _filled(typical.tolist(), least.tolist(), worst.tolist(), k)
        groups.append(Examples(label, len(members), len(right) if known else None, rows, why))
    return groups


def _filled(typical: list[int], least: list[int], worst: list[int], k: int) -> tuple[list[int], list[str]]:
    """Take one of each sort, and then more typical ones, or misclassified ones where none is right."""
    chosen: dict[int, str] = {}
    wanted = [(typical[:1], "typical"), (worst[:1], "misclassified"), (least[:1], "least sure")]
    for rows, why in [*wanted, (typical, "typical"), (worst, "misclassified")]:
        for row in rows:
            if len(chosen) < k:
                chosen.setdefault(row, why)
    order = ("typical", "least sure", "misclassified")
    ranked = sorted(chosen.items(), key=lambda item: order.index(item[1]))
    return [row for row, _ in ranked], [why for _, why in ranked]
