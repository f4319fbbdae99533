"""The verb ``explain fit``: a small classifier of series, for who has none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordant.cli.options import Json


def fit(
    train: Annotated[
        Path,
        typer.Argument(
            metavar="TRAIN", show_default=False, help="Labelled series: .ts, .npz, .parquet or .csv."
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FOLDER", show_default=False, help="Where the classifier is written."
        ),
    ],
    test: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Further series, to say how often it is right.")
    ] = None,
    network: Annotated[
        str, typer.Option(metavar="KIND", help="convolution, or transformer, whose attention can be masked.")
    ] = "convolution",
    labels: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The true classes; label, y, class or target if left out."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Passes over the series; 100, or enough for 600 steps."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Series a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, metavar="X", help="Of AdamW.")] = 1e-3,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the weights and the order.")] = 0,
    json: Json = False,
) -> int:
    """Train a small classifier of series, and write a folder that torch:FOLDER names.

    A fifth of the series of each class is held out; the weights of the epoch that is best on them are kept.

    For example:

        concordant explain fit GunPoint_TRAIN.ts --test GunPoint_TEST.ts -o classifier

        concordant explain torch:classifier GunPoint_TEST.ts --train GunPoint_TRAIN.ts -o gunpoint
    """
    from concordant.cli.explain_output import own_folder
    from concordant.cli.output import clean_stdout, print_json
    from concordant.core.errors import require
    from concordant.explanations.accuracy import accuracy_text
    from concordant.explanations.series_files import read_series
    from concordant.models.torch_file import CONFIG, WEIGHTS

    require("torch", "torch", "classifiers that are trained")
    from concordant.explanations.series_fit import fit_series

    own_folder(output, (CONFIG, WEIGHTS), "a classifier")
    with clean_stdout():
        data = read_series(train, labels=labels)
        fitted = fit_series(
            data,
            test=None if test is None else read_series(test, labels=labels),
            network=network,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            progress=True,
        )
        fitted.save(output)
    if json:
        found = {"validation": fitted.validation, "test": fitted.test}
        figures = {
            name: None if one is None else {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
            for name, one in found.items()
        }
        print_json({"written": str(output), "classes": list(fitted.classes), "accuracy": figures})
        return 0
    typer.echo(f"held-out accuracy: {accuracy_text(fitted.validation)}")
    if fitted.test is not None:
        typer.echo(f"test accuracy: {accuracy_text(fitted.test)}")
    typer.echo(f"{output}: next, concordant explain torch:{output} {test or train} --train {train} -o report")
    return 0
