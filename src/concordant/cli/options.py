"""The options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Take the first N items only: a first try.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of sampling and resampling.")]
Jobs = Annotated[
    int | None, typer.Option("-j", "--jobs", min=1, metavar="N", help="Prompts in flight at a server.")
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the report: .html, .md, .json, .parquet or .xml. Repeatable.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document to standard output, and nothing else.")
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the gates as JUnit XML, for CI.")]
Gates = Annotated[
    list[str] | None,
    typer.Option("--gate", metavar="BOUND", help='Such as "negative_flip_rate <= 0.02". Repeatable.'),
]
Grade = Annotated[
    str | None,
    typer.Option(
        metavar="GRADER", help="How outputs are found right: number, choice, exact, ... (list graders)."
    ),
]
Slices = Annotated[
    list[str] | None, typer.Option("--slice", metavar="COLUMN", help="A column to look into. Repeatable.")
]
Cache = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep deterministic answers of servers over runs.")
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Load pickled models; they can run any code.")
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run relations and models from Python files (FILE.py:NAME).")
]
