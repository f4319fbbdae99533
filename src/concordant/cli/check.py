"""The verb ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordant.cli.options import Cache, Jobs, Json, Junit, Limit, Output, Seed, TrustCode, TrustPickle

RUNS = Path("runs")


def check(
    file: Annotated[Path, typer.Argument(metavar="CHECK.yaml", show_default=False, help="What to check.")],
    *,
    limit: Limit = None,
    seed: Seed = None,
    jobs: Jobs = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the run is kept; by default runs/NAME-TIME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --folder, or the latest one.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Go on, and ask again where an error is recorded.")
    ] = False,
    until_decided: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Ask N items, then more, until every gate is decided."),
    ] = None,
    cache: Cache = True,
    output: Output = None,
    json: Json = False,
    junit: Junit = None,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Check that a model behaves the way a file says.

    The file names models, items, relations and gates. Every answer is kept in a run folder as it comes, so
    that a run that was stopped goes on with --resume.

    For example:

        concordant check check.yaml --limit 20

        concordant check check.yaml -o report.html --junit gates.xml
    """
    from concordant.cli.output import clean_stdout, deliver
    from concordant.suite import Suite

    resume = resume or retry_errors
    with clean_stdout():
        suite = Suite.read(file, trust_code=trust_code)
        folder = folder or (_latest_run(file) if resume else _new_run(file))
        report = suite.run(
            folder=folder,
            resume=resume,
            retry_errors=retry_errors,
            limit=limit,
            seed=seed,
            concurrency=jobs,
            until_decided=until_decided,
            cache=cache,
            trust_pickle=trust_pickle,
        )
    outputs = [*(output or []), *(suite.base / path for path in suite.file.output)]
    return deliver(report, json=json, outputs=outputs, junit=junit, notes=[f"run: {folder}"])


def _new_run(file: Path) -> Path:
    from datetime import datetime

    name = f"{file.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = RUNS / name, 1
    while folder.exists():
        number += 1
        folder = RUNS / f"{name}-{number}"
    return folder


def _latest_run(file: Path) -> Path:
    from concordant.core.errors import StoreError

    runs = [path.parent for path in RUNS.glob(f"{file.stem}-*/run.json")]
    if not runs:
        message = f"there is no run of {file.stem} in {RUNS} to go on with; say which: --folder DIR"
        raise StoreError(message)
    return max(runs, key=lambda path: (path / "run.json").stat().st_mtime)
