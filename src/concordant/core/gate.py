"""Gates: a bound on a finding, which holds, fails, or cannot be decided by the data there are.

A gate holds when the test of "the true value is on the wrong side of the bound" rejects, and fails when the
test of "it is on the right side" does; both tests are the inversion of the finding's own interval, so a gate
and the interval printed beside it never contradict each other. Several gates are one family: their p values are
adjusted by Holm's method, so that a suite of many gates does not pass or fail by luck.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.errors import ConfigError, nearest
from concordant.core.statistics import holm, needed_n

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.finding import Finding, Measure
    from concordant.core.statistics import Estimate

State = Literal["holds", "fails", "undecided"]

_MEASURE, _NUMBER = r"(?P<measure>[A-Za-z_][\w.@^]*)", r"[-+]?[\d.eE+-]+%?"
_COMPARISON = re.compile(rf"\s*{_MEASURE}\s*(?P<sign><=|>=|<|>)\s*(?P<bound>{_NUMBER})\s*")
_RANGE = rf"(?P<low>{_NUMBER})\s*(?:,|to)\s*(?P<high>{_NUMBER})"
_WITHIN = re.compile(rf"\s*{_MEASURE}\s+within\s+\[?\s*{_RANGE}\s*\]?\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """A measure and the range its true value must lie in.

    Parameters
    ----------
    measure
        Name of a finding of the relation the gate belongs to.
    low, high
        The range, infinite on an open side.

    Examples
    --------
    >>> Gate.parse("negative_flip_rate <= 2%")
    Gate(measure='negative_flip_rate', low=-inf, high=0.02)
    >>> str(Gate.parse("gain within -0.01 to 0.01"))
    'gain within -0.01 to 0.01'
    """

    measure: str
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read ``MEASURE <= BOUND``, ``MEASURE >= BOUND`` or ``MEASURE within LOW to HIGH``; bounds may be percent.

        Raises
        ------
        ConfigError
            If the text is none of these.
        """
        try:
            if match := _COMPARISON.fullmatch(text):
                side = "high" if "<" in match["sign"] else "low"
                return cls(match["measure"], **{side: _number(match["bound"])})
            if match := _WITHIN.fullmatch(text):
                gate = cls(match["measure"], _number(match["low"]), _number(match["high"]))
                if gate.low < gate.high:
                    return gate
        except ValueError:
            pass
        message = (
            f"the gate {text!r} does not parse; allowed: 'MEASURE <= NUMBER', 'MEASURE >= NUMBER',"
            " 'MEASURE within LOW to HIGH', for example 'negative_flip_rate <= 0.02'"
        )
        raise ConfigError(message)

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"{self.measure} <= {self.high:g}"
        if math.isinf(self.high):
            return f"{self.measure} >= {self.low:g}"
        return f"{self.measure} within {self.low:g} to {self.high:g}"

    def p_values(self, finding: Finding) -> tuple[float, float]:
        """Return the p values for "it holds" and for "it fails", small when the data say so."""
        estimate = finding.estimate
        lowest, highest = estimate.interval_at(1 - 1e-12)  # what the estimate can be at all
        sides = []
        if math.isfinite(self.high):
            side = estimate.p_value(self.high, "less"), estimate.p_value(self.high, "greater")
            sides.append((0.0, 1.0) if highest <= self.high else side)
        if math.isfinite(self.low):
            side = estimate.p_value(self.low, "greater"), estimate.p_value(self.low, "less")
            sides.append((0.0, 1.0) if lowest >= self.low else side)
        holds, fails = zip(*sides, strict=True)
        # Inside the range means inside both bounds (two one-sided tests); outside means outside one of the two.
        return max(holds), min(1.0, len(sides) * min(fails))


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of a gate.

    Parameters
    ----------
    gate, finding
        The bound and the figure.
    state
        "holds", "fails" or "undecided".
    p_holds, p_fails
        Adjusted p values of the two tests; NaN for a gate that was decided while asking, by a confidence sequence.
    needed_n
        When undecided: about how many units would decide it with a power of 80 % if the estimate is the truth;
        None where no number would, because the estimate lies on the bound, or where its spread is not known.
    """

    gate: Gate
    finding: Finding
    state: State
    p_holds: float
    p_fails: float
    needed_n: int | None = None

    def sentence(self) -> str:
        """Say it in one sentence for people."""
        finding = self.finding
        interval = f"{finding.low:.4g} to {finding.high:.4g}"
        text = f"{self.gate}: {self.state}, {finding.value:.4g} ({interval}, n={finding.n} {finding.unit})"
        if self.state != "undecided":
            return text
        if finding.value in (self.gate.low, self.gate.high):
            return f"{text}; the estimate lies on the bound, more {finding.unit} would hardly decide it"
        if self.needed_n is None:
            return f"{text}; there are too few {finding.unit} to say how many would decide it"
        return f"{text}; about {self.needed_n:,} {finding.unit} would decide it"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as one flat row."""
        return {
            "gate": str(self.gate),
            "relation": self.finding.relation,
            "state": self.state,
            "p_holds": None if math.isnan(self.p_holds) else self.p_holds,
            "p_fails": None if math.isnan(self.p_fails) else self.p_fails,
            "needed_n": self.needed_n,
            "sentence": self.sentence(),
        }


def check_gate(gate: Gate, relation: str, measures: Sequence[Measure]) -> None:
    """Refuse a gate that cannot tell anything, before a model is asked.

    Parameters
    ----------
    gate
        The bound.
    relation
        Name of the relation, for messages.
    measures
        What the relation measures.

    Raises
    ------
    ConfigError
        If there is no such measure, or if its whole range lies inside the bound or outside of it: 2 where 2 % was meant.

    Examples
    --------
    >>> from concordant.core.finding import Measure
    >>> rate = Measure("negative_flip_rate", "negative_flip", "lower", "items that were right and are wrong now")
    >>> check_gate(Gate.parse("negative_flip_rate <= 2%"), "versions.flips", [rate])
    >>> check_gate(Gate.parse("negative_flip_rate <= 2"), "versions.flips", [rate])
    Traceback (most recent call last):
    ...
    concordant.core.errors.ConfigError: the gate 'negative_flip_rate <= 2' always holds, as ...
    """
    known = {measure.name: measure for measure in measures}
    if gate.measure not in known:
        message = f"{relation} has no finding {gate.measure!r}; {nearest(gate.measure, known)}"
        raise ConfigError(message)
    low, high = known[gate.measure].bounds
    finite = [bound for bound in (gate.low, gate.high) if math.isfinite(bound)]
    if any(low <= bound <= high for bound in finite):
        return
    outcome = "always holds" if gate.low <= low and high <= gate.high else "never holds"
    wide = [bound for bound in finite if high == 1.0 and 1.0 < abs(bound) <= 100.0]
    percent = f"; for percent write {wide[0]:g}%" if wide else ""
    message = f"the gate '{gate}' {outcome}, as {gate.measure} lies between {low:g} and {high:g}{percent}"
    raise ConfigError(message)


def decide(gates: Sequence[tuple[Gate, Finding]], *, alpha: float = 0.05) -> list[GateResult]:
    """Decide a family of gates.

    Parameters
    ----------
    gates
        Each gate with the finding it bounds.
    alpha
        Two-sided error rate of the family, shared half and half by "holds" and "fails": 0.05 matches 95 % intervals.

    Returns
    -------
    list of GateResult
        In the order given.
    """
    if not gates:
        return []
    raw = np.array([gate.p_values(finding) for gate, finding in gates])
    adjusted = np.column_stack([holm(raw[:, 0]), holm(raw[:, 1])])
    results = []
    for (gate, finding), (p_holds, p_fails) in zip(gates, adjusted, strict=True):
        state: State = "holds" if p_holds <= alpha / 2 else "fails" if p_fails <= alpha / 2 else "undecided"
        needed = needed_to_decide(gate, finding.estimate, alpha) if state == "undecided" else None
        results.append(GateResult(gate, finding, state, float(p_holds), float(p_fails), needed))
    return results


def needed_to_decide(gate: Gate, estimate: Estimate, alpha: float) -> int | None:
    """Return about how many units would tell an estimate from all bounds of a gate; None where no number would."""
    bounds = [bound for bound in (gate.low, gate.high) if math.isfinite(bound)]
    needed = [needed_n(estimate, bound, alpha=alpha) for bound in bounds]
    known = [n for n in needed if n is not None]
    return max(*known, estimate.n + 1) if len(known) == len(bounds) else None


def _number(text: str) -> float:
    value = float(text.removesuffix("%"))
    return value / 100 if text.endswith("%") else value
