"""Studies on a terminal: each claim with its difference and interval, and what each method measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from concordant.report.sanitize import brief
from concordant.report.study_words import (
    MAX_LINE,
    claim_row,
    counted,
    facts,
    interval_text,
    remarks,
    tally,
    title_of,
    value_text,
)
from concordant.report.telling import MARKS
from concordant.report.terminal import STYLES
from concordant.studies.study import method_and_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from concordant.studies.results import StudyResult


def print_studies(results: Sequence[StudyResult], console: Console) -> None:
    """Print studies one after the other, and a line over all of their claims.

    Parameters
    ----------
    results
        What running them gave.
    console
        Where to print.
    """
    for result in results:
        _print_study(result, console)
    if len(results) > 1:
        states = [decision.state for result in results for decision in result.decisions]
        console.print(Text(f"{counted(len(results), 'studies')}, {tally(states)}", style="bold"))


def _print_study(result: StudyResult, console: Console) -> None:
    slug = result.study.slug
    title = title_of(slug) or result.study.about
    console.print(Text.assemble((slug, "bold"), "  ", brief(title, MAX_LINE)))
    console.print(Text(" · ".join(facts(result)), style="dim"))
    for line in remarks(result):
        console.print(Text(line, style="yellow" if " failed: " in line else "dim"))
    console.print()
    if result.decisions:
        console.print(_claims(result))
        console.print()
        console.print(_measured(result))
        console.print()


def _claims(result: StudyResult) -> Table:
    table = _table("", f"claim, against {brief(result.study.baseline, 60)}")
    for name in ("difference", "95 % interval", "n"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for decision in result.decisions:
        row = claim_row(decision, result.study.slug)
        said = Text(row.id)
        for line in filter(None, (row.text, row.compared, row.why)):
            said.append(f"\n{brief(line, MAX_LINE)}", style="dim")
        mark = Text(f"{MARKS[row.state]} {row.state}", style=STYLES[row.state])
        table.add_row(mark, said, Text(row.difference, style="bold"), Text(row.interval), Text(row.n))
    return table


def _measured(result: StudyResult) -> Table:
    table = _table("metric", "method")
    for name in ("mean", "95 % interval", "n"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    rows = [(*method_and_metric(name), estimate) for name, estimate in result.measured().items()]
    order = list(dict.fromkeys(metric for _, metric, _, _ in rows))
    before = None
    for method, metric, x, estimate in sorted(rows, key=lambda row: order.index(row[1])):
        head = metric if metric != before else ""
        name = method if x is None else f"{method} at {x}"
        cells = (head, name, value_text(estimate), interval_text(estimate), str(estimate.n))
        table.add_row(*map(Text, cells))
        before = metric
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    return table
