"""What a verb leaves behind: a table or one JSON document on standard output, report files, an exit code."""

from __future__ import annotations

import contextlib
import json as json_module
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from concordant.core.results import Report


PIPE_WIDTH = 120
"""Width of tables that go into a file or a pipe."""


@contextlib.contextmanager
def clean_stdout() -> Iterator[None]:
    """Keep standard output for what a verb itself prints: models and relations that talk do so on standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(document: Any) -> None:
    """Print one JSON document in plain ASCII, so that no text in it can steer a terminal."""
    typer.echo(json_module.dumps(document, indent=2, allow_nan=False, default=str))


def deliver(
    report: Report,
    *,
    json: bool,
    comparison: bool = False,
    outputs: Sequence[Path],
    junit: Path | None,
    notes: Sequence[str] = (),
    tables: Sequence[Table] = (),
) -> int:
    """Write the report files, print the report and return the exit code.

    Parameters
    ----------
    report
        What was found.
    json
        Print one JSON document instead of tables for people.
    comparison
        Whether it is about two versions and nothing else.
    outputs, junit
        Report files; the suffix says how each is written.
    notes
        Lines for people, after the table.
    tables
        Further tables for people, before the notes.

    Raises
    ------
    DataError
        If nothing could be judged: then there is no finding to gate on, whatever was asked.
    """
    with clean_stdout():
        written = [report.save(path) for path in outputs]
        if junit is not None:
            from concordant.core.registry import lookup

            junit.parent.mkdir(parents=True, exist_ok=True)
            lookup("writers", "xml")(report, junit)
            written.append(junit)
    _something_was_judged(report)
    if json:
        from concordant.report.documents import finite

        print_json(finite(report.to_dict()))
    else:
        _show(report, comparison=comparison)
        for table in tables:
            stdout_console().print(table, "")
        for line in (*notes, *(f"report: {path}" for path in written)):
            typer.echo(line)
    return report.exit_code


def stdout_console() -> Console:
    """Return a console that prints tables: as wide as the terminal, or `PIPE_WIDTH` where there is none."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1, which means that a gate fails
            raise BrokenPipeError

    return Piped(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _show(report: Report, *, comparison: bool) -> None:
    from concordant.report.terminal import print_comparison, print_report

    show = print_comparison if comparison else print_report
    show(report, stdout_console())


def _something_was_judged(report: Report) -> None:
    from concordant.core.errors import DataError
    from concordant.core.results import commonest_reason

    if any(
        result.verdicts["agreement"].null_count() < len(result.verdicts) for result in report.results.values()
    ):
        return
    if any(not len(result.verdicts) and result.findings for result in report.results.values()):
        return  # rendered from what is stored, without the items
    why = commonest_reason(report.results.values())
    message = f"nothing could be judged: no item of {len(report.items):,} has all the answers it needs{why}"
    raise DataError(message)
