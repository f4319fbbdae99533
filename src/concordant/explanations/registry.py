"""Explainers by name, ours and third parties': how each is made for a classifier, and what it needs of it.

They are entry points of the group ``concordant.explainers``. What is registered is a function under `method`, which makes
an explainer that is ready to explain; the first line of its docstring is what lists say of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from concordant.core.errors import ConfigError
from concordant.core.registry import first_sentence, lookup, registered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.explainer import Explainer

Need: TypeAlias = Literal["probabilities", "gradient", "latent"]
"""What an explainer asks of a classifier; each has what those before it have."""

Build: TypeAlias = Callable[..., "Explainer"]


@dataclass(frozen=True)
class Method:
    """A way to explain, not yet of any classifier.

    Parameters
    ----------
    name
        As it is named on the command line.
    build
        ``build(classifier, x, seed, **options)`` returns an explainer that is fitted, if it has to be, on the training
        series `x` of shape ``(n, time, channel)``.
    needs
        ``"probabilities"`` for any classifier, ``"gradient"`` for torch modules, ``"latent"`` for torch modules of which
        a latent is named.
    learns
        Whether it is trained, so that its seed and the training series decide what it says.
    shows_progress
        Whether it takes ``progress=``, to draw a bar on a terminal.
    """

    name: str
    build: Build
    needs: Need = "probabilities"
    learns: bool = False
    shows_progress: bool = False

    @property
    def about(self) -> str:
        """What lists say of it."""
        return first_sentence(self.build)

    def unfit(self, classifier: Classifier) -> str | None:
        """Return why a classifier cannot be explained so, or None if it can."""
        if self.needs == "probabilities":
            return None
        if not hasattr(classifier, "behaviour"):
            return f"{self.name} needs slopes of a torch classifier, and of {classifier.name} only probabilities are known"
        if self.needs == "latent" and getattr(classifier, "latent", None) is None:
            return f"{self.name} compares behaviour in a latent, and of {classifier.name} none is named"
        return None

    def __call__(self, classifier: Classifier, x: ArrayLike, seed: int = 0, **options: Any) -> Explainer:
        """Return an explainer of a classifier, fitted if it has to be.

        Raises
        ------
        ConfigError
            If the classifier has not what it needs, or an option is unknown.
        """
        reason = self.unfit(classifier)
        if reason is not None:
            if self.needs == "latent" and hasattr(classifier, "needs_latent"):
                classifier.needs_latent()  # names where there might be one
            raise ConfigError(reason)
        try:
            return self.build(classifier, x, seed, **options)
        except TypeError as error:
            if options and "keyword argument" in str(error):
                message = f"an option of {self.name} is unknown: {error}"
                raise ConfigError(message) from None
            raise


def method(
    name: str, *, needs: Need = "probabilities", learns: bool = False, shows_progress: bool = False
) -> Callable[[Build], Method]:
    """Make a named method of a function ``(classifier, x, seed, **options) -> explainer``.

    Parameters
    ----------
    name, needs, learns, shows_progress
        As for `Method`.

    Raises
    ------
    ConfigError
        If `needs` is unknown.

    Examples
    --------
    >>> @method("first-step")
    ... def first_step(classifier, x, seed):
    ...     "Say that the first step decides."
    ...     ...
    >>> first_step.name, first_step.about
    ('first-step', 'Say that the first step decides.')
    """
    if needs not in get_args(Need):
        message = f"needs of the method {name!r} must be one of {', '.join(get_args(Need))}, got {needs!r}"
        raise ConfigError(message)
    return lambda build: Method(name, build, needs, learns, shows_progress)


def method_names() -> list[str]:
    """Return the names of all methods, sorted.

    Examples
    --------
    >>> "timex" in method_names()
    True
    """
    return sorted(registered("explainers"))


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises
    ------
    ConfigError
        If there is none (the nearest name is given), or what is registered is no method of that name.
    """
    found = lookup("explainers", name)
    if not isinstance(found, Method) or found.name != name:
        message = (
            f"the entry point {name!r} of concordant.explainers must be a function under @method({name!r})"
        )
        raise ConfigError(message)
    return found
