"""Explaining again: with noise on the series, with other seeds, and of the classifier with random weights."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConcordantError, first_line
from concordant.explanations.judging.candidates import RANDOM, Candidate, attribution_of, made
from concordant.explanations.judging.perturbation import behaviour
from concordant.explanations.judging.sanity import unshakeable, with_random_weights
from concordant.explanations.judging.stability import noisy, rank_similarity, seed_similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.explainer import Explainer


@dataclass(frozen=True)
class Again:
    """Explains once more some of what was explained, and measures what becomes of the explanation.

    Attributes
    ----------
    classifier, x, training, classes
        What is explained, series, those that methods learn from, and the classes that the classifier gives.
    rows
        Numbers of the series that are explained again, as those of many would take long.
    noise, seeds, randomisations, seed
        As for `judge`.
    """

    classifier: Classifier
    x: NDArray[Any]
    training: NDArray[Any]
    classes: NDArray[np.int64]
    rows: NDArray[np.intp]
    noise: float
    seeds: int
    randomisations: int
    seed: int

    @cached_property
    def disturbed(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Series with noise, and whether the classifier still gives each its class."""
        x = noisy(self.x[self.rows], self.training.std(0), self.noise, np.random.default_rng([self.seed, 2]))
        return x, behaviour(self.classifier, x).probabilities.argmax(1) == self.classes[self.rows]

    @cached_property
    def strangers(self) -> list[Any]:
        """Copies of the classifier with random weights."""
        return [with_random_weights(self.classifier, self.seed + i) for i in range(self.randomisations)]  # type: ignore[arg-type]

    def noise_stability(self, name: str, explainer: Explainer, was: NDArray[Any]) -> NDArray[np.float64]:
        """Return the similarity to the explanation under noise, NaN where the class changed."""
        x, same = self.disturbed
        now = attribution_of(name, explainer.explain(x), x)
        return self._at_rows(np.where(same, rank_similarity(was[self.rows], now), np.nan))

    def seed_stability(self, candidate: Candidate, was: NDArray[Any]) -> NDArray[np.float64]:
        """Return the similarity between explainers of several seeds."""
        later = [self._explained(candidate, self.classifier, self.seed + 1 + i) for i in range(self.seeds)]
        return self._at_rows(seed_similarity([was[self.rows], *later]))

    def sanity(self, candidate: Candidate, was: NDArray[Any]) -> NDArray[np.float64]:
        """Return what of the explanation is left, mean over classifiers with random weights."""
        trained = candidate.learns and candidate.name != RANDOM
        strangers = self.strangers[: self.seeds] if trained else self.strangers
        later = [self._explained(candidate, stranger, self.seed) for stranger in strangers]
        return self._at_rows(np.mean([np.abs(rank_similarity(was[self.rows], now)) for now in later], axis=0))

    def _explained(self, candidate: Candidate, classifier: Any, seed: int) -> NDArray[np.float64]:
        explainer = made(candidate, classifier, self.training, seed)
        x = self.x[self.rows]
        return attribution_of(candidate.name, explainer.explain(x), x)

    def _at_rows(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at their series, and NaN at those that were not explained again."""
        every = np.full(len(self.x), np.nan)
        every[self.rows] = values
        return every


def explained_again(
    again: Again,
    entries: Sequence[Candidate],
    ready: Mapping[str, Explainer],
    attributions: Mapping[str, NDArray[Any]],
    tell: Callable[[int, int], None],
) -> tuple[dict[str, dict[str, NDArray[np.float64]]], list[str]]:
    """Return the measures of explaining again, by explainer and name, and what could not be measured, and why.

    Parameters
    ----------
    again
        How it is done.
    entries
        All that are judged.
    ready
        Explainers by name, of those that are no mere attributions.
    attributions
        What each said, by name.
    tell
        Is told how many measures are done, and of how many.
    """
    found: dict[str, dict[str, NDArray[np.float64]]] = {entry.name: {} for entry in entries}
    jobs, unable = [], defaultdict(list)
    for entry in entries:
        for measure, why_not in WHY_NOT.items():
            reason = why_not(again, entry)
            if reason == "":
                jobs.append((entry, measure))
            elif reason is not None and entry.name != RANDOM:
                unable[measure, reason].append(entry.name)
    notes = [
        f"{measure} of {', '.join(names)} was not measured: {reason}"
        for (measure, reason), names in unable.items()
    ]
    if again.randomisations and (reason := unshakeable(again.classifier)):
        notes.append(f"sanity_loss was not measured: {reason}")
    measured = {measure for entry, measure in jobs if entry.name != RANDOM}
    jobs = [
        (entry, measure) for entry, measure in jobs if measure in measured
    ]  # the control alone says nothing
    for i, (entry, measure) in enumerate(jobs):
        name, was = entry.name, attributions[entry.name]
        try:
            if measure == "noise_stability_score":
                found[name][measure] = again.noise_stability(name, ready[name], was)
            elif measure == "seed_stability_score":
                found[name][measure] = again.seed_stability(entry, was)
            else:
                found[name][measure] = again.sanity(entry, was)
        except ConcordantError as error:
            notes.append(f"{measure} of {name} was not measured: {first_line(error)}")
        tell(i + 1, len(jobs))
    return found, notes


def _why_no_noise(again: Again, entry: Candidate) -> str | None:
    if not again.noise:
        return None
    return "" if entry.attribution is None else ONLY_ATTRIBUTIONS


def _why_no_seeds(again: Again, entry: Candidate) -> str | None:
    if entry.make is None:
        return READY_MADE if hasattr(entry.explainer, "fit") else None
    if not entry.learns:
        return None
    return "" if again.seeds else TRAINED


def _why_no_sanity(again: Again, entry: Candidate) -> str | None:
    if not again.randomisations or unshakeable(again.classifier):
        return None
    if entry.make is None:
        return READY_MADE if entry.attribution is None else ONLY_ATTRIBUTIONS
    return "" if again.seeds or not entry.learns or entry.name == RANDOM else TRAINED


ONLY_ATTRIBUTIONS = "attributions alone were given"
READY_MADE = "what is ready cannot be made again; give a method"
TRAINED = "each time is a training; ask for it with seeds"
WHY_NOT: dict[str, Callable[[Again, Candidate], str | None]] = {
    "noise_stability_score": _why_no_noise,
    "seed_stability_score": _why_no_seeds,
    "sanity_loss": _why_no_sanity,
}
"""By measure: says why it cannot be measured, nothing (an empty text) if it can, None if it is not asked for."""
