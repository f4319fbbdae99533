from __future__ import annotations

import re

import numpy as np
import pytest

from concordant.core.errors import DataError
from concordant.report.charts import to_svg
from concordant.report.heads import MOST_OPAQUE, head_map, head_map_spec
from concordant.report.palette import LIGHT

COLOUR = re.compile(r'(?:fill|stroke)="(#[0-9a-fA-F]+|rgb[^"]*)"')
GRID = np.array([[0.5, 0.9, 0.5], [np.nan, 0.1, 0.3]])


def test_each_head_is_a_cell_with_its_figure_and_its_side_of_the_centre() -> None:
    spec = head_map_spec(GRID, centre=0.5)
    cells = {(cell["layer"], cell["head"]): cell for cell in spec["data"]["values"]}
    assert set(cells) == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)}
    assert cells[0, 1]["kind"] == "better"
    assert cells[1, 1]["kind"] == "worse"
    assert [cells[at]["strength"] for at in ((0, 0), (0, 1), (1, 1), (1, 2))] == pytest.approx([0, 1, 1, 0.5])


def test_the_map_is_valid_and_keeps_to_the_colours_of_the_page() -> None:
    spec = head_map(GRID, title="rate of copied answers").to_dict()
    (svg,) = to_svg([spec])
    assert "rate of copied answers" in svg
    assert "0.90" in svg
    assert set(COLOUR.findall(svg)) <= set(LIGHT.values())
    assert MOST_OPAQUE < 1


def test_many_heads_have_colours_only() -> None:
    grid = np.linspace(-1, 1, 2 * 32).reshape(2, 32)
    few, many = to_svg([head_map_spec(grid[:, :4]), head_map_spec(grid)])
    assert ">−0.97<" in few
    assert ">−0.97<" not in many


@pytest.mark.parametrize("values", [np.zeros(3), np.full((2, 2), np.nan)])
def test_what_is_no_map(values) -> None:
    with pytest.raises(DataError, match=r"finite values of shape \(layers, heads\)"):
        head_map_spec(values)
