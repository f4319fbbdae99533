"""What stands on the page: a report turned into plain values, laid out and formatted, for the templates."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from concordant.report.bars import bars, gate_bar
from concordant.report.cards import cards, n_disagreeing
from concordant.report.charts import FOREST_ROWS
from concordant.report.figures import (
    bound_text,
    interval_text,
    n_text,
    number,
    p_text,
    reason,
    value_text,
    with_p,
)
from concordant.report.sanitize import brief, clipped, visible
from concordant.report.telling import (
    CHANGES,
    MARKS,
    FlipMatrix,
    change_sentence,
    direction,
    errors,
    flip_counts,
    flips,
    focus,
    left_out,
    level_text,
    noise_findings,
    state,
    verdict,
    worst_slices,
)
from concordant.report.values import shown

if TYPE_CHECKING:
    from concordant.core.finding import Finding
    from concordant.core.gate import GateResult
    from concordant.core.results import Report, Result

MAX_CARDS = 60
MAX_SLICE_ROWS = 200
MAX_LINE = 300
MAX_HEAD = 40
MAX_ENTRIES = 100


def page(report: Report, *, limit: int) -> dict[str, Any]:
    """Return the values of the whole page; no text is longer than `limit` characters."""
    results = list(report.results.values())
    k = max(3, min(10, MAX_CARDS // max(1, len(results))))
    return {
        **summary(report),
        "changes": [_change(report, result) for result in flips(report)],
        "relations": [{**_relation(report, result), "cards": cards(result, k, limit)} for result in results],
        "asked": _asked(report.about, limit),
    }


def summary(report: Report) -> dict[str, Any]:
    """Return the values of the head of the page, the gates and the findings."""
    about = report.about
    models = list(about.get("models", {}))
    started = str(about.get("started", ""))
    parts = [
        f"{len(report.items):,} items",
        *([f"models: {_line(' and '.join(map(str, models[:4])))}"] if models else []),
        *([_line(started.replace("T", " ").replace("+00:00", " UTC"))] if started else []),
    ]
    return {
        "title": _line(report.title),
        "state": state(report),
        "mark": MARKS[state(report)],
        "verdict": verdict(report),
        "parts": parts,
        "gates": [gate_row(g) for g in report.gates],
        "marks": MARKS,
        "tables": [_table(result) for result in report.results.values()],
        "level": level_text(report),
    }


def gate_row(result: GateResult) -> dict[str, Any]:
    """Return the row of a gate."""
    finding = result.finding
    return {
        "state": result.state,
        "bound": _line(bound_text(result)),
        "relation": _line(finding.relation),
        "reason": reason(result),
        "bar": gate_bar(result),
        **_figure(finding),
    }


def _figure(finding: Finding) -> dict[str, Any]:
    """Return a finding as texts."""
    return {
        "measure": _line(finding.measure),
        "about": _line(finding.about),
        "note": _line(finding.note),
        "value": value_text(finding),
        "raw": _raw(finding.value),
        "interval": interval_text(finding),
        "n": n_text(finding),
        "p": "" if finding.p_value is None else with_p(finding.p_value),
        "p_alone": "" if finding.p_value is None else p_text(finding.p_value),
        "p_raw": _raw(finding.p_value),
        "test": _line(", ".join(t for t in (finding.test, finding.correction) if t)),
        "slice": None if finding.slice is None else [brief(part, 80) for part in finding.slice],
        "kind": direction(finding),
    }


def _table(result: Result) -> dict[str, Any]:
    """Return the findings of a relation as rows with their bars."""
    findings = list(result.findings.values())
    laid, axis = bars(findings)
    return {
        "name": _line(result.name),
        "about": _about(result),
        "ends": axis.ends if axis else None,
        "rows": [{**_figure(f), "bar": bar} for f, bar in zip(findings, laid, strict=True)],
        "left_out": left_out(findings),
        "errors": [(brief(text, MAX_LINE), f"{n:,}") for text, n in errors(result)],
    }


def _change(report: Report, result: Result) -> dict[str, Any]:
    """Return what changed between two versions: a sentence, the main figures, the matrix, the noise beside it."""
    matrix = flip_counts(result)
    lost, won = (0, 0) if matrix is None else (matrix.count("right", "wrong"), matrix.count("wrong", "right"))
    counts = {"negative_flip_rate": f"{lost:,} items", "positive_flip_rate": f"{won:,} items"}
    models = {name: result.answers[name].model if name in result.answers else "" for name in ("old", "new")}
    return {
        "name": _line(result.name),
        **{name: brief(model, MAX_HEAD) for name, model in models.items()},
        "sentence": change_sentence(result),
        "tiles": [
            {**_figure(result.findings[m]), "title": title, "count": counts.get(m, "") if matrix else ""}
            for m, title in CHANGES.items()
        ],
        "noise": [_figure(f) for f in noise_findings(report)],
        "outcomes": [] if matrix is None else matrix.outcomes,
        "matrix": [] if matrix is None else _matrix(matrix),
        "n": "" if matrix is None else f"{matrix.n:,}",
    }


def _matrix(matrix: FlipMatrix) -> list[dict[str, Any]]:
    return [
        {
            "name": old,
            "cells": [
                {
                    "count": f"{count:,}",
                    "share": f"{number(100 * count / matrix.n if matrix.n else None, 1)} %",
                    "kind": {("right", "wrong"): "lost", ("wrong", "right"): "won"}.get((old, new), "kept"),
                }
                for new, count in zip(matrix.outcomes, counts.tolist(), strict=True)
            ],
        }
        for old, counts in zip(matrix.outcomes, matrix.counts, strict=True)
    ]


def _relation(report: Report, result: Result) -> dict[str, Any]:
    """Return the slices of a relation: its worst ones, and the measures they are given in."""
    measures = focus(report, result)
    shown_slices = [f for m in measures for f in worst_slices(result, m, MAX_SLICE_ROWS // len(measures))]
    n_slices = len({f.slice for f in result.slices if f.measure == measures[0]}) if measures else 0
    worst = f"the {FOREST_ROWS} worst of {n_slices} slices"
    return {
        "name": _line(result.name),
        "about": _about(result),
        "measure": _line(measures[0]) if measures else "",
        "slices": [_figure(f) for f in shown_slices],
        "which": f"all {n_slices} slices" if n_slices <= FOREST_ROWS else worst,
        "tests": _tests([f for f in shown_slices if f.measure == measures[0]]) if measures else "",
        "n_disagreeing": n_disagreeing(result),
    }


def _tests(slices: Sequence[Finding]) -> str:
    """Name the tests of the slices and the correction of their p values."""
    tests = list(dict.fromkeys(f.test for f in slices if f.test))
    corrections = list(dict.fromkeys(f.correction for f in slices if f.correction))
    return _line("; ".join(part for part in (" or ".join(tests), " or ".join(corrections)) if part))


def _asked(about: Mapping[str, Any], limit: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what was asked as named groups of names and values."""

    def texts(named: Sequence[tuple[str, Any]]) -> list[tuple[str, str]]:
        return [(_line(name), clipped(visible(_settings(value)), limit)) for name, value in named]

    groups, plain = [], []
    for name, value in about.items():
        if name == "title" or _unset(value):
            continue
        if isinstance(value, Mapping):
            told = [(str(k), v) for k, v in value.items() if not _unset(v)]
            named = _passes(about) if name == "passes" else told
            groups.append((_line(name), texts(named[:MAX_ENTRIES])))
        else:
            plain.append((name, value))
    return [("run", texts(plain)), *groups] if plain else groups


def _passes(about: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return each pass under its label: the model, and what was asked otherwise than by the request of the run."""
    request = about.get("request", {})
    named = []
    for key, told in about["passes"].items():
        told = dict(told) if isinstance(told, Mapping) else {"asked": told}
        label = str(told.pop("label", key))
        named.append((label, {k: v for k, v in told.items() if k not in request or request[k] != v}))
    return named


def _unset(value: Any) -> bool:
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)


def _settings(value: Any) -> str:
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if not _unset(v)}
        return ", ".join(f"{k} {_settings(v)}" for k, v in kept.items()) or "–"
    return shown(value)


def _about(result: Result) -> str:
    text = inspect.cleandoc(result.relation.__doc__ or "")
    return _line(text.split("\n\n")[0])


def _raw(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.10g}"


def _line(text: str) -> str:
    return brief(text, MAX_LINE)
