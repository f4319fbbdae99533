"""Studies on a terminal: each claim with its difference and interval, and what each method measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
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


def _measured(result: StudyResult) -> Group:
    table = _table("metric", "method")
    for name in ("mean", "95 % interval", "n"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    points: list[tuple[str, str, tuple[str, str, str]]] = []
    curves: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, estimate in result.measured().items():
        method, metric, x = method_and_metric(name)
        if x is None:
            points.append((metric, method, (value_text(estimate), interval_text(estimate), str(estimate.n))))
        else:  # of a curve the means alone: its intervals are on the page
            curves.setdefault((metric, method), []).append((x, value_text(estimate)))
    order = list(dict.fromkeys(metric for metric, _, _ in points))
    before = None
    for metric, method, cells in sorted(points, key=lambda row: order.index(row[0])):
        table.add_row(*map(Text, ("" if metric == before else metric, method, *cells)))
        before = metric
    return Group(table, *(_curve(*names, values) for names, values in curves.items()))


def _curve(metric: str, method: str, points: list[tuple[str, str]]) -> Text:
    values = " · ".join(f"{x}: {value}" for x, value in points)
    return Text.assemble((f"{metric} of {method} at  ", "dim"), values)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    return table
