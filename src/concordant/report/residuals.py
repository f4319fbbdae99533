"""The sweep of a residual in a terminal: one row a coefficient, beside the instruct model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


def print_sweep(sweep: Mapping[str, Any], console: Console) -> None:
    """Print what was tried.

    Parameters
    ----------
    sweep
        As `Sweep.to_dict` gives it.
    console
        Where.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    rows = [sweep["instruct"], *sweep["tried"]]
    columns = {"accuracy": "accuracy", "recovery": "recovery", "negative_flip_rate": "negative flips"}
    if sweep["instruct"]["new_accuracy"] is not None:
        columns["new_accuracy"] = "accuracy on the new"
    table = Table(box=SIMPLE)
    table.add_column("coefficient")
    for head in columns.values():
        table.add_column(head, justify="right")
    for row in rows:
        named = "instruct model" if row["coefficient"] is None else f"{row['coefficient']:g}"
        named += " (updated base)" if row["coefficient"] == 0 else ""
        named += " *" if row["coefficient"] == sweep["chosen"] else ""
        table.add_row(named, *(_with_interval(row[column]) for column in columns))
    console.print(table)


def _with_interval(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
