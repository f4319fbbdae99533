"""Agreement of the meaning of two texts: the cosine of their sentence embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.agreement.pairs import check_pair, where_judged
from concordant.core.answers.reading import as_text
from concordant.core.errors import ConfigError, DataError, first_line, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

Encoder = Callable[[list[str]], Any]
"""A function of n texts that gives an array of shape ``(n, d)``."""


def embedding(a: pl.Series, b: pl.Series, *, embeddings: str | Encoder) -> NDArray[np.float64]:
    r"""Return the agreement in meaning of two texts: the cosine of their embeddings, brought to [0, 1].

    .. math:: \frac{1}{2} \left(1 + \frac{u \cdot v}{|u| |v|}\right)

    Parameters
    ----------
    a, b
        Texts, n of them each. Every text is embedded once, however often it occurs.
    embeddings
        Name or folder of a sentence-transformers model (needs the extra ``embeddings``), or a function of a
        list of texts that gives an array of shape ``(texts, d)``.

    Raises
    ------
    ConfigError
        If the model cannot be loaded.
    DataError
        If the embeddings have the wrong shape or are not finite.

    References
    ----------
    N. Reimers and I. Gurevych (2019), Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, EMNLP.

    Examples
    --------
    >>> letters = lambda texts: np.array([[text.count("a"), text.count("b")] for text in texts])
    >>> embedding(pl.Series(["aab", "a"]), pl.Series(["baa", "b"]), embeddings=letters).tolist()
    [1.0, 0.5]
    """
    check_pair(a, b)
    a, b = as_text(a, "embeddings"), as_text(b, "embeddings")
    texts = pl.concat([a, b.alias(a.name)]).drop_nulls().unique(maintain_order=True)
    if texts.is_empty():
        return np.full(len(a), np.nan)
    vectors = _embed(texts.to_list(), embeddings)
    place = pl.int_range(len(texts), eager=True)
    left, right = (s.replace_strict(texts, place, default=None).fill_null(0).to_numpy() for s in (a, b))
    cosine = np.einsum("nd,nd->n", vectors[left], vectors[right])
    return where_judged(a, b, np.where(left == right, 1.0, np.clip((1 + cosine) / 2, 0.0, 1.0)))


def _embed(texts: list[str], embeddings: str | Encoder) -> NDArray[np.float64]:
    """Return embeddings of length 1, shape ``(texts, d)``; NaN for an embedding that is zero."""
    encode = _sentence_model(embeddings) if isinstance(embeddings, str) else embeddings
    vectors = np.asarray(encode(texts), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        shape = f"shape ({len(texts)}, d)"
        message = f"embeddings of {len(texts)} texts must be finite and of {shape}, got {vectors.shape}"
        raise DataError(message)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, np.nan)


@lru_cache(maxsize=2)
def _sentence_model(name: str) -> Encoder:
    library = require("sentence_transformers", "embeddings", "sentence embeddings")
    try:
        model = library.SentenceTransformer(name)
    except Exception as error:
        message = f"the embedding model {name!r} cannot be loaded: {first_line(error)}"
        raise ConfigError(message) from None
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_numpy=True)
