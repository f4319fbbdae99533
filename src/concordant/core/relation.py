"""Relations: which behaviours belong together, and how far they agree.

A relation is a wide table: one row an item, one column a variant. `expand` makes the variants, the runner fills in the
behaviours, `judge` gives the verdicts, `summarize` turns verdicts into findings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.finding import Finding, Measure
from concordant.core.statistics import estimate_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.episode import Episode
    from concordant.core.items import Items
    from concordant.core.model import Model

AGREEMENT = Measure("agreement_score", "agreement", "higher", "how far the variants of an item agree, 0 to 1")


@dataclass(frozen=True, slots=True)
class Variant:
    """One column of a relation: the items as a model is to be asked them.

    Parameters
    ----------
    name
        Name of the column, unique in its relation.
    items
        The rewritten items: the ids of the relation's items (some may be left out), with other inputs, choices or
        references.
    model
        The model that answers, or None for the model under test.
    ask
        Changes to the request: ``{"n": 5, "temperature": 0.7}``.
    episode
        The conversation that makes the behaviour, or None for one plain answer.
    """

    name: str
    items: Items
    model: Model | None = None
    ask: Mapping[str, Any] = field(default_factory=dict)
    episode: Episode | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of a relation, one row an item, and what is needed to make findings of them.

    Parameters
    ----------
    relation
        Name of the relation.
    items
        The items, aligned with `frame`.
    frame
        One row an item: `agreement` in [0, 1] and the relation's own columns. Null means "could not be judged", or, in a
        column other than `agreement`, "does not apply".
    failed
        Items with a behaviour that is an error, shape ``(n_items,)``.
    level
        Level of the intervals.
    seed
        Seed of whatever resampling a summary does.
    """

    relation: str
    items: Items
    frame: pl.DataFrame
    failed: NDArray[np.bool_]
    level: float = 0.95
    seed: int = 0

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """Return a column as floats, NaN where null."""
        return self.frame[column].cast(pl.Float64).to_numpy()

    def rows(self, index: NDArray[Any]) -> Verdicts:
        """Return the verdicts at the given row numbers, or where a Boolean mask is true."""
        items = self.items.rows(index)
        frame = self.frame.filter(index) if index.dtype == bool else self.frame[index]
        return replace(self, items=items, frame=frame, failed=self.failed[index])

    def joined(self, other: Verdicts) -> Verdicts:
        """Return these verdicts followed by those of further items."""
        items = self.items.followed_by(other.items)
        frame = pl.concat([self.frame, other.frame], how="vertical_relaxed")
        failed = np.concatenate([self.failed, other.failed])
        return replace(self, items=items, frame=frame, failed=failed)

    def finding(
        self, measure: Measure, values: NDArray[np.float64] | None = None, **more: Any
    ) -> Finding | None:
        """Estimate the mean of a measure over the items it applies to, clustered by their groups.

        Parameters
        ----------
        measure
            What to estimate.
        values
            Shape ``(n_items,)``, NaN where it does not apply; by default the measure's column.
        more
            Further fields of the finding.

        Returns
        -------
        Finding or None
            None where it applies to no item.
        """
        values = self[measure.column] if values is None else values
        applies = ~np.isnan(values)
        if not applies.any():
            return None
        groups = self.items.groups
        clusters = None if groups is None else groups[applies]
        estimate = estimate_mean(values[applies], clusters=clusters, level=self.level, bounds=measure.bounds)
        return self.make(measure, estimate, **more)

    def make(self, measure: Measure, estimate: Any, **more: Any) -> Finding:
        """Make a finding of an estimate that is not a mean over items."""
        unjudged = np.isnan(self["agreement"])
        return Finding(
            self.relation,
            measure.name,
            estimate,
            better=measure.better,
            about=measure.about,
            n_error=int((unjudged & self.failed).sum()),
            n_ungraded=int((unjudged & ~self.failed).sum()),
            **more,
        )


def unique_names(names: Iterable[str]) -> list[str]:
    """Return the names that relations of one check go by, of which some may occur twice.

    Examples
    --------
    >>> unique_names(["versions.flips", "variants.resample", "versions.flips"])
    ['versions.flips', 'variants.resample', 'versions.flips#2']
    """
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique


class Relation(ABC):
    """What a relation must say. Subclasses are final: they implement the two methods and override nothing else.

    Attributes
    ----------
    name
        Registered name, ``"versions.flips"``.
    measures
        What its verdicts are summarized into, most telling first.
    """

    name: str
    measures: tuple[Measure, ...] = (AGREEMENT,)

    @abstractmethod
    def expand(self, items: Items) -> list[Variant]:
        """Make the variants of the items; the first one is the base that the others are held against."""

    @abstractmethod
    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge the behaviours of all variants.

        Parameters
        ----------
        items
            The items, n of them.
        answers
            The behaviours of each variant by its name, aligned with the items.

        Returns
        -------
        pl.DataFrame
            n rows with the column `agreement` in [0, 1] and one column for each measure; null where not judgeable.
        """

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Turn verdicts into findings: by default the mean of each measure with its interval."""
        findings = (verdicts.finding(measure) for measure in self.measures)
        return [finding for finding in findings if finding is not None]

    def settings(self) -> dict[str, Any]:
        """Return what the relation was told, for the record of a run: its public attributes of plain values."""
        plain = (str, int, float, bool, list, tuple, dict, type(None))
        told = ((k, v) for k, v in vars(self).items() if not k.startswith("_"))
        return {k: v for k, v in told if isinstance(v, plain) and k not in ("name", "measures")}
