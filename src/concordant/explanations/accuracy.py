"""How often a classifier is right, and what must be known of it before its explanations are believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.statistics import Estimate, wilson_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.series_set import SeriesSet

WEAK_BELOW = 0.8
"""Share of right classes below which a classifier is called weak."""


def accuracy(probabilities: NDArray[Any], labels: NDArray[Any]) -> Estimate:
    """Return the share of rows whose most probable class is the true one, with Wilson's 95 % interval.

    Parameters
    ----------
    probabilities
        Shape ``(n, classes)``.
    labels
        Numbers of the true classes, shape ``(n,)``.

    Examples
    --------
    >>> found = accuracy(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    >>> found.value, found.n
    (0.5, 2)
    """
    return wilson_estimate(float((probabilities.argmax(1) == labels).mean()), n=len(labels))


def accuracy_text(found: Estimate) -> str:
    """Return an accuracy with its interval, in words.

    Examples
    --------
    >>> accuracy_text(wilson_estimate(0.9, n=100))
    '90.0% (95% interval 82.6% to 94.5%, n = 100)'
    """
    return f"{found.value:.1%} (95% interval {found.low:.1%} to {found.high:.1%}, n = {found.n:,})"


def accuracy_warnings(
    model: str, data: SeriesSet, probabilities: NDArray[Any], *, weak_below: float = WEAK_BELOW
) -> list[str]:
    """Return what a reader must know of a classifier, a sentence each; nothing of one that is good.

    Parameters
    ----------
    model
        What it is called.
    data, probabilities
        Series, and what it says of them, shape ``(n, classes)``.
    weak_below
        A share of right classes in [0, 1].
    """
    if data.labels is None:
        return [f"{data.name} has no labels, so that how often {model} is right is not known"]
    found = accuracy(probabilities, data.labels)
    commonest = float(np.bincount(data.labels).max() / len(data.labels))
    said = f"{model} is right on {accuracy_text(found)}"
    little = "explanations of a poor classifier mean little"
    if found.value <= commonest:
        return [f"{said}, and who always says the commonest class is on {commonest:.1%}: {little}"]
    if found.value < weak_below:
        return [f"{said}, below {weak_below:.0%}: {little}"]
    if found.low <= commonest:
        return [
            f"{said}, which may be no more than the {commonest:.1%} of who always says the commonest class: more rows tell"
        ]
    return []
