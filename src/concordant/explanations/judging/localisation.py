"""Whether an explanation finds what is known to make the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.explanations.importance_order import importance_places
from concordant.explanations.judging.faithfulness import n_first
from concordant.explanations.saliency_metrics import intersection_over_union, saliency_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


def localisation(
    attribution: NDArray[Any], truth: NDArray[Any], share: float, seed: int
) -> dict[str, NDArray[Any]]:
    """Return the measures against the truth, each of shape ``(n,)``, NaN for a series without any, by name.

    Parameters
    ----------
    attribution, truth
        Shape ``(n, time, channel)``; the truth is true at what makes the class.
    share
        Of the numbers of a series that are compared with the truth as a set, the most important ones.
    seed
        Decides the order of equal attributions.
    """
    first = importance_places(attribution, seed) < n_first(share, attribution[0].size)
    scores = saliency_scores(attribution, truth)
    return {
        "auprc_score": scores.auprc,
        "aup_score": scores.aup,
        "aur_score": scores.aur,
        "iou_score": intersection_over_union(first, truth, quantile=1.0),
    }
