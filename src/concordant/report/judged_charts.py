"""The curves of explainers: what a classifier loses when the most important numbers are all there is, or are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.explained_words import RANDOM
from concordant.report.palette import LIGHT
from concordant.report.sanitize import brief

if TYPE_CHECKING:
    from concordant.explanations.judging import Judgement

TITLES = {
    "sufficiency": "lost when only this share is kept",
    "comprehensiveness": "lost when this share is removed",
}
COLOURS = ("accent", "worse", "better", "unsure", "ink")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4])
MAX_LINES = 6
WIDE, NARROW, HEIGHT = 390, 280, 230


@dataclass(frozen=True, slots=True)
class Look:
    """How the line of an explainer is drawn.

    Attributes
    ----------
    name
        Of the explainer, as it is shown.
    colour
        From the palette.
    dash
        Lengths of dashes and gaps.
    """

    name: str
    colour: str
    dash: list[int]


def looks(judged: Judgement) -> dict[str, Look]:
    """Return how the first six explainers of the ranking are drawn: in colours and dashes; the random one is grey."""
    order = judged.ranking.sort("rank")["explainer"].to_list()
    known = [name for name in order if name != RANDOM][:MAX_LINES]
    found = {
        name: Look(brief(name, 40), LIGHT[COLOURS[i % len(COLOURS)]], DASHES[i])
        for i, name in enumerate(known)
    }
    return found | {name: Look(name, LIGHT["soft"], [1, 0]) for name in order if name == RANDOM}


def curves_spec(judged: Judgement, *, compact: bool = False) -> Spec:
    """Return the specification of the two charts; `compact` puts them under each other.

    There is no legend: `looks` has what one needs.

    Parameters
    ----------
    judged
        The comparison; it has curves.
    compact
        For narrow pages.
    """
    known = looks(judged)
    labels = {name: f"{i}. {look.name}" for i, (name, look) in enumerate(known.items(), 1)}
    domain = list(labels.values())
    colour = {"domain": domain, "range": [look.colour for look in known.values()]}
    dash = {"domain": domain, "range": [look.dash for look in known.values()]}
    rows = [
        {**row, "explainer": labels[row["explainer"]]}
        for row in judged.curves.iter_rows(named=True)
        if row["explainer"] in labels
    ]
    present = {row["curve"] for row in rows}
    ends = [end for row in rows for end in (row["low"], row["high"], row["value"], 0.0) if end is not None]
    y = {
        "type": "quantitative",
        "scale": {"domain": [min(ends), max(ends)], "nice": True},  # the same for both, so that they compare
        "axis": {"grid": True, "gridColor": LIGHT["line"], "tickCount": 5, "format": "~g"},
    }
    panels = [
        _panel([row for row in rows if row["curve"] == curve], title, y, NARROW if compact else WIDE)
        for curve, title in TITLES.items()
        if curve in present
    ]
    for panel in panels:
        band, line = panel["layer"]
        for layer in (band, line):
            layer["encoding"]["color"] = _by(colour)
        line["encoding"]["strokeDash"] = _by(dash)
    return {
        "$schema": SCHEMA,
        "concat": panels,
        "columns": 1 if compact else 2,
        "spacing": 36,
        "background": "transparent",
        "config": CONFIG,
    }


def _panel(rows: list[dict[str, Any]], title: str, y: Spec, width: int) -> Spec:
    x = {
        "field": "share",
        "type": "quantitative",
        "title": "share of the numbers of a series",
        "axis": {"grid": False, "format": "%", "tickCount": 6},
    }
    by = {"field": "explainer", "type": "nominal"}
    band = {
        "mark": {"type": "area", "opacity": 0.13},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low", "title": None},
            "y2": {"field": "high"},
            "detail": by,
        },
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"x": x, "y": {**y, "field": "value", "title": None}, "detail": by},
    }
    heading = {
        "text": title,
        "anchor": "start",
        "fontSize": 12,
        "fontWeight": "normal",
        "color": LIGHT["ink"],
    }
    return {
        "data": {"values": rows},
        "layer": [band, line],
        "width": width,
        "height": HEIGHT,
        "title": heading,
    }


def _by(scale: dict[str, Any]) -> Spec:
    return {"field": "explainer", "type": "nominal", "scale": scale, "legend": None}
