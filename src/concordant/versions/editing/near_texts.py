"""Hard negatives: texts much like an example that must not change with it.

What an edit breaks, it breaks near by. Of a pile of texts, those are taken that share the rarest words with the prefix of
an example and do not go on with its suffix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.learn.sequences import Row
    from concordant.versions.editing.examples import CanonicalExample


def hard_negatives(examples: Sequence[CanonicalExample], texts: Sequence[Sequence[int]], n: int) -> list[int]:
    r"""Return the places of the texts that are most like the examples, each once, the likest first.

    The likeness of two texts is the cosine of their words, each weighed by :math:`\ln(N / N_w)`, with :math:`N_w` of
    the :math:`N` texts having the word.

    Parameters
    ----------
    examples
        What the model is taught.
    texts
        Token ids.
    n
        How many, at least 1.

    Raises
    ------
    DataError
        If there are fewer texts that are not examples.
    """
    prefixes = [list(example.good[0][: example.good[1]]) for example in examples]
    size = 1 + max(max(row) for row in (*prefixes, *texts))
    there = np.stack([_words(row, size) for row in texts])
    weights = np.log(len(texts) / np.maximum(1.0, there.sum(0)))
    asked = _unit(np.stack([_words(row, size) for row in prefixes]) * weights)
    likeness = (_unit(there * weights) @ asked.T).max(1)
    likeness[[any(_holds(row, example.good) for example in examples) for row in texts]] = -1.0
    if n < 1 or (likeness >= 0).sum() < n:
        message = (
            f"{n} hard negatives are asked for, and there are {(likeness >= 0).sum()} texts to take them from"
        )
        raise DataError(message)
    return [int(place) for place in np.argsort(-likeness, kind="stable")[:n]]


def _words(row: Sequence[int], size: int) -> NDArray[np.float64]:
    found = np.zeros(size)
    found[np.unique(np.asarray(row, dtype=np.int64))] = 1.0
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(1e-12, np.linalg.norm(rows, axis=1, keepdims=True))
    return unit


def _holds(row: Sequence[int], example: Row) -> bool:
    """Say whether a text holds the whole suffix of an example."""
    suffix = list(example[0][example[1] :])
    return any(list(row[i : i + len(suffix)]) == suffix for i in range(len(row) - len(suffix) + 1))
