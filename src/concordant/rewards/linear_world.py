r"""A world of answers with features, where a policy is a vector: self-rewarding in closed form and in moments.

Each prompt has some candidate answers with features :math:`\phi(x, y)`; the policy is
:math:`\pi_w(y|x) \propto e^{\phi(x, y)\cdot w}` and the true quality of an answer is :math:`\phi(x, y)\cdot w^*`, with
:math:`|w^*| = 1` and standard normal features. Implicit rewards are linear in the weights, so that learning from
preference pairs is logistic regression on differences of features. Prompts are arrays of shape ``(candidates,
features)``, or ``(prompts, candidates, features)`` together; answers are numbers of candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.rewards.cream import Pairs

    Floats = NDArray[np.float64]


def draw_prompts(rng: np.random.Generator, n: int, candidates: int = 24, features: int = 24) -> Floats:
    """Draw prompts: standard normal features, shape ``(n, candidates, features)``."""
    return rng.normal(size=(n, candidates, features))


def log_policy(weights: Floats, prompts: Floats) -> Floats:
    """Return the log-probabilities of all candidates, shape ``(prompts, candidates)``, nats.

    Examples
    --------
    >>> log_policy(np.zeros(3), np.zeros((1, 2, 3))).round(4).tolist()
    [[-0.6931, -0.6931]]
    """
    logits = prompts @ weights
    logits = logits - logits.max(axis=1, keepdims=True)
    result: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def mean_quality(weights: Floats, prompts: Floats, truth: Floats) -> float:
    """Return the expected true quality of the policy's answers, exactly, averaged over the prompts."""
    return float((np.exp(log_policy(weights, prompts)) * (prompts @ truth)).sum(axis=1).mean())


def sampled(weights: Floats, prompts: Sequence[Floats], n: int, seed: int) -> NDArray[np.intp]:
    """Draw n answers to each prompt, independently, shape ``(prompts, n)``."""
    log_p = log_policy(weights, np.stack(prompts))
    noise = np.random.default_rng(seed).gumbel(size=(len(log_p), n, log_p.shape[1]))
    drawn: NDArray[np.intp] = (log_p[:, None] + noise).argmax(axis=2)
    return drawn


def scored(weights: Floats, prompts: Sequence[Floats], answers: Sequence[Sequence[int]]) -> Floats:
    """Return the log-probabilities of given answers, shape ``(prompts, n)``, nats."""
    return np.take_along_axis(log_policy(weights, np.stack(prompts)), np.asarray(answers), axis=1)


def qualities(truth: Floats, prompts: Sequence[Floats], answers: Sequence[Sequence[int]]) -> Floats:
    """Return the true qualities of given answers, shape ``(prompts, n)``."""
    return np.take_along_axis(np.stack(prompts) @ truth, np.asarray(answers), axis=1)


def fine_tuned(
    weights: Floats, prompts: Floats, answers: NDArray[np.intp], *, steps: int = 200, rate: float = 0.1
) -> Floats:
    """Climb the mean log-probability of the given answers by full-batch gradient steps.

    Parameters
    ----------
    weights
        Where to start from, shape ``(features,)``.
    prompts, answers
        Shapes ``(n, candidates, features)`` and ``(n,)``.
    steps, rate
        Number and size of the steps.

    Returns
    -------
    ndarray of shape ``(features,)``
    """
    of_answers = prompts[np.arange(len(answers)), answers].mean(axis=0)
    for _ in range(steps):
        expected = np.einsum("nk,nkf->f", np.exp(log_policy(weights, prompts)), prompts) / len(prompts)
        weights = weights + rate * (of_answers - expected)
    return weights


def preference_tuned(
    weights: Floats, pairs: Pairs[Floats, int], *, beta: float = 0.1, steps: int = 200, rate: float = 1.0
) -> Floats:
    r"""Learn from preference pairs by full-batch gradient steps on the DPO loss, with the given policy as reference.

    The partition function of a prompt is the same for both answers and cancels, so the loss of a pair is

    .. math:: -C\log\sigma(\beta\,\Delta\phi\cdot v) - (1-C)\log\sigma(-\beta\,\Delta\phi\cdot v),\qquad v = w - w_0

    Parameters
    ----------
    weights
        The reference :math:`w_0`, shape ``(features,)``.
    pairs
        Pairs with soft labels.
    beta
        Strength of the pull to the reference.
    steps, rate
        Number and size of the steps.

    Returns
    -------
    ndarray of shape ``(features,)``
    """
    features = np.stack(pairs.prompts)
    rows = np.arange(len(pairs))
    difference = features[rows, list(pairs.chosen)] - features[rows, list(pairs.rejected)]
    moved = np.zeros_like(weights)
    for _ in range(steps):
        wins = 1 / (1 + np.exp(-beta * (difference @ moved)))
        moved = moved + rate * beta * ((pairs.labels - wins) @ difference) / len(pairs)
    return weights + moved
