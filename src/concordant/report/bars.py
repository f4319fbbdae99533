"""Dot-and-whisker bars: where on a line a value and its interval are drawn, in percent of its length."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from concordant.report.figures import is_signed, number
from concordant.report.telling import direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.finding import Finding
    from concordant.core.gate import GateResult
    from concordant.studies.decisions import Decision

MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class Axis:
    """The range that a line stands for.

    Examples
    --------
    >>> Axis(0.0, 2.0).at(1.0)
    50.0
    """

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where `value` lies, in percent of the line; what lies outside is put on the end."""
        if self.high <= self.low:
            return 50.0
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (100 - 2 * MARGIN) * min(1.0, max(0.0, share)), 2)

    @property
    def ends(self) -> tuple[str, str]:
        """The two ends as text."""
        places = 0 if self.high - self.low > 20 else 2
        low, high = ("0" if end == 0 else number(end, places) for end in (self.low, self.high))
        return low, high


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval on a line; positions in percent.

    Parameters
    ----------
    value, low, high
        The value and the ends of its interval.
    kind
        "better" or "worse" for a change whose interval leaves out zero, else "same".
    zero
        Where zero lies, if it is on the line and not at its end.
    bounds
        Where the bounds of a gate lie.
    inside
        From where to where the gate allows values.
    ends
        What the ends of the line stand for, where the line has an axis of its own.
    dots
        Where the single values lie that the value is the mean of.
    """

    value: float
    low: float
    high: float
    kind: str
    zero: float | None = None
    bounds: tuple[float, ...] = ()
    inside: tuple[float, float] | None = None
    ends: tuple[str, str] | None = None
    dots: tuple[float, ...] = ()


def bars(findings: Sequence[Finding]) -> tuple[list[Bar | None], Axis | None]:
    """Lay out findings that are listed under each other.

    Rates, scores and their differences share one axis, so that their lengths can be compared; a figure beyond [-1, 1] has an
    axis of its own, with its ends written beside it. What is not a number has no bar.

    Returns
    -------
    list of Bar or None
        One for each finding.
    Axis or None
        The shared axis, if there is one.
    """
    shared = [f for f in findings if _is_share(f)]
    axis = _axis(shared) if shared else None
    laid: list[Bar | None] = []
    for finding in findings:
        if not math.isfinite(finding.value):
            laid.append(None)
        elif axis is not None and _is_share(finding):
            laid.append(_bar(finding, axis))
        else:
            own = _axis([finding])
            laid.append(replace(_bar(finding, own), ends=own.ends))
    return laid, axis


def gate_bar(result: GateResult) -> Bar | None:
    """Lay out the finding of a gate with its bounds, coloured by what became of the gate."""
    finding, low, high = result.finding, result.gate.low, result.gate.high
    kind = {"holds": "better", "fails": "worse"}.get(result.state, "same")
    if not math.isfinite(finding.value):
        return None
    bounds = [b for b in (low, high) if math.isfinite(b)]
    edges = [e for e in (finding.value, finding.low, finding.high, *bounds) if math.isfinite(e)]
    spread = max(edges) - min(edges) or abs(edges[0]) or 1.0
    axis = Axis(min(edges) - 0.15 * spread, max(edges) + 0.15 * spread)
    inside = (0.0 if math.isinf(low) else axis.at(low), 100.0 if math.isinf(high) else axis.at(high))
    return replace(_bar(finding, axis), bounds=tuple(axis.at(b) for b in bounds), inside=inside, kind=kind)


def claim_bar(decision: Decision) -> Bar:
    """Lay out the differences of a claim with their mean, its interval and the margin, coloured by the claim's state."""
    estimate, margin = decision.estimate, decision.claim.margin
    edges = [e for e in (estimate.low, estimate.high, margin, *decision.differences) if math.isfinite(e)]
    spread = max(edges) - min(edges) or abs(edges[0]) or 1.0
    axis = Axis(min(edges) - 0.1 * spread, max(edges) + 0.1 * spread)
    return Bar(
        value=axis.at(estimate.value),
        low=axis.at(estimate.low) if math.isfinite(estimate.low) else 0.0,
        high=axis.at(estimate.high) if math.isfinite(estimate.high) else 100.0,
        kind={"holds": "better", "fails": "worse"}.get(decision.state, "same"),
        zero=axis.at(0.0) if margin and axis.low < 0 < axis.high else None,
        bounds=(axis.at(margin),),
        inside=(axis.at(margin), 100.0),
        dots=tuple(axis.at(difference) for difference in decision.differences),
    )


def _is_share(finding: Finding) -> bool:
    ends = (finding.value, finding.low, finding.high)
    return all(-1 <= end <= 1 for end in ends)


def _axis(findings: Sequence[Finding]) -> Axis:
    edges = [e for f in findings for e in (f.low, f.value, f.high) if math.isfinite(e)]
    return Axis(min(0.0, *edges), max(0.0, *edges))


def _bar(finding: Finding, axis: Axis) -> Bar:
    zero = axis.at(0.0) if axis.low < 0 < axis.high else None
    return Bar(
        value=axis.at(finding.value),
        low=axis.at(finding.low) if math.isfinite(finding.low) else 0.0,
        high=axis.at(finding.high) if math.isfinite(finding.high) else 100.0,
        kind=direction(finding) if is_signed(finding) else "same",
        zero=zero,
    )
