r"""Deciding claims: the paired differences of the seeds, their interval, and whether it lies beyond the margin.

With the differences :math:`d_1, \dots, d_n` of n seeds (or units), positive in the claim's favour, the interval is
:math:`\bar d \pm t_{n-1} s / \sqrt n` at 95 %. The claim holds when all of it lies above the margin, fails when all of it
lies below, and is undecided otherwise.

Where all differences are equal, their spread says nothing, and a t interval of no width would decide by two seeds. Then
only their sign counts: n differences on one side have :math:`p = 2^{1-n}` under the sign test, which decides from six
up. Where the seeds measured the very same numbers throughout, they are one seed, and more of them would not help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from concordant.core.statistics import Estimate, estimate_mean, holm, needed_n_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.studies.study import Claim, Measurements

State = Literal["holds", "fails", "undecided"]

LEVEL = 0.95
SIGN_TEST_N = 6  # 2^(1 - n) is below 0.05 from here
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Decision:
    """What became of a claim.

    Parameters
    ----------
    claim
        The claim.
    state
        "holds", "fails" or "undecided".
    differences
        What it was decided from, one a seed or unit, positive in the claim's favour.
    estimate
        Their mean with its 95 % interval.
    needed_n
        When undecided: about how many seeds or units would decide it with a power of 80 % if the mean and the spread
        are as measured; None where no number is known.
    p_holds, p_fails
        One-sided p values; the state is that of the smaller one being at most 0.025.
    same
        Whether the seeds are no repetitions: all of them measured the very same numbers.
    """

    claim: Claim
    state: State
    differences: tuple[float, ...]
    estimate: Estimate
    needed_n: int | None
    p_holds: float
    p_fails: float
    same: bool = False

    @property
    def unit(self) -> str:
        """What was paired: "seeds" or "units"."""
        return self.claim.over

    def why(self) -> str:
        """Say in a clause why an undecided claim is, and what would decide it; empty where it is decided.

        Examples
        --------
        >>> from concordant.studies.study import Claim
        >>> claim = Claim("better", "new.accuracy", "old.accuracy", "higher")
        >>> runs = {0: {"new.accuracy": 0.75, "old.accuracy": 0.5}}
        >>> decide(claim, runs).why()
        'one seed says nothing about the spread'
        """
        if self.state != "undecided":
            return ""
        one = self.unit.removesuffix("s")
        if self.same:
            return "every seed measured the same: the seed changes nothing, so more of them decide nothing"
        if len(self.differences) == 1:
            return f"one {one} says nothing about the spread"
        if self.estimate.value == self.claim.margin:
            return f"the difference lies on the margin; more {self.unit} would hardly decide it"
        if self.needed_n is None:
            return f"no number of {self.unit} is known that would decide it"
        return f"about {self.needed_n:,} {self.unit} would decide it"

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain JSON values; an end of the interval that is not known is None."""
        low, high = (end if math.isfinite(end) else None for end in (self.estimate.low, self.estimate.high))
        claim = self.claim
        return {
            "id": claim.id,
            "better": claim.better,
            "than": claim.than,
            "direction": claim.direction,
            "margin": claim.margin,
            "over": claim.over,
            "state": self.state,
            "difference": self.estimate.value,
            "low": low,
            "high": high,
            "n": self.estimate.n,
            "needed_n": self.needed_n,
            "p_holds": self.p_holds,
            "p_fails": self.p_fails,
            "method": self.estimate.method,
            "why": self.why(),
            "differences": list(self.differences),
        }


def decide(claim: Claim, runs: Mapping[int, Measurements]) -> Decision:
    """Decide a claim from what the seeds measured.

    Parameters
    ----------
    claim
        The claim.
    runs
        Measurements by seed, at least one, all with what the claim needs.

    Examples
    --------
    >>> from concordant.studies.study import Claim
    >>> claim = Claim("fewer", better="new.flip_rate", than="old.flip_rate", direction="lower")
    >>> rates = [(0.10, 0.14), (0.12, 0.15), (0.09, 0.14)]
    >>> decision = decide(claim, {i: {"new.flip_rate": a, "old.flip_rate": b} for i, (a, b) in enumerate(rates)})
    >>> decision.state, print(decision.estimate)
    0.04 (95% interval 0.01516 to 0.06484, n=3)
    ('holds', None)
    """
    first = runs[min(runs)]
    if claim.over == "units":
        differences, same = claim.differences(first), False
    else:
        differences = tuple(d for seed in sorted(runs) for d in claim.differences(runs[seed]))
        same = len(runs) > 1 and all(run == first for run in runs.values())
    estimate = estimated(differences[:1] if same else differences)
    p_holds = estimate.p_value(claim.margin, "greater")
    p_fails = estimate.p_value(claim.margin, "less")
    state: State = "undecided"
    if estimate.low > claim.margin:
        state = "holds"
    elif estimate.high < claim.margin:
        state = "fails"
    needed = None if state != "undecided" or same else _needed(estimate, claim.margin)
    return Decision(claim, state, differences, estimate, needed, p_holds, p_fails, same)


def estimated(values: Sequence[float]) -> Estimate:
    """Return the mean of values with its t interval; equal values have that of the sign test.

    Examples
    --------
    >>> estimated([0.5] * 5).low, estimated([0.5] * 6).low
    (-inf, 0.5)
    """
    spread = max(values) - min(values)
    if len(values) < 2 or spread > _ROUNDING * max(map(abs, values)):
        return estimate_mean(list(values), method="t", level=LEVEL)
    n, value = len(values), float(values[0])
    low, high = _sign_interval(value, n, LEVEL)
    interval_at, p_at = partial(_sign_interval, value, n), partial(_sign_p_value, value, n)
    return Estimate(value, low, high, LEVEL, n, None, 0.0, "sign", interval_at, p_at)


def holm_states(p_values: Sequence[tuple[float, float]]) -> list[State]:
    """Return the states of claims when they are judged as one family, by Holm's correction.

    Parameters
    ----------
    p_values
        `p_holds` and `p_fails` of all claims that are looked at together.

    Examples
    --------
    >>> holm_states([(0.001, 0.999), (0.02, 0.98), (0.9, 0.1)])
    ['holds', 'undecided', 'undecided']
    """
    if not p_values:
        return []
    holds, fails = (holm(side) for side in zip(*p_values, strict=True))
    alpha = (1 - LEVEL) / 2
    return [
        "holds" if h <= alpha else "fails" if f <= alpha else "undecided"
        for h, f in zip(holds, fails, strict=True)
    ]


def _needed(estimate: Estimate, margin: float) -> int | None:
    """Return how many values would decide; more than there are."""
    n, effect = estimate.n, estimate.value - margin
    if n < 2 or effect == 0.0:
        return None
    if estimate.method == "sign":
        return SIGN_TEST_N
    needed = needed_n_mean(effect, estimate.stderr * math.sqrt(n), alpha=1 - LEVEL)
    return None if needed is None else max(needed, n + 1)


def _sign_interval(value: float, n: int, level: float) -> tuple[float, float]:
    return (value, value) if 2.0 ** (1 - n) <= 1.0 - level else (-math.inf, math.inf)


def _sign_p_value(value: float, n: int, bound: float) -> float:
    return 1.0 if bound == value else 2.0 ** (1 - n)
