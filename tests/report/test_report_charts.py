from __future__ import annotations

import re

import pytest

from concordant.core.errors import ConfigError
from concordant.report.charts import flip_matrix, forest, forest_spec, intervals, to_svg
from concordant.report.figures import interval_text, value_text
from concordant.report.palette import DARK, LIGHT
from concordant.report.telling import worst_slices
from report.made_reports import flips_report, stored, with_unknowns

COLOUR = re.compile(r'(?:fill|stroke)="(#[0-9a-fA-F]+|rgb[^"]*)"')


def test_a_forest_plot_shows_every_slice_with_its_figures(report):
    result = report["versions.flips"]
    (svg,) = to_svg([forest_spec(result, "gain")])
    for finding in [result["gain"], *worst_slices(result, "gain", 99)]:
        assert f"{value_text(finding)} ({interval_text(finding)})" in svg
        assert f"n = {finding.n:,}" in svg
    assert "topic = geometry" in svg


def test_charts_use_no_colour_that_the_page_cannot_turn_dark(report):
    result = report["versions.flips"]
    for svg in to_svg([forest_spec(result, "gain"), forest_spec(result, "gain", compact=True)]):
        assert set(COLOUR.findall(svg)) <= set(LIGHT.values())
        assert "style=" not in svg  # the page's Content-Security-Policy allows no inline style


def test_altair_charts_are_valid_and_render(report):
    for chart in (forest(report), flip_matrix(report), intervals(report), intervals(report, "made.reworded")):
        spec = chart.to_dict()  # validates against the schema of Vega-Lite
        assert to_svg([spec])[0].startswith("<svg")
    assert to_svg([flip_matrix(stored(report)).to_dict()])


def test_what_cannot_be_drawn_is_said(report):
    with pytest.raises(ConfigError, match="no slices of 'gains'; did you mean gain"):
        forest(report, "versions.flips", "gains")
    with pytest.raises(ConfigError, match=r"made\.reworded does not compare an old version"):
        flip_matrix(report, "made.reworded")
    empty = flips_report(4)
    empty.results["versions.flips"].slices.clear()
    with pytest.raises(ConfigError, match="the report has no slices"):
        forest(empty)


def test_figures_that_are_not_numbers_are_left_out():
    spec = intervals(with_unknowns(flips_report(40))).to_dict()
    assert "NaN" not in to_svg([spec])[0]


def channel(colour, at):
    value = int(colour[1 + 2 * at : 3 + 2 * at], 16) / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def contrast(a, b):
    """The contrast ratio of WCAG 2.2."""
    light, dark = sorted(
        (sum(w * channel(c, i) for i, w in enumerate((0.2126, 0.7152, 0.0722))) for c in (a, b)), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(palette):
    grounds = {"paper": ("ink", "soft", "accent", "worse", "better", "unsure")}
    grounds |= {"panel": ("ink", "soft", "worse", "better", "unsure")}
    grounds |= {"worse-wash": ("ink", "worse"), "better-wash": ("ink", "better", "soft")}
    for ground, inks in grounds.items():
        for ink in inks:
            assert contrast(palette[ground], palette[ink]) >= 4.5, (ground, ink)
    assert LIGHT.keys() == DARK.keys()
