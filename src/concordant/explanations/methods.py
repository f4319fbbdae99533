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
