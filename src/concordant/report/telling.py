"""What in a report is worth looking at first: the verdict, the measures that matter, the worst slices, the flips."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.behaviours import NOT_ASKED, RIGHT, WRONG
from concordant.core.grading import OUTCOMES
from concordant.report.figures import about_n, bound_text, figure_text, value_text, with_p

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

MARKS = {"holds": "✓", "fails": "✗", "undecided": "?", "measured": "·"}
"""A sign for each `state`, which says the same as the word beside it."""

CHANGES = {
    "accuracy_old": "accuracy, old",
    "accuracy_new": "accuracy, new",
    "gain": "gain",
    "negative_flip_rate": "right, now wrong",
    "positive_flip_rate": "wrong, now right",
}
"""The measures of what changed between two versions, and what people call them."""

MAX_FOCUS = 3
SIGNIFICANT = 0.05


def state(report: Report) -> str:
    """Return "holds", "fails", "undecided", or "measured" for a report without gates."""
    return report.state if report.gates else "measured"


def level_text(report: Report) -> str:
    """Return the level of the intervals: ``95 %``."""
    return f"{100 * float(report.about.get('level', 0.95)):g} %"


def verdict(report: Report) -> str:
    """Say in one sentence what became of the gates."""
    total = len(report.gates)
    if not total:
        return "No gates were set: this report measures, and decides nothing."
    failed = [g for g in report.gates if g.state == "fails"]
    undecided = [g for g in report.gates if g.state == "undecided"]
    if failed:
        names = _listed(f"{bound_text(g)} ({g.finding.relation})" for g in failed)
        if len(failed) == 1:
            return f"{_of(1, total)} fails: {names}; measured was {figure_text(failed[0].finding)}."
        return f"{_of(len(failed), total)} fail: {names}."
    if undecided:
        needed = [g.needed_n for g in undecided]
        units = undecided[0].finding.unit
        more = "" if None in needed else f"; about {about_n(max(n for n in needed if n))} {units} would do"
        return f"{_of(len(undecided), total)} cannot be decided by these data{more}."
    return "The gate holds." if total == 1 else f"All {total} gates hold."


def _of(part: int, total: int) -> str:
    if part == total:
        return "The gate" if total == 1 else f"All {total} gates"
    return f"{part} of {total} gates"


def _listed(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    shown = "; ".join(names[:most])
    return shown if len(names) <= most else f"{shown}; and {len(names) - most} more"


# -- measures and slices -----------------------------------------------------------------------------------------


def focus(report: Report, result: Result) -> list[str]:
    """Return the measures of a relation that matter most: tested ones, then gated ones, then its first; at most three."""
    tested = [f.measure for f in result.findings.values() if f.p_value is not None]
    gated = [g.finding.measure for g in report.gates if g.finding.relation == result.name]
    first = list(result.findings)[:1]
    return list(dict.fromkeys([*tested, *gated, *first]))[:MAX_FOCUS]


def is_worse(finding: Finding, whole: Finding | None = None) -> bool:
    """Whether a finding points to the bad side: of zero for a change, of the `whole` for a slice held against the rest."""
    of_rest = whole is not None and (finding.test is None or "against the rest" in finding.test)
    middle = whole.value if whole is not None and of_rest else 0.0
    return finding.value < middle if finding.better == "higher" else finding.value > middle


def direction(finding: Finding) -> str:
    """Return "better", "worse" or "same": on which side of zero the interval of a change lies as a whole."""
    if finding.better is None or not (finding.low > 0 or finding.high < 0):
        return "same"
    return "worse" if is_worse(finding) else "better"


def slice_direction(finding: Finding, whole: Finding | None) -> str:
    """Return "better" or "worse" for a slice whose adjusted p value is at most 0.05, else "same"."""
    if finding.better is None or finding.p_value is None or not finding.p_value <= SIGNIFICANT:
        return "same"
    return "worse" if is_worse(finding, whole) else "better"


def worst_slices(result: Result, measure: str, k: int) -> list[Finding]:
    """Return the `k` worst slices in a measure, worst first.

    A measure that is tested on each slice is ranked by its adjusted p among the slices on the bad side, before those on
    the good side. Other measures are ranked by the favourable end of their interval, so that a small slice does not
    lead the list by chance alone.

    Parameters
    ----------
    result
        What a relation found.
    measure
        The measure to rank by.
    k
        How many to return at most.
    """
    chosen = [
        f for f in result.slices if f.measure == measure and f.slice is not None and math.isfinite(f.value)
    ]
    whole = result.findings.get(measure)

    def rank(finding: Finding) -> tuple[float, ...]:
        favourable = -finding.low if finding.better == "lower" else finding.high
        if finding.p_value is None:
            return (favourable,)
        p = finding.p_value if math.isfinite(finding.p_value) else 1.0
        return (0, p, favourable) if is_worse(finding, whole) else (1, -p, favourable)

    return sorted(chosen, key=rank)[:k]


def leading_slices(report: Report, result: Result, k: int) -> list[Finding]:
    """Return the `k` worst slices of a relation in the measure that matters most."""
    measures = focus(report, result)
    return worst_slices(result, measures[0], k) if measures else []


def by_name(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings on slices as they read best: column by column, the highest value first."""
    return sorted(findings, key=lambda f: ("" if f.slice is None else f.slice[0], -f.value))


# -- flips -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FlipMatrix:
    """How many items had which outcome in the old and in the new version.

    Parameters
    ----------
    outcomes
        Names of the outcomes that occur, "right" and "wrong" always among them.
    counts
        Shape ``(len(outcomes), len(outcomes))``: rows are the old outcome, columns the new one.
    """

    outcomes: list[str]
    counts: NDArray[np.int64]

    @property
    def n(self) -> int:
        """How many items there are."""
        return int(self.counts.sum())

    def count(self, old: str, new: str) -> int:
        """Return how many items had outcome `old` and have outcome `new`."""
        return int(self.counts[self.outcomes.index(old), self.outcomes.index(new)])


def flips(report: Report) -> list[Result]:
    """Return the results that hold a new version against an old one item by item."""
    return [result for result in report.results.values() if set(CHANGES) <= set(result.findings)]


def flip_counts(result: Result) -> FlipMatrix | None:
    """Count the outcomes of the old and the new version against each other, by the first sample of each item.

    A result that was read from a run without its behaviours knows them by its verdicts, right and wrong only; None
    without either.
    """
    if {"old", "new"} <= set(result.answers):
        old, new = (result.answers[name].outcome[:, 0].astype(np.int64) for name in ("old", "new"))
    elif {"old_right", "new_right"} <= set(result.verdicts.columns):
        codes = [
            pl.col(name).replace_strict({1.0: RIGHT, 0.0: WRONG}, default=NOT_ASKED)
            for name in ("old_right", "new_right")
        ]
        old, new = (column.to_numpy() for column in result.verdicts.select(codes))
    else:
        return None
    asked = (old >= 0) & (new >= 0)
    size = len(OUTCOMES)
    counts = np.bincount(old[asked] * size + new[asked], minlength=size * size).reshape(size, size)
    always = (RIGHT, WRONG)
    occurs = [c for c in range(size) if c in always or counts[c].any() or counts[:, c].any()]
    return FlipMatrix([OUTCOMES[code] for code in occurs], counts[np.ix_(occurs, occurs)])


def change_sentence(result: Result) -> str:
    """Say in one sentence how the accuracy changed, and in another what flipped."""
    old, new, gain = (result.findings[name] for name in ("accuracy_old", "accuracy_new", "gain"))
    moved = {"better": "rose", "worse": "fell", "same": "did not change demonstrably,"}[direction(gain)]
    p = "" if gain.p_value is None else f"; {gain.test} {with_p(gain.p_value)}"
    said = f"Accuracy {moved} from {value_text(old)} to {value_text(new)}: a change of {figure_text(gain)[:-1]}{p})."
    matrix = flip_counts(result)
    if matrix is None:
        return said
    lost, won = matrix.count("right", "wrong"), matrix.count("wrong", "right")
    return f"{said} {lost:,} {_items(lost)} went from right to wrong and {won:,} from wrong to right."


def _items(n: int) -> str:
    return "item" if n == 1 else "items"


def noise_findings(report: Report) -> list[Finding]:
    """Return the findings that say how much asking again alone changes, and what lies beyond it."""
    wanted = ("noise_flip_rate", "negative_flips_from_noise", "negative_flips_beyond_noise")
    return [r.findings[m] for r in report.results.values() for m in wanted if m in r.findings]


# -- errors ------------------------------------------------------------------------------------------------------


def errors(result: Result, k: int = 3) -> list[tuple[str, int]]:
    """Return the `k` most frequent error messages of the behaviours of a relation, with how often each occurs."""
    found = [b["error"].cast(pl.String).drop_nulls() for b in result.answers.values() if "error" in b]
    if not found:
        return []
    counts = (
        pl.concat([series.alias("error") for series in found])
        .value_counts(sort=True)
        .sort("count", "error", descending=[True, False])
    )
    return [(row["error"], row["count"]) for row in counts.head(k).to_dicts()]


def left_out(findings: Iterable[Finding]) -> str:
    """Say how many items a relation could not judge, or nothing where it judged them all."""
    findings = list(findings)
    counts = {
        "with an error": max((f.n_error for f in findings), default=0),
        "that could not be graded or compared": max((f.n_ungraded for f in findings), default=0),
    }
    said = [f"{n:,} {_items(n)} {name}" for name, n in counts.items() if n]
    return f"Left out: {' and '.join(said)}." if said else ""
