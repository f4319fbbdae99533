"""The verb ``explain``: what of a series or of a table row decides what a classifier says, and how true that is to it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import Json, TrustCode, TrustPickle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.explanations.classifiers import Classifier

EPOCHS, BATCH_SIZE, FEWEST_STEPS = 50, 64, 1000
"""Epochs of TimeX and series a step, where they are left open, and the steps that it takes at least."""


def series(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="torch:FOLDER, torch:FILE.pt2, torch:FILE.py:NAME, sklearn:FILE, onnx:FILE or python:FILE.py:NAME.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", show_default=False, help="What is explained: .ts, .npz, .parquet or .csv."
        ),
    ],
    *,
    train: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Series that methods learn from; DATA if left out."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--method", metavar="NAME", help="Such as timex or occlusion. Repeatable; the first leads."
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Further methods to judge beside it: names with commas, or all."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.OPTION=VALUE", help="Such as timex.epochs=20. Repeatable."),
    ] = None,
    latent: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The module of a torch classifier where its latent is."),
    ] = None,
    channels_first: Annotated[
        bool, typer.Option("--channels-first", help="The classifier wants (batch, channel, time).")
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The true classes; label, y, class or target if left out."),
    ] = None,
    absent: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="What stands in for absent numbers when judging: mean of the training series, rows, moments, or zero.",
        ),
    ] = "mean",
    seeds: Annotated[
        int,
        typer.Option(
            min=0, metavar="K", help="Judge methods that learn by K further seeds; each is a training."
        ),
    ] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Explain N series, spread over the file.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides what is drawn and learnt.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Keep attributions, figures and the report; the same command goes on where it was stopped.",
        ),
    ] = None,
    json: Json = False,
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Explain what a classifier says of series or of table rows, and judge the explanations beside a random one.

    The word "series" may be left out. Without a method it takes timex where a latent is known, integrated-gradients for
    any other torch classifier, occlusion for series of others, and shapley for their tables.

    For example:

        concordant explain torch:classifier GunPoint_TEST.ts --train GunPoint_TRAIN.ts -o gunpoint

        concordant explain torch:net.py:make?weights=net.safetensors ecg.npz --latent encoder --trust-code

        concordant explain onnx:forest.onnx patients.csv --labels outcome --compare all -o patients
    """
    from concordant.cli.explain_output import Asked, deliver, open_folder
    from concordant.cli.output import clean_stdout
    from concordant.core.model import digest
    from concordant.explanations.explaining import explain_set
    from concordant.explanations.loading import load_classifier
    from concordant.explanations.series_files import read_series, rows_of, spread_rows

    options = _options(set_ or [])
    with clean_stdout():
        loaded = load_classifier(model, trust_code=trust_code, trust_pickle=trust_pickle)
        whole = read_series(data, labels=labels, columns=loaded.columns)
        known = None if train is None else read_series(train, labels=labels, columns=loaded.columns)
        rows = spread_rows(len(whole.x), limit)
        chosen = rows_of(whole, rows)
        classifier = loaded.beside(chosen, latent=latent, channels_first=channels_first)
        methods, left_out = _methods(classifier, method or [], compare, is_table=whole.is_table)
        _train_enough(options, methods, len((whole if known is None else known).x))
        kept = None if output is None else open_folder(output, rows)
        settings = {
            "command": _command(locals()),
            **({} if train is None else {"training series": str(train)}),
            "seed": str(seed),
            "absent": absent,
            "classifier": loaded.fingerprint,
            **{
                f"options of {name}": ", ".join(f"{option}={value}" for option, value in given.items())
                for name, given in options.items()
            },
            **({"left out": "; ".join(left_out)} if left_out else {}),
        }
        explained = explain_set(
            classifier,
            chosen,
            methods,
            training=known if known is not None or limit is None else whole,
            options=options,
            classes=loaded.classes,
            absent=absent,  # type: ignore[arg-type]  # checked there
            seeds=seeds,
            seed=seed,
            leave_out=compare == "all",
            kept=kept,
            fingerprint=digest(loaded.fingerprint, latent, channels_first),
            settings=settings,
            progress=True,
        )
    asked = Asked(model, str(data), None if train is None else str(train), rows, options, left_out)
    return deliver(explained, asked, output, json=json)


def _methods(
    classifier: Classifier, named: Sequence[str], compare: str | None, *, is_table: bool
) -> tuple[list[str], list[str]]:
    """Return the methods that are asked, the leading one first, and why others are left out."""
    from concordant.explanations.explaining import default_method, fitting_methods

    methods = list(named) or [default_method(classifier, is_table=is_table)]
    if compare != "all":
        methods += [name.strip() for name in (compare or "").split(",") if name.strip()]
        return list(dict.fromkeys(methods)), []
    fitting, left_out = fitting_methods(classifier)
    return list(dict.fromkeys([*methods, *fitting])), left_out


def _options(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the options of methods from ``METHOD.OPTION=VALUE``."""
    from concordant.core.errors import ConfigError
    from concordant.models.load import option_value

    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot and method and option.isidentifier()):
            message = f"--set takes METHOD.OPTION=VALUE, such as timex.epochs=20, got {text!r}"
            raise ConfigError(message)
        options.setdefault(method, {})[option] = option_value(value)
    return options


def _train_enough(options: dict[str, dict[str, Any]], methods: Sequence[str], n: int) -> None:
    """Let TimeX go over a small set more often, where it is left open how often."""
    if "timex" in methods and "epochs" not in options.get("timex", {}):
        given = options.setdefault("timex", {})
        size = given.get("batch_size")
        steps = -(-n // (size if isinstance(size, int) and size > 0 else BATCH_SIZE))
        given["epochs"] = max(EPOCHS, -(-FEWEST_STEPS // steps))


def _command(given: dict[str, Any]) -> str:
    """Return the command that does the same again."""
    words = ["concordant", "explain", given["model"], str(given["data"])]
    for name in ("train", "compare", "latent", "labels", "absent", "limit", "output"):
        if given[name] is not None:
            words += [f"--{name}", str(given[name])]
    if given["absent"] != "mean":
        words += ["--absent", given["absent"]]
    for name in ("seed", "seeds"):
        if given[name]:
            words += [f"--{name}", str(given[name])]
    for name, values in (("method", given["method"]), ("set", given["set_"])):
        for value in values or []:
            words += [f"--{name}", value]
    for name in ("channels_first", "trust_code", "trust_pickle"):
        if given[name]:
            words.append(f"--{name.replace('_', '-')}")
    return shlex.join(words)
