"""The page of a repair: one self-contained HTML file with the gates before and after, the picture, and every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.report.charts import to_svg
from concordant.report.files import write_text
from concordant.report.html import whole_page
from concordant.report.page import gate_row
from concordant.report.repair_chart import repair_spec
from concordant.report.repair_rows import COLUMNS, columns_of, rows_of, sentences, verdict_of
from concordant.report.sanitize import brief
from concordant.report.telling import MARKS, level_text

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.versions.repairing.result import Repair


def write_repair_page(repair: Repair, path: str | Path) -> None:
    """Write the page of a repair; `StoreError` where it cannot be written."""
    write_text(path, render_repair(repair))


def render_repair(repair: Repair) -> str:
    """Return the page of a repair."""
    svgs = to_svg(repair_spec(repair, compact=narrow) for narrow in (False, True))
    return whole_page(
        "repair.html.j2",
        charts={"repair": svgs},
        title=brief(f"Repair: {repair.before.title}", 300),
        state=repair.state,
        mark=MARKS[repair.state],
        marks=MARKS,
        verdict=verdict_of(repair),
        sentences=sentences(repair),
        level=level_text(repair.before),
        before=[gate_row(gate) for gate in repair.before.gates],
        after=[] if repair.after is None else [gate_row(gate) for gate in repair.after.gates],
        columns=[COLUMNS[name] for name in columns_of(repair)],
        rows=rows_of(repair),
    )
