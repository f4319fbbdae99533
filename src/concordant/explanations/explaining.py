"""Explain a set of series by one method or several, and judge what they say: what ``concordant explain`` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConcordantError, ConfigError, DataError
from concordant.core.model import digest
from concordant.explanations.accuracy import accuracy_warnings
from concordant.explanations.attribution_file import AttributionFile
from concordant.explanations.classifiers import Classifier, as_classifier
from concordant.explanations.explained import Explained
from concordant.explanations.judging.candidates import RANDOM
from concordant.explanations.one_method import AGAIN, OneMethod
from concordant.explanations.registry import Method, find_method, method_names
from concordant.explanations.series_files import with_classes
from concordant.models.fingerprints import fingerprint as fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.explanations.judging.perturbation import Absent
    from concordant.explanations.series_set import SeriesSet

STAND_INS = {
    "mean": "the mean training series",
    "rows": "the numbers of a training series that is drawn",
    "moments": "normal numbers with the moments of the training series",
    "zero": "0",
}


def explain_set(
    model: Any,
    data: SeriesSet,
    methods: Sequence[str | Method] | None = None,
    *,
    training: SeriesSet | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    classes: Sequence[Any] | None = None,
    judge: bool = True,
    absent: Absent = "mean",
    seeds: int = 0,
    seed: int = 0,
    leave_out: bool = False,
    kept: AttributionFile | None = None,
    fingerprint: str | None = None,
    settings: Mapping[str, str] | None = None,
    progress: bool = False,
) -> Explained:
    """Explain what a classifier says of series.

    Parameters
    ----------
    model
        What :func:`concordant.explanations.as_classifier` takes.
    data
        What is explained.
    methods
        Names of methods, or methods; by default the one of :func:`default_method`.
    training
        Series that methods learn from, and that stand in for what is left out, of the length and the channels
        of `data`; by default `data` itself.
    options
        By name of the method, further arguments of it.
    classes
        Names of the classifier's classes, in its order, where they are known.
    judge
        Whether the explanations are compared with each other and with a random one; see
        :func:`concordant.explanations.judge`.
    absent
        What stands in for what is absent where they are judged: ``"mean"``, ``"rows"``, ``"moments"`` or ``"zero"``.
    seeds
        Further seeds with which methods that learn are judged; each is a training.
    seed
        Decides what is drawn and learnt.
    leave_out
        Whether a method that cannot explain this classifier is left out with a warning; else it is an error.
    kept
        Where attributions are kept, and found again by a later call that asks the same.
    fingerprint
        Digest of what decides the classifier's behaviour; by default made of the classifier.
    settings
        What a reader needs to do the same again, for reports.
    progress
        Whether to draw bars on a terminal.

    Raises
    ------
    ConfigError
        If a method or an option is unknown, or the classifier has not what a method needs.
    DataError
        If series cannot be used, or the classifier gives all of them one class.

    Examples
    --------
    >>> import numpy as np
    >>> from concordant.explanations import RandomExplanation, SeriesSet, method
    >>> @method("size")
    ... def size(classifier, x, seed):
    ...     "Say that large numbers decide."
    ...     class Size:
    ...         def explain(self, x):
    ...             return np.abs(x)
    ...     return Size()
    >>> x = np.random.default_rng(0).normal(size=(50, 8, 1))
    >>> def positive(x):
    ...     p = 1 / (1 + np.exp(-x.sum((1, 2))))
    ...     return np.stack([1 - p, p], axis=1)
    >>> found = explain_set(positive, SeriesSet("made", x, ("value",)), [size])
    >>> found.attributions["size"].shape, found.judged.ranking["explainer"][0]
    ((50, 8, 1), 'size')
    """
    if absent not in STAND_INS:
        message = f"absent must be one of {', '.join(STAND_INS)}, got {absent!r}"
        raise ConfigError(message)
    classifier = as_classifier(model)
    known = data if training is None else training
    if known.x.shape[1:] != data.x.shape[1:]:
        message = (
            f"{known.name} must have series of the (time, channel) {data.x.shape[1:]} of {data.name}, got "
            f"{known.x.shape[1:]}"
        )
        raise DataError(message)
    _tells_apart(classifier, known)
    probabilities = classifier.probabilities(data.x)
    data = with_classes(data, classes, probabilities.shape[1], classifier.name)
    warnings = accuracy_warnings(classifier.name, data, probabilities)
    if training is None:
        warnings.append("no training series were given: methods learnt from those that are explained")
    chosen = [find_method(one) if isinstance(one, str) else one for one in methods or ()]
    chosen = chosen or [find_method(default_method(classifier, is_table=data.is_table))]
    given = dict(options or {})
    _check_options(given, chosen)
    key = digest(fingerprint or fingerprint_of(model), fingerprint_of([data.x, known.x]), seed)
    again = None if kept is None else AttributionFile(kept.path.with_name(AGAIN), kept.rows)
    asked: dict[str, OneMethod] = {}
    for method in chosen:
        extra = dict(given.get(method.name, {}))
        one = OneMethod(method, extra, classifier, known.x, data.x, seed, key, kept, again, progress)
        try:
            one.said  # noqa: B018 - it is kept there
        except ConcordantError as error:
            if not leave_out:
                raise
            warnings.append(f"{method.name} was left out: {error}")
        else:
            asked[method.name] = one
    if not asked:
        message = f"no method could explain {classifier.name}: {'; '.join(warnings)}"
        raise ConfigError(message)
    judged = None
    if judge and len(np.unique(probabilities.argmax(1))) < 2:
        warnings.append(
            f"{classifier.name} gives all the series that are explained one class: nothing was judged"
        )
    elif judge:
        from concordant.explanations.judging import judge as compare

        judged = compare(
            {name: one.judged() for name, one in asked.items()},
            classifier,
            data.x,
            data.truth,
            training=known.x,
            absent=absent,
            seeds=seeds,
            seed=seed,
            progress=progress,
        )
        if not any(RANDOM in beaten for beaten in judged.ranking["beats"]):
            warnings.append(
                "nothing is shown to be truer than a random explanation where absent numbers are replaced by "
                f"{STAND_INS[absent]}: another choice of absent may tell more, or there are too few series"
            )
    return Explained(
        classifier.name,
        data,
        probabilities,
        {name: one.said.attribution for name, one in asked.items()},
        judged,
        {name: one.said.landmarks for name, one in asked.items() if one.said.landmarks is not None},
        tuple(warnings),
        {name: one.said.seconds for name, one in asked.items()},
        dict(settings or {}),
    )


def default_method(classifier: Classifier, *, is_table: bool) -> str:
    """Return the method that is asked where none is named.

    TimeX for series of a classifier with a latent, integrated gradients for any other that has slopes, and of those
    that have neither, Shapley values for tables and occlusion for series.

    Examples
    --------
    >>> default_method(as_classifier(lambda x: x), is_table=True)
    'shapley'
    """
    if hasattr(classifier, "behaviour"):
        has_latent = getattr(classifier, "latent", None) is not None
        return "timex" if has_latent and not is_table else "integrated-gradients"
    return "shapley" if is_table else "occlusion"


def fitting_methods(classifier: Classifier) -> tuple[list[str], list[str]]:
    """Return the names of all methods that can explain a classifier, and why others cannot, a line a reason."""
    fitting: list[str] = []
    unfit: dict[str, list[str]] = {}
    for name in method_names():
        if name == RANDOM:
            continue
        reason = find_method(name).unfit(classifier)
        if reason is None:
            fitting.append(name)
        else:
            unfit.setdefault(reason.removeprefix(f"{name} "), []).append(name)
    return fitting, [f"{', '.join(names)}: each {reason}" for reason, names in unfit.items()]


def _tells_apart(classifier: Classifier, known: SeriesSet) -> None:
    found = classifier.probabilities(known.x).argmax(1)
    if (found == found[0]).all():
        message = (
            f"{classifier.name} gives all {len(found)} series of {known.name} class {found[0]}, so there is nothing that "
            "an explanation could tell apart"
        )
        raise DataError(message)


def _check_options(options: Mapping[str, Any], chosen: Sequence[Method]) -> None:
    names = [method.name for method in chosen]
    for name in options:
        if name not in names:
            message = f"options are given for {name}, which is not asked: asked are {', '.join(names)}"
            raise ConfigError(message)
