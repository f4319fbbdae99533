"""Charts of a report: a forest plot of the slices, the flip matrix, findings with their intervals.

Each chart is one Vega-Lite specification. `forest`, `flip_matrix` and `intervals` give it as an Altair chart, for notebooks;
`to_svg` renders it without a browser, for the page.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, nearest
from concordant.report.figures import interval_text, is_signed, p_text, value_text
from concordant.report.palette import LIGHT
from concordant.report.sanitize import clipped, one_line
from concordant.report.telling import (
    by_name,
    direction,
    flip_counts,
    flips,
    focus,
    slice_direction,
    worst_slices,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import altair as alt

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

Spec = dict[str, Any]

FOREST_ROWS = 16
WIDTH, LEAST_PLOT, COMPACT_WIDTH = 900, 220, 340
LETTER, GAP = 6.8, 14
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
SHADES = {"better": LIGHT["better"], "worse": LIGHT["worse"], "same": LIGHT["accent"], "all": LIGHT["ink"]}
SHAPES = {"better": "triangle-up", "worse": "triangle-down", "same": "circle", "all": "diamond"}
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
CONFIG = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "domain": False,
        "ticks": False,
        "labelColor": LIGHT["soft"],
        "titleColor": LIGHT["soft"],
        "titleFontWeight": "normal",
    },
}
WASHES = {"kept": LIGHT["panel"], "lost": LIGHT["worse-wash"], "won": LIGHT["better-wash"]}


def forest(
    report: Report, relation: str | None = None, measure: str | None = None, *, k: int = FOREST_ROWS
) -> alt.LayerChart:
    """Draw the worst slices of a measure, each with its interval, beside the figure over all items.

    Parameters
    ----------
    report
        The report.
    relation
        Name of the relation; by default the first that has slices.
    measure
        Name of the measure; by default the one that is tested, or gated, or comes first.
    k
        How many slices at most: the worst ones.

    Raises
    ------
    ConfigError
        If there are no slices of that measure.
    """
    result = _with_slices(report) if relation is None else report[relation]
    return _chart(forest_spec(result, focus(report, result)[0] if measure is None else measure, k=k))


def flip_matrix(report: Report, relation: str = "versions.flips") -> alt.LayerChart:
    """Draw how many items had which outcome in the old and in the new version.

    Parameters
    ----------
    report
        The report.
    relation
        Name of a relation that compares two versions.

    Raises
    ------
    ConfigError
        If the relation does not compare two versions.
    """
    result = report[relation]
    matrix = flip_counts(result)
    if matrix is None or all(result is not other for other in flips(report)):
        message = f"relation {relation} does not compare an old version with a new one; versions.flips does"
        raise ConfigError(message)
    rows = [
        {"old": old, "new": new, "count": matrix.count(old, new), "kind": _flip_kind(old, new)}
        for old in matrix.outcomes
        for new in matrix.outcomes
    ]
    place = {
        "x": {
            "field": "new",
            "sort": matrix.outcomes,
            "title": "new version",
            "axis": {"orient": "top", "labelAngle": 0},
        },
        "y": {"field": "old", "sort": matrix.outcomes, "title": "old version"},
    }
    cells = {
        "mark": {"type": "rect", "stroke": LIGHT["paper"], "strokeWidth": 3, "tooltip": True},
        "encoding": {**place, "color": _scale("kind", WASHES)},
    }
    text = {"field": "count", "type": "quantitative", "format": ","}
    counts = {"mark": {"type": "text", "fontSize": 18}, "encoding": {**place, "text": text}}
    size = 84 * len(matrix.outcomes)
    return _chart(_dressed([cells, counts], rows, width=size, height=size * 2 // 3))


def intervals(report: Report, relation: str | None = None) -> alt.LayerChart:
    """Draw the findings of a report, or of one relation, as dots with their intervals.

    Parameters
    ----------
    report
        The report.
    relation
        Name of a relation; by default all of them.
    """
    results = list(report.results.values()) if relation is None else [report[relation]]
    rows = [
        _row(f, f.name if relation is None else f.measure, direction(f) if is_signed(f) else "same")
        for result in results
        for f in result.findings.values()
    ]
    return _chart(_forest(rows, "value", compact=False))


def forest_spec(result: Result, measure: str, *, k: int = FOREST_ROWS, compact: bool = False) -> Spec:
    """Return the specification of a forest plot; `compact` puts the words above each line, for narrow pages."""
    chosen = worst_slices(result, measure, k)
    if not chosen:
        known = {f.measure for f in result.slices}
        message = f"relation {result.name} has no slices of {measure!r}; {nearest(measure, known)}"
        raise ConfigError(message)
    whole = result.findings.get(measure)
    rows = [] if whole is None else [_row(whole, "all items", "all")]
    rows += [_row(f, " = ".join(f.slice or ()), slice_direction(f, whole)) for f in by_name(chosen)]
    return _forest(rows, measure, compact=compact)


def to_svg(specs: Iterable[Spec]) -> list[str]:
    """Render specifications to SVG texts, in this process and without a browser."""
    import vl_convert

    return [vl_convert.vegalite_to_svg(spec) for spec in specs]


def _chart(spec: Spec) -> alt.LayerChart:
    import altair as alt

    return alt.LayerChart.from_dict(spec)


def _with_slices(report: Report) -> Result:
    for result in report.results.values():
        if result.slices:
            return result
    message = "the report has no slices; give the items further columns, or name some with slices="
    raise ConfigError(message)


def _flip_kind(old: str, new: str) -> str:
    if (old, new) == ("right", "wrong"):
        return "lost"
    return "won" if (old, new) == ("wrong", "right") else "kept"


def _row(finding: Finding, label: str, kind: str) -> dict[str, Any]:
    figure, label = f"{value_text(finding)} ({interval_text(finding)})", one_line(label)
    return {
        "label": clipped(label, 36),
        "value": finding.value,
        "low": finding.low if math.isfinite(finding.low) else finding.value,
        "high": finding.high if math.isfinite(finding.high) else finding.value,
        "kind": kind,
        "figure": figure,
        "n": f"n = {finding.n:,}",
        "p": "" if finding.p_value is None else f"p {p_text(finding.p_value)}",
        "words": f"{clipped(label, 28)} · {figure} · n = {finding.n:,}",
    }


def _forest(rows: list[dict[str, Any]], title: str, *, compact: bool) -> Spec:
    rows = [{**row, "row": i} for i, row in enumerate(row for row in rows if math.isfinite(row["value"]))]
    longest = {
        name: max((len(row[name]) for row in rows), default=0) for name in ("label", "figure", "n", "p")
    }
    columns = {name: GAP + LETTER * length for name, length in longest.items()}
    width = COMPACT_WIDTH if compact else max(LEAST_PLOT, WIDTH - round(sum(columns.values())))
    below = 9 if compact else 0
    axis = {"grid": False, "tickCount": 5, "format": "~g"}
    x = {
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "title": one_line(title),
        "axis": axis,
    }
    colour = _scale("kind", SHADES)
    shape = _scale("kind", SHAPES)
    edges = [row[key] for row in rows for key in ("low", "high")]
    layers = []
    if min(edges, default=0.0) <= 0 <= max(edges, default=0.0):
        layers.append(_upright(0.0, LIGHT["line"]))
    if rows and rows[0]["kind"] == "all":
        layers.append(_upright(rows[0]["value"], LIGHT["soft"], strokeDash=[2, 3]))
    layers.append(
        {
            "mark": {"type": "rule", "strokeWidth": 1.6, "yOffset": below},
            "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "color": colour},
        }
    )
    layers.append(
        {
            "mark": {"type": "point", "filled": True, "size": 52, "opacity": 1, "yOffset": below},
            "encoding": {
                "x": {"field": "value", **x},
                "color": colour,
                "shape": shape,
                "tooltip": [{"field": name} for name in ("label", "figure", "n", "p")],
            },
        }
    )
    padding = {"left": 2, "right": 2, "top": 2, "bottom": 40}
    if compact:
        layers.append(_words("words", 0, LIGHT["ink"], dy=-9))
    else:
        layers.append(_words("label", -GAP, LIGHT["ink"], align="right"))
        at = float(width + GAP)
        for name in ("figure", "n", "p"):
            layers.append(_words(name, at, LIGHT["ink"] if name == "figure" else LIGHT["soft"]))
            at += columns[name]
        # Room for the words is kept by their number of letters: the page may set them in a wider font.
        padding |= {"left": round(columns["label"]), "right": max(0, round(at) - width)}
    for layer in layers:
        if "data" not in layer:
            layer["encoding"]["y"] = {"field": "row", "type": "ordinal", "axis": None}
    height = max(1, len(rows)) * (44 if compact else 26)
    spec = _dressed(layers, rows, width=width, height=height)
    return {**spec, "padding": padding, "autosize": {"type": "none"}}


def _scale(field: str, values: dict[str, str]) -> Spec:
    return {"field": field, "scale": {"domain": list(values), "range": list(values.values())}, "legend": None}


def _upright(at: float, colour: str, **more: Any) -> Spec:
    mark = {"type": "rule", "color": colour, "strokeWidth": 1, **more}
    return {"data": {"values": [{}]}, "mark": mark, "encoding": {"x": {"datum": at, "type": "quantitative"}}}


def _words(field: str, at: float, colour: str, *, align: str = "left", dy: int = 0) -> Spec:
    mark = {"type": "text", "align": align, "baseline": "middle", "fontSize": 12, "color": colour, "dy": dy}
    return {"mark": mark, "encoding": {"x": {"value": at}, "text": {"field": field}}}


def _dressed(layers: list[Spec], rows: list[dict[str, Any]], *, width: int, height: int) -> Spec:
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "layer": layers,
        "width": width,
        "height": height,
        "background": "transparent",
        "config": CONFIG,
    }
