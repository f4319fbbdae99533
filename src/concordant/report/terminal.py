"""The report in a terminal: calm tables that fit 80 columns, with the most telling items side by side.

All text goes through `visible` and is printed as plain text, never as markup, so that nothing a model wrote can steer
the terminal. Colour is rich's affair: none where the output is not a terminal or ``NO_COLOR`` is set; signs and words
say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from concordant.report.cards import Card, Side, cards, n_disagreeing
from concordant.report.figures import bound_text, interval_text, n_text, p_text, reason, value_text
from concordant.report.sanitize import brief, clipped, one_line
from concordant.report.telling import (
    CHANGES,
    MARKS,
    change_sentence,
    direction,
    errors,
    flip_counts,
    flips,
    leading_slices,
    left_out,
    level_text,
    noise_findings,
    slice_direction,
    state,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

STYLES = {"holds": "green", "fails": "red", "undecided": "yellow", "measured": "dim"}
OUTCOME_STYLES = {"right": "green", "wrong": "red", "error": "yellow"}
OUTCOME_MARKS = {"right": "✓", "wrong": "✗", "error": "!", "ungraded": "–"}
KINDS = {"better": "green", "worse": "red", "same": ""}
SIDE_WIDTH = 26
TEXT_LINES = 3
SHORT = 12
NO_SLICE = "No slice is worse beyond chance, all slices considered."


def print_report(
    report: Report, console: Console | None = None, *, n_slices: int = 5, n_items: int = 3
) -> None:
    """Print the verdict, the gates, the findings, the worst slices and the most telling items.

    Parameters
    ----------
    report
        The report.
    console
        Where to print; by default standard output.
    n_slices, n_items
        How many slices and items of each relation.
    """
    console = console or Console(highlight=False)
    _head(report, console)
    _gates(report, console)
    for result in report.results.values():
        _heading(console, result.name)
        console.print(_findings(result.findings.values(), report))
        _remarks(result, console)
        _slices(report, result, console, n_slices, only_worse=True)
        _items(result, console, n_items)


def print_comparison(
    report: Report, console: Console | None = None, *, n_slices: int = 5, n_items: int = 10
) -> None:
    """Print what changed between two versions: accuracies, gain, flips, the worst slices, the most telling items.

    Parameters
    ----------
    report
        A report with `versions.flips`; any other is printed as by `print_report`.
    console
        Where to print; by default standard output.
    n_slices, n_items
        How many slices and items.
    """
    console = console or Console(highlight=False)
    results = flips(report)
    if not results:
        print_report(report, console, n_slices=n_slices)
        return
    _head(report, console)
    _gates(report, console)
    for result in results:
        if len(results) > 1:
            _heading(console, result.name)
        console.print(_text(change_sentence(result)))
        console.print()
        console.print(_changes(report, result))
        note = result.findings["gain"].note if "gain" in result.findings else ""
        if note:
            console.print(_text(note, "dim"))
        _remarks(result, console)
        _slices(report, result, console, n_slices)
        _items(result, console, n_items)


def _head(report: Report, console: Console) -> None:
    console.print(_text(brief(report.title, 300), "bold"))
    models = " and ".join(one_line(str(name)) for name in list(report.about.get("models", {}))[:4])
    parts = (f"{len(report.items):,} items", clipped(models, 200))
    console.print(_text(" · ".join(filter(None, parts)), "dim"))
    console.print()
    if report.gates:
        now = state(report)
        mark = (f"{MARKS[now]} {now}  ", f"bold {STYLES[now]}")
        console.print(Text.assemble(mark, _text(one_line(verdict(report)))))
        console.print()


def _gates(report: Report, console: Console) -> None:
    if not report.gates:
        return
    table = _table("", "gate", "value", _interval_head(report), "n")
    for gate in report.gates:
        finding = gate.finding
        why = f"\n{one_line(finding.relation)}\n{reason(gate)}"
        name = Text.assemble(_text(one_line(bound_text(gate))), (why, "dim"))
        mark = _text(f"{MARKS[gate.state]} {gate.state}", STYLES[gate.state])
        _add(table, mark, name, value_text(finding), interval_text(finding), n_text(finding))
    console.print(table)
    console.print()


def _findings(findings: Iterable[Finding], report: Report) -> Table:
    findings = list(findings)
    tested = any(f.p_value is not None for f in findings)
    table = _table("measure", "value", _interval_head(report), "n", *(["p"] if tested else []))
    for finding in findings:
        cells: list[str | Text] = [
            one_line(finding.measure),
            _value(finding),
            interval_text(finding),
            n_text(finding),
        ]
        _add(table, *cells, *([_p(finding)] if tested else []))
    return table


def _changes(report: Report, result: Result) -> Table:
    matrix = flip_counts(result)
    names = {**CHANGES, "wrong_answer_churn_rate": "wrong in another way"}
    ways = {"negative_flip_rate": ("right", "wrong"), "positive_flip_rate": ("wrong", "right")}
    counts = {} if matrix is None else {name: f"{matrix.count(*way):,}" for name, way in ways.items()}
    table = _table("", "items", "value", _interval_head(report), "n", "p")
    for measure, name in names.items():
        if measure in result.findings:
            f = result.findings[measure]
            _add(table, name, counts.get(measure, ""), _value(f), interval_text(f), n_text(f), _p(f))
    noise = {
        "noise_flip_rate": "flips when asked again",
        "negative_flips_from_noise": "now wrong, by noise",
        "negative_flips_beyond_noise": "now wrong, beyond noise",
    }
    for f in noise_findings(report):
        _add(table, noise[f.measure], "", _value(f), interval_text(f), n_text(f), _p(f))
    return table


def _remarks(result: Result, console: Console) -> None:
    if said := left_out(result.findings.values()):
        console.print(_text(said, "dim"))
    for message, n in errors(result):
        console.print(_text(f"  {n:,} × {brief(message, 200)}", "dim"))
    console.print()


def _slices(report: Report, result: Result, console: Console, k: int, *, only_worse: bool = False) -> None:
    chosen = leading_slices(report, result, k)
    if not chosen:
        return
    whole = result.findings.get(chosen[0].measure)
    worse = [f for f in chosen if slice_direction(f, whole) == "worse"]
    if only_worse and chosen[0].p_value is not None and not worse:
        console.print(_text(NO_SLICE, "dim"))
        console.print()
        return
    chosen = worse if only_worse and worse else chosen
    tested = chosen[0].p_value is not None
    head = f"worst slices by {one_line(chosen[0].measure)}"
    table = _table(head, "value", _interval_head(report), "n", *(["p, adjusted"] if tested else []))
    for finding in chosen:
        name = brief(" = ".join(finding.slice or ()), 60)
        cells: list[str | Text] = [name, _value(finding), interval_text(finding), n_text(finding)]
        _add(table, *cells, *([_p(finding)] if tested else []))
    console.print(table)
    if tested and not worse:
        console.print(_text(NO_SLICE, "dim"))
    console.print()


def _items(result: Result, console: Console, k: int) -> None:
    chosen = cards(result, k, limit=1000)
    if not chosen:
        return
    n_sides = max(2, min(max(len(card.sides) for card in chosen), console.width // SIDE_WIDTH - 1))
    width = max(8, (console.width - 2 * n_sides) // (n_sides + 1))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    head = f"{len(chosen)} of {n_disagreeing(result):,} that differ"
    table.add_column(_text(head), width=width)
    named = []  # columns that hold one and the same variant for all items
    for i in range(n_sides):
        sides = [side for card in chosen for side in card.sides[i : i + 1]]
        names = {f"{side.variant}: {side.model}" if side.model else side.variant for side in sides}
        named.append(len(names) == 1)
        table.add_column(_fit(names.pop() if named[i] else "", width, 1, console), width=width)
    for card in chosen:
        table.add_row()
        shown = zip(card.sides, named, strict=False)
        cells = [_side(side, width, console, named=known) for side, known in shown]
        table.add_row(_item(card, width, console), *cells)
    console.print(table)
    console.print()


def _item(card: Card, width: int, console: Console) -> Text:
    parts = [
        _fit(card.id, width, 1, console, "dim"),
        _fit(one_line(card.asked.text), width, TEXT_LINES, console),
    ]
    if card.reference:
        known = one_line(card.reference)
        room = width - len("reference ")
        if len(known) > room:  # a long solution has its answer at the end
            known = f"…{known[1 - room :]}"
        parts.append(_fit(f"reference {known}", width, 1, console, "dim"))
    return Text("\n").join(parts)


def _side(side: Side, width: int, console: Console, *, named: bool) -> Text:
    mark = OUTCOME_MARKS.get(side.outcome, "·")
    said = side.error or " / ".join(one_line(p.text) for p in side.passages) or "no output"
    answer = side.answer or (said if len(said) <= SHORT else "")
    head = f"{mark} {side.outcome}" + (f": {answer}" if answer else "")
    style = OUTCOME_STYLES.get(side.outcome, "")
    rest = [] if said == answer else [_fit(said, width, TEXT_LINES, console)]
    name = [] if named else [_fit(side.variant, width, 1, console, "dim")]
    return Text("\n").join([*name, _fit(head, width, 1, console, style), *rest])


def _fit(text: str, width: int, lines: int, console: Console, style: str = "") -> Text:
    """Wrap text at `width` cells and keep the first `lines` lines."""
    wrapped = Text(text, style=style).wrap(console, width, overflow="fold")
    kept = list(wrapped[:lines])
    if len(wrapped) > lines:
        kept[-1].rstrip()
        kept[-1].truncate(width - 1)
        kept[-1].append("…")
    return Text("\n").join(kept)


def _heading(console: Console, name: str) -> None:
    console.print(_text(brief(name, 200), "bold"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(columns):
        words = i == 0 or name == "gate"
        table.add_column(_text(name), justify="left" if words else "right", overflow="fold", no_wrap=False)
    return table


def _add(table: Table, *cells: str | Text) -> None:
    # A cell that is a plain string would be read as markup.
    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))


def _interval_head(report: Report) -> str:
    return f"{level_text(report)} interval"


def _value(finding: Finding) -> Text:
    kind = direction(finding) if finding.low < 0 or finding.measure == "gain" else "same"
    return _text(value_text(finding), f"bold {KINDS[kind]}".strip())


def _p(finding: Finding) -> str:
    return "" if finding.p_value is None else p_text(finding.p_value)


def _text(text: str, style: str = "") -> Text:
    return Text(text, style=style)
