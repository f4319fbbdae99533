"""What a check found: one result a relation, the gates, and what was asked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, nearest
from concordant.core.registry import lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.finding import Finding
    from concordant.core.gate import GateResult
    from concordant.core.items import Items
    from concordant.core.relation import Relation

FINDING_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("relation", "measure", "slice", "slice_value"), pl.String),
        **dict.fromkeys(("value", "low", "high", "level", "stderr"), pl.Float64),
        **dict.fromkeys(("n", "n_clusters", "n_error", "n_ungraded"), pl.Int64),
        **dict.fromkeys(("unit", "method", "better"), pl.String),
        "p_value": pl.Float64,
        **dict.fromkeys(("test", "correction", "about", "note"), pl.String),
    }
)
"""Columns of ``findings.parquet``."""

EXIT_CODES = {"holds": 0, "fails": 1, "undecided": 3}


@dataclass(frozen=True, slots=True)
class Result:
    """What one relation found.

    Parameters
    ----------
    relation
        The relation.
    items
        The items, n of them.
    answers
        The behaviours of each variant by its name, aligned with the items.
    verdicts
        One row an item: `agreement` and the columns of the measures.
    findings
        The findings over all items by the name of their measure.
    slices
        The findings on slices, most telling first: sorted by adjusted p.

    Examples
    --------
    ``report["versions.flips"].negative_flip_rate`` is the `Finding` of that measure.
    """

    relation: Relation
    items: Items
    answers: Mapping[str, Behaviours]
    verdicts: pl.DataFrame
    findings: dict[str, Finding]
    slices: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the relation."""
        return self.relation.name

    def __getattr__(self, measure: str) -> Finding:
        if measure.startswith("_"):
            raise AttributeError(measure)
        try:
            return self.findings[measure]
        except KeyError:
            message = f"{self.name} has no finding {measure!r}; {nearest(measure, self.findings)}"
            raise AttributeError(message) from None

    def __getitem__(self, measure: str) -> Finding:
        if measure not in self.findings:
            message = f"{self.name} has no finding {measure!r}; {nearest(measure, self.findings)}"
            raise ConfigError(message)
        return self.findings[measure]

    def table(self, index: Any = None) -> pl.DataFrame:
        """Return the wide table: one row an item, with the inputs, outputs and outcomes of every variant, and the verdicts.

        Parameters
        ----------
        index
            Row numbers to take, or None for all.
        """
        frame = self.items.frame.select(c for c in self.items.frame.columns if c != "choices")
        for name, behaviours in self.answers.items():
            frame = frame.join(
                behaviours.wide(name), left_on="id", right_on="item", how="left", maintain_order="left"
            )
        verdicts = self.verdicts.rename({c: f"verdict.{c}" for c in self.verdicts.columns})
        frame = frame.hstack(verdicts)
        return frame if index is None else frame[index]

    def worst(self, k: int = 10) -> pl.DataFrame:
        """Return the `k` items that agree least, their variants side by side; items that agree are left out.

        Items of equal agreement come with negative flips first, then positive ones, then in the order of the items.
        """
        return self.beside(self.ranked(k))

    def ranked(self, k: int | None = None) -> NDArray[np.intp]:
        """Return the row numbers of the items that disagree, most telling first: all, or the first `k`."""
        columns = [c for c in ("agreement", "negative_flip", "positive_flip") if c in self.verdicts.columns]
        order = self.verdicts.select(columns).with_row_index("row").filter(pl.col("agreement") < 1)
        falling = [column != "agreement" for column in columns]
        order = order.sort(*columns, "row", descending=[*falling, False], nulls_last=True)
        return order["row"].head(len(order) if k is None else k).to_numpy().astype(np.intp)

    def beside(self, index: NDArray[np.intp]) -> pl.DataFrame:
        """Return the wide table of a few items, made without the table of all of them."""
        ids = self.items.ids.gather(index).implode()
        answers = {
            name: replace(
                behaviours,
                items=behaviours.items.rows(behaviours.items.ids.is_in(ids).to_numpy()),
                frame=behaviours.frame.filter(pl.col("item").is_in(ids)),
            )
            for name, behaviours in self.answers.items()
        }
        return Result(self.relation, self.items.rows(index), answers, self.verdicts[index], {}).table()


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    Parameters
    ----------
    title
        What was checked, in a line.
    items
        The items.
    results
        The result of each relation by its name.
    gates
        What became of the gates, in the order in which they were given.
    about
        What was asked: models, data digest, seeds, versions, times; plain JSON values.
    """

    title: str
    items: Items
    results: dict[str, Result]
    gates: list[GateResult]
    about: dict[str, Any]

    def __getitem__(self, relation: str) -> Result:
        if relation not in self.results:
            message = f"the report has no relation {relation!r}; {nearest(relation, self.results)}"
            raise ConfigError(message)
        return self.results[relation]

    @property
    def findings(self) -> list[Finding]:
        """All findings over all items."""
        return [finding for result in self.results.values() for finding in result.findings.values()]

    @property
    def slices(self) -> list[Finding]:
        """All findings on slices."""
        return [finding for result in self.results.values() for finding in result.slices]

    @property
    def state(self) -> str:
        """``"fails"`` if a gate fails, else ``"undecided"`` if one is, else ``"holds"``."""
        states = {gate.state for gate in self.gates}
        return "fails" if "fails" in states else "undecided" if "undecided" in states else "holds"

    @property
    def exit_code(self) -> int:
        """0 when all gates hold, 1 when one fails, 3 when none fails and one is undecided."""
        return EXIT_CODES[self.state]

    def worst(self, relation: str, k: int = 10) -> pl.DataFrame:
        """Return the `k` items that agree least in a relation, their variants side by side."""
        return self[relation].worst(k)

    def frame(self) -> pl.DataFrame:
        """Return all findings, over all items and on slices, as one table."""
        rows = [finding.to_dict() for finding in (*self.findings, *self.slices)]
        return pl.DataFrame(rows, schema=FINDING_SCHEMA)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values: what ``--json`` prints."""
        return {
            "title": self.title,
            "state": self.state,
            "exit_code": self.exit_code,
            "n_items": len(self.items),
            "gates": [gate.to_dict() for gate in self.gates],
            "findings": [finding.to_dict() for finding in self.findings],
            "slices": [finding.to_dict() for finding in self.slices],
            "about": self.about,
        }

    def save(self, path: str | Path) -> Path:
        """Write the report; the suffix says how: ``.html``, ``.json``, ``.xml`` (JUnit), ``.md`` or ``.parquet``.

        Raises
        ------
        ConfigError
            If no writer is registered for the suffix.
        """
        path = Path(path)
        writer = lookup("writers", path.suffix.lstrip(".").lower() or "html")
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(self, path)
        return path

    def _repr_html_(self) -> str:
        return str(lookup("writers", "fragment")(self))

    def __repr__(self) -> str:
        lines = [f"Report: {self.title} ({len(self.items)} items)"]
        for finding in self.findings:
            p = "" if finding.p_value is None or math.isnan(finding.p_value) else f", p={finding.p_value:.2g}"
            lines.append(
                f"  {finding.name}: {finding.value:.4g} ({finding.low:.4g} to {finding.high:.4g}, n={finding.n}{p})"
            )
        lines += [f"  gate {gate.sentence()}" for gate in self.gates]
        return "\n".join(lines)


def commonest_reason(results: Iterable[Result]) -> str:
    """Say why most items could not be judged, as the end of a sentence; empty where no behaviour says it."""
    errors: Counter[str] = Counter()
    unparsed: Counter[str] = Counter()
    for result in results:
        for behaviours in result.answers.values():
            errors.update(behaviours["error"].drop_nulls().to_list())
            if behaviours.grader is not None:
                unparsed[behaviours.grader.name] += int(behaviours.unparsed.sum())
    if errors:
        return f"; most often: {errors.most_common(1)[0][0]}"
    grader, n = max(unparsed.items(), key=lambda entry: entry[1], default=("", 0))
    return f"; the grader {grader} finds no answer in {n:,} outputs" if n else ""
