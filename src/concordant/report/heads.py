"""A figure of each attention head as a heat map: layers from below, heads from the left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError
from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.figures import number
from concordant.report.palette import LIGHT
from concordant.report.sanitize import one_line

if TYPE_CHECKING:
    import altair as alt
    from numpy.typing import ArrayLike

CELL, NARROW_CELL, MOST_WRITTEN = 44, 18, 12
"""Width of a cell, also where there are more heads than have room for a figure each, and how many have."""

MOST_OPAQUE = 0.6
"""Of the cell furthest from the centre: the figure in it must stay readable."""


def head_map(values: ArrayLike, *, title: str = "", centre: float = 0.0) -> alt.LayerChart:
    """Draw a figure of each head as an Altair chart.

    Parameters
    ----------
    values
        Shape ``(layers, heads)``: a mean attribution, or a rate with each head scaled (`HeadSweep.grid`). NaN where there
        is none.
    title
        What the figures are.
    centre
        What is drawn without colour, such as the rate of the untouched model; above it cells are green, below red.

    Raises
    ------
    DataError
        If the values have another shape, or none is finite.
    """
    import altair as alt

    return alt.LayerChart.from_dict(head_map_spec(values, title=title, centre=centre))


def head_map_spec(values: ArrayLike, *, title: str = "", centre: float = 0.0) -> Spec:
    """Return the specification of the heat map; see `head_map`."""
    grid = np.asarray(values, dtype=np.float64)
    if grid.ndim != 2 or not np.isfinite(grid).any():
        message = f"a map of heads needs finite values of shape (layers, heads), got shape {grid.shape}"
        raise DataError(message)
    layers, heads = grid.shape
    furthest = float(np.nanmax(np.abs(grid - centre))) or 1.0
    cells = [
        {
            "layer": layer,
            "head": head,
            "figure": number(float(grid[layer, head]), 2),
            "kind": "better" if grid[layer, head] >= centre else "worse",
            "strength": abs(float(grid[layer, head]) - centre) / furthest,
        }
        for layer, head in np.ndindex(grid.shape)
        if math.isfinite(grid[layer, head])
    ]
    written = heads <= MOST_WRITTEN
    axis = {"labelAngle": 0, "labelOverlap": True}
    place = {
        "x": {"field": "head", "type": "ordinal", "title": "head", "axis": axis},
        "y": {"field": "layer", "type": "ordinal", "title": "layer", "sort": "descending", "axis": axis},
    }
    kinds = ("better", "worse")
    colour = {
        "field": "kind",
        "scale": {"domain": list(kinds), "range": [LIGHT[kind] for kind in kinds]},
        "legend": None,
    }
    shade = {
        "field": "strength",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0, MOST_OPAQUE]},
        "legend": None,
    }
    box = {
        "mark": {"type": "rect", "stroke": LIGHT["line"], "strokeWidth": 1},
        "encoding": {
            **place,
            "fill": colour,
            "fillOpacity": shade,
            "tooltip": [{"field": name} for name in ("layer", "head", "figure")],
        },
    }
    layered: list[Spec] = [box]
    if written:
        mark = {"type": "text", "fontSize": 11, "color": LIGHT["ink"]}
        layered.append({"mark": mark, "encoding": {**place, "text": {"field": "figure"}}})
    cell = CELL if written else NARROW_CELL
    return {
        "$schema": SCHEMA,
        "data": {"values": cells},
        "title": {"text": one_line(title), "anchor": "start", "fontSize": 13, "color": LIGHT["ink"]},
        "layer": layered,
        "width": cell * heads,
        "height": cell * 2 // 3 * layers,
        "background": "transparent",
        "config": CONFIG,
    }
