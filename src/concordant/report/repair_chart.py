"""The chart of a repair: accuracy over negative flips, of the update, of each method, and of its other strengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.palette import LIGHT

if TYPE_CHECKING:
    from concordant.versions.repairing.measuring import Measured
    from concordant.versions.repairing.result import Repair

WIDE, NARROW, HEIGHT = 620, 300, 330
SHADES = {
    "update": LIGHT["worse"],
    "route": LIGHT["better"],
    "muscle": LIGHT["accent"],
    "distil": LIGHT["unsure"],
    "ensemble": LIGHT["ink"],
    "interpolation": LIGHT["soft"],
}
SHAPES = {
    "update": "diamond",
    "route": "circle",
    "muscle": "square",
    "distil": "triangle-up",
    "ensemble": "triangle-down",
    "interpolation": "cross",
}


def repair_spec(repair: Repair, *, compact: bool = False) -> Spec:
    """Return the specification of the chart; `compact` is for narrow pages."""
    chosen = [_point("update", 0.0, repair.update)]
    curves = []
    for method, candidate in repair.candidates.items():
        chosen.append(_point(method, candidate.chosen.strength, candidate.chosen.held_out))
        curves.append(_point(method, 0.0, repair.update))
        curves += [_point(method, tried.strength, tried.held_out) for tried in candidate.tried]
    names = [row["model"] for row in chosen]
    colour = {"field": "model", "scale": {"domain": names, "range": [SHADES[name] for name in names]}}
    shape = {"field": "model", "scale": {"domain": names, "range": [SHAPES[name] for name in names]}}
    legend = {"title": None, "orient": "top", "labelColor": LIGHT["ink"], "labelFontSize": 12, "columns": 3}
    number = {"scale": {"zero": False, "nice": True}, "type": "quantitative"}
    axis = {"gridColor": LIGHT["line"], "tickCount": 5, "format": "~g"}
    x = {**number, "title": "negative flip rate (less is better)", "axis": axis}
    y = {**number, "title": "accuracy (more is better)", "axis": axis}
    order = {"field": "strength", "type": "quantitative"}
    named = {
        "color": {**colour, "legend": legend},
        "shape": {**shape, "legend": legend},
        "x": {"field": "flips", **x},
        "y": {"field": "accuracy", **y},
    }
    across = {"x": {"field": "flips_low", **x}, "x2": {"field": "flips_high"}, "y": named["y"]}
    upright = {"x": named["x"], "y": {"field": "accuracy_low", **y}, "y2": {"field": "accuracy_high"}}
    line = {"type": "line", "strokeWidth": 1.2, "opacity": 0.6}
    small = {"type": "point", "filled": True, "size": 14, "opacity": 0.6}
    layers: list[Spec] = [
        {
            "data": {"values": curves},
            "mark": mark,
            "encoding": {"x": named["x"], "y": named["y"], "color": named["color"], **more},
        }
        for mark, more in ((line, {"order": order}), (small, {}))
    ]
    layers += [
        {
            "data": {"values": chosen},
            "mark": {"type": "rule", "strokeWidth": 1.4},
            "encoding": {**way, "color": named["color"]},
        }
        for way in (across, upright)
    ]
    layers.append(
        {
            "data": {"values": chosen},
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": named,
        }
    )
    return {
        "$schema": SCHEMA,
        "layer": layers,
        "width": NARROW if compact else WIDE,
        "height": HEIGHT,
        "background": "transparent",
        "config": CONFIG,
    }


def _point(model: str, strength: float, measured: Measured) -> dict[str, Any]:
    points = measured.points
    row: dict[str, Any] = {"model": model, "strength": strength}
    for name, measure in (("flips", "negative_flip_rate"), ("accuracy", "accuracy_new")):
        estimate = points[measure]
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row
