"""One method on one set: what it said once, in this run or an earlier one, is not asked again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, first_line
from concordant.core.model import digest
from concordant.explanations.attribution_file import Attributed
from concordant.explanations.explained import LandmarkExamples
from concordant.explanations.judging.candidates import attribution_of
from concordant.models.fingerprints import fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.attribution_file import AttributionFile
    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.explainer import Explainer
    from concordant.explanations.registry import Method

AGAIN = "again.npz"
"""Beside the file of attributions: what methods said when they were judged, of noisy series and with other seeds."""
N_EXAMPLES = 5


@dataclass(eq=False)
class OneMethod:
    """A method on a set; its explainer is made when something asks for it, and once.

    Attributes
    ----------
    method, options
        Which, with its further arguments.
    classifier, training, x, seed
        What is explained, series that methods learn from, series that are explained, and what decides draws.
    key
        Digest of all of these but the method and its options.
    kept, again
        Where attributions are kept, of the set and of what it is judged by, or None.
    progress
        Whether to draw bars on a terminal.
    """

    method: Method
    options: dict[str, Any]
    classifier: Classifier
    training: NDArray[Any]
    x: NDArray[Any]
    seed: int
    key: str
    kept: AttributionFile | None = None
    again: AttributionFile | None = None
    progress: bool = False

    @cached_property
    def said(self) -> Attributed:
        """What it says of the set."""
        key = digest(self.key, self.method.name, self.options)
        found = None if self.kept is None else self.kept.get(self.method.name, key)
        if found is not None:
            return found
        started = time.perf_counter()
        attribution = attribution_of(self.method.name, self._explainer.explain(self.x), self.x)
        seconds = time.perf_counter() - started
        made = Attributed(attribution.astype(np.float32), seconds, landmark_examples(self._explainer, self.x))
        if self.kept is not None:
            self.kept.put(self.method.name, key, made)
        return made

    def judged(self) -> Method:
        """Return it as a method to judge, which makes no explainer where what it would say is known."""
        return replace(self.method, build=self._build)

    def explain(self, x: NDArray[Any], seed: int) -> NDArray[Any]:
        """Return what it says of any series with any seed."""
        if seed == self.seed and np.array_equal(x, self.x):
            return self.said.attribution
        if self.again is None:
            return self._made(seed).explain(x)
        name, key = (
            f"{self.method.name} {seed}",
            digest(self.key, self.method.name, self.options, fingerprint(x)),
        )
        found = self.again.get(name, key)
        if found is None:
            started = time.perf_counter()
            attribution = attribution_of(self.method.name, self._made(seed).explain(x), x)
            found = Attributed(attribution.astype(np.float32), time.perf_counter() - started)
            self.again.put(name, key, found)
        return found.attribution

    @cached_property
    def _explainer(self) -> Explainer:
        shown = {"progress": True} if self.progress and self.method.shows_progress else {}
        try:
            return self.method(self.classifier, self.training, self.seed, **{**shown, **self.options})
        except (TypeError, ValueError) as error:
            if not self.options:
                raise
            message = f"{self.method.name} cannot be made with {self.options}: {first_line(error)}"
            raise ConfigError(message) from error

    def _made(self, seed: int) -> Explainer:
        if seed == self.seed:
            return self._explainer
        return self.method(self.classifier, self.training, seed, **self.options)

    def _build(self, classifier: Any, training: Any, seed: int) -> Explainer:
        if classifier is self.classifier:
            return _WithSeed(self, seed)
        return self.method(classifier, training, seed, **self.options)


@dataclass(frozen=True)
class _WithSeed:
    """A method with a seed, as an explainer."""

    one: OneMethod
    seed: int

    def explain(self, x: Any) -> NDArray[Any]:
        return self.one.explain(x, self.seed)


def landmark_examples(explainer: Any, x: NDArray[Any]) -> LandmarkExamples | None:
    """Return the series whose explanations are nearest to each landmark of an explainer, or None where it has none.

    Parameters
    ----------
    explainer
        Any; only one that has ``landmarks()`` and ``surrogate(x)``, as TimeX has, can give something.
    x
        Series, shape ``(n, time, channel)``.

    Returns
    -------
    those landmarks that are the nearest of at least one series, the one of most series first
    """
    if not hasattr(explainer, "landmarks") or not getattr(explainer, "n_landmarks", 0):
        return None
    vectors = explainer.landmarks().vectors
    if not len(vectors):
        return None
    cosines = _unit(vectors) @ _unit(explainer.surrogate(x).latent.numpy(force=True)).T
    nearest = cosines.argmax(0)
    n_near = np.bincount(nearest, minlength=len(vectors))
    used = np.argsort(-n_near, kind="stable")[: np.count_nonzero(n_near)]
    # Its own series first: the examples of two landmarks that lie close together would else be the same.
    own = nearest == used[:, None]
    rows = np.argsort(-cosines[used] - 3 * own, axis=1, kind="stable")[:, :N_EXAMPLES]
    return LandmarkExamples(rows, np.take_along_axis(cosines[used], rows, axis=1), n_near[used])


def _unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float64)
