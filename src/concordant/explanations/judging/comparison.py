"""Judge explainers by what the classifier does with what they call important, beside a random explanation."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.progress import progress_bars
from concordant.explanations.classifiers import as_classifier
from concordant.explanations.judging.again import Again, explained_again
from concordant.explanations.judging.candidates import attribution_of, candidates, made
from concordant.explanations.judging.checks import (
    check_amounts,
    check_main,
    checked_shares,
    checked_training,
    checked_truth,
    float_series,
    notes_on_classifier,
    notes_on_stand_ins,
    notes_on_truth,
)
from concordant.explanations.judging.faithfulness import area, faithfulness, without_reason
from concordant.explanations.judging.judgement import Judgement
from concordant.explanations.judging.localisation import localisation
from concordant.explanations.judging.perturbation import StandIns, behaviour
from concordant.explanations.judging.ranking import (
    Values,
    curves_table,
    measures_table,
    pairs_table,
    ranking_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from concordant.core.passes import Progress
    from concordant.explanations.judging.perturbation import Absent

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)


def judge(
    explainers: Mapping[str, Any],
    model: Any,
    x: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    labels: ArrayLike | None = None,
    training: ArrayLike | None = None,
    shares: Sequence[float] = SHARES,
    main_share: float | None = None,
    main: str = "sufficiency_gap",
    absent: Absent = "mean",
    draws: int = 4,
    noise: float = 0.1,
    seeds: int = 0,
    randomisations: int = 3,
    n_again: int = 256,
    weak_below: float = 0.8,
    seed: int = 0,
    progress: bool = True,
) -> Judgement:
    """Judge whether explanations are true to a classifier.

    Every measure is a number a series, so that intervals are over series and explainers are compared in pairs. A random
    explanation is always judged beside the others. See `MEASURES` for what is measured.

    Parameters
    ----------
    explainers
        By name, each an `Explainer` that is ready, a `Method` or its name (``"timex"``), a function
        ``(classifier, training, seed) -> Explainer`` (which is taken to learn, unless it has ``learns = False``), or
        attributions of the shape of `x`. What can be made anew is judged by more: see `seeds` and `randomisations`.
    model
        What :func:`concordant.explanations.as_classifier` takes.
    x
        Series, shape ``(n, time, channel)``, at least two, to which the classifier gives at least two classes.
    truth
        True at what makes the class, shape of `x`. Series without any are left out of what is compared with it.
    labels
        True classes, shape ``(n,)``, integers: says whether the classifier is worth explaining.
    training
        Series that stand in for what is absent, and that methods learn from, same time and channels; by
        default `x` itself.
    shares
        Of the numbers of a series that are kept or removed, ascending, each above 0 and below 1; at least one number.
    main_share
        One of them, for what is measured at one share alone; by default the middle one.
    main
        The measure that ranks.
    absent
        What stands in for what is absent: ``"mean"`` of the training series by step and channel, ``"rows"`` the numbers of
        a training series that is drawn, ``"moments"`` normal numbers with the moments of all, as in the paper of TimeX,
        ``"zero"`` 0. Smooth series with such normal numbers in them are like none that the classifier knows.
    draws
        Draws that are averaged, at least 1; the same for all explainers.
    noise
        Standard deviation of the noise under which explanations should stay, as a share of that of the training series;
        0 leaves it out.
    seeds
        Further seeds with which methods that learn are trained, and compared.
    randomisations
        Copies of a torch classifier with random weights, under which an explanation should become another one; of
        methods that learn at most `seeds`, because each is a training. 0 leaves it out.
    n_again
        Series, drawn at random, that are explained again for noise, seeds and random weights, at least 1.
    weak_below
        Share of right classes below which a note says that the classifier is weak.
    seed
        Decides the draws, and is that of the methods; further ones are counted from it.
    progress
        Whether to draw bars on a terminal.

    Raises
    ------
    ConfigError
        If an explainer, a method or an option is unknown or outside its range, or the classifier has not what a method
        needs.
    DataError
        If series, truth, labels or attributions cannot be used, or the classifier gives all series one class.

    Examples
    --------
    >>> import numpy as np
    >>> from concordant.explanations import judge
    >>> x = np.random.default_rng(0).normal(size=(200, 10, 1))
    >>> def rises(x):
    ...     p = 1 / (1 + np.exp(-4 * x[:, 2:4].sum((1, 2))))
    ...     return np.stack([1 - p, p], axis=1)
    >>> decides = np.zeros_like(x)
    >>> decides[:, 2:4] = 1
    >>> judged = judge({"right": decides, "wrong": -decides}, rises, x, shares=[0.2])
    >>> judged.ranking["explainer"].to_list(), judged.ranking["beats"][0].to_list()
    (['right', 'random', 'wrong'], ['random', 'wrong'])
    """
    classifier = as_classifier(model)
    series = float_series(x)
    known = checked_training(training, series)
    hits = checked_truth(truth, series)
    check_amounts(
        draws=(draws, 1),
        noise=(noise, 0),
        seeds=(seeds, 0),
        randomisations=(randomisations, 0),
        n_again=(n_again, 1),
    )
    shares, middle = checked_shares(shares, main_share)
    stand_ins = StandIns.of(known, absent)
    entries = candidates(explainers, series, seed)
    whole = behaviour(classifier, series)
    check_main(main, has_truth=hits is not None, has_latent=whole.latents is not None)
    notes = notes_on_classifier(classifier, whole, labels, weak_below)
    if training is None:
        notes.append(
            "no training series were given: what stands in is of the judged series, and methods that learn learnt from "
            "them"
        )
    with ExitStack() as stack:
        tell: Progress = stack.enter_context(progress_bars()) if progress else lambda *_: None
        ready, attributions = {}, {}
        for i, entry in enumerate(entries):
            if entry.attribution is not None:
                attributions[entry.name] = entry.attribution
            else:
                explainer = entry.explainer or made(entry, classifier, known, seed)
                ready[entry.name] = explainer
                attributions[entry.name] = attribution_of(entry.name, explainer.explain(series), series)
            tell("explain", i + 1, len(entries))
        found = faithfulness(
            classifier,
            series,
            whole,
            attributions,
            shares=shares,
            main_share=middle,
            stand_ins=stand_ins,
            draws=draws if stand_ins.varies else 1,
            seed=seed,
            tell=lambda done, total: tell("keep and remove", done, total),
        )
        notes += notes_on_stand_ins(
            whole, without_reason(classifier, series, middle, stand_ins, seed), middle
        )
        classes = whole.probabilities.argmax(1)
        rows = np.sort(np.random.default_rng([seed, 4]).permutation(len(series))[:n_again])
        again = Again(classifier, series, known, classes, rows, noise, seeds, randomisations, seed)
        repeated, reasons = explained_again(
            again, entries, ready, attributions, lambda *at: tell("explain again", *at)
        )
    values: Values = {}
    for name, lost in found.items():
        values[name] = {
            "sufficiency_gap": area(lost.sufficiency, shares),
            "comprehensiveness_score": area(lost.comprehensiveness, shares),
            **lost.agreement,
            **({} if hits is None else localisation(attributions[name], hits, middle, seed)),
            **repeated[name],
        }
    measures = measures_table(values)
    pairs = pairs_table(values, main)
    return Judgement(
        classifier.name,
        len(series),
        main,
        measures,
        curves_table(found, shares),
        ranking_table(measures, pairs, main),
        pairs,
        (*notes, *notes_on_truth(hits), *reasons),
        attributions,
        values,
    )
