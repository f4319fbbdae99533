"""The verb ``pocket``: the small language models that ship with the package, and how they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordant.cli.options import Json

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME", help="A model that ships, such as 1m-chat-v2, or a folder."
    ),
]

pocket = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@pocket.callback()
def about(context: typer.Context) -> None:
    """Talk to the pocket language models, see what they can do, or make them again.

    They live in a small world of known facts: people and cities, sums, siblings, stories, little programs. A few
    hundred kilobytes to six megabytes each, they ship with the package and run on any laptop. Elsewhere they are
    called pocket:NAME, as in check.yaml, or by their folder, as any Hugging Face model.

    For example:

        concordant pocket ask "In which city does Mira live?"

        concordant pocket skills
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@pocket.command()
def ask(
    questions: Annotated[
        list[str],
        typer.Argument(metavar="QUESTION", show_default=False, help="What to ask, one answer each."),
    ],
    *,
    model: Model = "1m-chat-v2",
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Samples of each answer.")] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="T", help="0 is greedy; 1 if several samples are asked for."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the sampling.")] = 0,
    json: Json = False,
) -> int:
    """Ask a pocket model.

    It knows only the words of its world; a word that it does not know is named.

    For example:

        concordant pocket ask "In which city does Mira live?" "What is 3 + 4?"

        concordant pocket ask --model 1m-base "the best friend of mira is"
    """
    from concordant.cli.output import print_json
    from concordant.core.items import Items
    from concordant.core.model import Request
    from concordant.pocket import MAX_ANSWER_WORDS, load_pocket, unknown_words
    from concordant.report.sanitize import one_line

    asked = load_pocket(model)
    items = Items.from_records([{"id": str(i), "input": question} for i, question in enumerate(questions)])
    warm = (0.0 if n == 1 else 1.0) if temperature is None else temperature
    request = Request(n=n, temperature=warm, seed=seed, max_tokens=MAX_ANSWER_WORDS)
    answers = asked.respond(items, request)["output"].to_list()
    said = [answers[i * n : (i + 1) * n] for i in range(len(questions))]
    unknown = [unknown_words(question) for question in questions]
    if json:
        keys = ("question", "answers", "unknown_words")
        print_json([dict(zip(keys, row, strict=True)) for row in zip(questions, said, unknown, strict=True)])
        return 0
    for question, samples, strange in zip(questions, said, unknown, strict=True):
        if strange:
            typer.echo(f"(not words of the pocket world: {one_line(', '.join(strange))})", err=True)
        if len(questions) > 1:
            typer.echo(one_line(question))
        for sample in samples:
            typer.echo(("  " if len(questions) > 1 else "") + one_line(sample))
    return 0


@pocket.command()
def skills(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME", help="A model that ships, or a folder. Repeatable."),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", min=1, metavar="N", help="Test items of each skill.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Which items.")] = 0,
    json: Json = False,
) -> int:
    """Ask models test items of every skill, and print their share of right answers with intervals.

    Without a model it asks chat v1 and chat v2, the standard update, side by side.

    For example:

        concordant pocket skills

        concordant pocket skills -m 1m-base -m ./my-model -n 50
    """
    from concordant.cli.output import print_json, stdout_console
    from concordant.pocket import load_pocket, skill_items, skill_table
    from concordant.pocket.skill_table import N_ITEMS
    from concordant.report.skills import print_skills

    names = model or ["1m-chat-v1", "1m-chat-v2"]
    items = skill_items(n or N_ITEMS, seed=seed)
    tables = {name: skill_table(load_pocket(name), items) for name in names}
    if json:
        print_json({name: table.to_dicts() for name, table in tables.items()})
    else:
        print_skills(tables, stdout_console())
    return 0


@pocket.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", show_default=False, help="A size (250k, 1m, 3m) and base, chat-v1 or chat-v2."
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where the model is written.")
    ],
    *,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="The base that a chat model starts from; the one that ships by default."
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1000, metavar="N", help="Train on about N tokens instead: a first try.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Another seed than the recipe's.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever checkpoint is there.")] = False,
) -> int:
    """Make a pocket model again, from nothing or from its base: data, training, skill table and card.

    On one thread of a processor of the same kind the result is that of the shipped files, bit for bit. A run that
    was killed goes on from its checkpoint. It takes from a few minutes (250k) to an hour or so (3m-base) of one core.

    For example:

        concordant pocket train 250k-base ./mine --tokens 200000

        concordant pocket train 1m-chat-v2 ./v2
    """
    from dataclasses import replace

    from concordant.core.errors import require
    from concordant.pocket import model_folder
    from concordant.pocket.recipes import recipe

    chosen = recipe(name)
    chosen = replace(chosen, tokens=tokens or chosen.tokens, seed=chosen.seed if seed is None else seed)
    torch = require("torch", "torch", "pocket models")
    torch.set_num_threads(1)  # several threads add up in another order, and the files would differ
    from concordant.pocket.card import write_card
    from concordant.pocket.training import train_recipe

    if chosen.start is not None and start is None:
        start = model_folder(chosen.start)
    history = train_recipe(chosen, folder, start=start, resume=not fresh)
    typer.echo(f"{folder}: {history.steps:,} steps, loss {history.loss[-1]:.3f} nats a token; asking it ...")
    table = write_card(folder, chosen, history.steps)
    typer.echo(f"{folder}: {table['accuracy'][-1]:.1%} right over all skills; the table is in README.md")
    return 0
