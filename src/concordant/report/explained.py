"""The page of explanations of a classifier: one self-contained HTML file with what decides, and whether to believe it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.statistics import wilson_estimate
from concordant.explanations.judging.measures import MEASURES
from concordant.report.bars import Axis, Bar
from concordant.report.charts import to_svg
from concordant.report.explained_examples import Examples, chosen_examples
from concordant.report.explained_reading import readings
from concordant.report.explained_words import (
    MAX_LINE,
    RANDOM,
    answer,
    beats_text,
    class_name,
    figures,
    higher_is_better,
    listed,
    name_of,
    ranked,
    rows_text,
    seconds_text,
    sentence,
    title_of,
)
from concordant.report.figures import decimals, number
from concordant.report.files import write_text
from concordant.report.html import whole_page
from concordant.report.judged_charts import curves_spec, looks
from concordant.report.sanitize import brief, one_line
from concordant.report.series_charts import HEIGHT, Drawing, Peak, drawn, is_signed
from concordant.report.table_charts import SWARM, column_rows, steps

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.explanations.explained import Explained, LandmarkExamples
    from concordant.explanations.judging import Judgement

MAX_METHODS = 20
"""How many the style sheet can switch between."""
MAX_KINDS = 8


def write(explained: Explained, path: str | Path) -> None:
    """Write the page of explanations: one HTML file that needs nothing else.

    Parameters
    ----------
    explained
        What :func:`concordant.explanations.explaining.explain_set` returns, of at least one series and one method.
    path
        Of the file.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    write_text(path, render(explained))


def render(explained: Explained) -> str:
    """Return the page of explanations, of at least one series and one method."""
    judged, data = explained.judged, explained.data
    attributions = _in_order(explained)
    chosen = chosen_examples(data, explained.probabilities)
    charts = {}
    if judged is not None and judged.curves.height:
        charts["curves"] = to_svg(curves_spec(judged, compact=narrow) for narrow in (False, True))
    return whole_page(
        "explained.html.j2",
        styles=("explained.css.j2",),
        charts=charts,
        title=f"What decides: {name_of(explained.model)} on {name_of(data.name)}",
        parts=_parts(explained),
        verdict=answer(explained),
        warnings=[sentence(text) for text in explained.warnings],
        **_comparison(judged),
        looks=[] if judged is None else list(looks(judged).values()),
        methods=[name_of(name) for name in attributions],
        hidden_methods=_hidden(len(explained.attributions) - len(attributions), "more explainer"),
        signed=[is_signed(attribution) for attribution in attributions.values()],
        has_truth=data.truth is not None,
        height=HEIGHT,
        groups=_groups(explained, chosen, attributions),
        hidden_classes=_hidden_classes(explained, chosen),
        landmarks=[_landmarks(explained, name, found) for name, found in explained.landmarks.items()],
        table=_table(explained, attributions) if data.is_table else None,
        swarm=SWARM,
        done=_done(explained),
        command=one_line(explained.settings.get("command", "")),
        reading=readings(explained),
    )


def _in_order(explained: Explained) -> dict[str, NDArray[Any]]:
    """Return the attributions that are shown, those of the truest explainer first."""
    rank = {} if explained.judged is None else {place.name: place.rank for place in ranked(explained.judged)}
    names = sorted(explained.attributions, key=lambda name: (name == RANDOM, rank.get(name, len(rank))))
    return {name: explained.attributions[name] for name in names[:MAX_METHODS]}


def _parts(explained: Explained) -> list[str]:
    data = explained.data
    _, length, n_channels = data.x.shape
    size = f"{n_channels:,} column{_s(n_channels)}"
    if not data.is_table:
        size = f"{length:,} step{_s(length)}, {n_channels:,} channel{_s(n_channels)}"
    known = [] if data.labels is None else [f"accuracy {_accuracy(explained)}"]
    return [rows_text(explained), size, f"{explained.probabilities.shape[1]} classes", *known]


def _comparison(judged: Judgement | None) -> dict[str, Any]:
    """Return the ranking with its bars, and the table of all measures; empty where nothing was compared."""
    if judged is None:
        return {"places": [], "measures": [], "notes": [], "ends": None, "main": ""}
    places, found = ranked(judged), figures(judged)
    edges = [edge for place in places for edge in place.figure.numbers if np.isfinite(edge)]
    axis = Axis(min(0.0, *edges), max(0.0, *edges))
    return {
        "places": [
            {
                "rank": place.rank,
                "name": name_of(place.name),
                "is_control": place.name == RANDOM,
                "figure": place.figure,
                "beats": beats_text(place, places),
                "bar": _bar(axis, *place.figure.numbers),
            }
            for place in places
        ],
        "measures": [
            {
                "title": name_of(title_of(measure)),
                "about": MEASURES[measure].about if measure in MEASURES else "",
                "direction": "higher" if higher_is_better(judged, measure) else "lower",
                "figures": [by_name.get(place.name) for place in places],
            }
            for measure, by_name in found.items()
        ],
        "notes": [sentence(note) for note in judged.notes],
        "ends": axis.ends,
        "main": name_of(title_of(judged.main)),
    }


def _bar(axis: Axis, value: float, low: float, high: float) -> Bar | None:
    if not np.isfinite(value):
        return None
    start, end = (axis.at(edge if np.isfinite(edge) else value) for edge in (low, high))
    zero = axis.at(0.0) if axis.low < 0 < axis.high else None
    return Bar(axis.at(value), start, end, kind="same", zero=zero)


def _groups(
    explained: Explained, chosen: list[Examples], attributions: dict[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    """Return the examples of each class with what is drawn of them."""
    data = explained.data
    rows = [row for examples in chosen for row in examples.rows]
    drawings: dict[int, Drawing] = {}
    if not data.is_table:
        drawings = dict(zip(rows, drawn(data.x, attributions, rows, truth=data.truth), strict=True))
    groups = []
    for examples in chosen:
        ones = []
        for row, why in zip(examples.rows, examples.why, strict=True):
            one: dict[str, Any] = {"title": _numbered(explained, row), "why": why, **_said(explained, row)}
            if data.is_table:
                one["falls"] = [
                    steps(data.x[row, 0], np.asarray(a)[row, 0], data.channels, signed=is_signed(a))
                    for a in attributions.values()
                ]
            else:
                one |= _seen(explained, row, drawings[row])
            ones.append(one)
        groups.append(
            {"title": class_name(explained, examples.label), "about": _of(explained, examples), "ones": ones}
        )
    return groups


def _seen(explained: Explained, row: int, drawing: Drawing) -> dict[str, Any]:
    """Return a drawing with its words."""
    several = drawing.n_channels > 1
    names = [brief(name, 40) if several else "" for name in explained.data.channels]
    peaks = [_peak(found, drawing, names) for found in drawing.peaks]
    return {
        "id": f"s{row}",
        "drawing": drawing,
        "channels": [names[panel.channel] for panel in drawing.panels],
        "peaks": peaks,
        "hidden": _hidden(drawing.n_channels - len(drawing.panels), "channel", " with less attribution"),
    }


def _peak(found: Peak | None, drawing: Drawing, names: list[str]) -> str:
    """Say where the attribution of a series is greatest."""
    if found is None:
        return "nothing more important than the rest"
    where = f"steps {found.first} to {found.last}"
    if found.first == found.last:
        where = f"step {found.first}"
    elif found.last - found.first + 1 == drawing.length:
        where = "all steps"
    of = f" of {names[found.channel]}" if drawing.n_channels > 1 else ""
    return f"most on {where}{of}" + (", against the class" if found.kind == "against" else "")


def _said(explained: Explained, row: int) -> dict[str, str]:
    """Return what the classifier says of a row, and whether it is right."""
    label = int(explained.probabilities[row].argmax())
    said = {
        "said": class_name(explained, label),
        "probability": number(float(explained.probabilities[row, label]), 2),
    }
    if explained.data.labels is None:
        return said | {"outcome": "unknown", "mark": "", "truly": ""}
    truly = int(explained.data.labels[row])
    if truly == label:
        return said | {"outcome": "right", "mark": "✓", "truly": ""}
    return said | {"outcome": "wrong", "mark": "✗", "truly": class_name(explained, truly)}


def _of(explained: Explained, examples: Examples) -> str:
    unit = _unit(explained, examples.n)
    if examples.n_right is None:
        return f"{examples.n:,} {unit} given this class"
    return f"{examples.n:,} {unit} of this class, {examples.n_right:,} of them classified as it"


def _hidden_classes(explained: Explained, chosen: list[Examples]) -> str:
    labels = explained.data.labels
    seen = explained.probabilities.argmax(1) if labels is None else labels
    n_hidden = len(np.unique(seen)) - len(chosen)
    return f"{n_hidden} smaller class{'es' if n_hidden > 1 else ''} left out." if n_hidden else ""


def _landmarks(explained: Explained, method: str, found: LandmarkExamples) -> dict[str, Any]:
    """Return the landmarks that are nearest to any series, the ones near most first, each in the channel that says most."""
    attribution = np.asarray(explained.attributions[method])
    order = [i for i in np.argsort(-found.n_near, kind="stable").tolist() if found.n_near[i]]
    kinds = []
    for i in order[:MAX_KINDS]:
        rows = found.rows[i].tolist()
        channel = int(np.abs(attribution[rows]).sum((0, 1)).argmax())
        only = slice(channel, channel + 1)
        drawings = drawn(explained.data.x[..., only], {method: attribution[..., only]}, rows)
        given = explained.probabilities[rows].argmax(1)
        kinds.append(
            {
                "n": f"{found.n_near[i]:,}",
                "unit": _unit(explained, int(found.n_near[i])),
                "classes": f"given {listed([class_name(explained, label) for label in np.unique(given).tolist()])}",
                "channel": brief(explained.data.channels[channel], 40) if attribution.shape[2] > 1 else "",
                "thumbs": [
                    {
                        "title": _numbered(explained, row),
                        "said": _said(explained, row)["said"],
                        "cosine": number(float(cosine), 2),
                        "width": drawing.width,
                        "line": drawing.panels[0].line,
                        "marks": drawing.panels[0].shades[0],
                    }
                    for row, cosine, drawing in zip(rows, found.cosines[i].tolist(), drawings, strict=True)
                ],
            }
        )
    return {
        "method": name_of(method),
        "kinds": kinds,
        "hidden": _hidden(len(order) - len(kinds), "smaller kind"),
    }


def _table(explained: Explained, attributions: dict[str, NDArray[Any]]) -> dict[str, Any]:
    x, names = explained.data.x[:, 0], explained.data.channels
    return {"columns": [column_rows(x, np.asarray(a)[:, 0], names) for a in attributions.values()]}


def _done(explained: Explained) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what was done, as named groups of names and values."""
    data, judged = explained.data, explained.judged
    said = np.bincount(explained.probabilities.argmax(1), minlength=explained.probabilities.shape[1])
    given = "; ".join(f"{class_name(explained, i)}: {n:,}" for i, n in enumerate(said.tolist()) if n)
    about = [
        ("classifier", name_of(explained.model)),
        ("data", rows_text(explained)),
        ("classes given", brief(given, MAX_LINE)),
        ("accuracy", "unknown, there are no true classes" if data.labels is None else _accuracy(explained)),
    ]
    if not data.is_table:
        about.append(("where the class truly is", "not known" if data.truth is None else "known"))
    took = [
        (name_of(name), seconds_text(explained.seconds[name]))
        for name in explained.attributions
        if name in explained.seconds
    ]
    groups = [("classifier and data", about), ("seconds, fitting included", took)]
    if judged is not None:
        unit = _unit(explained, judged.n)
        compared = [
            (unit, f"{judged.n:,}"),
            ("ranked by", title_of(judged.main)),
            ("pairs of explainers", f"{judged.pairs.height:,}, over the same {unit}, p values after Holm"),
            ("intervals", f"95 %, over {unit}"),
        ]
        groups.append(("comparison", compared))
    settings = [
        (name_of(name), one_line(text)) for name, text in explained.settings.items() if name != "command"
    ]
    groups.append(("settings", settings))
    return [(name, entries) for name, entries in groups if entries]


def _accuracy(explained: Explained) -> str:
    labels = np.asarray(explained.data.labels)
    found = wilson_estimate(float((explained.probabilities.argmax(1) == labels).mean()), n=len(labels))
    places = decimals(found.low, found.high)
    return f"{number(found.value, places)} ({number(found.low, places)} to {number(found.high, places)})"


def _hidden(n: int, what: str, which: str = "") -> str:
    """Say how many of something are left out; empty where none are."""
    return f"{n} {what}{_s(n)}{which} left out." if n else ""


def _numbered(explained: Explained, row: int) -> str:
    return f"{'row' if explained.data.is_table else 'series'} {explained.data.number(row)}"


def _unit(explained: Explained, n: int) -> str:
    return f"row{_s(n)}" if explained.data.is_table else "series"


def _s(n: int) -> str:
    return "" if n == 1 else "s"
