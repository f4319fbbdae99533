"""The verb ``compare``."""

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


def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", show_default=False, help=VERSION_HELP)],
    new: Annotated[
        str,
        typer.Argument(metavar="NEW", show_default=False, help="The version to hold against it, likewise."),
    ],
    *,
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
    """Say what changed between two versions, and how sure that is.

    Both accuracies, the gain, negative and positive flips, the worst slices, and the most telling items side
    by side. Two logs need nothing else: items are aligned by id or by the text of the question, and what is
    not in both is said. A log is a JSONL, JSON, CSV, Parquet, Inspect, lm-eval or promptfoo file, or a run
    folder.

    For example:

        concordant compare old.jsonl new.jsonl --gate "gain >= -1%"

        concordant compare answers.jsonl#small answers.jsonl#large -o report.html

        concordant compare runs/before openai:NAME --items questions.jsonl
    """
    from functools import partial

    from concordant.cli.output import clean_stdout, deliver
    from concordant.suite.loading import load_model
    from concordant.versions.compare import compare as compare_versions

    columns = given(id=id, input=input, reference=reference, choices=choices, group=group)
    of_logs = columns | given(output=answer, correct=correct)
    with clean_stdout():
        load = partial(load_model, concurrency=jobs, trust_pickle=trust_pickle, trust_code=trust_code)
        before, after = (load(with_columns(spec, of_logs)) for spec in (old, new))
        report = compare_versions(
            before,
            after,
            items_of(items, columns),
            grade=grade,
            slices=slice,
            gates=gate or (),
            limit=limit,
            seed=seed or 0,
            cache=cache,
        )
    outputs = output or []
    return deliver(report, json=json, comparison=True, outputs=outputs, junit=junit, notes=_notes(report))


def _notes(report: Report) -> list[str]:
    """Say what was compared by what, and what could not be aligned."""
    about = report.about["compared"]
    lines = []
    if about["by"] in ("id", "input"):
        by = "id" if about["by"] == "id" else "the text of the question"
        lines.append(f"aligned by {by}: {about['n_both']:,} items in both")
        for side in ("old", "new"):
            if n := about[f"n_only_{side}"]:
                ids = about[f"only_{side}"]
                examples = ", ".join(ids) + (", ..." if n > len(ids) else "")
                lines.append(f"left out: {n:,} items that only {side} ({about[side]}) has: {examples}")
    several = {side: n for side, n in about["samples"].items() if n > 1}
    if several:
        which = " and ".join(f"{side} has up to {n}" for side, n in several.items())
        lines.append(f"of repeated answers the first is compared ({which} an item)")
    return lines
