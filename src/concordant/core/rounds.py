"""Asking only as much as it takes: items in random order, in rounds, until every gate is decided.

Looking at an ordinary interval after every round would sooner or later decide a gate by luck. Here the gated figures get
confidence sequences, which hold at all times at once, each at the level ``1 - alpha / number of gates``: a
gate is decided as soon as
its interval lies on one side of the bound, and the whole suite errs with probability at most alpha, however often one looks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.core.gate import Gate, GateResult, State
from concordant.core.statistics import Estimate, confidence_sequence, needed_n

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.core.finding import Finding, Measure
    from concordant.core.relation import Relation, Verdicts

RESOLUTION = 500


def rounds(n: int, first: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Give the row numbers of each round: all n in random order, `first` of them and then half as many again each time."""
    order = np.random.default_rng(seed).permutation(n)
    start, stop = 0, min(first, n)
    while start < n:
        yield order[start:stop]
        start, stop = stop, min(n, max(stop + first, stop + stop // 2))


def gated_measures(relation: Relation, gates: Sequence[Gate]) -> list[tuple[Gate, Measure]]:
    """Return the measure of each gate, which must be a mean of values in a known range.

    Raises
    ------
    ConfigError
        If a gate bounds another kind of figure.
    """
    known = {measure.name: measure for measure in relation.measures if np.isfinite(measure.bounds).all()}
    for gate in gates:
        if gate.measure not in known:
            message = (
                f"{relation.name}: {gate.measure} cannot be decided while asking, which needs the mean of values in a known"
                f" range; allowed: {', '.join(known)}"
            )
            raise ConfigError(message)
    return [(gate, known[gate.measure]) for gate in gates]


def always_valid(verdicts: Verdicts, measure: Measure, level: float) -> Estimate | None:
    """Estimate a measure with an interval that holds at all times; None where it applies to no item yet.

    The verdicts must be in the order in which the items were drawn.
    """
    values = verdicts[measure.column]
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    interval_at = partial(_last, values, measure.bounds)
    low, high = interval_at(level)
    stderr = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.inf
    return Estimate(
        float(values.mean()), low, high, level, len(values), None, stderr, "confidence sequence", interval_at
    )


def decide_now(
    gates: Mapping[str, list[tuple[Gate, Measure]]], verdicts: Mapping[str, Verdicts], alpha: float
) -> list[GateResult]:
    """Decide gates by what was asked until now, with intervals that allow for looking again.

    Parameters
    ----------
    gates
        The gates of each relation with their measures.
    verdicts
        The verdicts of each relation, in the order in which the items were drawn.
    alpha
        Error rate of the whole family over all looks.
    """
    family = sum(len(listed) for listed in gates.values())
    results = []
    for name, listed in gates.items():
        for gate, measure in listed:
            estimate = always_valid(verdicts[name], measure, 1 - alpha / family)
            if estimate is None:
                message = (
                    f"{name}: {measure.name} applies to none of the items, so that its gate cannot be decided"
                )
                raise ConfigError(message)
            finding = verdicts[name].make(measure, estimate)
            results.append(_decided(gate, finding, alpha / family))
    return results


def _decided(gate: Gate, finding: Finding, alpha: float) -> GateResult:
    state: State = "undecided"
    if gate.low <= finding.low and finding.high <= gate.high:
        state = "holds"
    elif finding.high < gate.low or finding.low > gate.high:
        state = "fails"
    needed = None
    if state == "undecided":
        bounds = [b for b in (gate.low, gate.high) if np.isfinite(b)]
        known = [needed_n(replace(finding.estimate, method="t"), b, alpha=alpha) for b in bounds]
        needed = None if None in known else max([n for n in known if n is not None] + [finding.n + 1])
    nan = float("nan")
    return GateResult(gate, finding, state, nan, nan, needed)


def _last(values: NDArray[np.float64], bounds: tuple[float, float], level: float) -> tuple[float, float]:
    low, high = confidence_sequence(values, level=level, bounds=bounds, resolution=RESOLUTION)
    return float(low[-1]), float(high[-1])
