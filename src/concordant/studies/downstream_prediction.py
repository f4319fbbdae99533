"""Predicting downstream capabilities: where, between log-likelihood and accuracy, compute stops predicting single items.

A ladder of small language models (widths and checkpoints) learns a world of confusable facts and is asked multiple-choice
questions about it. The score of every question, at each step of the chain from the log-probability of the right option to
accuracy, is correlated with compute over the ladder. One control is ours: the probability on the wrong options is
replaced by its mean over questions; if what a model holds of the few wrong options is what hides its compute, the
correlation must come back. At full scale the ladder is a file of yours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LADDER = "CONCORDANT_DOWNSTREAM_LADDER"
"""Names a ladder file, as ``concordant scaling samples`` takes it: models or logs of one family, with their compute."""

BY_RANK, BY_VALUE, OF_MEANS = "correlation", "linear_correlation", "mean_score_correlation"


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    entities: int = 200
    relations: int = 3
    questions: int = 240
    widths: tuple[int, ...] = (8, 16, 24, 32)
    checkpoints: tuple[int, ...] = (50, 100, 200, 400)
    batch: int = 192
    rate: float = 5e-3


SIZES = {
    Scale.smoke: Sizes(12, 2, 20, (8, 12), (4, 8, 16), 32),
    Scale.pocket: Sizes(),
}


@study(
    "downstream-prediction",
    claims=[
        Claim("each-step-weakens", f"log_p.{BY_RANK}", f"p_choice.{BY_RANK}", "higher"),
        Claim("brier-loses-more", f"p_choice.{BY_RANK}", f"brier_score.{BY_RANK}", "higher"),
        Claim("accuracy-least-predictable", f"brier_score.{BY_RANK}", f"accuracy.{BY_RANK}", "higher"),
        Claim("logarithm-most-predictable", f"log_p.{BY_VALUE}", f"p.{BY_VALUE}", "higher"),
        Claim("means-stay-predictable", f"accuracy.{OF_MEANS}", f"accuracy.{BY_RANK}", "higher"),
        Claim("wrong-options-are-the-cause", f"evened.{BY_RANK}", f"p_choice.{BY_RANK}", "higher"),
    ],
    baseline="the score one step before, on the same items and models",
)
def downstream_prediction(scale: Scale, seed: int) -> Measurements:
    """Measure how well compute predicts each score of single items, from log-probability to accuracy."""
    from concordant.versions.scaling.choice_chain import option_metrics
    from concordant.versions.scaling.predictability import predictability

    logprobs, right, compute = _your_ladder() if scale is Scale.full else _small_ladder(SIZES[scale], seed)
    scores = option_metrics(logprobs, right) | {"evened": evened_choice(logprobs, right)}
    measured = {}
    for name, found in predictability(scores, compute, "spearman").items():
        measured[f"{name}.{BY_RANK}"] = _known(found.mean)
        measured[f"{name}.{OF_MEANS}"] = _known(found.aggregate)
        measured[f"{name}.constant_rate"] = found.constant_rate
        measured[f"{name}.well_predicted_rate"] = found.well_predicted_rate
    for name, found in predictability(scores, compute, "pearson").items():
        measured[f"{name}.{BY_VALUE}"] = _known(found.mean)
    by_compute = np.argsort(compute, kind="stable")
    measured["smallest.accuracy"] = float(scores["accuracy"][by_compute[0]].mean())
    measured["largest.accuracy"] = float(scores["accuracy"][by_compute[-1]].mean())
    return measured


def evened_choice(logprobs: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Return the probability of the right option among the options, had all items the same mass on wrong ones.

    Parameters
    ----------
    logprobs
        Shape (models, items, options): nats.
    right
        Shape (items,): position of the right option.

    Returns
    -------
    ndarray of shape (models, items)
        :math:`p_V(y) / (p_V(y) + m)` with m the mean over items, in each model, of the probability of all wrong options.
    """
    p = np.exp(np.asarray(logprobs, np.float64))
    index = np.broadcast_to(np.asarray(right), p.shape[:-1])[..., None]
    of_right = np.take_along_axis(p, index, axis=-1)[..., 0]
    wrong = (p.sum(axis=-1) - of_right).mean(axis=-1, keepdims=True)
    return np.asarray(of_right / (of_right + wrong))


def _small_ladder(n: Sizes, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    from concordant.learn.randomness import child_seeds
    from concordant.studies.confusable_facts import ConfusableFacts, ladder

    world_seed, ladder_seed = child_seeds(seed, 2)
    rng = np.random.default_rng(world_seed)
    world = ConfusableFacts.drawn(rng, n.entities, n.relations, n_clusters=5, cluster_size=4, noise=0.1)
    prompts, options, right = world.questions(rng, n.questions, 4)
    rungs = ladder(
        world,
        prompts,
        options,
        widths=n.widths,
        checkpoints=n.checkpoints,
        batch=n.batch,
        rate=n.rate,
        seed=ladder_seed,
    )
    return np.stack([rung.logprobs for rung in rungs]), right, np.array([rung.compute for rung in rungs])


def _your_ladder() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    name = os.environ.get(LADDER)
    if not name:
        message = (
            f"the study 'downstream-prediction' at full scale needs a ladder file that {LADDER} names: models of one "
            "family or their lm-eval logs, with compute, as 'concordant scaling samples' takes it; got none"
        )
        raise ConfigError(message)
    from concordant.versions.scaling.ladder import read_ladder

    table = read_ladder(name)
    return table.logprobs, table.right, table.compute


def _known(value: float) -> float:
    """Return 0 for a correlation that no item has: compute predicts nothing of a score that never changes."""
    return 0.0 if np.isnan(value) else value
