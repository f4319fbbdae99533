r"""CREAM: self-rewarding with labels smoothed by how far a model agrees with its previous self.

A model samples several answers to each prompt, ranks them by its own implicit reward, and learns from the best and
the worst. Rankings of close answers are noise, and learning from noise as if it were certain makes the next model
worse. So the previous model ranks the same answers too, and the pair is believed as far as the two rankings agree:

.. math::

    r_t(y) = \log\pi_t(y|x) - \log\pi_0(y|x),\qquad
    C = \frac{\tau(r_t, r_{t-1}) + 1}{2},\qquad
    L = -C\log\sigma(d) - (1 - C)\log\sigma(-d)

with d the difference of implicit rewards in direct preference optimisation (:func:`concordant.learn.dpo`, ``label=C``).
Scores of k answers to each of the prompts have shape ``(prompts, k)``, nats; everything that is measured on prompts is
keyed by their ids.

References
----------
Wang et al., "CREAM: Consistency Regularized Self-Rewarding Language Models", ICLR 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.pair import extremes, top_order
from concordant.core.statistics import kendall_tau_b, spearman_rho

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

M = TypeVar("M")
P = TypeVar("P")
A = TypeVar("A")

By = Literal["mean", "prompt"]
"""Whether all pairs of a round share one label, or each prompt has its own."""


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How far two scores rank the same answers alike, prompt by prompt.

    Parameters
    ----------
    ids
        Of the prompts.
    tau, rho
        Kendall's tau-b and Spearman's rho of each prompt, shape ``(prompts,)``, in [-1, 1]; NaN where one of the
        scores calls all answers equal, so that there is no ranking to agree with.
    top_order
        Whether the two name the same best and the same worst answer, shape ``(prompts,)``.
    """

    ids: tuple[str, ...]
    tau: Floats
    rho: Floats
    top_order: NDArray[np.bool_]

    @property
    def consistency(self) -> Floats:
        """C of each prompt, ``(tau + 1) / 2``, in [0, 1]; NaN where tau is."""
        return (self.tau + 1) / 2

    @property
    def mean_consistency(self) -> float:
        """Mean of C over the prompts where it is known; NaN where there are none."""
        known = self.consistency[~np.isnan(self.tau)]
        return float(known.mean()) if known.size else float("nan")


def rank_agreement(current: Mapping[str, ArrayLike], previous: Mapping[str, ArrayLike]) -> RankAgreement:
    """Compare how two models rank the same answers.

    Parameters
    ----------
    current, previous
        Scores of the answers to each prompt by its id: shape ``(k,)``, with k at least 1 and the same for both
        models. The order of the ids does not matter; the result has that of `current`.

    Raises
    ------
    DataError
        If the two do not have the same prompts, or not equally many answers to one, or a score is missing.

    Examples
    --------
    >>> found = rank_agreement({"a": [1, 2, 3], "b": [1, 2, 3]}, {"b": [3, 2, 1], "a": [2, 4, 6]})
    >>> found.ids, found.tau.tolist(), found.top_order.tolist(), found.mean_consistency
    (('a', 'b'), [1.0, -1.0], [True, False], 0.5)
    """
    if set(current) != set(previous):
        odd = sorted(set(current) ^ set(previous))
        message = f"two rankings must be of the same prompts, got {len(odd)} in one of them only, such as {odd[0]!r}"
        raise DataError(message)
    ids = tuple(current)
    first = [np.asarray(current[one], dtype=np.float64) for one in ids]
    second = [np.asarray(previous[one], dtype=np.float64) for one in ids]
    for one, a, b in zip(ids, first, second, strict=True):
        if a.ndim != 1 or a.shape != b.shape or not a.size:
            message = f"two rankings of prompt {one!r} must have one shape (k,), got {a.shape} and {b.shape}"
            raise DataError(message)
        if np.isnan(a).any() or np.isnan(b).any():
            message = f"two rankings of prompt {one!r} must not have missing scores"
            raise DataError(message)
    tau, rho = np.empty(len(ids)), np.empty(len(ids))
    same = np.empty(len(ids), dtype=bool)
    sizes = np.array([a.size for a in first], dtype=np.intp)
    for k in np.unique(sizes):  # all prompts with equally many answers at once
        some = np.flatnonzero(sizes == k)
        a, b = np.stack([first[i] for i in some]), np.stack([second[i] for i in some])
        tau[some], rho[some], same[some] = kendall_tau_b(a, b), spearman_rho(a, b), top_order(a, b)
    return RankAgreement(ids, tau, rho, same)


def soft_labels(agreement: RankAgreement, *, by: By = "mean", at_least: float = 0.0) -> Floats:
    """Turn measured agreement into the probability that the best answer of each prompt is the better one.

    Parameters
    ----------
    agreement
        Of the current and the previous model.
    by
        ``"mean"`` gives every prompt the mean C of all; ``"prompt"`` gives each its own.
    at_least
        Lowest label, from 0 to 1. Below 0.5 a label says that the worst answer is the better one, which is what
        rankings that disagree more often than not lead to; 0.5 leaves such pairs without effect.

    Returns
    -------
    ndarray of shape ``(prompts,)``
        In [0, 1]. A prompt where one of the models ranks nothing has neither agreement nor disagreement: 0.5 by
        ``"prompt"``. Where that is so of all prompts, it is 0.5 by ``"mean"`` too.

    Raises
    ------
    ConfigError
        If an option is not one of the allowed.

    Examples
    --------
    >>> found = rank_agreement({"a": [1, 2, 3], "b": [1, 2, 3]}, {"a": [1, 3, 2], "b": [3, 2, 1]})
    >>> soft_labels(found).round(3).tolist(), soft_labels(found, by="prompt", at_least=0.5).round(3).tolist()
    ([0.333, 0.333], [0.667, 0.5])
    """
    if by not in get_args(By):
        message = f"by of soft_labels must be 'mean' or 'prompt', got {by!r}"
        raise ConfigError(message)
    if not 0 <= at_least <= 1:
        message = f"at_least of soft_labels must be from 0 to 1, got {at_least}"
        raise ConfigError(message)
    each = agreement.consistency
    if by == "mean":
        each = np.full(len(each), agreement.mean_consistency)
    return np.maximum(np.where(np.isnan(each), 0.5, each), at_least)


@dataclass(frozen=True, slots=True)
class Pairs(Generic[P, A]):
    """Preference pairs, each with the probability that it is the right way round.

    Parameters
    ----------
    ids
        Of the prompts.
    prompts, chosen, rejected
        The prompt and its best and worst answer, a pair each.
    labels
        Shape ``(pairs,)``, in [0, 1].
    """

    ids: tuple[str, ...]
    prompts: tuple[P, ...]
    chosen: tuple[A, ...]
    rejected: tuple[A, ...]
    labels: Floats

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Round(Generic[M, P, A]):
    """One round of self-rewarding.

    Parameters
    ----------
    model
        The model that came out.
    agreement
        How far the model that went in ranked its answers like the one before it.
    pairs
        What was learnt from.
    """

    model: M
    agreement: RankAgreement
    pairs: Pairs[P, A]


Sample: TypeAlias = Callable[[M, Sequence[P], int], Sequence[Sequence[A]]]
Score: TypeAlias = Callable[[M, Sequence[P], Sequence[Sequence[A]]], "Sequence[ArrayLike]"]
Train: TypeAlias = Callable[[M, Pairs[P, A], int], M]
Labels: TypeAlias = "float | Callable[[RankAgreement], Floats]"


def self_rewarding(
    base: M,
    start: M,
    shares: Sequence[Mapping[str, P]],
    *,
    sample: Sample[M, P, A],
    score: Score[M, P, A],
    train: Train[M, P, A],
    labels: Labels = soft_labels,
    lengths: Callable[[Sequence[A]], ArrayLike] | None = None,
    judge: Callable[[Sequence[P], Sequence[Sequence[A]]], Sequence[ArrayLike]] | None = None,
    seed: int = 0,
) -> list[Round[M, P, A]]:
    """Let a model learn from its own rankings, round after round.

    The models are M0 (`base`), M1 (`start`) and one more a round. What a model is does not matter: it is sampled,
    scored and trained through the three functions, and none of them may change the model it is given.

    Parameters
    ----------
    base
        M0, against which the implicit reward of all others is taken.
    start
        M1, fine-tuned from it.
    shares
        The prompts of each round by their ids; as many rounds as there are shares.
    sample
        ``sample(model, prompts, seed)`` gives some answers to each prompt.
    score
        ``score(model, prompts, answers)`` gives the log-probability of each answer, nats, summed over its tokens.
    train
        ``train(model, pairs, seed)`` gives a model that has learnt from the pairs, with the given one as reference.
    labels
        What the pairs are believed: a function of the agreement, such as :func:`soft_labels` (CREAM, the mean of a
        round by default) or a number for all: 1 is self-rewarding without smoothing.
    lengths
        Numbers of tokens of the answers to one prompt. In the first round the previous model is M0, which has no
        reward against itself: it ranks by its log-probability a token. All answers are one token long by default.
    judge
        Scores of the answers from elsewhere, which decide the pairs instead of the model's own reward; none by
        default. The agreement is still that of the model with the previous one.
    seed
        Decides the seeds of sampling and training.

    Returns
    -------
    list of Round
        The rounds in order; the last one holds the final model. A round in which no prompt has two answers of
        different reward has no pairs, and leaves the model as it is.

    Raises
    ------
    ModelError
        If a prompt gets no answer, or the scores do not fit the answers.
    ConfigError
        If a label is outside [0, 1].

    Examples
    --------
    A "model" here is how much it likes long answers, and it learns to like the chosen length more:

    >>> rounds = self_rewarding(
    ...     0.5,
    ...     1.0,
    ...     [{"a": "?"}, {"b": "?"}],
    ...     sample=lambda model, prompts, seed: [["no", "maybe", "yes"] for _ in prompts],
    ...     score=lambda model, prompts, answers: [[model * len(text) for text in row] for row in answers],
    ...     train=lambda model, pairs, seed: model + float(2 * pairs.labels.mean() - 1),
    ... )
    >>> rounds[1].pairs.chosen, rounds[1].agreement.tau.tolist(), rounds[1].model
    (('maybe',), [1.0], 3.0)
    """
    previous, current = base, start
    rounds: list[Round[M, P, A]] = []
    seeds = np.random.SeedSequence(seed).generate_state(2 * len(shares)).reshape(-1, 2)
    for number, (share, (sampling_seed, training_seed)) in enumerate(
        zip(shares, seeds.tolist(), strict=True)
    ):
        ids, prompts = tuple(share), tuple(share.values())
        answers = sample(current, prompts, sampling_seed)
        of_base = _scored(score, base, ids, prompts, answers)
        own = rewards(_scored(score, current, ids, prompts, answers), of_base)
        if number == 0:
            before = _a_token(of_base, dict(zip(ids, answers, strict=True)), lengths)
        else:
            before = rewards(_scored(score, previous, ids, prompts, answers), of_base)
        agreement = rank_agreement(own, before)
        judged = own if judge is None else _fitting("judge", ids, answers, judge(prompts, answers))
        believed = np.full(len(ids), float(labels)) if isinstance(labels, int | float) else labels(agreement)
        pairs = best_and_worst(share, dict(zip(ids, answers, strict=True)), judged, believed)
        previous, current = current, train(current, pairs, training_seed) if len(pairs) else current
        rounds.append(Round(current, agreement, pairs))
    return rounds


def rewards(scores: Mapping[str, ArrayLike], of_base: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Return the implicit rewards of answers: log-probability under a model less that under the base, nats.

    Examples
    --------
    >>> rewards({"a": [-1.0, -2.0]}, {"a": [-3.0, -1.0]})["a"].tolist()
    [2.0, -1.0]
    """
    return {one: np.asarray(row, dtype=np.float64) - np.asarray(of_base[one]) for one, row in scores.items()}


def best_and_worst(
    prompts: Mapping[str, P],
    answers: Mapping[str, Sequence[A]],
    scores: Mapping[str, ArrayLike],
    labels: ArrayLike,
) -> Pairs[P, A]:
    """Pair the best with the worst answer of each prompt; a prompt whose answers are all equally good has no pair.

    Parameters
    ----------
    prompts, answers, scores
        By the ids of the prompts.
    labels
        Probability that the best is the better one, in [0, 1], shape ``(prompts,)`` in the order of `prompts`.

    Raises
    ------
    ConfigError
        If a label is outside [0, 1].

    Examples
    --------
    >>> best_and_worst({"a": "1 + 1 ?"}, {"a": ["2", "3", "4"]}, {"a": [5, 1, 2]}, [0.9]).rejected
    ('3',)
    """
    believed = np.asarray(labels, dtype=np.float64)
    if believed.shape != (len(prompts),) or not ((believed >= 0) & (believed <= 1)).all():
        message = f"labels must be one from 0 to 1 a prompt, {len(prompts)} of them, got {believed}"
        raise ConfigError(message)
    kept: list[tuple[str, P, A, A, float]] = []
    for (one, prompt), label in zip(prompts.items(), believed.tolist(), strict=True):
        best, worst, apart = extremes(np.asarray(scores[one], dtype=np.float64)[None])
        if apart[0]:
            kept.append((one, prompt, answers[one][best[0]], answers[one][worst[0]], label))
    ids, asked, chosen, rejected, sure = zip(*kept, strict=True) if kept else ((), (), (), (), ())
    return Pairs(ids, asked, chosen, rejected, np.array(sure, dtype=np.float64))


def _scored(
    score: Score[M, P, A], model: M, ids: Sequence[str], prompts: Sequence[P], answers: Sequence[Sequence[A]]
) -> dict[str, Floats]:
    return _fitting("score", ids, answers, score(model, prompts, answers))


def _fitting(
    caller: str, ids: Sequence[str], answers: Sequence[Sequence[A]], scores: Sequence[ArrayLike]
) -> dict[str, Floats]:
    """Key scores by the ids of their prompts, when there is one for each answer."""
    if not len(ids) == len(answers) == len(scores):
        message = (
            f"{caller} must be given answers to {len(ids)} prompts and score each, "
            f"got {len(answers)} and {len(scores)}"
        )
        raise ModelError(message)
    found: dict[str, Floats] = {}
    for one, texts, row in zip(ids, answers, scores, strict=True):
        found[one] = np.asarray(row, dtype=np.float64)
        if not len(texts) or found[one].shape != (len(texts),) or not np.isfinite(found[one]).all():
            message = (
                f"{caller} must give each of at least one answer to prompt {one!r} a finite score, "
                f"got {len(texts)} answers and {found[one]}"
            )
            raise ModelError(message)
    return found


def _a_token(
    scores: Mapping[str, Floats],
    answers: Mapping[str, Sequence[A]],
    lengths: Callable[[Sequence[A]], ArrayLike] | None,
) -> dict[str, Floats]:
    if lengths is None:
        return dict(scores)
    return {one: row / np.maximum(np.asarray(lengths(answers[one])), 1) for one, row in scores.items()}
