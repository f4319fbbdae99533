r"""Demonstrations for each question: random ones, the most similar or the least, and the flux that they bring.

The flux of a demonstration is the length of its embedding along that of the question, :math:`e_q \cdot e_d / |e_q|`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.sparse import csr_array, issparse

from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Choice = Literal["random", "nearest", "reverse"]
Embed = Callable[[list[str]], Any]
"""A function of n texts that gives an array of shape ``(n, d)``, dense or sparse."""


def tfidf(texts: list[str]) -> Any:
    """Embed texts as the words that are in them, rare words weighing more; a sparse array of rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=r"\w+").fit_transform(texts)


def flux_of(questions: Sequence[str], pool: Sequence[str], embed: Embed = tfidf) -> NDArray[np.float64]:
    """Return the flux that each text of a pool brings to each question, shape ``(n_questions, n_pool)``.

    Parameters
    ----------
    questions, pool
        Texts.
    embed
        Called once, with the questions and then the pool; by default words weighted by their rarity. The ``encode`` of a
        sentence-transformers model is another.

    Raises
    ------
    DataError
        If embeddings have the wrong shape or are not finite.

    Examples
    --------
    >>> letters = lambda texts: np.array([[text.count("a"), text.count("b")] for text in texts])
    >>> flux_of(["aa"], ["aaab", "b"], letters).tolist()
    [[3.0, 0.0]]
    """
    texts = [*questions, *pool]
    found = embed(texts)
    rows = csr_array(found, dtype=float) if issparse(found) else np.asarray(found, dtype=float)
    is_finite = np.isfinite(rows.data if issparse(rows) else rows).all()
    if rows.ndim != 2 or rows.shape[0] != len(texts) or not is_finite:
        message = f"embeddings of {len(texts)} texts must be finite and of shape ({len(texts)}, d), got {rows.shape}"
        raise DataError(message)
    of_questions, of_pool = rows[: len(questions)], rows[len(questions) :]
    along = of_questions @ of_pool.T
    along = along.toarray() if issparse(along) else along
    length = np.sqrt(np.asarray((of_questions * of_questions).sum(axis=1), float)).ravel()
    flux: NDArray[np.float64] = along / np.where(length > 0, length, 1.0)[:, None]
    return flux


def chosen_demonstrations(
    flux: NDArray[np.float64],
    k: int,
    choice: Choice,
    *,
    allowed: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> NDArray[np.intp]:
    """Choose k demonstrations for each question, of rising flux, so that the most similar stands next to it.

    Parameters
    ----------
    flux
        Shape ``(n_questions, n_pool)``.
    k
        How many, at least 0.
    choice
        "nearest": of highest flux; "reverse": of lowest; "random": any, those of a smaller k among those of a larger.
    allowed
        Which may be shown with which question, shape ``(n_questions, n_pool)``; by default all.
    seed
        Of the random ones.

    Returns
    -------
    array of shape ``(n_questions, k)``
        Rows of the pool.

    Raises
    ------
    ConfigError
        If there is no such choice.
    DataError
        If a question has fewer than k that are allowed.

    Examples
    --------
    >>> flux = np.array([[0.1, 0.9, 0.5]])
    >>> chosen_demonstrations(flux, 2, "nearest").tolist(), chosen_demonstrations(flux, 1, "reverse").tolist()
    ([[2, 1]], [[0]])
    """
    if choice not in get_args(Choice):
        allowed_ways = get_args(Choice)
        message = f"demonstrations are chosen {', '.join(allowed_ways)}, got {choice!r}; {nearest(choice, allowed_ways)}"
        raise ConfigError(message)
    may = np.ones(flux.shape, bool) if allowed is None else allowed
    few = may.sum(1) < k
    if few.any():
        row = int(few.argmax())
        message = f"question {row} may be shown {may[row].sum()} demonstrations, and {k} are wanted"
        raise DataError(message)
    draws = np.random.default_rng(seed).random(flux.shape)
    first = {"random": draws, "nearest": -flux, "reverse": flux}[choice]
    taken = np.argsort(np.where(may, first, np.inf), axis=1, kind="stable")[:, :k]
    rising = np.argsort(np.take_along_axis(flux, taken, 1), axis=1, kind="stable")
    return np.take_along_axis(taken, rising, 1)
