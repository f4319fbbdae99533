"""Who is judged: explainers that are ready, methods that make one, attributions that are there, and a random control."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.explainer import Explainer, RandomExplanation
from concordant.explanations.registry import Method, find_method

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.classifiers import Classifier

Make: TypeAlias = Callable[..., Any]
"""``make(classifier, training, seed)`` returns an explainer that is ready."""

RANDOM = "random"


@dataclass(frozen=True)
class Candidate:
    """One explainer to be judged, as far as it is known.

    Attributes
    ----------
    name
        What tables call it.
    explainer
        Ready to explain, if it came so.
    attribution
        Its attributions, if they are all there is.
    make
        How it is made for a classifier, if that is known.
    learns
        Whether it is trained, so that its seed decides what it says.
    """

    name: str
    explainer: Explainer | None = None
    attribution: NDArray[Any] | None = None
    make: Make | None = None
    learns: bool = False


class FreshRandom:
    """Random numbers, others at every call: the control, also for what compares two explanations.

    Parameters
    ----------
    seed
        Decides all of them.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng([seed, 3])

    def explain(self, x: Any) -> NDArray[np.float32]:
        """Return numbers in [0, 1) of the shape of `x`."""
        numbers: NDArray[np.float32] = self._generator.random(x.shape, dtype=np.float32)
        return numbers


def candidates(explainers: Any, x: NDArray[Any], seed: int) -> list[Candidate]:
    """Return who is judged, the random control last.

    Parameters
    ----------
    explainers
        By name: an `Explainer`, a `Method` or its name, a function ``(classifier, training, seed) -> Explainer``, or
        attributions.
    x
        Series, whose shape attributions must have.
    seed
        Of the control.

    Raises
    ------
    ConfigError
        If one is none of these, a method is unknown, there is none, or the name of the control is taken.
    DataError
        If attributions have another shape, or are not finite.
    """
    if not isinstance(explainers, Mapping):
        message = f"explainers must be a mapping from names to explainers, got a {type(explainers).__name__}"
        raise ConfigError(message)
    given = dict(explainers)
    control = given.pop(RANDOM, RANDOM)
    if not (
        (isinstance(control, str) and control == RANDOM)
        or isinstance(control, RandomExplanation)
        or (isinstance(control, Method) and control.name == RANDOM)
    ):
        message = f"the name {RANDOM!r} is that of the control: give the explainer another name"
        raise ConfigError(message)
    if not given:
        message = "there is no explainer to judge"
        raise ConfigError(message)
    found = [_candidate(name, value, x) for name, value in given.items()]
    fresh = FreshRandom(seed)
    return [*found, Candidate(RANDOM, fresh, make=lambda *_: fresh, learns=True)]


def made(candidate: Candidate, classifier: Classifier, training: NDArray[Any], seed: int) -> Explainer:
    """Return the explainer that a candidate's function makes.

    Raises
    ------
    ConfigError
        If what it returns cannot explain, or the classifier has not what it needs.
    """
    assert candidate.make is not None
    explainer = candidate.make(classifier, training, seed)
    if not isinstance(explainer, Explainer):
        message = (
            f"the function of {candidate.name} must return an explainer, got a {type(explainer).__name__}"
        )
        raise ConfigError(message)
    return explainer


def attribution_of(name: str, values: Any, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return what an explainer says of series, or refuse it.

    Raises
    ------
    DataError
        If it has not their shape, or a number that is not finite.
    """
    attribution = np.asarray(values, np.float64)
    if attribution.shape != x.shape:
        message = f"the attribution of {name} must have the shape {x.shape} of X, got {attribution.shape}"
        raise DataError(message)
    rows = np.flatnonzero(~np.isfinite(attribution).all((1, 2)))
    if len(rows):
        message = f"the attribution of {name} must be finite, got a number that is not in series {rows[0]}"
        raise DataError(message)
    return attribution


def _candidate(name: str, given: Any, x: NDArray[Any]) -> Candidate:
    given = find_method(given) if isinstance(given, str) else given
    if isinstance(given, Method):
        return Candidate(name, make=given, learns=given.learns)
    if isinstance(given, type):
        message = f"{name} must be an explainer that is ready, got the class {given.__name__}: make one of it"
        raise ConfigError(message)
    if isinstance(given, Explainer):
        return Candidate(name, explainer=given, make=_of_another_model(given))
    if callable(given):
        made_by = given.func if isinstance(given, partial) else given
        return Candidate(name, make=given, learns=getattr(made_by, "learns", True))
    if isinstance(given, (np.ndarray, list, tuple)) or hasattr(given, "__array__"):
        return Candidate(name, attribution=attribution_of(name, given, x))
    message = (
        f"{name} must be an explainer, a method or its name, a function that makes one, or attributions, "
        f"got a {type(given).__name__}"
    )
    raise ConfigError(message)


def _of_another_model(explainer: Explainer) -> Make | None:
    """Return how an explainer is made for another classifier: one that has learnt nothing and keeps a torch model."""
    torch = sys.modules.get("torch")
    model = getattr(explainer, "model", None)
    if torch is None or hasattr(explainer, "fit") or not isinstance(model, torch.nn.Module):
        return None

    def make(classifier: Classifier, _x: NDArray[Any], _seed: int) -> Explainer:
        other = copy.copy(explainer)
        other.model = classifier  # type: ignore[attr-defined]
        return other

    return make
