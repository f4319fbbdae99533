"""The verb ``residuals``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import Grade, Json, Limit, Seed, TrustPickle

if TYPE_CHECKING:
    from concordant.versions.residual_files import ResidualFiles
    from concordant.versions.residual_sweep import Sweep


def _model(what: str) -> Any:
    return typer.Option(metavar="MODEL", show_default=False, help=what)


def residuals(
    *,
    base: Annotated[str, _model("The base of the instruct model: a folder, hf:FOLDER or pocket:NAME.")],
    instruct: Annotated[str, _model("The instruct model that was made from it.")],
    updated: Annotated[str, _model("The base, trained further on new texts.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FOLDER", show_default=False, help="Where the result is written."
        ),
    ],
    coefficient: Annotated[
        float | None,
        typer.Option(
            metavar="C", show_default=False, help="How much of the residual; 1, or what --check chooses."
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Items with references that the instruct model could answer: try coefficients.",
        ),
    ] = None,
    new_items: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --check: items about what the base has learnt since."),
    ] = None,
    coefficients: Annotated[
        str, typer.Option(metavar="C,C,...", help="With --check: those to choose from.")
    ] = "0,0.5,1,1.5",
    max_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --check: longest answer, in tokens.")
    ] = 256,
    grade: Grade = None,
    limit: Limit = None,
    seed: Seed = None,
    dtype: Annotated[
        str | None,
        typer.Option(metavar="DTYPE", help="float32, bfloat16 or float16; by default as the updated base."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on where vocabularies or ancestors differ.")
    ] = False,
    trust_pickle: TrustPickle = False,
    json: Json = False,
) -> int:
    """Give an updated base the instructions of the old one: add instruct minus base to it, without training.

    Training an instruct model further on new texts makes it forget how to follow instructions. Train its base
    further instead, and add what instruction tuning had added. The result has the tokenizer and the chat template of
    the instruct model, and residual.json says what it was made of.

    With --check it is asked at several coefficients: accuracy, the share of lost ability that is back, and what
    flipped against the instruct model. The best is written; its accuracy is that of the best of several, so check it
    on other items before you rely on it.

    For example:

        concordant residuals --base ./base --instruct ./instruct --updated ./base-2 -o ./instruct-2

        concordant residuals --base ./base --instruct ./instruct --updated ./base-2 -o ./tried --check old.jsonl
    """
    from concordant.cli.output import clean_stdout, print_json
    from concordant.core.errors import ConfigError, StoreError, require

    if new_items is not None and check is None:
        message = "--new-items are asked beside the items of --check, and there is no --check"
        raise ConfigError(message)
    if output.exists():
        message = f"{output} is there already; name another folder, or remove it first"
        raise StoreError(message)
    require("torch", "torch", "residuals")
    from concordant.versions.residual_files import ResidualFiles

    with clean_stdout():
        folders = (folder_of(model) for model in (base, instruct, updated))
        with ResidualFiles(*folders, force=force, trust_pickle=trust_pickle) as files:
            found = None
            if check is not None:
                options = {"coefficients": numbers_of(coefficients), "grade": grade, "max_tokens": max_tokens}
                found = _sweep(
                    files, instruct, check, new_items, limit, seed or 0, options, trust_pickle=trust_pickle
                )
            chosen = coefficient
            if chosen is None:
                chosen = (
                    1.0 if found is None or found.chosen.coefficient is None else found.chosen.coefficient
                )
            about = {} if found is None else {"sweep": found.to_dict()}
            record = files.write(output, coefficient=chosen, dtype=dtype, about=about)
    why = "the coefficient asked for" if coefficient is not None else found.why if found else "the default"
    if json:
        print_json({**record, "why": why, "written": str(output)})
        return 0
    _tell(record, found, why, output)
    return 0


def folder_of(model: str) -> Path:
    """Return the folder of a model that is named.

    Raises
    ------
    ModelError
        If there is none.
    """
    from concordant.core.errors import ModelError

    scheme, colon, rest = model.partition(":")
    if colon and scheme == "pocket" and not Path(rest).is_dir():
        from concordant.pocket import model_folder

        return model_folder(rest)
    folder = Path(rest if colon and scheme in ("hf", "pocket") else model).expanduser()
    if not folder.is_dir():
        message = f"a residual needs the files of a model: a folder, hf:FOLDER or pocket:NAME, got {model!r}"
        raise ModelError(message)
    return folder


def numbers_of(text: str) -> list[float]:
    """Read numbers with commas between them.

    Raises
    ------
    ConfigError
        If the text is not that.

    Examples
    --------
    >>> numbers_of("0, 0.5,1")
    [0.0, 0.5, 1.0]
    """
    from concordant.core.errors import ConfigError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        message = f"--coefficients must be numbers with commas between them, like 0,0.5,1, got {text!r}"
        raise ConfigError(message) from None


def _sweep(
    files: ResidualFiles,
    instruct: str,
    check: str,
    new_items: str | None,
    limit: int | None,
    seed: int,
    options: dict[str, Any],
    *,
    trust_pickle: bool,
) -> Sweep:
    from concordant.core.errors import ModelError
    from concordant.core.items import Items
    from concordant.models.causal import CausalLM
    from concordant.models.huggingface import load_huggingface
    from concordant.versions.residual_sweep import sweep

    wrapped: Any = load_huggingface(
        folder_of(instruct), dtype="float32", name=instruct, trust_pickle=trust_pickle
    )
    loaded = getattr(wrapped, "language_model", None)
    if not isinstance(loaded, CausalLM):
        message = f"{instruct} is no causal language model: only those can be asked here"
        raise ModelError(message)
    tokenizer = loaded.tokens.tokenizer
    chat = getattr(tokenizer, "chat_template", None) is not None
    model = CausalLM(loaded.model, tokenizer, name=instruct, fingerprint=loaded.fingerprint, chat=chat)
    asked, new = (None if name is None else Items.read(name, limit=limit) for name in (check, new_items))
    assert asked is not None
    return sweep(files, model, asked, new, seed=seed, **options)


def _tell(record: dict[str, Any], found: Sweep | None, why: str, output: Path) -> None:
    from concordant.cli.output import stdout_console
    from concordant.report.residuals import print_sweep

    if found is not None:
        print_sweep(found.to_dict(), stdout_console())
    for sentence in record["forced"]:
        typer.echo(f"forced: {sentence}")
    drift = record["drift"]
    if drift["length_over_residual"] is not None:
        typer.echo(
            f"the update is {drift['length_over_residual']:.2f} times as long as the residual, "
            f"with a cosine of {drift['cosine']:.2f} between them"
        )
    typer.echo(f"{output}: coefficient {record['coefficient']:g}, {why}")
