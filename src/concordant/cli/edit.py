"""The verb ``edit``: making, applying and undoing edits of language models, and telling what they change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordant.cli.edit_output import deliver_edit, items_of, loaded_model, texts_of, told, write_folder
from concordant.cli.options import Json, Limit

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", show_default=False, help="A folder, hf:FOLDER or pocket:NAME.")
]
EditFile = Annotated[
    Path, typer.Argument(metavar="EDIT", show_default=False, help="A file that `edit` wrote.")
]
EditOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="Where the edit is written, as safetensors.")
]
FolderOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="FOLDER", help="The model to write; must not be there yet.")
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Edit other weights too, by adding the differences; not undone to the bit."),
]
Controls = Annotated[
    int, typer.Option(min=0, metavar="N", help="Random edits of the same size, beside the edit.")
]
SeedOf = Annotated[int, typer.Option(metavar="N", help="Seed of all that is drawn.")]

edit = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@edit.callback()
def about(context: typer.Context) -> None:
    """Edit a language model, know what the edit changed, and give the model back bit for bit.

    An edit is a small file, made for one model: surgery turns a behaviour down, canonical teaches plain examples. Both
    print a ledger: what changed where it should and elsewhere, beside random edits of the same size. apply and undo
    write model folders, diff tells what an edit touches.

    For example:

        concordant edit surgery pocket:250k-base --unwanted rude.jsonl --wanted kind.jsonl --items general.jsonl -o kind.edit

        concordant edit apply kind.edit pocket:250k-base -o kinder
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@edit.command()
def surgery(
    model: ModelName,
    *,
    unwanted: Annotated[str, typer.Option(metavar="FILE", help="Texts with the behaviour.")],
    wanted: Annotated[str, typer.Option(metavar="FILE", help="Texts without it.")],
    items: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="What must not change: texts, or prompts with their right answers."
        ),
    ],
    output: EditOutput,
    prompts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What is continued; by default the first halves of the unwanted."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="A continuation with it is unwanted; by default the probe judges."
        ),
    ] = None,
    rows: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Of the gate rows that are moved.")
    ] = 0.05,
    rule: Annotated[
        str, typer.Option(metavar="RULE", help="Which rows: opposed to the behaviour, aligned or random.")
    ] = "opposed",
    strength: Annotated[
        list[float] | None,
        typer.Option(metavar="S", help="In mean lengths of a gate row. Repeatable; by default 0.5 to 16."),
    ] = None,
    bound: Annotated[
        float, typer.Option(min=0.0, metavar="SHARE", help="By which the perplexity of the items may rise.")
    ] = 0.02,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest continuation.")] = 32,
    controls: Controls = 3,
    limit: Limit = None,
    seed: SeedOf = 0,
    json: Json = False,
) -> int:
    """Turn a behaviour down: add its direction to a few gate rows of a model of the Llama family.

    A linear probe tells texts with the behaviour from those without; rows of the gates are moved along its direction,
    by the greatest strength that keeps the perplexity of the items within the bound. Exit code 1 where none does.

    For example:

        concordant edit surgery hf:my-model --unwanted rude.jsonl --wanted kind.jsonl --items general.jsonl -o kind.edit
    """
    import re

    from concordant.core.errors import ConfigError

    try:
        found = re.compile(pattern) if pattern is not None else None
    except re.error as error:
        message = f"--pattern must be a regular expression, got {pattern!r}: {error}"
        raise ConfigError(message) from None
    language_model, stored = loaded_model(model)
    from concordant.versions.editing.surgery_run import STRENGTHS, SurgeryOptions, surgery_of_texts

    options = SurgeryOptions(
        rows,
        rule,  # type: ignore[arg-type]  # it is checked there
        tuple(strength or STRENGTHS),
        bound,
        max_tokens,
        controls,
        seed,
    )
    run = surgery_of_texts(
        language_model,
        texts_of(unwanted, limit),
        texts_of(wanted, limit),
        items_of(items, limit),
        prompts=None if prompts is None else texts_of(prompts, limit),
        is_unwanted=None if found is None else (lambda text: found.search(text) is not None),
        options=options,
        stored=stored,
    )
    curve = [{"strength": p.strength, "rate": p.rate, "perplexity_ratio": p.cost} for p in run.points]
    made = None if run.chosen is None else run.chosen.edit
    notes = [f"probe: {run.probe.accuracy} of held-out texts told rightly"]
    tried = {"strengths": curve, "probe_accuracy": run.probe.accuracy.value}
    best = f"strength {run.chosen.strength:g}" if run.chosen else ""
    return deliver_edit(made, run.ledger, tried, notes, best, output, json=json)


@edit.command()
def canonical(
    model: ModelName,
    examples: Annotated[
        Path,
        typer.Argument(metavar="EXAMPLES", show_default=False, help="Lines of prefix, good and perhaps bad."),
    ],
    *,
    general: Annotated[
        str, typer.Option(metavar="FILE", help="Texts that must stay, or prompts with their right answers.")
    ],
    output: EditOutput,
    contexts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same behaviour in other contexts, to choose and to judge by."),
    ] = None,
    bound: Annotated[
        float, typer.Option(min=0.0, metavar="SHARE", help="By which the loss on general text may rise.")
    ] = 1e-3,
    way: Annotated[str, typer.Option(metavar="WAY", help="lora or full.")] = "lora",
    loss: Annotated[str, typer.Option(metavar="LOSS", help="good, bad, good-v-bad or balance.")] = "good",
    rate: Annotated[
        list[float] | None,
        typer.Option(metavar="R", help="Learning rate. Repeatable: the best in the contexts is taken."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Times through the examples.")] = 10,
    rank: Annotated[int, typer.Option(min=1, metavar="N", help="Of the adapters of lora.")] = 4,
    controls: Controls = 3,
    limit: Limit = None,
    seed: SeedOf = 0,
    json: Json = False,
) -> int:
    """Teach a model a few plain examples, within a bound on how far it may drift.

    Of the epochs within the bound the last is kept. Exit code 1 where none is.

    For example:

        concordant edit canonical hf:my-model facts.jsonl --general texts.jsonl --bound 1e-3 -o facts.edit
    """
    language_model, stored = loaded_model(model)
    from concordant.versions.editing.canonical import Tuning
    from concordant.versions.editing.canonical_run import canonical_of_examples
    from concordant.versions.editing.examples import read_examples

    tokenizer = language_model.tokens.tokenizer
    run = canonical_of_examples(
        language_model,
        read_examples(examples, tokenizer),
        items_of(general, limit),
        contexts=() if contexts is None else read_examples(contexts, tokenizer),
        tuning=Tuning(way=way, loss=loss, epochs=epochs, rank=rank),  # type: ignore[arg-type]  # likewise
        rates=rate or (1e-4, 3e-4, 1e-3, 3e-3),
        bound=bound,
        draws=controls,
        stored=stored,
        seed=seed,
    )
    tried = [
        {
            "rate": one.rate,
            "epoch": one.found.epoch,
            "drift": one.found.drift,
            "failure_rate": one.failure_rate,
        }
        for one in run.tried
    ]
    made = None if run.chosen is None else run.chosen.found.edit
    best = f"rate {run.chosen.rate:g}, epoch {run.chosen.found.epoch}" if run.chosen else ""
    return deliver_edit(made, run.ledger, {"rates": tried}, [], best, output, json=json)


@edit.command()
def apply(
    file: EditFile, model: ModelName, *, output: FolderOutput, force: Force = False, json: Json = False
) -> int:
    """Write a model folder with an edit, and print its ledger; refused where it was made for other weights.

    For example:

        concordant edit apply kind.edit pocket:250k-base -o kinder
    """
    return write_folder(file, model, output, undo=False, force=force, json=json)


@edit.command()
def undo(
    file: EditFile, model: ModelName, *, output: FolderOutput, force: Force = False, json: Json = False
) -> int:
    """Write the model folder that was there before an edit, bit for bit.

    For example:

        concordant edit undo kind.edit kinder -o as-before
    """
    return write_folder(file, model, output, undo=True, force=force, json=json)


@edit.command()
def diff(file: EditFile, *, json: Json = False) -> int:
    """Tell what an edit touches: tensors, rows and lengths, how it was made, and its ledger.

    For example:

        concordant edit diff kind.edit
    """
    from concordant.core.errors import require

    require("torch", "torch", "edits of models")
    from concordant.versions.editing.edit import Edit

    loaded = Edit.load(file)
    if json:
        from concordant.cli.output import print_json

        print_json(told(loaded))
        return 0
    from concordant.cli.output import stdout_console
    from concordant.report.edits import print_edit

    print_edit(told(loaded), stdout_console())
    return 0
