"""The options of verbs that hold versions against each other: what they are asked, and which column is which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from concordant.core.items import Items

VERSION_HELP = "A log (FILE, FILE#MODEL, a run folder) or a model (hf:PATH, openai:NAME, ...)."


def _column(what: str) -> Any:
    return typer.Option(metavar="COLUMN", help=f"The column of {what}.")


ItemsFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="What live models are asked: jsonl, csv, parquet or hf-dataset:NAME."),
]
IdColumn = Annotated[str | None, _column("ids")]
InputColumn = Annotated[str | None, _column("inputs")]
AnswerColumn = Annotated[str | None, _column("outputs of a log")]
ReferenceColumn = Annotated[str | None, _column("right answers")]
CorrectColumn = Annotated[str | None, _column("a log that says what is right")]
ChoicesColumn = Annotated[str | None, _column("options to choose from")]
GroupColumn = Annotated[str | None, _column("groups, one cluster each")]


def given(**columns: str | None) -> dict[str, str]:
    """Return the columns that were named, by their role."""
    return {role: column for role, column in columns.items() if column is not None}


def items_of(source: str | None, columns: dict[str, str]) -> Items | None:
    """Read the items that live models are asked, if a file is named."""
    if source is None:
        return None
    from concordant.core.items import Items

    return Items.read(source, limit=None, **columns)


def with_columns(spec: str, columns: dict[str, str]) -> str:
    """Add the columns that were named to the specification of a log."""
    from urllib.parse import quote

    from concordant.models.run_folder import is_run_folder
    from concordant.suite.loading import scheme_of

    scheme, rest = scheme_of(spec)
    if scheme != "log" or not columns or is_run_folder(rest):
        return spec
    options = "&".join(f"{role}={quote(column)}" for role, column in columns.items())
    path, mark, name = rest.partition("#")
    joined = f"{path}{'&' if '?' in path else '?'}{options}"
    return f"log:{joined}{mark}{name}"
