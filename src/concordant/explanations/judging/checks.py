"""What `judge` is given, checked before anything is computed, and what must be known of the classifier."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.explanations.classifiers import checked_series
from concordant.explanations.judging.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.judging.perturbation import Behaviour

NEEDS_TRUTH = ("auprc_score", "aup_score", "aur_score", "iou_score")
NEEDS_LATENT = ("latent_cosine_score", "latent_gram_loss")
ONE_CLASS = 0.98
"""Share of series of one class from which it is said that the classifier no longer tells them apart."""

NOT_OF_ALL = ("noise_stability_score", "seed_stability_score", "sanity_loss")


def float_series(x: ArrayLike, name: str = "X") -> NDArray[Any]:
    """Return series as floating-point numbers, or refuse them.

    Raises
    ------
    DataError
        If they cannot be used, are fewer than two, or are of one number each.
    """
    series = checked_series(x, name)
    if len(series) < 2:
        message = f"judge needs at least two series, got {len(series)}"
        raise DataError(message)
    if series[0].size < 2:
        message = "judge needs series of at least two numbers, of which one can be more important than the other, got one"
        raise DataError(message)
    return series if series.dtype.kind == "f" else series.astype(np.float64)


def checked_training(training: ArrayLike | None, x: NDArray[Any]) -> NDArray[Any]:
    """Return the training series, by default those that are judged.

    Raises
    ------
    DataError
        If they cannot be used, or have other times or channels.
    """
    if training is None:
        return x
    known = checked_series(training, "training").astype(x.dtype, copy=False)
    if known.shape[1:] != x.shape[1:]:
        message = f"training must have the (time, channel) {x.shape[1:]} of X, got {known.shape[1:]}"
        raise DataError(message)
    return known


def checked_truth(truth: ArrayLike | None, x: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the truth as a mask.

    Raises
    ------
    DataError
        If it has another shape than the series.
    """
    if truth is None:
        return None
    hits = np.asarray(truth)
    if hits.shape != x.shape:
        message = f"truth must have the shape {x.shape} of X, got {hits.shape}"
        raise DataError(message)
    return hits.astype(bool)


def checked_shares(shares: Sequence[float], main_share: float | None) -> tuple[tuple[float, ...], float]:
    """Return the shares, and the one at which there is a single figure.

    Raises
    ------
    ConfigError
        If they are not ascending numbers between 0 and 1, or the main one is none of them.
    """
    found = tuple(float(share) for share in shares)
    if not (found and all(0 < share < 1 for share in found) and all(a < b for a, b in pairwise(found))):
        message = f"shares must be ascending numbers above 0 and below 1, got {list(shares)}"
        raise ConfigError(message)
    middle = found[len(found) // 2] if main_share is None else main_share
    if middle not in found:
        message = f"main_share must be one of the shares {list(found)}, got {main_share}"
        raise ConfigError(message)
    return found, middle


def check_main(main: str, *, has_truth: bool, has_latent: bool) -> None:
    """Refuse a measure that cannot rank.

    Raises
    ------
    ConfigError
        If it is unknown, not every explainer has it, or the truth or the latent that it needs is not there.
    """
    known = [name for name in MEASURES if name not in NOT_OF_ALL]
    if main not in known:
        message = f"main must be a measure that every explainer has, got {main!r}; {nearest(main, known)}"
        raise ConfigError(message)
    if main in NEEDS_TRUTH and not has_truth:
        message = f"main {main!r} compares with the truth, and no truth was given"
        raise ConfigError(message)
    if main in NEEDS_LATENT and not has_latent:
        message = f"main {main!r} compares latents, and no latent of the classifier is known"
        raise ConfigError(message)


def check_amounts(**amounts: tuple[float, float]) -> None:
    """Refuse a number that is below its least; each is ``name=(number, least)``.

    Raises
    ------
    ConfigError
        If one is.
    """
    for name, (value, least) in amounts.items():
        if not value >= least:
            message = f"{name} of judge must be at least {least:g}, got {value}"
            raise ConfigError(message)


def notes_on_classifier(
    classifier: Classifier, whole: Behaviour, labels: ArrayLike | None, weak_below: float
) -> list[str]:
    """Return what must be known of a classifier before its explanations are believed.

    Raises
    ------
    DataError
        If it gives all series one class, or labels cannot be used.
    """
    n, n_classes = whole.probabilities.shape
    classes = whole.probabilities.argmax(1)
    if (classes == classes[0]).all():
        message = (
            f"judge asks what makes a classifier tell series apart, and {classifier.name} gives all {n} series class "
            f"{classes[0]}"
        )
        raise DataError(message)
    notes = []
    if whole.latents is None:
        notes.append(f"no latent of {classifier.name} is known, so agreement in it was not measured")
    if labels is None:
        return notes
    wanted = np.asarray(labels)
    wanted = wanted.astype(np.int64) if wanted.dtype.kind == "b" else wanted
    if wanted.shape != (n,) or wanted.dtype.kind not in "iu" or wanted.min() < 0 or wanted.max() >= n_classes:
        message = (
            f"labels must be {n} integers from 0 to {n_classes - 1}, got an array of {wanted.dtype} of shape "
            f"{wanted.shape}"
        )
        raise DataError(message)
    accuracy = float((classes == wanted).mean())
    majority = float(np.bincount(wanted).max() / n)
    little = "explanations of a poor classifier mean little"
    if accuracy <= majority:
        notes.append(
            f"{classifier.name} is right on {accuracy:.1%} of the series, and so is whoever always says their commonest "
            f"class on {majority:.1%}: {little}"
        )
    elif accuracy < weak_below:
        notes.append(
            f"{classifier.name} is right on {accuracy:.1%} of the series, below {weak_below:.0%}: {little}"
        )
    return notes


def notes_on_stand_ins(whole: Behaviour, replaced: Behaviour, share: float) -> list[str]:
    """Return whether a classifier still tells series apart when much of them is replaced.

    Parameters
    ----------
    whole, replaced
        What it does with the series, and with the same series of which a random share is kept.
    share
        What is kept.
    """
    before, after = (np.bincount(part.probabilities.argmax(1)).max() for part in (whole, replaced))
    n = len(whole.probabilities)
    if after < ONE_CLASS * n or before >= ONE_CLASS * n:
        return []
    return [
        f"with a random {share:.0%} of each series kept the classifier gives {after / n:.1%} of them one class, so what "
        "stands in decides more than what is kept: try another absent"
    ]


def notes_on_truth(truth: NDArray[np.bool_] | None) -> list[str]:
    """Return what was not compared with the truth, and why."""
    if truth is None:
        return ["no truth was given, so nothing was compared with it"]
    n_empty = int((~truth.any((1, 2))).sum())
    if not n_empty:
        return []
    return [f"{n_empty} of {len(truth)} series have no truth, and are left out of what is compared with it"]
