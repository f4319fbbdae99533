"""Edits of models in a terminal: what was tried, what an edit touches, and its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

HEADS = {
    "strength": "strength",
    "rate": "rate",
    "perplexity_ratio": "perplexity ×",
    "epoch": "epoch",
    "drift": "drift",
    "failure_rate": "failure rate",
}


def print_tried(tried: Mapping[str, Any], console: Console) -> None:
    """Print one row for each strength or learning rate that was tried.

    Parameters
    ----------
    tried
        A list of records under ``"strengths"`` or ``"rates"``.
    console
        Where.
    """
    records: Sequence[Mapping[str, Any]] = tried.get("strengths") or tried.get("rates") or []
    if not records:
        return
    table = _table(*(HEADS[key] for key in records[0]))
    for record in records:
        table.add_row(*(_number(value) for value in record.values()))
    console.print(table)


def print_ledger(lines: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a ledger: where the edit should change something first, then elsewhere.

    Parameters
    ----------
    lines
        As `LedgerLine.to_dict` gives them.
    console
        Where.
    """
    from concordant.report.sanitize import one_line

    table = _table("where", "measure", "before", "after", "change", "95 % interval", "random edits", left=2)
    for line in lines:
        random = line["random"]
        span = (
            ""
            if line["low"] is None or line["high"] is None
            else f"{_number(line['low'])} to {_number(line['high'])}"
        )
        table.add_row(
            f"{one_line(line['group'])} ({line['where']}, n={line['n']})",
            line["measure"].replace("_", " "),
            _number(line["before"]),
            _number(line["after"]),
            _number(line["change"]),
            span,
            ", ".join(map(_number, random)),
        )
    console.print(table)


def print_edit(told: Mapping[str, Any], console: Console) -> None:
    """Print what an edit touches, how it was made, and its ledger where it has one.

    Parameters
    ----------
    told
        Digests, settings, and a record for each tensor.
    console
        Where.
    """
    from concordant.report.sanitize import one_line

    console.print(f"{told['before']} → {told['after']}: {told['numbers']:,} numbers", markup=False)
    made = {key: told[key] for key in ("method", "settings", "bound", "seed") if key in told}
    console.print(one_line(", ".join(f"{key} {value}" for key, value in made.items())), markup=False)
    table = _table("tensor", "rows", "numbers", "length", "relative")
    for tensor in told["tensors"]:
        table.add_row(
            one_line(tensor["tensor"]),
            f"{tensor['rows']:,} of {tensor['of_rows']:,}",
            f"{tensor['numbers']:,}",
            _number(tensor["length"]),
            _number(tensor["relative_length"]),
        )
    console.print(table)
    if told.get("ledger"):
        print_ledger(told["ledger"], console)


def _table(*heads: str, left: int = 1) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < left else "right", overflow="fold")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
