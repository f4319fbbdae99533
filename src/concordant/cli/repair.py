"""The verb ``repair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from concordant.cli.options import Json, Limit, Seed, TrustCode, TrustPickle

if TYPE_CHECKING:
    from concordant.suite.repairing import RepairPlan

RUNS = Path("runs")


def repair(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="CHECK.yaml", show_default=False, help="A check with versions.flips and a gate."
        ),
    ],
    *,
    train: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Items to train on; by default the items of the check are split."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help="route (the default), muscle, distil, ensemble, interpolation, or all. Repeatable: the first is kept.",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where muscle leans on the old model: reply, current_wrong, old_more_likely, old_right, all.",
        ),
    ] = None,
    lessons: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What language models read: replies, or references as in the paper."
        ),
    ] = "replies",
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Times through the lessons.")] = None,
    rate: Annotated[float | None, typer.Option(metavar="X", help="Highest learning rate.")] = None,
    rank: Annotated[int, typer.Option(metavar="N", help="Of the adapter of a language model.")] = 16,
    cross_entropy_weight: Annotated[
        float | None,
        typer.Option(metavar="X", help="How much the lessons themselves count beside the teachers."),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of the items that judges, where --train is not given."),
    ] = 0.4,
    limit: Limit = None,
    seed: Seed = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Where all is kept; by default runs/NAME-repair."),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Begin anew where an earlier run was stopped, instead of going on."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how the items would be split, and load no model.")
    ] = False,
    json: Json = False,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Mend an update that breaks what used to work, and check it again on items that the repair never saw.

    The check file holds the update against the old version by versions.flips, with a gate. Where the gate does not
    hold, some of the items teach a repair, some choose how strong it is, and the rest judge it: flips and accuracy of
    the update and of the repair, and their differences in pairs. The folder holds the repair, both checks, repair.json
    and report.html; repaired:DIR names the model in other checks. Exit codes are about the repaired model.

    For example:

        concordant repair check.yaml

        concordant repair check.yaml --method all --train lessons.jsonl -o mended
    """
    from concordant.cli.output import clean_stdout, print_json, stdout_console
    from concordant.suite import Suite
    from concordant.suite.repairing import plan_repair
    from concordant.versions.repairing.settings import RepairSettings, methods_of

    settings = RepairSettings(
        rule=rule,  # type: ignore[arg-type]  # it is checked
        lessons=lessons,  # type: ignore[arg-type]
        epochs=epochs,
        rate=rate,
        rank=rank,
        cross_entropy_weight=cross_entropy_weight,
        held_out=held_out,
    )
    with clean_stdout():
        plan = plan_repair(
            Suite.read(file, trust_code=trust_code),
            train=train,
            limit=limit,
            methods=methods_of(method or ["route"]),
            settings=settings,
            seed=seed,
        )
    if dry_run:
        return _told(plan, json=json)
    folder = output or _folder(file)
    with clean_stdout():
        found = plan.run(folder, fresh=fresh, trust_pickle=trust_pickle)
    if json:
        print_json(found.to_dict())
    else:
        from concordant.report.repair_terminal import print_repair

        print_repair(found, stdout_console())
        typer.echo(f"report: {folder / 'report.html'}")
        if found.kept is not None:
            typer.echo(f"model: repaired:{folder}")
    return found.exit_code


def _told(plan: RepairPlan, *, json: bool) -> int:
    sizes = plan.sizes()
    if json:
        from concordant.cli.output import print_json

        print_json(
            {"items": sizes, "methods": plan.methods, "settings": plan.settings.to_dict(), "seed": plan.seed}
        )
        return 0
    typer.echo(f"update {plan.suite.subject}, held against {plan.old}; methods {', '.join(plan.methods)}")
    typer.echo(
        f"{sizes['lessons']:,} items to learn from, {sizes['validation']:,} to choose, {sizes['held_out']:,} to judge"
    )
    if sizes["shared_and_left_out"]:
        typer.echo(
            f"left out: {sizes['shared_and_left_out']:,} items to train on that share an input or group with the check"
        )
    return 0


def _folder(file: Path) -> Path:
    folder, number = RUNS / f"{file.stem}-repair", 1
    while folder.exists():
        number += 1
        folder = RUNS / f"{file.stem}-repair-{number}"
    return folder
