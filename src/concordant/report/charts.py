"""Charts of a report: a forest plot of the slices, the flip matrix, findings with their intervals.

Each function returns an Altair chart, for notebooks; `to_svg` renders it without a browser.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, nearest
from concordant.report.figures import interval_text, is_signed, p_text, value_text
from concordant.report.palette import LIGHT
from concordant.report.sanitize import cut, one_line
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
    from collections.abc import Sequence

    import altair as alt

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
SHAPES = {"better": "triangle-up", "worse": "triangle-down", "same": "circle", "all": "diamond"}
FOREST_ROWS = 16
WIDTH, LEAST_PLOT, COMPACT_WIDTH = 900, 220, 340
LETTER, GAP = 6.8, 14
SHADES = {"better": LIGHT["better"], "worse": LIGHT["worse"], "same": LIGHT["accent"], "all": LIGHT["ink"]}


def forest(
    report: Report,
    relation: str | None = None,
    measure: str | None = None,
    *,
    k: int = FOREST_ROWS,
    compact: bool = False,
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
    compact
        Put the words above each line instead of beside it, for narrow pages.

    Raises
    ------
    ConfigError
        If there are no slices of that measure.
    """
    result = _with_slices(report) if relation is None else report[relation]
    measure = focus(report, result)[0] if measure is None else measure
    chosen = worst_slices(result, measure, k)
    if not chosen:
        known = {f.measure for f in result.slices}
        message = f"relation {result.name} has no slices of {measure!r}; {nearest(measure, known)}"
        raise ConfigError(message)
    whole = result.findings.get(measure)
    rows = [] if whole is None else [_row(whole, "all items", "all")]
    rows += [_row(f, " = ".join(f.slice or ()), slice_direction(f, whole)) for f in by_name(chosen)]
    return _forest(rows, measure, compact=compact)


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
    import altair as alt

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
    washes = {"kept": LIGHT["panel"], "lost": LIGHT["worse-wash"], "won": LIGHT["better-wash"]}
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "new:N", sort=matrix.outcomes, title="new version", axis=alt.Axis(orient="top", labelAngle=0)
        ),
        y=alt.Y("old:N", sort=matrix.outcomes, title="old version"),
    )
    scale = alt.Scale(domain=list(washes), range=list(washes.values()))
    cells = base.mark_rect(stroke=LIGHT["paper"], strokeWidth=3).encode(
        color=alt.Color("kind:N", scale=scale, legend=None), tooltip=["old:N", "new:N", "count:Q"]
    )
    counts = base.mark_text(fontSize=18).encode(text=alt.Text("count:Q", format=","))
    size = 84 * len(matrix.outcomes)
    chart = alt.layer(cells, counts).properties(width=size, height=size * 2 // 3)
    return _dressed(chart)


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
    findings = [f for r in results for f in r.findings.values()]
    rows = [
        _row(f, f.name if relation is None else f.measure, direction(f) if is_signed(f) else "same")
        for f in findings
    ]
    return _forest(rows, "value", compact=False)


def to_svg(charts: Sequence[Any]) -> list[str]:
    """Render charts to SVG texts, in one process and without a browser."""
    import vl_convert

    return [vl_convert.vegalite_to_svg(chart.to_dict()) for chart in charts]


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
    ends = [end if math.isfinite(end) else finding.value for end in (finding.low, finding.high)]
    figure = f"{value_text(finding)} ({interval_text(finding)})"
    p = "" if finding.p_value is None else f"p {p_text(finding.p_value)}"
    return {
        "label": cut(one_line(label), 36)[0],
        "value": finding.value,
        "low": ends[0],
        "high": ends[1],
        "kind": kind,
        "figure": figure,
        "n": f"n = {finding.n:,}",
        "p": p,
        "words": " · ".join(
            part for part in (cut(one_line(label), 28)[0], figure, f"n = {finding.n:,}") if part
        ),
    }


def _forest(rows: list[dict[str, Any]], title: str, *, compact: bool) -> alt.LayerChart:
    import altair as alt

    rows = [row for row in rows if math.isfinite(row["value"])]
    for number, row in enumerate(rows):
        row["row"] = number
    columns = {
        name: GAP + LETTER * max((len(row[name]) for row in rows), default=0)
        for name in ("label", "figure", "n", "p")
    }
    width = COMPACT_WIDTH if compact else max(LEAST_PLOT, WIDTH - round(sum(columns.values())))
    edges = [row[key] for row in rows for key in ("low", "high")]
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("row:O", title=None, axis=None))
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=list(SHADES), range=list(SHADES.values())), legend=None
    )
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())), legend=None
    )
    axis = alt.Axis(grid=False, tickCount=5, format="~g")
    x = alt.X("low:Q", title=one_line(title), scale=alt.Scale(zero=False, nice=True), axis=axis)
    layers = []
    if min(edges, default=0.0) <= 0 <= max(edges, default=0.0):
        layers.append(_upright(0.0, LIGHT["line"]))
    if rows and rows[0]["kind"] == "all":
        layers.append(_upright(rows[0]["value"], LIGHT["soft"], strokeDash=[2, 3]))
    below = 9 if compact else 0
    layers += [
        base.mark_rule(strokeWidth=1.6, yOffset=below).encode(x=x, x2="high:Q", color=colour),
        base.mark_point(filled=True, size=52, opacity=1, yOffset=below).encode(
            x="value:Q", color=colour, shape=shape, tooltip=["label:N", "figure:N", "n:N", "p:N"]
        ),
    ]
    padding = {"left": 2, "right": 2, "top": 2, "bottom": 2}
    if compact:
        layers.append(_words(base, "words", 0, LIGHT["ink"], dy=-9))
    else:
        layers.append(_words(base, "label", -GAP, LIGHT["ink"], align="right"))
        at = float(width + GAP)
        for name in ("figure", "n", "p"):
            layers.append(_words(base, name, at, LIGHT["ink"] if name == "figure" else LIGHT["soft"]))
            at += columns[name]
        # Room for the words is kept by their number of letters: the page may set them in a wider font than was measured.
        padding |= {"left": round(columns["label"]), "right": max(0, round(at) - width)}
    height = max(1, len(rows)) * (44 if compact else 26)
    chart = alt.layer(*layers).properties(width=width, height=height, padding={**padding, "bottom": 40})
    return _dressed(chart.properties(autosize=alt.AutoSizeParams(type="none")))


def _upright(at: float, colour: str, **more: Any) -> Any:
    import altair as alt

    return (
        alt.Chart(alt.Data(values=[{}]))
        .mark_rule(color=colour, strokeWidth=1, **more)
        .encode(x=alt.datum(at))
    )


def _words(base: Any, field: str, at: float, colour: str, *, align: str = "left", dy: int = 0) -> Any:
    import altair as alt

    mark = base.mark_text(align=align, baseline="middle", fontSize=12, color=colour, dy=dy)
    return mark.encode(x=alt.value(at), text=f"{field}:N")


def _dressed(chart: Any) -> Any:
    axis = {"labelColor": LIGHT["soft"], "titleColor": LIGHT["soft"], "titleFontWeight": "normal"}
    return (
        chart.configure(font=FONT, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, domain=False, ticks=False, **axis)
    )
