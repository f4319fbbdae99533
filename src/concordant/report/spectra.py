"""Spectra of state-space layers as one picture: the eigenvalues of each layer, and beside them how its tokens grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError
from concordant.report.charts import CONFIG, SCHEMA, Spec
from concordant.report.files import writing
from concordant.report.palette import LIGHT
from concordant.report.scaling import PICTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from concordant.explanations.mechanisms.spectra import SpectrumReport

ROW, WIDE, NARROW = 22, 420, 160
SIGNS = {"positive": LIGHT["accent"], "negative": LIGHT["worse"], "zero": LIGHT["soft"]}


def save_spectra(report: SpectrumReport, path: Path, *, growth: Sequence[float] | None = None) -> None:
    """Draw the eigenvalues of each layer and write the picture.

    Parameters
    ----------
    report
        Of `concordant.explanations.mechanisms.spectrum_report`.
    path
        ``.svg`` or ``.png``.
    growth
        Of the norm of tokens in each layer, nats, as `TokenNorms.growth` has it: drawn beside the eigenvalues.

    Raises
    ------
    ConfigError
        If the picture is to be of another kind, or the growth is not one number for each layer.
    StoreError
        If it cannot be written.
    """
    import altair as alt

    if path.suffix.lower() not in PICTURES:
        message = f"{path}: a picture is .svg or .png, got {path.suffix!r}"
        raise ConfigError(message)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        alt.Chart.from_dict(spectra_spec(report, growth=growth)).save(str(path))


def spectra_spec(report: SpectrumReport, *, growth: Sequence[float] | None = None) -> Spec:
    """Return the specification of the picture; see :func:`save_spectra`."""
    layers = list(report.eigenvalues)
    if growth is not None and len(growth) != len(layers):
        message = f"growth must be one number for each of {len(layers)} layers, got {len(growth)}"
        raise ConfigError(message)
    values = []
    for name, found in report.eigenvalues.items():
        zero = report.tolerance * float(found.abs().max())
        for value in found.tolist():
            sign = "zero" if abs(value) <= zero else "positive" if value > 0 else "negative"
            values.append({"layer": name, "value": value, "sign": sign})
    y: dict[str, Any] = {
        "field": "layer",
        "type": "nominal",
        "sort": layers,
        "title": None,
        "axis": {"labelLimit": 300},
    }
    colour: dict[str, Any] = {"field": "sign", "type": "nominal", "title": None}
    panel: dict[str, Any] = {
        "data": {"values": values},
        "height": ROW * len(layers),
        "width": WIDE,
        "mark": {"type": "tick", "thickness": 2},
        "encoding": {
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": "eigenvalues of the symmetric part of S_C' S_B",
            },
            "y": y,
            "color": colour | {"scale": {"domain": list(SIGNS), "range": list(SIGNS.values())}},
        },
    }
    whole = {"$schema": SCHEMA, "config": CONFIG}
    if growth is None:
        return whole | panel
    grown = [{"layer": name, "growth": float(value)} for name, value in zip(layers, growth, strict=True)]
    beside = {
        "data": {"values": grown},
        "height": ROW * len(layers),
        "width": NARROW,
        "mark": {"type": "bar", "color": LIGHT["ink"]},
        "encoding": {
            "x": {"field": "growth", "type": "quantitative", "title": "growth of tokens, nats"},
            "y": y | {"axis": None},
        },
    }
    return whole | {"hconcat": [panel, beside]}
