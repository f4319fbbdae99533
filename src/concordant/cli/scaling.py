"""The verb ``scaling``: laws fitted to points, and how well compute predicts single items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from concordant.cli.options import Jobs, Json, Limit, TrustCode, TrustPickle

if TYPE_CHECKING:
    from concordant.core.model import Model
    from concordant.versions.scaling import OptionTable

scaling = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@scaling.callback()
def about(context: typer.Context) -> None:
    """Fit scaling laws to what was measured at several sizes, and see which scores compute predicts item by item.

    For example:

        concordant scaling fit points.csv --at 10000 -o curve.svg

        concordant scaling samples ladder.yaml
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@scaling.command()
def fit(
    points: Annotated[
        Path,
        typer.Argument(
            metavar="POINTS", show_default=False, help="A table with a size and a value, and perhaps a seed."
        ),
    ],
    *,
    size: Annotated[str, typer.Option("--size", metavar="COLUMN", help="The column of sizes.")] = "n",
    value: Annotated[str, typer.Option(metavar="COLUMN", help="The column of values.")] = "value",
    run: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column that says which run a point belongs to.")
    ] = "seed",
    ceiling: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="What rising values can reach; 1 by default where all lie between 0 and 1."
        ),
    ] = None,
    at: Annotated[
        list[float] | None, typer.Option(metavar="N", help="Predict the value at this size. Repeatable.")
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, metavar="SHARE", help="Level of the intervals.")
    ] = 0.95,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Draw the curve: .svg or .png.")
    ] = None,
    json: Json = False,
) -> int:
    """Fit a power law and one with a floor to points, with intervals, and compare them on the largest size.

    The table is CSV, JSONL, JSON or Parquet with the columns n and value, and seed where there are several runs. Zeros
    and saturated points are left out of the straight line in logarithms, and said so.

    For example:

        concordant scaling fit points.csv --at 10000

        concordant scaling fit runs.csv --size tokens --value loss --run run -o curve.svg
    """
    import numpy as np

    from concordant.cli.output import clean_stdout, print_json, stdout_console
    from concordant.core.errors import DataError, nearest
    from concordant.core.tables import read_table
    from concordant.report.scaling import print_fit, save_fit
    from concordant.versions.scaling import fit_points

    table = read_table(points)
    for column in (size, value):
        if column not in table.columns:
            message = f"{points}: there is no column {column!r}; {nearest(column, table.columns)}"
            raise DataError(message)
        if not table[column].dtype.is_numeric() or table[column].null_count():
            message = f"{points}: the column {column!r} must hold a number in every row"
            raise DataError(message)
    n, values = (table[column].cast(float).to_numpy() for column in (size, value))
    if ceiling is None and ((values >= 0) & (values <= 1)).all():
        ceiling = 1.0
    found = fit_points(
        n,
        values,
        seeds=table[run].to_numpy() if run in table.columns else None,
        ceiling=ceiling,
        at=at or (),
        level=level,
    )
    with clean_stdout():
        if output is not None:
            save_fit(found, np.asarray(n), np.asarray(values), output)
    if json:
        laws = [law.to_dict() for law in found.laws]
        print_json({"laws": laws, "better": found.better, "notes": list(found.notes), "level": level})
        return 0
    print_fit(found, stdout_console())
    if output is not None:
        typer.echo(f"picture: {output}")
    return 0


@scaling.command()
def samples(
    ladder: Annotated[
        list[str],
        typer.Argument(
            metavar="LADDER.yaml|LOG...", show_default=False, help="A ladder file, or lm-eval sample files."
        ),
    ],
    *,
    compute: Annotated[
        list[float] | None,
        typer.Option(metavar="X", help="Operations of training of each log, in their order. Repeatable."),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Correlation: spearman, pearson or kendall.")
    ] = "spearman",
    limit: Limit = None,
    json: Json = False,
    jobs: Jobs = None,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Say how well compute predicts each item, from the log-probability of the right option to accuracy.

    A ladder file names models of one family, or their lm-eval logs, with their compute; items have choices.

    For example:

        concordant scaling samples ladder.yaml

        concordant scaling samples small.jsonl middle.jsonl large.jsonl --compute 1e18 --compute 1e19 --compute 1e20
    """
    from concordant.cli.output import clean_stdout, print_json, stdout_console
    from concordant.report.scaling import print_predictability
    from concordant.versions.scaling import lost_at, option_metrics
    from concordant.versions.scaling.predictability import predictability

    def load(spec: str) -> Model:
        from concordant.suite.loading import load_model

        return load_model(spec, concurrency=jobs, trust_pickle=trust_pickle, trust_code=trust_code)

    with clean_stdout():
        table = _table(ladder, compute, limit, load)
        scores = option_metrics(table.logprobs, table.right)
        found = predictability(scores, table.compute, method)  # type: ignore[arg-type]  # checked there
        lost = lost_at(found)
    if json:
        from concordant.report.documents import finite

        rows = [row.to_dict() for row in found.values()]
        steps = [
            {"from": before, "to": after, "lost": loss.value, "low": loss.low, "high": loss.high}
            for (before, after), loss in lost.items()
        ]
        models = dict(zip(table.names, table.compute.tolist(), strict=True))
        print_json(finite({"models": models, "items": len(table.ids), "scores": rows, "steps": steps}))
        return 0
    typer.echo(f"{len(table.names)} models, {len(table.ids):,} items, {method} correlation with log compute")
    print_predictability(found, lost, stdout_console())
    return 0


def _table(ladder: list[str], compute: list[float] | None, limit: int | None, load: object) -> OptionTable:
    from concordant.core.errors import ConfigError
    from concordant.versions.scaling import ladder_of_logs, read_ladder

    if compute:
        return ladder_of_logs(ladder, compute, limit=limit)
    if len(ladder) == 1 and Path(ladder[0]).suffix in (".yaml", ".yml"):
        return read_ladder(ladder[0], load=load, limit=limit)  # type: ignore[arg-type]
    message = (
        "say the compute of each log (--compute, as often as there are logs), or give one ladder file (.yaml)"
    )
    raise ConfigError(message)
