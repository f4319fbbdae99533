"""What is retained over successive versions: the accuracy of each set of items after each of them, as a heat map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError
from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.figures import number
from concordant.report.palette import LIGHT
from concordant.report.sanitize import clipped, one_line

if TYPE_CHECKING:
    import altair as alt

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

ACCURACY, GAP = "accuracy_", "forgetting_gap"
MAX_ROWS = 40
CELL, ROW, LABEL = 64, 30, 28
MOST_OPAQUE = 0.6
"""Of a cell in which all is right: the figure in it must stay readable."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Accuracies of sets of items after each version.

    Parameters
    ----------
    by
        The column whose values are the rows; empty where there is the row of all items only.
    versions
        Names of the columns, oldest first: v1, v2, ...
    rows
        Label, accuracy by version (None where it is not known), and the forgetting gap.
    n_more
        Sets that are left out, as there are too many.
    """

    by: str
    versions: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Finding | None, ...], Finding | None], ...]
    n_more: int = 0


def is_retention(result: Result) -> bool:
    """Return whether a result holds a model against several earlier versions."""
    return f"{ACCURACY}v1" in result.findings and GAP in result.findings


def matrix_of(result: Result, by: str | None = None) -> Matrix:
    """Return the accuracies of each set after each version, and those of all items in the first row.

    Parameters
    ----------
    result
        Of the relation ``versions.retention``.
    by
        The column whose values are the rows; by default the first that was looked into.

    Raises
    ------
    ConfigError
        If the result does not hold a model against earlier versions.
    """
    if not is_retention(result):
        message = f"relation {result.name} does not hold a model against its earlier versions; versions.retention does"
        raise ConfigError(message)
    names = tuple(m.name for m in result.relation.measures if m.name.startswith(ACCURACY))
    found: dict[tuple[str, str], dict[str, Finding]] = {}
    for finding in result.slices:
        if finding.slice is not None:
            found.setdefault(finding.slice, {})[finding.measure] = finding
    columns = {column for column, _ in found}
    if by is None:
        by = next((column for column in result.items.frame.columns if column in columns), "")
    values = sorted((value for column, value in found if column == by), key=_natural)
    shown = values[:MAX_ROWS]
    rows = [("all items", result.findings), *((value, found[by, value]) for value in shown)]
    return Matrix(
        by,
        tuple(name.removeprefix(ACCURACY) for name in names),
        tuple((label, tuple(row.get(name) for name in names), row.get(GAP)) for label, row in rows),
        len(values) - len(shown),
    )


def retention_map(
    report: Report, relation: str = "versions.retention", by: str | None = None
) -> alt.LayerChart:
    """Draw the accuracies of sets of items after each version, as an Altair chart.

    Parameters
    ----------
    report
        The report.
    relation
        Name of a relation that holds a model against several earlier versions.
    by
        As for :func:`matrix_of`.
    """
    import altair as alt

    return alt.LayerChart.from_dict(retention_spec(report[relation], by))


def retention_spec(result: Result, by: str | None = None) -> Spec:
    """Return the specification of the heat map, as wide as it has versions."""
    matrix = matrix_of(result, by)
    labels = [
        clipped(one_line(f"{matrix.by} = {v}" if i else v), LABEL) for i, (v, _, _) in enumerate(matrix.rows)
    ]
    cells = [
        {
            "row": i,
            "set": label,
            "version": version,
            "accuracy": finding.value,
            "figure": number(finding.value, 2),
            "n": f"{finding.n:,}",
        }
        for i, (label, (_, findings, _)) in enumerate(zip(labels, matrix.rows, strict=True))
        for version, finding in zip(matrix.versions, findings, strict=True)
        if finding is not None
    ]
    place = {
        "x": {
            "field": "version",
            "sort": list(matrix.versions),
            "title": None,
            "axis": {"orient": "top", "labelAngle": 0},
        },
        "y": {
            "field": "set",
            "sort": labels,
            "title": None,
            "axis": {"labelColor": LIGHT["ink"], "labelLimit": 220},
        },
    }
    shade = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0, MOST_OPAQUE]},
        "legend": None,
    }
    box = {
        "mark": {"type": "rect", "color": LIGHT["accent"], "stroke": LIGHT["line"], "strokeWidth": 1},
        "encoding": {
            **place,
            "fillOpacity": shade,
            "tooltip": [{"field": f} for f in ("set", "version", "figure", "n")],
        },
    }
    text = {
        "mark": {"type": "text", "fontSize": 12, "color": LIGHT["ink"]},
        "encoding": {**place, "text": {"field": "figure"}},
    }
    return {
        "$schema": SCHEMA,
        "data": {"values": cells},
        "layer": [box, text],
        "width": CELL * len(matrix.versions),
        "height": ROW * len(matrix.rows),
        "background": "transparent",
        "config": CONFIG,
    }


def _natural(value: str) -> tuple[Any, ...]:
    """Sort numbers by their size and before other texts."""
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)
