from __future__ import annotations

import polars as pl
import pytest

from concordant.core.errors import ConfigError
from concordant.models.recorded import Recorded
from concordant.report import retention_map
from concordant.report.charts import to_svg
from concordant.report.html import render
from concordant.report.palette import LIGHT
from concordant.report.retention import is_retention, matrix_of, retention_spec
from concordant.report.retention_tables import tables
from concordant.versions.retention import retention
from report.made_reports import flips_report
from report.test_report_charts import COLOUR


def retained(n=24, sets=("2", "10", "<b>"), by=None):
    """Make a report of three versions of items in three sets."""
    right = [[(i + t) % 3 != 0 for i in range(n)] for t in range(3)]
    logs = [
        Recorded(
            pl.DataFrame(
                {
                    "item": [f"q{i}" for i in range(n)],
                    "sample": [0] * n,
                    "output": ["-"] * n,
                    "correct": column,
                    "set": [sets[i % len(sets)] for i in range(n)],
                    "half": ["first" if i < n // 2 else "second" for i in range(n)],
                }
            ),
            name=f"version {t}",
        )
        for t, column in enumerate(right)
    ]
    return retention(logs, by=by, progress=False)


def test_the_matrix_has_all_items_first_and_numbers_in_their_order():
    result = retained()["versions.retention"]
    matrix = matrix_of(result)
    assert (matrix.by, matrix.versions) == ("set", ("v1", "v2", "v3"))
    assert [label for label, _, _ in matrix.rows] == ["all items", "2", "10", "<b>"]
    _, accuracies, gap = matrix.rows[1]
    assert [finding.value for finding in accuracies] == [
        0.0,
        1.0,
        1.0,
    ]  # i + t is a multiple of 3 at t = 0 only
    assert gap.value == 0.0
    assert [label for label, _, _ in matrix_of(result, "half").rows] == ["all items", "first", "second"]
    assert [label for label, _, _ in matrix_of(result, "none").rows] == ["all items"]


def test_of_too_many_sets_the_first_are_shown_and_the_others_counted():
    result = retained(200, [str(i) for i in range(50)], by="set")["versions.retention"]
    matrix = matrix_of(result, "set")
    assert (len(matrix.rows), matrix.n_more) == (41, 10)
    assert [label for label, _, _ in matrix.rows][-1] == "39"
    accuracies, _ = tables(result, "set")
    assert str(list(accuracies.columns[0].cells)[-1]) == "10 other sets"


def test_the_map_shows_every_cell_in_colours_that_the_page_can_turn_dark():
    result = retained()["versions.retention"]
    (svg,) = to_svg([retention_spec(result)])
    assert set(COLOUR.findall(svg)) <= set(LIGHT.values())
    assert "style=" not in svg
    assert "set = &lt;b&gt;" in svg
    assert svg.count(">1.00<") == 6
    assert svg.count(">0.00<") == 3
    spec = retention_map(retained()).to_dict()  # validates against the schema of Vega-Lite
    assert to_svg([spec])[0].startswith("<svg")


def test_the_page_has_the_map_and_pages_of_other_relations_have_none():
    assert "Accuracy of each set of items" in render(retained())
    assert "Accuracy of each set of items" not in render(flips_report(40))


def test_histories_are_counted_most_frequent_first():
    accuracies, histories = tables(retained(25)["versions.retention"])
    assert accuracies.row_count == 4
    columns = [list(column.cells) for column in histories.columns]
    assert [str(cell) for cell in columns[0]] == ["✗ ✓ ✓", "✓ ✗ ✓", "✓ ✓ ✗"]
    assert [str(cell) for cell in columns[1]] == ["learnt", "regained", "forgotten"]
    assert [str(cell) for cell in columns[2]] == ["9", "8", "8"]


def test_other_relations_have_no_matrix():
    result = flips_report(12)["versions.flips"]
    assert not is_retention(result)
    with pytest.raises(
        ConfigError, match=r"versions\.flips does not hold a model against its earlier versions"
    ):
        matrix_of(result)
