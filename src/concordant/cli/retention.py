"""The verb ``retention``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from concordant.cli.columns import (
    VERSION_HELP,
    AnswerColumn,
    ChoicesColumn,
    CorrectColumn,
    GroupColumn,
    IdColumn,
    InputColumn,
    ItemsFile,
    ReferenceColumn,
    given,
    items_of,
    with_columns,
)
from concordant.cli.options import (
    Cache,
    Gates,
    Grade,
    Jobs,
    Json,
    Junit,
    Limit,
    Output,
    Seed,
    Slices,
    TrustCode,
    TrustPickle,
)

if TYPE_CHECKING:
    from concordant.core.results import Report


def retention(
    versions: Annotated[
        list[str],
        typer.Argument(metavar="VERSION", show_default=False, help=f"Oldest first. {VERSION_HELP}"),
    ],
    *,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Show the accuracy of each value of this column after each version."
        ),
    ] = None,
    items: ItemsFile = None,
    id: IdColumn = None,
    input: InputColumn = None,
    answer: AnswerColumn = None,
    reference: ReferenceColumn = None,
    correct: CorrectColumn = None,
    choices: ChoicesColumn = None,
    group: GroupColumn = None,
    grade: Grade = None,
    slice: Slices = None,
    gate: Gates = None,
    limit: Limit = None,
    seed: Seed = None,
    jobs: Jobs = None,
    cache: Cache = True,
    output: Output = None,
    json: Json = False,
    junit: Junit = None,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Say what became of each item over successive versions: kept, learnt, lost, regained.

    Whatever any earlier version had right counts, not only what the version before had. Logs are aligned by id or
    by the text of the question; only items that all of them have are followed. The page has the accuracies as a
    heat map, and the items that waver most side by side.

    For example:

        concordant retention v1.jsonl v2.jsonl v3.jsonl --gate "forgetting_rate <= 0.05"

        concordant retention runs/may runs/june runs/july --by topic -o retention.html

        concordant retention old.jsonl hf:models/new --items questions.jsonl
    """
    from functools import partial

    from concordant.cli.output import clean_stdout, deliver
    from concordant.report.retention_tables import tables
    from concordant.suite.loading import load_model
    from concordant.versions.retention import retention as held_together

    columns = given(id=id, input=input, reference=reference, choices=choices, group=group)
    of_logs = columns | given(output=answer, correct=correct)
    with clean_stdout():
        load = partial(load_model, concurrency=jobs, trust_pickle=trust_pickle, trust_code=trust_code)
        report = held_together(
            [load(with_columns(spec, of_logs)) for spec in versions],
            items_of(items, columns),
            by=by,
            grade=grade,
            slices=slice,
            gates=gate or (),
            limit=limit,
            seed=seed or 0,
            cache=cache,
        )
        found = report["versions.retention"]
        shown = tables(found, by) if found.findings else []
    return deliver(report, json=json, outputs=output or [], junit=junit, notes=_notes(report), tables=shown)


def _notes(report: Report) -> list[str]:
    """Say which version is which, and what could not be aligned."""
    from concordant.report.sanitize import one_line

    about = report.about["compared"]
    named = enumerate(about["versions"], 1)
    lines = [f"v{i} is {one_line(name)}" for i, name in named if name != f"v{i}"]
    if about["by"] in ("id", "input"):
        by = "id" if about["by"] == "id" else "the text of the question"
        lines.append(f"aligned by {by}: {about['n_shared']:,} items in all of them")
        left_out = (f"{n:,} of {one_line(name)}" for name, n in about["left_out"].items())
        if about["left_out"]:
            lines.append(f"left out, as not all have them: {', '.join(left_out)}")
    if max(about["samples"]) > 1:
        lines.append("of repeated answers the first is followed")
    return lines
