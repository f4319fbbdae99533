"""Agrees with its explanation: explainers, and what shows whether an explanation behaves like the model it explains.

Nothing here imports torch before one of the names that need it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.explainer import Explainer as Explainer
    from concordant.explanations.explainer import RandomExplanation as RandomExplanation
    from concordant.explanations.gradients import Gradient as Gradient
    from concordant.explanations.gradients import IntegratedGradients as IntegratedGradients
    from concordant.explanations.occlusion import label_agreement_rate as label_agreement_rate
    from concordant.explanations.occlusion import occlusion_curve as occlusion_curve
    from concordant.explanations.saliency_metrics import intersection_over_union as intersection_over_union
    from concordant.explanations.saliency_metrics import saliency_scores as saliency_scores
    from concordant.explanations.series_model import SeriesModel as SeriesModel
    from concordant.explanations.series_transformer import SeriesTransformer as SeriesTransformer
    from concordant.explanations.series_transformer import fit_classifier as fit_classifier
    from concordant.explanations.timex import TimeX as TimeX
    from concordant.explanations.ts_files import read_ts as read_ts

_HOME = {
    "Explainer": "explainer",
    "Gradient": "gradients",
    "IntegratedGradients": "gradients",
    "RandomExplanation": "explainer",
    "SeriesModel": "series_model",
    "SeriesTransformer": "series_transformer",
    "TimeX": "timex",
    "fit_classifier": "series_transformer",
    "intersection_over_union": "saliency_metrics",
    "label_agreement_rate": "occlusion",
    "occlusion_curve": "occlusion",
    "read_ts": "ts_files",
    "saliency_scores": "saliency_metrics",
}
_WITHOUT_TORCH = ("explainer", "saliency_metrics", "ts_files")
_WITH_TORCH = dict.fromkeys(set(_HOME.values()) - set(_WITHOUT_TORCH), "explainers of torch classifiers")

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch=_WITH_TORCH)
