"""Numbers as people read them: as many digits as the interval warrants, and a dash for what is not known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from concordant.report.sanitize import one_line

if TYPE_CHECKING:
    from concordant.core.finding import Finding
    from concordant.core.gate import GateResult

UNKNOWN = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def decimals(low: float, high: float) -> int:
    """Return how many decimals show a digit of the width of an interval: 3 for most, at most 6, fewer where it is wide.

    Examples
    --------
    >>> decimals(0.03, 0.05), decimals(0.03040, 0.03042), decimals(1.5, 3.0), decimals(100, 900)
    (3, 5, 2, 0)
    """
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return 3
    if width > 0.5:
        return 2 if width <= 5 else 1 if width <= 50 else 0
    return min(6, max(3, -math.floor(math.log10(width))))


def number(value: float | None, places: int = 3, *, signed: bool = False) -> str:
    """Return a number with a fixed count of decimals, or a dash where it is missing or not finite.

    Examples
    --------
    >>> number(0.04851), number(-0.5, 2), number(0.25, signed=True), number(float("nan"))
    ('0.049', '−0.50', '+0.250', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= 1e7:
        text = f"{value:.4g}"
    else:
        text = f"{value:,.{places}f}"
        if float(text.replace(",", "")) == 0:
            text = text.lstrip("-")
    if signed and not text.startswith("-") and value > 0:
        text = f"+{text}"
    return text.replace("-", MINUS)


def is_signed(finding: Finding) -> bool:
    """Whether zero means "no difference", so that a plus sign says something: gains, changes, differences."""
    named = any(word in finding.measure for word in ("gain", "change", "difference", "beyond"))
    return finding.low < 0 or (named and not finding.measure.endswith(("_rate", "_part")))


def value_text(finding: Finding) -> str:
    """Return the value of a finding with the digits that its interval warrants."""
    return number(finding.value, decimals(finding.low, finding.high), signed=is_signed(finding))


def interval_text(finding: Finding) -> str:
    """Return the interval of a finding: ``0.038 to 0.061``; an open end is a dash, and so is an unknown interval."""
    places = decimals(finding.low, finding.high)
    if not (math.isfinite(finding.low) or math.isfinite(finding.high)):
        return UNKNOWN
    signed = is_signed(finding)
    return f"{number(finding.low, places, signed=signed)} to {number(finding.high, places, signed=signed)}"


def n_text(finding: Finding) -> str:
    """Return what the finding stands on: ``1,319 items``, with the clusters where rows belong together."""
    clusters = finding.estimate.n_clusters
    return f"{finding.n:,} {one_line(finding.unit)}" + (
        "" if clusters is None else f" in {clusters:,} clusters"
    )


def figure_text(finding: Finding) -> str:
    """Return value, interval and n of a finding: ``0.049 (0.038 to 0.061, n = 1,319 items)``."""
    return f"{value_text(finding)} ({interval_text(finding)}, n{NO_BREAK}={NO_BREAK}{n_text(finding)})"


def p_text(p: float | None) -> str:
    """Return a p value: three decimals, a power of ten where it is small, a dash where there is none.

    Examples
    --------
    >>> p_text(0.0312), p_text(0.00004), p_text(1e-40), p_text(None)
    ('0.031', '4e−5', '< 1e−15', '–')
    """
    if p is None or not math.isfinite(p):
        return UNKNOWN
    if p < 1e-15:
        return f"< 1e{MINUS}15"
    if p < 0.001:
        mantissa, exponent = f"{p:.0e}".split("e")
        return f"{mantissa}e{MINUS}{-int(exponent)}"
    return f"{p:.3f}"


def with_p(p: float | None) -> str:
    """Return ``p = 0.031`` or ``p < 1e−15``, with spaces that do not break.

    Examples
    --------
    >>> with_p(0.25).split(), with_p(0.0).split()
    (['p', '=', '0.250'], ['p', '<', '1e−15'])
    """
    text = p_text(p)
    return (f"p {text}" if text.startswith("<") else f"p = {text}").replace(" ", NO_BREAK)


def bound_text(gate: GateResult) -> str:
    """Return the bound of a gate in words of mathematics: ``negative_flip_rate ≤ 0.02``.

    Examples
    --------
    >>> from concordant.core.gate import Gate
    >>> str(Gate.parse("gain >= -1%"))
    'gain >= -0.01'
    """
    return str(gate.gate).replace("<=", "≤").replace(">=", "≥").replace("-", MINUS)


def about_n(n: int) -> str:
    """Return a needed number as people say it: two digits, rounded up.

    Examples
    --------
    >>> about_n(97), about_n(160_774)
    ('97', '170,000')
    """
    unit = 10 ** max(0, len(str(n)) - 2)
    return f"{math.ceil(n / unit) * unit:,}"


def reason(result: GateResult) -> str:
    """Say in a clause why a gate holds, fails or is undecided, and how many units would decide it.

    The clause stands beside the state and the figure, and repeats neither.
    """
    unit = one_line(result.finding.unit)
    if result.state != "undecided":
        side, p = ("within", result.p_holds) if result.state == "holds" else ("beyond", result.p_fails)
        return f"{side} the bound, {'by a confidence sequence' if math.isnan(p) else with_p(p)}"
    if result.finding.value in (result.gate.low, result.gate.high):
        return f"the estimate lies on the bound; more {unit} would hardly decide it"
    if result.needed_n is None:
        return f"too few {unit} to say how many would decide it"
    return f"about {about_n(result.needed_n)} {unit} would decide it"
