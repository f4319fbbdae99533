"""Agrees with its explanation: explainers, and what shows whether an explanation behaves like the model it explains.

Nothing here imports torch before one of the names that need it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.classifiers import BlackBox as BlackBox
    from concordant.explanations.classifiers import Classifier as Classifier
    from concordant.explanations.classifiers import as_classifier as as_classifier
    from concordant.explanations.dynamask import Dynamask as Dynamask
    from concordant.explanations.explained import Explained as Explained
    from concordant.explanations.explainer import Explainer as Explainer
    from concordant.explanations.explainer import RandomExplanation as RandomExplanation
    from concordant.explanations.explaining import explain_set as explain_set
    from concordant.explanations.gradients import Gradient as Gradient
    from concordant.explanations.gradients import IntegratedGradients as IntegratedGradients
    from concordant.explanations.judging import Judgement as Judgement
    from concordant.explanations.judging import judge as judge
    from concordant.explanations.loading import load_classifier as load_classifier
    from concordant.explanations.occluding import Occlusion as Occlusion
    from concordant.explanations.occlusion import label_agreement_rate as label_agreement_rate
    from concordant.explanations.occlusion import occlusion_curve as occlusion_curve
    from concordant.explanations.registry import Method as Method
    from concordant.explanations.registry import find_method as find_method
    from concordant.explanations.registry import method as method
    from concordant.explanations.registry import method_names as method_names
    from concordant.explanations.saliency_metrics import intersection_over_union as intersection_over_union
    from concordant.explanations.saliency_metrics import saliency_scores as saliency_scores
    from concordant.explanations.series_files import read_series as read_series
    from concordant.explanations.series_fit import fit_series as fit_series
    from concordant.explanations.series_model import SeriesModel as SeriesModel
    from concordant.explanations.series_set import SeriesSet as SeriesSet
    from concordant.explanations.series_transformer import SeriesTransformer as SeriesTransformer
    from concordant.explanations.series_transformer import fit_classifier as fit_classifier
    from concordant.explanations.shapley_series import SeriesShapley as SeriesShapley
    from concordant.explanations.timex import TimeX as TimeX
    from concordant.explanations.timex_plus import TimeXPlus as TimeXPlus
    from concordant.explanations.ts_files import read_ts as read_ts

_HOME = {
    "BlackBox": "classifiers",
    "Classifier": "classifiers",
    "Dynamask": "dynamask",
    "Explained": "explained",
    "Explainer": "explainer",
    "Gradient": "gradients",
    "IntegratedGradients": "gradients",
    "Judgement": "judging",
    "Method": "registry",
    "Occlusion": "occluding",
    "RandomExplanation": "explainer",
    "SeriesModel": "series_model",
    "SeriesSet": "series_set",
    "SeriesShapley": "shapley_series",
    "SeriesTransformer": "series_transformer",
    "TimeX": "timex",
    "TimeXPlus": "timex_plus",
    "as_classifier": "classifiers",
    "explain_set": "explaining",
    "find_method": "registry",
    "fit_classifier": "series_transformer",
    "fit_series": "series_fit",
    "intersection_over_union": "saliency_metrics",
    "judge": "judging",
    "label_agreement_rate": "occlusion",
    "load_classifier": "loading",
    "method": "registry",
    "method_names": "registry",
    "occlusion_curve": "occlusion",
    "read_series": "series_files",
    "read_ts": "ts_files",
    "saliency_scores": "saliency_metrics",
}
_WITHOUT_TORCH = (
    "classifiers",
    "explained",
    "explainer",
    "explaining",
    "judging",
    "loading",
    "occluding",
    "registry",
    "saliency_metrics",
    "series_files",
    "series_set",
    "shapley_series",
    "ts_files",
)
_WITH_TORCH = dict.fromkeys(set(_HOME.values()) - set(_WITHOUT_TORCH), "explainers of torch classifiers")

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch=_WITH_TORCH)
