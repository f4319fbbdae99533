r"""Sufficiency and comprehensiveness: what the class loses when the most important numbers are all there is, or are gone.

For the class c that a classifier gives the whole series,

.. math:: \mathrm{sufficiency}(s) = p_c(x) - p_c(x_{\text{top } s}), \qquad
    \mathrm{comprehensiveness}(s) = p_c(x) - p_c(x_{\text{without top } s})

with other numbers in place of what is absent, the same draws for all explainers. The area of a curve is its mean over
the range of shares, by trapezoids.

J. DeYoung, S. Jain, N. F. Rajani, E. Lehman, C. Xiong, R. Socher, B. C. Wallace (2020), ERASER: a benchmark to evaluate
rationalized NLP models, ACL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.explanations.importance_order import importance_places
from concordant.explanations.judging.agreement import agreements
from concordant.explanations.judging.perturbation import behaviour, kept_and_removed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.judging.perturbation import Behaviour, StandIns


@dataclass(frozen=True)
class Faithfulness:
    """What a classifier does with parts of n series that one explanation chose, mean over draws.

    Attributes
    ----------
    sufficiency, comprehensiveness
        What the class loses, shape ``(shares, n)``.
    agreement
        Label and latent agreement at the main share, each of shape ``(n,)``, by measure.
    """

    sufficiency: NDArray[np.float64]
    comprehensiveness: NDArray[np.float64]
    agreement: dict[str, NDArray[np.float64]]


def n_first(share: float, size: int) -> int:
    """Return how many of the numbers of a series a share is: a whole number, at least one and never all.

    Examples
    --------
    >>> n_first(0.2, 50), n_first(0.1, 4), n_first(0.9, 2)
    (10, 1, 1)
    """
    return min(max(1, round(share * size)), size - 1)


def faithfulness(
    classifier: Classifier,
    x: NDArray[Any],
    whole: Behaviour,
    attributions: Mapping[str, NDArray[Any]],
    *,
    shares: Sequence[float],
    main_share: float,
    stand_ins: StandIns,
    draws: int,
    seed: int,
    tell: Callable[[int, int], None],
) -> dict[str, Faithfulness]:
    """Keep and remove the most important numbers of every explanation, share by share.

    Parameters
    ----------
    classifier, x, whole
        What is explained, series of shape ``(n, time, channel)``, and what it does with them.
    attributions
        By explainer, shape of `x`.
    shares
        Of the numbers of a series, each in (0, 1); `main_share` is one of them.
    stand_ins, draws
        What stands in, and how many draws are averaged.
    seed
        Decides the draws, and the order of equal attributions.
    tell
        Is told how many passes are done, and of how many.
    """
    n, rows = len(x), np.arange(len(x))
    classes = whole.probabilities.argmax(1)
    before = whole.probabilities[rows, classes]
    places = {name: importance_places(values, seed) for name, values in attributions.items()}
    lost = {name: np.zeros((2, len(shares), n)) for name in attributions}
    agreed: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in attributions}
    generator = np.random.default_rng([seed, 1])
    total, done = draws * len(attributions) * len(shares), 0
    for _ in range(draws):
        stand_in = stand_ins.draw(n, generator)
        for name, order in places.items():
            for i, share in enumerate(shares):
                first = order < n_first(share, x[0].size)
                kept, removed = kept_and_removed(classifier, x, first, stand_in)
                lost[name][0, i] += (before - kept.probabilities[rows, classes]) / draws
                lost[name][1, i] += (before - removed[rows, classes]) / draws
                if share == main_share:
                    for measure, values in agreements(kept, whole).items():
                        agreed[name][measure] = agreed[name].get(measure, np.zeros(n)) + values / draws
                done += 1
                tell(done, total)
    return {name: Faithfulness(lost[name][0], lost[name][1], agreed[name]) for name in attributions}


def without_reason(
    classifier: Classifier, x: NDArray[Any], share: float, stand_ins: StandIns, seed: int
) -> Behaviour:
    """Return what a classifier does when a share of each series is kept, in places of no meaning."""
    generator = np.random.default_rng([seed, 5])
    places = importance_places(generator.random(x.shape), seed)
    kept = np.where(places < n_first(share, x[0].size), x, stand_ins.draw(len(x), generator))
    return behaviour(classifier, kept.astype(x.dtype))


def area(curve: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the mean of each series' curve over the range of shares.

    Parameters
    ----------
    curve
        Shape ``(shares, n)``.
    shares
        Ascending.

    Examples
    --------
    >>> area(np.array([[1.0], [0.0]]), [0.1, 0.5]).tolist()
    [0.5]
    """
    width = shares[-1] - shares[0]
    areas: NDArray[np.float64] = (
        np.asarray(np.trapezoid(curve, shares, axis=0) / width) if width else curve.mean(0)
    )
    return areas
