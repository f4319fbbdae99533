"""The chart of a study: what each method measured, seed by seed, with the interval of the mean; curves as lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError
from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.palette import LIGHT
from concordant.report.sanitize import clipped, one_line
from concordant.report.study_words import interval_text, value_text
from concordant.studies.study import method_and_metric

if TYPE_CHECKING:
    import altair as alt

    from concordant.core.statistics import Estimate
    from concordant.studies.results import StudyResult

COLUMNS, WIDE, NARROW = 2, 290, 250
ROW, CURVE_HEIGHT = 26, 190
LABEL = 28
SHADES = [LIGHT[name] for name in ("accent", "unsure", "ink", "better", "worse", "soft")]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]


def study_chart(result: StudyResult) -> alt.TopLevelMixin:
    """Draw what the methods of a study measured, a panel a metric, as an Altair chart.

    Parameters
    ----------
    result
        What running the study gave.

    Raises
    ------
    ConfigError
        If no seed of it was run through.
    """
    import altair as alt

    return alt.Chart.from_dict(study_spec(result))


def study_spec(result: StudyResult, *, compact: bool = False) -> Spec:
    """Return the specification of a study's chart; `compact` puts the panels under each other, for narrow pages."""
    if not result.results:
        message = f"no seed of {result.study.slug!r} was run through, so there is nothing to draw"
        raise ConfigError(message)
    values, means = result.values(), result.measured()
    panels: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for name, mean in means.items():
        method, metric, x = method_and_metric(name)
        panels.setdefault((metric, x is not None), []).append(_row(method, x, mean, values[name]))
    width = NARROW if compact else WIDE
    drawn = [
        _curves(metric, rows, width) if is_curve else _dots(metric, rows, width)
        for (metric, is_curve), rows in panels.items()
    ]
    return {
        "$schema": SCHEMA,
        "concat": drawn,
        "columns": 1 if compact else COLUMNS,
        "spacing": {"row": 28, "column": 36},
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "background": "transparent",
        "config": CONFIG,
    }


def _row(method: str, x: str | None, mean: Estimate, values: list[float]) -> dict[str, Any]:
    label = clipped(one_line(method), LABEL)
    return {
        "method": label,
        "x": x,
        "value": mean.value,
        "low": mean.low if math.isfinite(mean.low) else mean.value,
        "high": mean.high if math.isfinite(mean.high) else mean.value,
        "figure": f"{value_text(mean)} ({interval_text(mean)}, n = {mean.n})",
        "singles": values,
    }


def _dots(metric: str, rows: list[dict[str, Any]], width: int) -> Spec:
    """Return a panel with a row a method: a dot a seed, and the mean with its interval."""
    y = {
        "field": "method",
        "type": "nominal",
        "sort": [row["method"] for row in rows],
        "title": None,
        "axis": {"labelLimit": 200, "labelColor": LIGHT["ink"]},
    }
    x = {
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "title": one_line(metric),
        "axis": {"grid": False, "tickCount": 4, "format": "~g"},
    }
    single = {
        "data": {"values": [{"method": row["method"], "value": v} for row in rows for v in row["singles"]]},
        "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.4, "color": LIGHT["soft"]},
        "encoding": {"x": {"field": "value", **x}, "y": y},
    }
    rule = {
        "mark": {"type": "rule", "strokeWidth": 1.6, "color": LIGHT["accent"]},
        "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y},
    }
    mean = {
        "mark": {"type": "point", "filled": True, "size": 56, "opacity": 1, "color": LIGHT["accent"]},
        "encoding": {
            "x": {"field": "value", **x},
            "y": y,
            "tooltip": [{"field": "method"}, {"field": "figure"}],
        },
    }
    return {
        "data": {"values": [{k: v for k, v in row.items() if k not in ("singles", "x")} for row in rows]},
        "layer": [single, rule, mean],
        "width": width,
        "height": max(2, len(rows)) * ROW,
    }


def _curves(metric: str, rows: list[dict[str, Any]], width: int) -> Spec:
    """Return a panel with a line a method over x; x is a category where it is no number."""
    is_number = all(_is_number(row["x"]) for row in rows)
    points = [
        {**{k: v for k, v in row.items() if k != "singles"}, "x": float(row["x"]) if is_number else row["x"]}
        for row in rows
    ]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    shades = [SHADES[i % len(SHADES)] for i in range(len(methods))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(methods))]
    named = {"title": None, "orient": "top", "labelColor": LIGHT["ink"], "labelFontSize": 12, "columns": 2}
    legend = named if len(methods) > 1 else None
    colour = {"field": "method", "scale": {"domain": methods, "range": shades}, "legend": legend}
    x: Spec = {
        "field": "x",
        "type": "quantitative" if is_number else "ordinal",
        "title": None,
        "axis": {"grid": False, "labelAngle": 0, "tickCount": 5},
        **(
            {"scale": {"zero": False}} if is_number else {"sort": list(dict.fromkeys(p["x"] for p in points))}
        ),
    }
    y = {
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "title": one_line(metric) if len(methods) > 1 else one_line(f"{methods[0]} {metric}"),
        "axis": {"gridColor": LIGHT["line"], "tickCount": 4, "format": "~g"},
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 1.6},
        "encoding": {"x": x, "y": {"field": "value", **y}, "color": colour},
    }
    rule = {
        "mark": {"type": "rule", "strokeWidth": 1.2, "opacity": 0.6},
        "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": colour},
    }
    mean = {
        "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
        "encoding": {
            "x": x,
            "y": {"field": "value", **y},
            "color": colour,
            "shape": {"field": "method", "scale": {"domain": methods, "range": shapes}, "legend": legend},
            "tooltip": [{"field": "method"}, {"field": "x"}, {"field": "figure"}],
        },
    }
    return {"data": {"values": points}, "layer": [rule, line, mean], "width": width, "height": CURVE_HEIGHT}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
