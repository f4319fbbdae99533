"""The verb ``explain``: what moves a model, by kinds of input; series and tables where no kind is named."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from concordant.cli.explain_fit import fit
from concordant.cli.explain_prompt import prompt
from concordant.cli.explain_series import series


class SeriesByDefault(TyperGroup):
    """A group in which words that name no command are those of ``series``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command, where it is left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["series", *args]
        return super().parse_args(ctx, args)


explain = typer.Typer(
    cls=SeriesByDefault,
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@explain.callback()
def about(context: typer.Context) -> None:
    """Explain what a model does by its input, and see whether the explanation is true to the model.

    A classifier of series or of a table (torch, scikit-learn, ONNX); "concordant explain series -h" has all options:

        concordant explain torch:classifier GunPoint_TEST.ts --train GunPoint_TRAIN.ts -o gunpoint

        concordant explain sklearn:forest.skops patients.csv --compare all -o patients

    No classifier yet? Train a small one first:

        concordant explain fit GunPoint_TRAIN.ts --test GunPoint_TEST.ts -o classifier

    The fields of a prompt for a language model:

        concordant explain prompt template.yaml --model pocket:1m-chat-v1
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


explain.command()(series)
explain.command()(fit)
explain.command()(prompt)
