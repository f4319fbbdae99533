"""The report as JSON, as Markdown for a pull request, and as a Parquet table of its findings.

What writes a file raises a `StoreError` where it cannot be written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.report.figures import bound_text, interval_text, n_text, p_text, reason, value_text
from concordant.report.files import write_text, writing
from concordant.report.sanitize import brief
from concordant.report.telling import change_sentence, flips, leading_slices, state, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.core.finding import Finding
    from concordant.core.results import Report

MARKS = {"holds": "✅", "fails": "❌", "undecided": "❔"}
MAX_CELL = 120
# What would start a tag, a table cell, a link, emphasis, a mention or an issue reference in a comment.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~@$])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "@": "@\u200b"}


def write_json(report: Report, path: Path) -> None:
    """Write `report.to_dict()` as one JSON document; what is not finite becomes null."""
    write_text(path, to_json(report) + "\n")


def to_json(report: Report) -> str:
    """Return `report.to_dict()` as JSON text: plain ASCII, so that no character in it can act on a terminal."""
    return json.dumps(finite(report.to_dict()), indent=2, allow_nan=False, ensure_ascii=True)


def finite(value: Any) -> Any:
    """Return JSON values with None for every number that is not finite, and text for what JSON does not know.

    Examples
    --------
    >>> finite({"a": [1.0, float("nan")], "b": (1, "x")})
    {'a': [1.0, None], 'b': [1, 'x']}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, Iterable):
        return [finite(entry) for entry in value]
    return str(value)


def write_markdown(report: Report, path: Path) -> None:
    """Write a short summary in Markdown, fit for a comment on a pull request."""
    write_text(path, to_markdown(report))


def to_markdown(report: Report, *, n_slices: int = 5) -> str:
    """Return the verdict, what changed, the gates, the findings that matter and the worst slices, in Markdown.

    Parameters
    ----------
    report
        The report.
    n_slices
        How many of the worst slices of each relation to list.
    """
    mark = MARKS.get(state(report), "ℹ️")
    blocks = [f"### {mark} {_plain(report.title)}", _plain(verdict(report), 600)]
    blocks += [_plain(change_sentence(result), 600) for result in flips(report)]
    if report.gates:
        rows = [
            [
                f"{MARKS[g.state]} {g.state}",
                f"{_plain(bound_text(g))} ({_plain(g.finding.relation)})",
                *_figures(g.finding),
                _plain(reason(g)),
            ]
            for g in report.gates
        ]
        blocks.append(_table(["", "gate", "value", "interval", "n", "why"], rows))
    for result in report.results.values():
        rows = [[_plain(f.measure), *_figures(f), _p(f.p_value)] for f in result.findings.values()]
        if rows:
            table = _table(["measure", "value", "interval", "n", "p"], rows)
            blocks.append(f"<details><summary>{_plain(result.name)}</summary>\n\n{table}\n\n</details>")
    for result in report.results.values():
        slices = leading_slices(report, result, n_slices)
        if slices:
            rows = [[_plain(" = ".join(f.slice or ())), *_figures(f), _p(f.p_value)] for f in slices]
            head = f"Worst slices by {_plain(slices[0].measure)} ({_plain(result.name)}):"
            blocks.append(f"{head}\n\n{_table(['slice', 'value', 'interval', 'n', 'p, adjusted'], rows)}")
    return "\n\n".join(blocks) + "\n"


def write_parquet(report: Report, path: Path) -> None:
    """Write `report.frame()`, all findings over all items and on slices, as a Parquet table."""
    with writing(path):
        report.frame().write_parquet(path)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numeric = {"value", "interval", "n", "p", "p, adjusted"}
    rule = ["--:" if name in numeric else ":--" for name in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _figures(finding: Finding) -> tuple[str, str, str]:
    return value_text(finding), interval_text(finding), n_text(finding)


def _p(p: float | None) -> str:
    return "" if p is None else p_text(p).replace("<", "&lt;")


def _plain(text: str, limit: int = MAX_CELL) -> str:
    """Return text that Markdown shows as it is, on one line."""
    text = brief(text, limit).replace("&", "&amp;").replace("://", ":\u200b//").replace("www.", "www\u200b.")
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)
