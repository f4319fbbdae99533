"""What became of a fingerprint, on a terminal: the checks, the tokens, and the answers that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from concordant.report.sanitize import one_line

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from concordant.versions.fingerprints.verdicts import FingerprintCheck
    from concordant.versions.fingerprints.verifying import Verification

STYLES = {"pass": "green", "fail": "red", "cannot tell": "yellow", "shown": "dim"}
ANSWER_WIDTH = 60


def print_verification(found: Verification, console: Console, show: int = 5) -> None:
    """Print a verification.

    Parameters
    ----------
    found
        What `concordant.versions.fingerprints.verify` gave.
    console
        Where to print.
    show
        How many changed answers are shown: negative flips first, then by divergence.
    """
    about = found.about
    console.print(one_line(f"{about['model']['name']}, held against {about['recorded']['name']} as recorded"))
    table = Table(box=None, pad_edge=False)
    for name in ("check", "then", "now", "change", "allowed", "n", "p"):
        table.add_column(name, justify="left" if name in ("check", "allowed") else "right")
    table.add_column("")
    for check in found.checks:
        table.add_row(*_cells(check))
    console.print(table)
    notes = [f"{check.name}: {check.note}" for check in found.checks if check.note]
    if found.tokens:
        notes.append(_tokens(found.tokens))
    differs = about.get("differs") or {}
    if differs:
        parts = (f"{name} {then} -> {now}" for name, (then, now) in differs.items())
        notes.append(f"differs from when it was recorded: {', '.join(parts)}")
    for note in notes:
        console.print(one_line(note), style="dim")
    _print_changed(found.items, console, show)
    console.print(Text(found.state, style=STYLES[found.state]))


def _cells(check: FingerprintCheck) -> list[str | Text]:
    change = ""
    if check.change is not None:
        change = f"{check.change.value:+.3g} ({check.change.low:+.3g} to {check.change.high:+.3g})"
    p = "" if check.p_value is None else "<0.001" if check.p_value < 0.001 else f"{check.p_value:.3f}"
    state = Text(check.state, style=STYLES[check.state])
    figures = (f"{value:.4g}" if value is not None else "" for value in (check.then, check.now))
    return [
        one_line(check.name),
        *figures,
        change,
        check.allowed,
        f"{check.n:,}" if check.n else "",
        p,
        state,
    ]


def _tokens(tokens: dict[str, float]) -> str:
    said = ", ".join(
        f"{way}: mean {tokens[f'{way}_mean']:.3g}, 95th percentile {tokens[f'{way}_p95']:.3g}, "
        f"largest {tokens[f'{way}_max']:.3g}"
        for way in ("forward", "backward")
    )
    auroc = tokens.get("flip_auroc")
    tail = (
        "" if auroc is None else f"; it foretells changed answers with an area under the curve of {auroc:.2f}"
    )
    return f"divergence of tokens, nats: {said}{tail}"


def _print_changed(items: pl.DataFrame, console: Console, show: int) -> None:
    changed = items.filter("changed")
    if changed.is_empty() or not show:
        return
    order = ["negative_flip", *(["token_kl"] if "token_kl" in changed.columns else [])]
    first = changed.sort(order, descending=True, nulls_last=True, maintain_order=True).head(show)
    table = Table(box=None, pad_edge=False)
    for name in ("changed answer", "recorded", "now", "", "KL"):
        table.add_column(name)
    for row in first.iter_rows(named=True):
        flip = "broken" if row["negative_flip"] else "mended" if row["positive_flip"] else ""
        kl = row.get("token_kl")
        texts = (one_line(str(row[name]))[:ANSWER_WIDTH] for name in ("item", "recorded", "now"))
        table.add_row(*texts, flip, "" if kl is None else f"{kl:.3g}")
    console.print(table)
    if len(changed) > len(first):
        console.print(f"and {len(changed) - len(first):,} more (--show N, --json)", style="dim")
