"""Asking only as much as it takes: items in random order, in rounds, until every gate is decided.

Looking at an ordinary interval after every round would sooner or later decide a gate by luck. Here the gated
figures get confidence sequences, which hold at all times at once, each at the level ``1 - alpha / number of
gates``: a gate is decided as soon as its interval lies on one side of the bound, and the whole suite errs with
probability at most alpha, however often one looks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.asking import joined
from concordant.core.errors import ConfigError
from concordant.core.gate import Gate, GateResult, State, needed_to_decide
from concordant.core.judging import judge
from concordant.core.statistics import Estimate, confidence_sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.core.asking import Answers, Asking
    from concordant.core.finding import Finding, Measure
    from concordant.core.relation import Relation, Verdicts

RESOLUTION = 500


def ask_in_rounds(
    asking: Asking, bounds: Mapping[str, list[Gate]], first: int, level: float, seed: int
) -> tuple[Answers, dict[str, Verdicts], list[GateResult]]:
    """Ask round after round until every gate is decided, and return the answers, their verdicts and the gates.

    Parameters
    ----------
    asking
        What is asked.
    bounds
        The gates of each relation.
    first
        Items in the first round.
    level, seed
        As for `concordant.check`.

    Raises
    ------
    ConfigError
        If there is no gate, or one that cannot be decided so.
    """
    if not bounds:
        message = "asking until the gates are decided needs a gate, and there is none"
        raise ConfigError(message)
    named = {relation.name: relation for relation in asking.relations}
    gated = {name: gated_measures(named[name], gates) for name, gates in bounds.items()}
    parts: list[Answers] = []
    verdicts: dict[str, Verdicts] = {}
    decided: list[GateResult] = []
    for index in rounds(len(asking.items), first, seed):
        items = asking.items.rows(index)
        parts.append(asking.ask(items))
        for name, relation in named.items():
            judged = judge(relation, items, parts[-1][name], level=level, seed=seed)
            verdicts[name] = verdicts[name].joined(judged) if name in verdicts else judged
        decided = decide_now(gated, verdicts, 1 - level)
        if all(result.state != "undecided" for result in decided):
            break
    return joined(parts), verdicts, decided


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
            why = "cannot be decided while asking, which needs the mean of values in a known range"
            message = f"{relation.name}: {gate.measure} {why}; allowed: {', '.join(known)}"
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
                why = "applies to none of the items, so that its gate cannot be decided"
                message = f"{name}: {measure.name} {why}"
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
        needed = needed_to_decide(gate, replace(finding.estimate, method="t"), alpha)
    return GateResult(gate, finding, state, np.nan, np.nan, needed)


def _last(values: NDArray[np.float64], bounds: tuple[float, float], level: float) -> tuple[float, float]:
    low, high = confidence_sequence(values, level=level, bounds=bounds, resolution=RESOLUTION)
    return float(low[-1]), float(high[-1])
