"""Explanations of prompts: on a terminal, as a chart, and as one self-contained page with the prompt and its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from concordant.report.charts import CONFIG, SCHEMA, Spec, to_svg
from concordant.report.figures import number
from concordant.report.files import write_text
from concordant.report.html import whole_page
from concordant.report.palette import LIGHT
from concordant.report.sanitize import clipped, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from concordant.core.statistics import Estimate
    from concordant.explanations.prompts import PromptExplanation

RULES = {"delete": "absent fields deleted", "neutral": "absent fields neutral"}
SHADES = {"informative": LIGHT["accent"], "noise": LIGHT["unsure"]}
WIDE, NARROW, ROW, LABEL = 300, 250, 26, 28


def print_prompts(
    explanations: Sequence[PromptExplanation], stability: dict[str, Estimate], console: Console
) -> None:
    """Print a table for each explanation, its noise share, and how far the wordings agree.

    Parameters
    ----------
    explanations
        Of one model and its prompts: each wording, each rule of absence.
    stability
        Of the wordings, by the rule of absence; empty where there is one wording.
    console
        Where to print.
    """
    for number_, found in _numbered(explanations):
        shown = Table(box=None, pad_edge=False, title=_title(found, number_), title_justify="left")
        for name in ("field", "role", "phi", "s.e.", "share"):
            shown.add_column(name, justify="left" if name in ("field", "role") else "right")
        for row in found.table().iter_rows(named=True):
            error = "exact" if row["standard_error"] is None else number(row["standard_error"])
            cells = (number(row["phi"], signed=True), error, number(row["share"]))
            shown.add_row(one_line(row["field"]), row["role"], *cells)
        console.print(shown)
        console.print(f"{_of_value(found)}; {_of_noise(found)}", style="dim")
        console.print()
    for rule, agreement in stability.items():
        console.print(f"wordings agree ({RULES[rule]}): Spearman {_with_interval(agreement)}")


def write(
    explanations: Sequence[PromptExplanation], stability: dict[str, Estimate], model: str, path: str | Path
) -> None:
    """Write the page; `StoreError` where it cannot be written."""
    write_text(path, render(explanations, stability, model))


def render(explanations: Sequence[PromptExplanation], stability: dict[str, Estimate], model: str) -> str:
    """Return the page: the prompts with their fields marked, a bar for each field, and the numbers.

    Parameters
    ----------
    explanations, stability
        As for `print_prompts`; at least one explanation.
    model
        What the model is called.
    """
    numbered = _numbered(explanations)
    wordings = {found.template.text: found.template for found in explanations}
    wide, narrow = to_svg(prompts_spec(explanations, compact=compact) for compact in (False, True))
    return whole_page(
        "prompts.html.j2",
        title=f"What moves the choice of {one_line(clipped(model, 80))}",
        verdict=f"{_capital(_of_noise(explanations[0]))} ({RULES[explanations[0].absent]}).",
        target=one_line(explanations[0].target),
        wordings=[_shown(template) for template in wordings.values()],
        stability=[f"{RULES[rule]}: {_with_interval(agreement)}" for rule, agreement in stability.items()],
        tables=[
            {
                "title": _title(found, number_),
                "value": _of_value(found),
                "noise": _of_noise(found),
                "asked": _asked(found),
                "rows": [
                    {
                        "field": one_line(row["field"]),
                        "role": row["role"],
                        "phi": number(row["phi"], signed=True),
                        "raw": f"{row['phi']:.10g}",
                        "error": "exact" if row["standard_error"] is None else number(row["standard_error"]),
                        "share": number(row["share"]),
                    }
                    for row in found.table().iter_rows(named=True)
                ],
            }
            for number_, found in numbered
        ],
        charts={"prompts": [wide, narrow]},
    )


def prompts_spec(explanations: Sequence[PromptExplanation], *, compact: bool = False) -> Spec:
    """Return the specification of a chart with a panel for each explanation; `compact` puts them under each other."""
    bars = [(_title(found, number_), _bars(found)) for number_, found in _numbered(explanations)]
    ends = [end for _, rows in bars for row in rows for end in (row["low"], row["high"], 0.0)]
    x = {
        "type": "quantitative",
        "scale": {
            "domain": [min(ends), max(ends)],
            "nice": True,
        },  # the same for all, so that lengths compare
        "axis": {"grid": False, "tickCount": 5, "format": "~g"},
    }
    width = NARROW if compact else WIDE
    return {
        "$schema": SCHEMA,
        "concat": [_panel(rows, {**x, "title": title}, width) for title, rows in bars],
        "columns": 1 if compact else 2,
        "spacing": {"row": 28, "column": 36},
        "background": "transparent",
        "config": CONFIG,
    }


def _bars(found: PromptExplanation) -> list[dict[str, Any]]:
    rows = []
    for row in found.table().iter_rows(named=True):
        error = row["standard_error"] or 0.0
        mark = " (noise)" if row["role"] == "noise" else ""
        label = clipped(one_line(row["field"]), LABEL) + mark
        ends = {"low": row["phi"] - error, "high": row["phi"] + error}
        rows.append({"label": label, "role": row["role"], "phi": row["phi"], **ends})
    return rows


def _panel(rows: list[dict[str, Any]], x: Spec, width: int) -> Spec:
    y = {
        "field": "label",
        "type": "nominal",
        "sort": [row["label"] for row in rows],
        "title": None,
        "axis": {"labelLimit": 240, "labelColor": LIGHT["ink"]},
    }
    shades = {"domain": list(SHADES), "range": list(SHADES.values())}
    colour = {"field": "role", "scale": shades, "legend": None}
    bar = {
        "mark": {"type": "bar", "height": 14},
        "encoding": {"x": {"field": "phi", **x}, "y": y, "color": colour},
    }
    rule = {
        "mark": {"type": "rule", "strokeWidth": 1.6, "color": LIGHT["ink"]},
        "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y},
    }
    layers = [bar, rule] if any(row["low"] < row["high"] for row in rows) else [bar]
    return {"data": {"values": rows}, "layer": layers, "width": width, "height": max(2, len(rows)) * ROW}


def _numbered(explanations: Sequence[PromptExplanation]) -> list[tuple[int | None, PromptExplanation]]:
    """Return the explanations with the numbers of their wordings, where there are several."""
    texts = list(dict.fromkeys(found.template.text for found in explanations))
    return [
        (texts.index(found.template.text) + 1 if len(texts) > 1 else None, found) for found in explanations
    ]


def _title(found: PromptExplanation, number_: int | None) -> str:
    wording = "" if number_ is None else f"wording {number_}, "
    return f"{wording}{RULES[found.absent]}"


def _of_value(found: PromptExplanation) -> str:
    what = "log-odds" if found.value == "log_odds" else "probability"
    target = clipped(one_line(found.target), 40)
    over = "" if len(found.phi) == 1 else f", mean of {len(found.phi):,} prompts"
    return (
        f"{what} of {target!r}: {number(float(found.with_none.mean()))} with no field, "
        f"{number(float(found.with_all.mean()))} with all{over}"
    )


def _of_noise(found: PromptExplanation) -> str:
    return f"noise fields have {_with_interval(found.noise_share)} of what moves the choice"


def _asked(found: PromptExplanation) -> str:
    how = "all sets of fields" if found.is_exact else "sampled orders of fields"
    unread = f"; {found.unread_rate:.1%} of the answers named no option" if found.unread_rate else ""
    return f"{found.n_questions:,} different questions, {how}{unread}"


def _with_interval(estimate: Estimate) -> str:
    value = number(estimate.value, 2)
    if estimate.n < 2:
        return value
    return f"{value} ({number(estimate.low, 2)} to {number(estimate.high, 2)}, n = {estimate.n:,})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(template: Any) -> dict[str, Any]:
    """Return a prompt and its options as pieces that are inert, each with the role of its field."""
    roles = dict(zip(template.names, template.roles, strict=True))
    pieces = [
        [
            {"text": visible(text), "field": name and one_line(name), "role": name and roles[name]}
            for text, name in part
        ]
        for part in template.pieces()
    ]
    answers = [one_line(answer) for answer in template.answers]
    described = zip(answers, pieces[1:], strict=True)
    return {"text": pieces[0], "options": [{"answer": answer, "text": text} for answer, text in described]}
