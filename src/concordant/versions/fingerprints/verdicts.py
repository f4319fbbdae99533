"""The checks of a verification: each a figure then and now, and whether it passes, fails, or cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.gate import Gate, needed_to_decide
from concordant.core.statistics import (
    Estimate,
    estimate_mean,
    exact_estimate,
    holm,
    mcnemar,
    newcombe,
)
from concordant.versions.fingerprints.measures import (
    LOWER_IS_BETTER,
    Outcomes,
    calibration_error,
    estimate,
    log_losses,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from concordant.core.statistics.validation import Floats
    from concordant.versions.fingerprints.claims import PerformanceClaim

PER_CLASS = 10
"""Probes of a class, on average, from which references count as classes."""

State = Literal["pass", "fail", "cannot tell", "shown"]


@dataclass(frozen=True, slots=True)
class FingerprintCheck:
    """One check.

    Parameters
    ----------
    name
        What is checked.
    then, now
        The figure as it was recorded or claimed, and as it is; None where there is none.
    change
        What is judged, with its interval; None where it is only shown.
    allowed
        What the change may be, in words.
    state
        "pass", "fail", "cannot tell", or "shown" for what is not judged.
    p_value
        Of "it is not as it was allowed to be", adjusted for all checks by Holm's method; None where nothing is tested.
    n
        Probes it stands on.
    note
        A remark that belongs beside it.
    """

    name: str
    then: float | None
    now: float | None
    change: Estimate | None = None
    allowed: str = ""
    state: State = "shown"
    p_value: float | None = None
    n: int = 0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the check as one flat row."""
        change = self.change
        return {
            "check": self.name,
            "then": self.then,
            "now": self.now,
            "change": None if change is None else change.value,
            "low": None if change is None or not np.isfinite(change.low) else change.low,
            "high": None if change is None or not np.isfinite(change.high) else change.high,
            "allowed": self.allowed,
            "state": self.state,
            "p_value": self.p_value,
            "n": self.n,
            "note": self.note,
        }


def settled(checks: Iterable[FingerprintCheck], alpha: float) -> tuple[FingerprintCheck, ...]:
    """Adjust the p values of all checks that are tests by Holm's method, and let those up to `alpha` fail.

    What does not fail keeps its state: "pass" where the figure itself is as allowed, "cannot tell" otherwise.
    """
    listed = list(checks)
    raw = [np.nan if check.p_value is None else check.p_value for check in listed]
    adjusted = holm(raw) if listed else np.zeros(0)
    return tuple(
        check
        if np.isnan(p)
        else replace(check, p_value=float(p), state="fail" if p <= alpha else check.state)
        for check, p in zip(listed, adjusted, strict=True)
    )


def claim_check(claim: PerformanceClaim, found: Outcomes, digest: str, tolerance: float) -> FingerprintCheck:
    """Hold a claim against what is measured: a figure at least as good, but for the tolerance, passes.

    Parameters
    ----------
    claim
        What is claimed. Where it says on how many items, the error of both figures counts.
    found
        What became of the probes.
    digest
        Of the probes: a claim about other data cannot be checked.
    tolerance
        How much worse than claimed is allowed, in the unit of the metric.
    """
    name = f"claim: {claim.metric}" + (f" ({claim.where})" if claim.where else "")
    if claim.digest is not None and claim.digest != digest:
        note = f"the claim is about other data (digest {claim.digest}, the probes have {digest})"
        return FingerprintCheck(name, claim.value, None, state="cannot tell", note=note)
    measured = estimate(claim.metric, found)
    if measured is None:
        return FingerprintCheck(
            name, claim.value, None, note="not checked: it cannot be measured on these probes"
        )
    worse_is_higher = claim.metric in LOWER_IS_BETTER
    change = _gap(measured, claim)
    bound = tolerance if worse_is_higher else -tolerance
    gate = Gate("change", high=bound) if worse_is_higher else Gate("change", low=bound)
    worse = change.value if worse_is_higher else -change.value
    p: float | None
    if claim.digest is not None:  # on the same data there is no error but that of rounding the claim
        as_good = worse <= tolerance + _half_a_unit(claim.value)
        state: State = "pass" if as_good else "fail"
        p, note = (None if as_good else 0.0), "on the data of the claim"
    else:
        held = change.high <= bound if worse_is_higher else change.low >= bound
        state = "pass" if held else "cannot tell"
        p = change.p_value(bound, "greater" if worse_is_higher else "less")
        note = "the claim does not say on which data"
        needed = None if held else needed_to_decide(gate, change, 0.05)
        if needed is not None and worse < tolerance:
            note += f"; about {needed:,} probes would tell"
    allowed = f"at most {tolerance:.4g} {'higher' if worse_is_higher else 'lower'}"
    return FingerprintCheck(name, claim.value, measured.value, change, allowed, state, p, measured.n, note)


def _half_a_unit(value: float) -> float:
    """Return half a unit of the last digit that a figure is given with."""
    return 0.5 * 10.0 ** -len(f"{value:.12f}".rstrip("0").partition(".")[2])


def _gap(measured: Estimate, claim: PerformanceClaim) -> Estimate:
    """Return measured minus claimed, with the error of the claim where its n is known and it is a share."""
    value = measured.value - claim.value
    if claim.n is not None and measured.method == "wilson":
        counts = (round(measured.value * measured.n), measured.n, round(claim.value * claim.n), claim.n)
        return _of_interval(value, measured.n, lambda level: _ends(newcombe(*counts, level)), "newcombe")
    shifted = lambda level: tuple(end - claim.value for end in measured.interval_at(level))  # noqa: E731
    return _of_interval(value, measured.n, shifted, measured.method)


def answers_check(
    changed: NDArray[np.bool_],
    again: int,
    asked_again: int,
    tolerance: float,
    note: str = "",
    *,
    deterministic: bool = True,
) -> FingerprintCheck:
    """Check how many answers changed, beyond the noise of the model and a tolerance.

    A deterministic model that never changed an answer when it was asked again must not change one now. Any other is allowed
    as many as before, and the two rates are compared.

    Parameters
    ----------
    changed
        Shape (probes,): whose answer is another than recorded, near ties apart.
    again, asked_again
        How many answers changed when the recorded model was asked again, of how many.
    tolerance
        Further share of answers that may change.
    note
        A remark.
    deterministic
        Whether the model should give the same answer again: no server, and no sampling.
    """
    count, n = int(changed.sum()), len(changed)
    noise = again / asked_again if asked_again else 0.0
    if asked_again and (again or not deterministic):
        counts = (count, n, again, asked_again)
        change = _of_interval(count / n - noise, n, lambda level: _ends(newcombe(*counts, level)), "newcombe")
    else:
        change = exact_estimate(count, n)
    p = change.p_value(tolerance, "greater")
    state: State = "pass" if count / n <= noise + tolerance else "cannot tell"
    allowed = f"at most {noise + tolerance:.4g}" + (f" (noise {noise:.4g})" if again else "")
    return FingerprintCheck("answers changed", noise, count / n, change, allowed, state, p, n, note)


def recall_checks(then: Outcomes, now: Outcomes, tolerance: float, least: int = 5) -> list[FingerprintCheck]:
    """Check the recall of every class, in pairs: exact McNemar tests of "it fell".

    Classes with fewer than `least` probes are left out; and all, where there are more than one in `PER_CLASS` probes: then
    the references are answers and no classes.
    """
    checks: list[FingerprintCheck] = []
    both = then.graded & now.graded
    if np.unique(now.truth[both]).size * PER_CLASS > both.sum():
        return checks
    for index, label in enumerate(now.labels):
        here = both & (now.truth == index)
        n = int(here.sum())
        if n < least:
            continue
        was, is_now = then.right[here], now.right[here]
        lost, won = int((was & ~is_now).sum()), int((~was & is_now).sum())
        change = estimate_mean(is_now.astype(float) - was, method="t", bounds=(-1, 1))
        p = mcnemar(lost, won, alternative="greater").p_exact
        state: State = "pass" if lost - won <= tolerance * n else "cannot tell"
        checks.append(
            FingerprintCheck(
                f"recall of {label}",
                float(was.mean()),
                float(is_now.mean()),
                change,
                f"at most {tolerance:.4g} lower",
                state,
                p,
                n,
            )
        )
    return checks


def calibration_checks(then: Outcomes, now: Outcomes, tolerance: float) -> list[FingerprintCheck]:
    """Check log loss and Brier loss in pairs, and show the calibration error then and now."""
    checks = []
    for name, of in (("log loss", log_losses), ("Brier loss", _brier)):
        a, b = of(then), of(now)
        known = ~np.isnan(a) & ~np.isnan(b)
        if not known.any():
            continue
        n = int(known.sum())
        change = estimate_mean(b[known] - a[known], method="t")
        p = change.p_value(tolerance, "greater")
        state: State = "pass" if change.value <= tolerance else "cannot tell"
        checks.append(
            FingerprintCheck(
                name,
                float(a[known].mean()),
                float(b[known].mean()),
                change,
                f"at most {tolerance:.4g} higher",
                state,
                p,
                n,
            )
        )
    if checks:
        before, after = calibration_error(then), calibration_error(now)
        checks.append(FingerprintCheck("calibration error", before, after, n=checks[0].n))
    return checks


def _brier(found: Outcomes) -> Floats:
    return found.brier


def _ends(interval: Sequence[Any]) -> tuple[float, float]:
    low, high = interval
    return float(low), float(high)


def _of_interval(value: float, n: int, interval_at: Any, method: str) -> Estimate:
    low, high = interval_at(0.95)
    return Estimate(value, low, high, 0.95, n, None, (high - low) / 3.92, method, interval_at)
