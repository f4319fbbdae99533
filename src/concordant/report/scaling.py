"""Scaling fits and the predictability of items: tables on a terminal, and a picture of a curve with both laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from concordant.core.errors import ConfigError
from concordant.report.charts import CONFIG, SCHEMA
from concordant.report.files import writing
from concordant.report.palette import LIGHT
from concordant.report.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from concordant.core.statistics import Estimate
    from concordant.core.statistics.validation import Floats
    from concordant.versions.scaling.fits import ScalingFit
    from concordant.versions.scaling.predictability import Predictability

FORMULAS = {"power": "value = factor n^exponent", "offset": "value = floor + factor n^-exponent"}
TURNED = "value = ceiling - (floor + factor n^-exponent)"
PICTURES = (".svg", ".png")
N_DRAWN = 60


def print_fit(fit: ScalingFit, console: Console) -> None:
    """Print both laws with their intervals and predictions."""
    for law in fit.laws:
        turned = law.name == "offset" and fit.rising
        console.print(f"{law.name} law: {TURNED if turned else FORMULAS[law.name]}", style="bold")
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, (low, high) in law.intervals.items():
            table.add_row(f"  {name}", f"{getattr(law.law, name):.4g}", f"{low:.4g} to {high:.4g}")
        table.add_row("  R squared", f"{law.law.r_squared:.4f}", f"{law.law.n_points} points")
        if law.held_out_error is not None:
            table.add_row("  error at the largest n, held out", f"{law.held_out_error:.4g}", "")
        for n, (value, low, high) in law.predictions.items():
            table.add_row(f"  predicted at {n:g}", f"{value:.4g}", f"{low:.4g} to {high:.4g}")
        console.print(table)
    for note in fit.notes:
        console.print(one_line(note), style="dim")
    if fit.better is not None:
        console.print(f"nearer to the point held out: the {fit.better} law")
    console.print(f"intervals: {fit.level:.0%}, bootstrap", style="dim")


def print_predictability(
    found: Mapping[str, Predictability], lost: Mapping[tuple[str, str], Estimate], console: Console
) -> None:
    """Print the correlations of scores with compute, and what each step loses."""
    table = Table(box=None, pad_edge=False)
    columns = ("score", "mean", "median", "above 0.75", "constant", "of the mean score", "lost at this step")
    for name in columns:
        table.add_column(name, justify="left" if name == "score" else "right")
    losses = {after: estimate for (_, after), estimate in lost.items()}
    for name, row in found.items():
        loss = losses.get(name)
        said = "" if loss is None else f"{loss.value:+.3f} ({loss.low:+.3f} to {loss.high:+.3f})"
        figures = (f"{row.mean:.3f}", f"{row.median:.3f}", f"{row.well_predicted_rate:.1%}")
        table.add_row(name, *figures, f"{row.constant_rate:.1%}", f"{row.aggregate:.3f}", said)
    console.print(table)
    steps = {step: loss for step, loss in lost.items() if loss.low > 0}
    if steps:
        (before, after), _ = max(steps.items(), key=lambda step: step[1].value)
        console.print(f"most predictability of single items is lost from {before} to {after}")


def save_fit(fit: ScalingFit, n: Floats, values: Floats, path: Path) -> None:
    """Draw points and laws, on logarithmic sizes, and write the picture.

    Parameters
    ----------
    fit
        What was fitted.
    n, values
        Shape (points,): what it was fitted to.
    path
        ``.svg`` or ``.png``.

    Raises
    ------
    ConfigError
        If the picture is to be of another kind.
    StoreError
        If it cannot be written.
    """
    import altair as alt

    if path.suffix.lower() not in PICTURES:
        message = f"{path}: a picture is .svg or .png, got {path.suffix!r}"
        raise ConfigError(message)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        alt.Chart.from_dict(fit_spec(fit, n, values)).save(str(path))


def fit_spec(fit: ScalingFit, n: Floats, values: Floats) -> dict[str, Any]:
    """Return the specification of the picture."""
    shown = n > 0
    largest = max([float(n[shown].max()), *(size for law in fit.laws for size in law.predictions)])
    sizes = np.geomspace(float(n[shown].min()), largest, N_DRAWN)
    points = [{"n": float(a), "value": float(b)} for a, b in zip(n[shown], values[shown], strict=True)]
    lines = [
        {"n": float(a), "value": float(b), "law": f"{law.name} law"}
        for law in fit.laws
        for a, b in zip(sizes, law.predict(sizes), strict=True)
    ]
    x = {"field": "n", "type": "quantitative", "scale": {"type": "log"}, "title": "n"}
    y = {"field": "value", "type": "quantitative", "title": "value", "scale": {"zero": False}}
    colours = {"range": [LIGHT["accent"], LIGHT["unsure"]]}
    colour = {"field": "law", "type": "nominal", "title": None, "scale": colours}
    return {
        "$schema": SCHEMA,
        "width": 420,
        "height": 280,
        "layer": [
            {"data": {"values": lines}, "mark": "line", "encoding": {"x": x, "y": y, "color": colour}},
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "color": LIGHT["ink"]},
                "encoding": {"x": x, "y": y},
            },
        ],
        "config": CONFIG,
    }
