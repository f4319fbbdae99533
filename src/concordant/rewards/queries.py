r"""Which questions to ask a new person, so that few answers tell who they are.

A set of questions is worth asking when the posterior of the hidden vector would be narrow after the answers, and
different after different answers. All answers that a person could give (or a sample of them) are tried, none of them
needs a person. Two scores:

- ``"released"``, of the authors' program: :math:`\log(2\pi\,\overline{\sum_j\sigma_j^2}) -
  \overline{\sum_j\log 2\pi\sigma_j^2}`, with a bar for the mean over strings of answers, all of them counted alike. Only
  variances enter, so it looks for narrow posteriors and not for different ones.
- ``"moments"``: the mutual information of answers and hidden vector, nats, with both its entropies taken as those of
  Gaussians of the same variances, and each string of answers counted by how probable the model thinks it:
  :math:`\tfrac12\sum_j\big[\log(\overline{\sigma_j^2} + \mathrm{Var}\,\mu_j) - \overline{\log\sigma_j^2}\big]`.

References
----------
Poddar et al., "Personalizing Reinforcement Learning from Human Feedback with Variational Preference Learning", 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.rewards.comparisons import Comparisons

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.rewards.vpl import VariationalPreferences

Form = Literal["released", "moments"]


def information_score(
    model: VariationalPreferences,
    a: ArrayLike,
    b: ArrayLike,
    *,
    known: Comparisons | None = None,
    form: Form = "released",
    n_strings: int = 64,
    n_draws: int = 64,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score sets of questions by how much their answers would tell about a person; more is better.

    Parameters
    ----------
    model
        A fitted model.
    a, b
        The two sides of the questions, shape ``(sets, n, features)``.
    known
        What the person has answered already, one person; nothing by default.
    form
        ``"released"`` or ``"moments"``, see above.
    n_strings
        Strings of answers that are tried: all ``2**n`` where these are not more.
    n_draws
        Hidden vectors from what is known so far, for the probabilities of the strings (``"moments"`` only).
    seed
        Draws the strings and the vectors.

    Returns
    -------
    ndarray of shape ``(sets,)``
        They compare sets of one size; the released form is not in nats and may be negative.

    Raises
    ------
    DataError
        If the shapes do not fit.
    ConfigError
        If the form is not one of the two.
    """
    if form not in get_args(Form):
        message = f"form of information_score must be 'released' or 'moments', got {form!r}"
        raise ConfigError(message)
    first, second = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
    if first.ndim != 3 or first.shape != second.shape:
        message = (
            f"questions need two sides of one shape (sets, n, features), got {first.shape} and {second.shape}"
        )
        raise DataError(message)
    if known is not None and known.n_people != 1:
        message = f"what is known must be of one person, got {known.n_people}"
        raise DataError(message)
    rng = np.random.default_rng(seed)
    n_sets, n, _ = first.shape
    strings = answer_strings(n, n_strings, rng)
    each = len(strings)
    asked = Comparisons(
        np.repeat(first, each, axis=0), np.repeat(second, each, axis=0), np.tile(strings, (n_sets, 1))
    )
    posterior = model.posterior(asked if known is None else joined(known, asked))
    mean, log_variance = (part.astype(np.float64).reshape(n_sets, each, -1) for part in posterior)
    if form == "released":
        spread = np.exp(log_variance).sum(axis=2).mean(axis=1)
        narrow = (np.log(2 * np.pi) + log_variance).sum(axis=2).mean(axis=1)
        released: NDArray[np.float64] = np.log(2 * np.pi * spread) - narrow
        return released
    weights = _string_probabilities(model, first, second, strings, known, n_draws, rng)[..., None]
    middle = (weights * mean).sum(axis=1, keepdims=True)
    total = (weights * (np.exp(log_variance) + (mean - middle) ** 2)).sum(axis=1)
    information: NDArray[np.float64] = 0.5 * (np.log(total) - (weights * log_variance).sum(axis=1)).sum(
        axis=1
    )
    return information


def best_questions(
    model: VariationalPreferences,
    a: ArrayLike,
    b: ArrayLike,
    n: int,
    *,
    known: Comparisons | None = None,
    form: Form = "released",
    n_candidates: int = 256,
    seed: int = 0,
) -> NDArray[np.intp]:
    """Choose n questions from a pool: the best scored of some sets drawn from it.

    Parameters
    ----------
    model, known, form
        As for :func:`information_score`.
    a, b
        The pool, shape ``(questions, features)``.
    n
        How many to ask.
    n_candidates
        How many sets are drawn and scored.
    seed
        Draws the sets.

    Returns
    -------
    ndarray of shape ``(n,)``
        Numbers of the chosen questions, all different.

    Raises
    ------
    ConfigError
        If the pool has fewer than n questions.
    """
    first, second = np.asarray(a), np.asarray(b)
    if not 1 <= n <= len(first):
        message = f"n questions to ask must be from 1 to the {len(first)} of the pool, got {n}"
        raise ConfigError(message)
    rng = np.random.default_rng(seed)
    sets = rng.random((n_candidates, len(first))).argsort(axis=1)[:, :n]
    scores = information_score(model, first[sets], second[sets], known=known, form=form, seed=seed)
    best: NDArray[np.intp] = sets[int(scores.argmax())]
    return best


def answer_strings(n: int, at_most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return all strings of n answers, or so many different ones drawn from them, shape ``(strings, n)``.

    Examples
    --------
    >>> answer_strings(2, 4, np.random.default_rng(0)).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if 2**n <= at_most:
        return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1)
    if n < 20:
        numbers = rng.choice(2**n, at_most, replace=False)
        return np.asarray((numbers[:, None] >> np.arange(n)) % 2 == 1)
    return rng.random((at_most, n)) < 0.5  # so many that two alike are hardly ever drawn


def joined(known: Comparisons, more: Comparisons) -> Comparisons:
    """Return each set of answers after what is known of one person."""
    before = known[np.zeros(more.n_people, dtype=np.intp)]
    parts = [
        np.concatenate([getattr(before, name), getattr(more, name)], axis=1)
        for name in ("a", "b", "prefers_a", "given")
    ]
    return Comparisons(*parts)


def _string_probabilities(
    model: VariationalPreferences,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    strings: NDArray[np.bool_],
    known: Comparisons | None,
    n_draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return how probable the strings are among those tried, shape ``(sets, strings)``, rows summing to 1."""
    nothing = Comparisons(a[:1, :0], b[:1, :0], np.zeros((1, 0), dtype=bool))
    draws = model.posterior(nothing if known is None else known).draw(n_draws, int(rng.integers(2**31)))[:, 0]
    # A difference of rewards for every draw, set and question.
    difference = [model.reward(side, draws[:, None, None]).astype(np.float64) for side in (a, b)]
    gain = difference[0] - difference[1]
    log_yes, log_no = -np.logaddexp(0, -gain), -np.logaddexp(0, gain)
    yes = strings.astype(np.float64).T
    likelihood = np.exp(log_yes @ yes + log_no @ (1 - yes)).mean(axis=0)
    rows: NDArray[np.float64] = likelihood / likelihood.sum(axis=1, keepdims=True)
    return rows
