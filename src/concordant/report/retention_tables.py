"""What is retained over successive versions, for a terminal: sets of items by version, and the histories of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from concordant.report.figures import UNKNOWN, number, value_text
from concordant.report.retention import ACCURACY, LABEL, matrix_of
from concordant.report.sanitize import clipped, one_line
from concordant.versions.continual.histories import STATES, item_states

if TYPE_CHECKING:
    from concordant.core.results import Result

MAX_HISTORIES = 12
RIGHT, WRONG = "✓", "✗"


def tables(result: Result, by: str | None = None) -> list[Table]:
    """Return the accuracies of sets after each version, and the commonest histories of items.

    Parameters
    ----------
    result
        Of the relation ``versions.retention``.
    by
        The column whose values are the sets; by default the first that was looked into.
    """
    return [_accuracies(result, by), _histories(result)]


def _accuracies(result: Result, by: str | None) -> Table:
    matrix = matrix_of(result, by)
    head = f"accuracy by {one_line(matrix.by)}" if matrix.by else "accuracy"
    table = _table(head, *matrix.versions, "forgetting gap", "n")
    for label, findings, gap in matrix.rows:
        last = findings[-1]
        cells = (
            clipped(one_line(label), LABEL),
            *(UNKNOWN if finding is None else number(finding.value, 2) for finding in findings),
            UNKNOWN if gap is None else value_text(gap),
            UNKNOWN if last is None else f"{last.n:,}",
        )
        table.add_row(*map(Text, cells))
    if matrix.n_more:
        table.add_row(Text(f"{matrix.n_more:,} other sets", style="dim"))
    return table


def _histories(result: Result) -> Table:
    columns = [m.column for m in result.relation.measures if m.name.startswith(ACCURACY)]
    right = result.verdicts.select(columns).drop_nulls().to_numpy().astype(bool)
    histories, counts = np.unique(right, axis=0, return_counts=True)
    table = _table("history of an item", "", "items", "share")
    for row in np.argsort(-counts, kind="stable")[:MAX_HISTORIES]:
        state = STATES[int(item_states(histories[[row]])[0])]
        cells = (
            " ".join(RIGHT if was else WRONG for was in histories[row]),
            "never right" if state == "never" else state,
            f"{counts[row]:,}",
            number(counts[row] / len(right), 3),
        )
        table.add_row(*map(Text, cells))
    if len(counts) > MAX_HISTORIES:
        table.add_row(Text(f"{len(counts) - MAX_HISTORIES:,} other histories", style="dim"))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if i == 0 or not name else "right")
    return table
