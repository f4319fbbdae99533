"""A repair in a terminal: the gates before and after, and flips beside accuracy of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from concordant.report.figures import bound_text, interval_text, n_text, reason, value_text
from concordant.report.repair_rows import COLUMNS, columns_of, rows_of, sentences, verdict_of
from concordant.report.sanitize import brief, one_line
from concordant.report.telling import MARKS, level_text
from concordant.report.terminal import STYLES

if TYPE_CHECKING:
    from rich.console import Console

    from concordant.core.results import Report
    from concordant.versions.repairing.result import Repair


def print_repair(repair: Repair, console: Console) -> None:
    """Print what became of an update.

    Parameters
    ----------
    repair
        What `concordant.versions.repair` found.
    console
        Where to print.
    """
    console.print(Text(brief(repair.before.title, 300), style="bold"))
    for line in sentences(repair):
        console.print(Text(line, style="dim"))
    console.print()
    mark = (f"{MARKS[repair.state]} {repair.state}  ", f"bold {STYLES[repair.state]}")
    console.print(Text.assemble(mark, verdict_of(repair)))
    console.print()
    _gates(repair, console)
    columns = columns_of(repair)
    table = _table("", "", *(COLUMNS[name] for name in columns))
    for row in rows_of(repair):
        name = Text(row.name)
        if row.how:
            name.append(f"\n{row.how}", style="dim")
        cells = [Text(figure) for figure in row.figures]
        for cell, difference in zip(cells, row.differences, strict=False):
            cell.append(f"\n{difference}", style="dim")
        table.add_row(Text(f"{MARKS[row.state]} {row.state}", style=STYLES[row.state]), name, *cells)
    console.print(table)
    level = level_text(repair.before)
    console.print(
        Text(
            f"In brackets {level} intervals; below each figure what it is more than the update's, in pairs.",
            style="dim",
        )
    )
    console.print()


def _gates(repair: Repair, console: Console) -> None:
    table = _table("", "gate", "value", f"{level_text(repair.before)} interval", "n")
    named: list[tuple[str, Report]] = [("update", repair.before)]
    if repair.after is not None:
        named.append(("repaired", repair.after))
    for which, report in named:
        for gate in report.gates:
            finding = gate.finding
            name = Text(one_line(bound_text(gate)))
            name.append(f"\n{which}, {one_line(finding.relation)}\n{reason(gate)}", style="dim")
            state = Text(f"{MARKS[gate.state]} {gate.state}", style=STYLES[gate.state])
            table.add_row(
                state, name, *map(Text, (value_text(finding), interval_text(finding), n_text(finding)))
            )
    console.print(table)
    console.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if i < 2 else "right", overflow="fold")
    return table
