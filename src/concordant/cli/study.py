"""The verb ``study``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.studies.results import StudyResult
    from concordant.studies.study import Study


def study(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", show_default=False, help="Studies by name, or FILE.py:NAME."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Run all studies.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the studies there are, and run none.")] = False,
    scale: Annotated[
        str,
        typer.Option(
            metavar="SCALE",
            help="smoke: seconds, to see that it runs; pocket: minutes; full: as in the paper.",
        ),
    ] = "pocket",
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            show_default=False,
            help="Such as 0,1,2 or 0-9; by default 0-4, and 0,1 for smoke.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, metavar="N", help="Seeds at once; by default one a core."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where results and the report are kept.")
    ] = Path("runs/studies"),
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Run again the seeds that are there, or keep them.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Keep the results as those of the catalogue, and write their page.",
        ),
    ] = None,
    json: Json = False,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run studies from Python files (FILE.py:NAME).")
    ] = False,
) -> int:
    """Run papers' claims: each method beside its baseline, over several seeds.

    A study runs its seeds in parallel, pairs them, and decides each claim from the differences: it holds when
    their whole 95 % interval lies in its favour, fails when it lies against it, and is undecided otherwise; then
    it says about how many seeds would decide it. Every seed is kept as it comes: the same command goes on where
    it was stopped, and seeds of older code are run again.

    For example:

        concordant study --list

        concordant study muscle --scale smoke

        concordant study muscle cream --seeds 0-9 -j 4

        concordant study --all --json
    """
    from concordant.cli.output import clean_stdout

    if listed:
        return _list(json=json)
    with clean_stdout():
        found, broken = _chosen(names or [], every=every, trust_code=trust_code, evidence=evidence)
        results = _run(found, scale, seeds, jobs, output, fresh=fresh)
        report = _write_report(results, output)
    _tell(results, broken, report, json=json)
    if evidence is not None:
        _write_evidence(results, evidence)
    from concordant.studies.results import COULD_NOT_BE_RUN, exit_code

    return COULD_NOT_BE_RUN if broken else exit_code(results)


def _chosen(
    names: Sequence[str], *, every: bool, trust_code: bool, evidence: Path | None
) -> tuple[list[Study], dict[str, str]]:
    """Return the studies that are asked for; of all of them also those that cannot be loaded, and why."""
    from concordant.core.code import is_code
    from concordant.core.errors import ConfigError
    from concordant.studies.registry import find_studies, find_study, study_names

    if every and names:
        message = f"name studies or give --all, not both; got {', '.join(names)}"
        raise ConfigError(message)
    if every:
        return find_studies(study_names())
    if not names and evidence is None:
        message = "name a study, or give --all; concordant study --list shows what there is"
        raise ConfigError(message)
    found = [
        _from_file(name, trust_code=trust_code) if is_code(name) else find_study(name)
        for name in dict.fromkeys(names)
    ]
    return found, {}


def _from_file(text: str, *, trust_code: bool) -> Study:
    from concordant.core.code import from_file
    from concordant.core.errors import ConfigError
    from concordant.studies.study import Study

    found = from_file(text, Path.cwd(), trust_code=trust_code)
    if not isinstance(found, Study):
        message = f"{text} must be a function under @study(...), got {type(found).__name__}"
        raise ConfigError(message)
    return found


def _run(
    studies: Sequence[Study], scale: str, seeds: str | None, jobs: int | None, output: Path, *, fresh: bool
) -> list[StudyResult]:
    from concordant.studies.running import run
    from concordant.studies.study import Scale

    chosen = Scale.of(scale)
    numbers = None if seeds is None else seeds_of(seeds)
    return run(studies, chosen, numbers, folder=output, jobs=jobs, fresh=fresh) if studies else []


def seeds_of(text: str) -> list[int]:
    """Read seeds: numbers and ranges with commas between them.

    Raises
    ------
    ConfigError
        If the text is not that.

    Examples
    --------
    >>> seeds_of("0,2"), seeds_of("0-3,7")
    ([0, 2], [0, 1, 2, 3, 7])
    """
    from concordant.core.errors import ConfigError

    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (side.strip() for side in part.partition("-"))
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last))):
            message = f"--seeds must be numbers or ranges like 0,1,2 or 0-9, got {text!r}"
            raise ConfigError(message)
        found += range(int(first), int(last if dash else first) + 1)
    return found


def _write_report(results: Sequence[StudyResult], output: Path) -> Path | None:
    """Write the page: in the folder of the one study, or above those of several; and each study's numbers as JSON."""
    from concordant.report.study_page import write
    from concordant.studies.seeds import write_json

    for result in results:
        write_json(result.folder / "study.json", result.to_dict())
    run_through = [result for result in results if result.decisions]
    if not run_through:
        return None
    path = (run_through[0].folder if len(results) == 1 else output) / "report.html"
    write(run_through, path)
    return path


def _write_evidence(results: Sequence[StudyResult], page: Path) -> None:
    from concordant.report.evidence_page import write
    from concordant.studies.evidence.records import keep

    keep(results)
    write(page)


def _tell(results: Sequence[StudyResult], broken: dict[str, str], report: Path | None, *, json: bool) -> None:
    from concordant.cli.output import print_json, stdout_console

    if json:
        print_json({"studies": [result.to_dict() for result in results], "not_loaded": broken})
        return
    from concordant.report.sanitize import one_line
    from concordant.report.study_terminal import print_studies

    print_studies(results, stdout_console())
    for sentence in broken.values():
        typer.echo(f"concordant: {one_line(sentence)}", err=True)
    if report is not None:
        typer.echo(f"report: {report}")


def _list(*, json: bool) -> int:
    """List the studies with what is known of their claims; none of them is imported."""
    from concordant.studies.catalogue.entries import load
    from concordant.studies.registry import study_names

    papers = load()
    rows: list[dict[str, Any]] = []
    for name in study_names():
        paper = papers.get(name)
        states = {} if paper is None else {claim.id: claim.state for claim in paper.claims}
        rows.append({"name": name, "title": "" if paper is None else paper.title, "claims": states})
    if json:
        from concordant.cli.output import print_json

        print_json({"studies": rows})
        return 0
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"  {row['name']:{width}}  {row['title']}".rstrip())
    typer.echo(
        f"{len(rows)} studies; concordant papers NAME -k 1 --long shows what is known of a paper's claims"
    )
    return 0
