"""The methods that come with this package, each as a function that makes an explainer of a classifier.

What is heavy is imported where it is made, so that the names can be listed at no cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.explanations.registry import method

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.explanations.explainer import Explainer


@method("random")
def random(classifier: Any, x: ArrayLike, seed: int) -> Explainer:
    """Draw numbers that know nothing: what any explanation must beat."""
    from concordant.explanations.explainer import RandomExplanation

    return RandomExplanation(seed)


@method("gradient", needs="gradient")
def gradient(classifier: Any, x: ArrayLike, seed: int, **options: Any) -> Explainer:
    """Take the slope of the logit of the class, without its sign."""
    from concordant.explanations.gradients import Gradient

    return Gradient(classifier, **options)


@method("integrated-gradients", needs="gradient")
def integrated_gradients(classifier: Any, x: ArrayLike, seed: int, **options: Any) -> Explainer:
    """Average the slope along the way from a baseline, and multiply by the way."""
    from concordant.explanations.gradients import IntegratedGradients

    return IntegratedGradients(classifier, **options)


@method("timex", needs="latent", learns=True, shows_progress=True)
def timex(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Learn masks under which a copy of the classifier tells series apart as before (TimeX)."""
    from concordant.explanations.timex import TimeX

    return TimeX(classifier, seed=seed, **options).fit(x)


@method("dynamask", needs="gradient", shows_progress=True)
def dynamask(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Learn for each series the smallest mask under which the classifier says the same (Dynamask)."""
    from concordant.explanations.dynamask import Dynamask

    return Dynamask(classifier, training=x, seed=seed, **options)


@method("timex++", needs="gradient", learns=True, shows_progress=True)
def timex_plus(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Learn masks of which series can be made that the classifier takes for the whole ones (TimeX++)."""
    from concordant.explanations.timex_plus import TimeXPlus

    return TimeXPlus(classifier, seed=seed, **options).fit(x)


@method("occlusion", shows_progress=True)
def occlusion(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Replace windows of a series one after the other, and take what the probability loses."""
    from concordant.explanations.occluding import Occlusion

    return Occlusion(classifier, x, seed=seed, **options)


@method("shapley", shows_progress=True)
def shapley(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Share the probability out between stretches of a series, or columns of a table (Shapley values)."""
    from concordant.explanations.shapley_series import SeriesShapley

    return SeriesShapley(classifier, x, seed=seed, **options)


@method("deep-lift", needs="gradient", shows_progress=True)
def deep_lift(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Pass the difference from the mean training series back, layer by layer (captum)."""
    from concordant.explanations import library_methods

    return library_methods.deep_lift(classifier, x, **options)


@method("feature-ablation", needs="gradient", shows_progress=True)
def feature_ablation(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Replace windows by the mean training series, and take what the logit loses (captum)."""
    from concordant.explanations import library_methods

    return library_methods.feature_ablation(classifier, x, **options)


@method("gradient-shap", needs="gradient", shows_progress=True)
def gradient_shap(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Average slopes on the ways from random training series, times the ways (captum)."""
    from concordant.explanations import library_methods

    return library_methods.gradient_shap(classifier, x, seed=seed, **options)


@method("input-x-gradient", needs="gradient", shows_progress=True)
def input_x_gradient(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Multiply the slope of the logit by the series (captum)."""
    from concordant.explanations import library_methods

    return library_methods.input_x_gradient(classifier, **options)


@method("smooth-gradient", needs="gradient", shows_progress=True)
def smooth_gradient(classifier: Any, x: Any, seed: int, **options: Any) -> Explainer:
    """Average absolute slopes of the logit over noisy copies of a series (captum)."""
    from concordant.explanations import library_methods

    return library_methods.smooth_gradient(classifier, x, seed=seed, **options)
