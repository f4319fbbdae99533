"""The skills of pocket models on a terminal, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from concordant.report.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    from rich.console import Console


def print_skills(tables: Mapping[str, pl.DataFrame], console: Console) -> None:
    """Print the share of right answers in every skill, with 95 % intervals, one column a model.

    Parameters
    ----------
    tables
        For each model by name, a table of `concordant.pocket.skill_table` over the same items.
    console
        Where to print.
    """
    shown = Table(box=None, pad_edge=False)
    shown.add_column("skill")
    shown.add_column("n", justify="right")
    for name in tables:
        shown.add_column(one_line(name), justify="right")
    columns = [table.rows(named=True) for table in tables.values()]
    for rows in zip(*columns, strict=True):
        first = rows[0]
        cells = [f"{row['accuracy']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for row in rows]
        last = first["skill"] == "all"
        shown.add_row(first["skill"], str(first["n"]), *cells, style="bold" if last else "")
    console.print(shown)
    if len(tables) > 1:
        console.print(
            "The same items for each; to compare two versions in pairs: concordant compare", style="dim"
        )
