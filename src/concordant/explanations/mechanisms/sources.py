"""Which answer wins when the context contradicts what was learnt: rates with intervals, and how they go with frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from concordant.core.errors import DataError, nearest
from concordant.core.statistics import bootstrap, estimate_mean, paired_difference, spearman_rho
from concordant.explanations.mechanisms.conflicts import next_tokens
from concordant.explanations.mechanisms.decoder import module_of
from concordant.explanations.mechanisms.head_scaling import scaled_heads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from concordant.core.statistics import Estimate
    from concordant.explanations.mechanisms.conflicts import Conflicts

Source = Literal["in_context", "memorised", "other"]
SOURCES: tuple[Source, ...] = ("in_context", "memorised", "other")


@dataclass(frozen=True, eq=False)
class Recall:
    """Where a model's answers come from.

    Parameters
    ----------
    sources
        0 for the answer in the context, 1 for the memorised one, 2 for any other, shape ``(n,)``.
    entities
        What each item is about; items of one entity count as one cluster.
    """

    sources: NDArray[np.int8]
    entities: Sequence[str]

    def rate(self, source: Source = "in_context", *, level: float = 0.95) -> Estimate:
        """Return the share of answers from a source, with its Wilson interval.

        Parameters
        ----------
        source
            "in_context" (default), "memorised" or "other".
        level
            Confidence level, in (0, 1).
        """
        return estimate_mean(self._is(source), clusters=self._clusters(), level=level)

    def change(self, before: Recall, source: Source = "in_context", *, level: float = 0.95) -> Estimate:
        """Return by how much the rate is above that of the same items before, in pairs.

        Parameters
        ----------
        before
            Of the same conflicts.
        source, level
            As for `rate`.

        Raises
        ------
        DataError
            If they are not of the same items.
        """
        if list(before.entities) != list(self.entities):
            message = "a change needs both recalls of the same conflicts in the same order"
            raise DataError(message)
        now, then, clusters = self._is(source), before._is(source), self._clusters()
        if clusters is None:
            return paired_difference(now, then, level=level)
        return estimate_mean(now - then, clusters=clusters, level=level, method="t", bounds=(-1, 1))

    def table(self, *, level: float = 0.95) -> pl.DataFrame:
        """Return the rate of each source with its interval: ``source, rate, low, high, n``."""
        found = [(source, self.rate(source, level=level)) for source in SOURCES]
        rows = [(source, e.value, e.low, e.high, e.n) for source, e in found]
        return pl.DataFrame(rows, ["source", "rate", "low", "high", "n"], orient="row")

    def _is(self, source: Source) -> NDArray[np.float64]:
        if source not in SOURCES:
            message = f"there is no source {source!r}; {nearest(source, SOURCES)}"
            raise DataError(message)
        return np.asarray(self.sources == SOURCES.index(source), dtype=np.float64)

    def _clusters(self) -> Sequence[str] | None:
        return None if len(set(self.entities)) == len(self.entities) else list(self.entities)


def recall(
    model: Any,
    conflicts: Conflicts,
    *,
    scales: Mapping[tuple[int, int], float] | ArrayLike | None = None,
    batch_size: int = 64,
) -> Recall:
    """Ask a model conflicts, and see where its answers come from: the first token decides.

    Parameters
    ----------
    model
        A causal language model of transformers, a `CausalLM`, or what `concordant.load` returns for either.
    conflicts
        What is asked.
    scales
        Heads that are scaled meanwhile: ``{(layer, head): s}`` or an array ``(layers, heads)``, see `scaled_heads`.
    batch_size
        Rows in a forward pass.

    Examples
    --------
    >>> import concordant as cc
    >>> from concordant.explanations.mechanisms.conflicts import Conflicts
    >>> conflicts = Conflicts([[5, 6], [5, 7]], in_context=[10, 11], memorised=[12, 12], entities=["a", "b"])
    >>> recall(cc.load("pocket:250k-base"), conflicts).table()["n"].to_list()
    [2, 2, 2]
    """
    module = module_of(model)
    if scales is None:
        answers = next_tokens(module, conflicts.rows, batch_size=batch_size)
    else:
        if not hasattr(scales, "items") and np.ndim(scales) != 2:  # batches are sorted by length
            message = (
                f"scales must be the same for all items here, got an array of {np.ndim(scales)} dimensions"
            )
            raise DataError(message)
        with scaled_heads(module, scales):
            answers = next_tokens(module, conflicts.rows, batch_size=batch_size)
    return Recall(sources_of(answers, conflicts), list(conflicts.entities))


def sources_of(answers: NDArray[np.int64], conflicts: Conflicts) -> NDArray[np.int8]:
    """Return where answers come from, 0 to 2 as in `Recall`, of the shape of `answers`, ``(..., n)``."""
    other = SOURCES.index("other")
    found = np.where(answers == conflicts.memorised, SOURCES.index("memorised"), other)
    return np.where(answers == conflicts.in_context, SOURCES.index("in_context"), found).astype(np.int8)


def frequency_correlation(
    found: Recall,
    frequencies: ArrayLike,
    *,
    of: Sequence[str] | None = None,
    source: Source = "in_context",
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return Spearman's rank correlation of a rate with how frequent something was in training.

    The rate is that of all items with the same `of`: by default, of an entity. Ranks of counts and of their logarithms
    are the same. The interval is a bootstrap over what is counted.

    Parameters
    ----------
    found
        Of `recall`.
    frequencies
        Of each item, shape ``(n,)``.
    of
        What was counted, of each item; by default its entity. For the frequency of the answers in the context, name these.
    source
        "in_context" (default), "memorised" or "other".
    level
        Confidence level, in (0, 1).
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        If there are not as many frequencies as items, or fewer than three things that were counted.

    Examples
    --------
    >>> found = Recall(np.array([0, 0, 0, 1, 1, 1], np.int8), list("aabbcc"))
    >>> frequency_correlation(found, [1, 1, 5, 5, 9, 9]).value
    -1.0
    """
    counted = np.asarray(list(of) if of is not None else list(found.entities))
    known = np.asarray(frequencies, dtype=np.float64)
    if known.shape != found.sources.shape or counted.shape != known.shape:
        message = f"each of {len(found.sources)} items needs a frequency, got {known.size} of {counted.size}"
        raise DataError(message)
    names, at = np.unique(counted, return_inverse=True)
    if len(names) < 3:
        message = (
            f"a correlation with frequency needs three different things that were counted, got {len(names)}"
        )
        raise DataError(message)
    n = np.bincount(at)
    rate = np.bincount(at, found._is(source)) / n
    frequency = np.bincount(at, known) / n
    return bootstrap(_rho, rate, frequency, level=level, seed=seed)


def _rho(rate: NDArray[np.float64], frequency: NDArray[np.float64], *, axis: int = -1) -> Any:
    """Return the rank correlation along the last axis, and 0 where one of the two does not vary."""
    assert axis == -1
    return np.nan_to_num(spearman_rho(rate, frequency))
