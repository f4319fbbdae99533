"""Every head times every scale: what turning one head up or down does to where a model's answers come from.

Heads and scales are chosen on one part of the entities and measured on the other; and a head is special only where it does
more than other heads at the same scale do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError
from concordant.core.progress import progress_bars
from concordant.core.statistics import paired_difference
from concordant.explanations.mechanisms.decoder import checked_rows, module_of, n_heads_of, read_batches
from concordant.explanations.mechanisms.head_scaling import scaled_heads
from concordant.explanations.mechanisms.sources import SOURCES, Recall, recall, sources_of
from concordant.models.heads import output_projections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.statistics import Estimate
    from concordant.explanations.mechanisms.conflicts import Conflicts
    from concordant.explanations.mechanisms.sources import Source

SCALES = (-1.0, 0.0, 2.0, 5.0)


class HeadChoice(NamedTuple):
    """A head and what its values are multiplied by."""

    layer: int
    head: int
    scale: float

    @property
    def scales(self) -> dict[tuple[int, int], float]:
        """What `scaled_heads` takes."""
        return {(self.layer, self.head): self.scale}


@dataclass(frozen=True, eq=False)
class HeadSweep:
    """Where answers come from, with each head at each scale.

    Parameters
    ----------
    untouched
        Without any scaling.
    heads
        The heads that were scaled, as (layer, head).
    scales
        What their values were multiplied by.
    sources
        As in `Recall`, shape ``(n_heads, n_scales, n)``.
    shape
        Layers, and heads of a layer, of the model.
    """

    untouched: Recall
    heads: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    sources: NDArray[np.int8]
    shape: tuple[int, int]

    def recall(self, layer: int, head: int, scale: float) -> Recall:
        """Return where answers come from with one head at one scale.

        Raises
        ------
        DataError
            If that was not measured.
        """
        row, column = self._row(layer, head), self._column(scale)
        return Recall(self.sources[row, column], self.untouched.entities)

    def rates(self, source: Source = "in_context") -> NDArray[np.float64]:
        """Return the rate of a source with each head at each scale, shape ``(n_heads, n_scales)``."""
        return np.asarray((self.sources == SOURCES.index(source)).mean(-1))

    def grid(self, scale: float, source: Source = "in_context") -> NDArray[np.float64]:
        """Return the rate of a source by layer and head at one scale, shape ``(layers, heads)``; NaN where not scaled."""
        grid = np.full(self.shape, np.nan)
        column = self._column(scale)
        grid[tuple(np.array(self.heads).T)] = self.rates(source)[:, column]
        return grid

    def best(
        self,
        source: Source = "in_context",
        *,
        lowest: bool = False,
        head: tuple[int, int] | None = None,
        scales: Sequence[float] | None = None,
        most_other: float = 0.1,
    ) -> HeadChoice:
        """Return the head and scale that raise the rate of a source most.

        Of equal rates the scale nearest to 1 is taken, then the first head.

        Parameters
        ----------
        source
            "in_context" (default), "memorised" or "other".
        lowest
            Whether the rate is to be lowered instead.
        head
            Choose the scale of this (layer, head) only.
        scales
            Choose among these of the scales that were measured; by default all of them.
        most_other
            By how much the rate of other answers may rise above the untouched model's, in [0, 1]; default 0.1. Strong
            scales break a model, and what it then says is neither copied nor recalled.

        Raises
        ------
        DataError
            If nothing stays within that bound, or the head or a scale was not measured.
        """
        rates, other = self.rates(source), self.rates("other")
        allowed = other <= self.untouched.rate("other").value + most_other
        if head is not None:
            allowed &= (np.arange(len(self.heads)) == self._row(*head))[:, None]
        if scales is not None:
            allowed &= np.isin(np.arange(len(self.scales)), [self._column(scale) for scale in scales])
        if not allowed.any():
            which = "" if head is None else f" of head {tuple(head)}"
            message = f"no scale{which} keeps other answers within {most_other:g} above the untouched rate"
            raise DataError(message)
        score = np.where(allowed, -rates if lowest else rates, -np.inf)
        distance = np.abs(np.array(self.scales) - 1)
        row, column = min(
            zip(*np.nonzero(score == score.max()), strict=True), key=lambda at: (distance[at[1]], at[0])
        )
        layer, place = self.heads[row]
        return HeadChoice(layer, place, self.scales[column])

    def against_others(
        self, layer: int, head: int, scale: float, source: Source = "in_context", *, level: float = 0.95
    ) -> Estimate:
        """Return how much more a head changes a rate than the other heads at the same scale do in the mean.

        Positive where its rate is higher. Items are paired, and those of one entity are one cluster.

        Parameters
        ----------
        layer, head, scale
            Which.
        source
            "in_context" (default), "memorised" or "other".
        level
            Confidence level, in (0, 1).

        Raises
        ------
        DataError
            If that was not measured, or no other head was scaled.
        """
        row, column = self._row(layer, head), self._column(scale)
        if len(self.heads) < 2:
            message = "a head can be compared with others where others were scaled, too"
            raise DataError(message)
        said = (self.sources[:, column] == SOURCES.index(source)).astype(np.float64)
        others = np.delete(said, row, axis=0).mean(0)
        entities = list(self.untouched.entities)
        clusters = None if len(set(entities)) == len(entities) else entities
        return paired_difference(said[row], others, clusters=clusters, level=level, method="t")

    def table(self, source: Source = "in_context", *, level: float = 0.95) -> pl.DataFrame:
        """Return a row for each head and scale, those that change the rate most first.

        Columns: ``layer``, ``head``, ``scale``; ``rate`` with ``low`` and ``high``; ``change`` from the untouched model, in
        pairs, with ``change_low`` and ``change_high``; ``other_rate``; ``n``.

        Parameters
        ----------
        source
            "in_context" (default), "memorised" or "other".
        level
            Confidence level, in (0, 1).
        """
        rows = []
        for layer, head in self.heads:
            for scale in self.scales:
                found = self.recall(layer, head, scale)
                rate, change = (
                    found.rate(source, level=level),
                    found.change(self.untouched, source, level=level),
                )
                rows.append(
                    {
                        "layer": layer,
                        "head": head,
                        "scale": scale,
                        "rate": rate.value,
                        "low": rate.low,
                        "high": rate.high,
                        "change": change.value,
                        "change_low": change.low,
                        "change_high": change.high,
                        "other_rate": found.rate("other").value,
                        "n": rate.n,
                    }
                )
        order = pl.col("change").abs()
        return pl.DataFrame(rows).sort(order, descending=True, maintain_order=True)

    def _row(self, layer: int, head: int) -> int:
        if (layer, head) not in self.heads:
            message = f"head {(layer, head)} was not scaled; {len(self.heads)} heads were"
            raise DataError(message)
        return self.heads.index((layer, head))

    def _column(self, scale: float) -> int:
        if scale not in self.scales:
            known = ", ".join(f"{known:g}" for known in self.scales)
            message = f"the scale {scale:g} was not measured; these were: {known}"
            raise DataError(message)
        return self.scales.index(scale)


def head_sweep(
    model: Any,
    conflicts: Conflicts,
    *,
    scales: Sequence[float] = SCALES,
    heads: Sequence[tuple[int, int]] | None = None,
    batch_size: int = 256,
    progress: bool = True,
) -> HeadSweep:
    """Scale each head by each number, one at a time, and see where the answers to conflicts come from.

    Parameters
    ----------
    model
        A causal language model of transformers, a `CausalLM`, or what `concordant.load` returns for either.
    conflicts
        What is asked; choose on one part of `Conflicts.split` and measure on the other.
    scales
        Numbers, all different, other than 1.
    heads
        As (layer, head); by default all of the model.
    batch_size
        Rows in a forward pass; each row has a head and a scale of its own.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    ConfigError
        If there are no scales, or one is there twice, or is 1.
    DataError
        If there is no such head.

    Examples
    --------
    >>> import concordant as cc
    >>> from concordant.explanations.mechanisms.conflicts import Conflicts
    >>> conflicts = Conflicts([[5, 6], [5, 7]], in_context=[10, 11], memorised=[12, 12], entities=["a", "b"])
    >>> sweep = head_sweep(cc.load("pocket:250k-base"), conflicts, scales=[0.0, 3.0])
    >>> sweep.sources.shape, sweep.grid(3.0).shape
    ((12, 2, 2), (3, 4))
    """
    module = module_of(model)
    scales = tuple(float(scale) for scale in scales)
    if not scales or len(set(scales)) < len(scales) or 1.0 in scales:
        message = f"scales must be one or more different numbers other than 1, got {list(scales)}"
        raise ConfigError(message)
    shape = (len(output_projections(module)), n_heads_of(module))
    places = tuple((int(a), int(b)) for a, b in (np.ndindex(shape) if heads is None else heads))
    for layer, head in places:
        if not (0 <= layer < shape[0] and 0 <= head < shape[1]):
            message = f"heads are (layer, head), layer 0 to {shape[0] - 1} and head 0 to {shape[1] - 1}, got {(layer, head)}"
            raise DataError(message)
    checked_rows(conflicts.rows, -1, module)
    untouched = recall(module, conflicts, batch_size=batch_size)
    n, n_scales = len(conflicts), len(scales)
    answers = np.empty((len(places), n_scales, n), dtype=np.int64)

    with progress_bars() as tell:
        for row, (layer, head) in enumerate(places):
            repeated = [ids for _ in scales for ids in conflicts.rows]

            def scaled(part: list[int], layer: int = layer, head: int = head) -> Any:
                factors = np.ones((len(part), *shape))
                factors[:, layer, head] = [scales[i // n] for i in part]
                return scaled_heads(module, factors)

            flat = answers[row].reshape(-1)
            for part, logits in read_batches(module, repeated, batch_size, within=scaled):
                flat[part] = logits[:, -1].argmax(-1).cpu().numpy()
            if progress:
                tell("heads", row + 1, len(places))
    return HeadSweep(untouched, places, scales, sources_of(answers, conflicts), shape)
