"""The verb ``explain prompt``: what of a prompt moves a language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import Jobs, Json, TrustCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.statistics import Estimate
    from concordant.explanations.prompts import PromptExplanation
    from concordant.suite.prompt_file import Prompts


def prompt(
    file: Annotated[
        Path, typer.Argument(metavar="TEMPLATE.yaml", show_default=False, help="Text, fields and options.")
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", show_default=False, help="As in a check: SCHEME:NAME."
        ),
    ],
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table with a prompt a row: a column for each field that changes."
        ),
    ] = None,
    absent: Annotated[
        str,
        typer.Option(metavar="RULE", help="An absent field: delete, neutral, or both, one after the other."),
    ] = "both",
    value: Annotated[
        str, typer.Option(metavar="VALUE", help="What is shared out: probability, or log_odds.")
    ] = "probability",
    one_order: Annotated[
        bool,
        typer.Option(
            "--one-order", help="Show options in the given order only, not in the reversed one too."
        ),
    ] = False,
    pairs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Draw N orders of fields and their reverses; all sets up to 12 fields, else 25.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--samples",
            min=1,
            metavar="N",
            help="Count choices in N answers, where they are not scored.",
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest sampled answer.")] = 64,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the orders and of the sampling.")] = 0,
    jobs: Jobs = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep sampled answers there; the same command goes on where it was stopped."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many questions would be asked, and ask none.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.html", help="Write the page with the chart."),
    ] = None,
    json: Json = False,
    trust_code: TrustCode = False,
) -> int:
    """Share a language model's choice out among the fields of a prompt, by Shapley values.

    The file names the fields and says which should decide and which are noise:

        text: "{please} what is the {what} of {who} {end} ?"
        fields:
          please: {text: "please tell me .", role: noise}
          what: job
          who: sofia
          end: {text: now, role: noise}
        options: [poet, doctor, baker]
        ask: cloze

    The options of local models are scored; the answers of others are sampled and counted.

    For example:

        concordant explain prompt template.yaml --model pocket:1m-chat-v1 -o prompt.html

        concordant explain prompt template.yaml --model openai:NAME -n 20 --dry-run
    """
    from concordant.cli.output import clean_stdout, print_json, stdout_console
    from concordant.explanations.prompts import explain_prompt
    from concordant.report import prompts as report
    from concordant.suite.loading import load_model
    from concordant.suite.prompt_file import read_prompts

    rules = _rules(absent)
    with clean_stdout():
        asked = read_prompts(file)
        given = _rows(rows, asked)
    if dry_run:
        return _plan(asked, given, rules, pairs, both_orders=not one_order)
    with clean_stdout():
        loaded = load_model(model, concurrency=jobs, trust_code=trust_code)
        found = [
            explain_prompt(
                loaded,
                template,
                given,
                absent=rule,
                value=value,  # type: ignore[arg-type]  # checked there
                target=asked.target,
                both_orders=not one_order,
                pairs=pairs,
                samples=samples,
                max_tokens=max_tokens,
                seed=seed,
                folder=folder,
            )
            for rule in rules
            for template in asked.templates
        ]
        stability = _stability(found, rules)
        if output is not None:
            report.write(found, stability, loaded.name, output)
    if json:
        print_json(_document(found, stability, loaded.name))
        return 0
    report.print_prompts(found, stability, stdout_console())
    if output is not None:
        typer.echo(f"report: {output}")
    return 0


def _rules(absent: str) -> list[Any]:
    from concordant.core.errors import ConfigError, nearest

    allowed = ("delete", "neutral", "both")
    if absent not in allowed:
        message = f"--absent must be delete, neutral or both, got {absent!r}; {nearest(absent, allowed)}"
        raise ConfigError(message)
    return ["delete", "neutral"] if absent == "both" else [absent]


def _rows(path: Path | None, asked: Prompts) -> list[dict[str, str]] | None:
    """Return the texts of fields: of a table, whose other columns are left alone, or of the template's file."""
    from concordant.core.errors import DataError
    from concordant.core.tables import read_table

    if path is None:
        return asked.rows
    table = read_table(path)
    names = [name for name in table.columns if name in asked.templates[0].names]
    if not names or table.is_empty():
        message = (
            f"{path} must have rows, and columns named as fields ({', '.join(asked.templates[0].names)})"
        )
        raise DataError(message)
    empty = [name for name in names if table[name].null_count()]
    if empty:
        message = f"{path}: the column {empty[0]!r} has a row without a text"
        raise DataError(message)
    return [
        {name: str(text) for name, text in row.items()} for row in table.select(names).iter_rows(named=True)
    ]


def _plan(
    asked: Prompts,
    rows: list[dict[str, str]] | None,
    rules: Sequence[Any],
    pairs: int | None,
    *,
    both_orders: bool,
) -> int:
    from concordant.explanations.prompts.explain import planned_questions
    from concordant.explanations.shapley import shapley_plan

    for rule in rules:
        for template in asked.templates:
            plan = shapley_plan(len(template.names), pairs=pairs)
            questions, _, _ = planned_questions(
                template, rows, plan, absent=rule, target=asked.target, both_orders=both_orders
            )
            what = "all sets of fields" if plan.is_exact else "sampled orders"
            typer.echo(f"{rule}: {len(questions):,} questions for {len(rows or [None]):,} prompts, {what}")
    return 0


def _stability(found: Sequence[PromptExplanation], rules: Sequence[str]) -> dict[str, Estimate]:
    from concordant.explanations.prompts import template_stability

    by_rule = {rule: [one for one in found if one.absent == rule] for rule in rules}
    return {rule: template_stability(some) for rule, some in by_rule.items() if len(some) > 1}


def _document(
    found: Sequence[PromptExplanation], stability: dict[str, Estimate], model: str
) -> dict[str, Any]:
    from concordant.report.documents import finite

    def estimate(one: Estimate) -> dict[str, Any]:
        return {"value": one.value, "low": one.low, "high": one.high, "n": one.n}

    explanations = [
        {
            "text": one.template.text,
            "absent": one.absent,
            "value": one.value,
            "target": one.target,
            "with_none": float(one.with_none.mean()),
            "with_all": float(one.with_all.mean()),
            "n_prompts": len(one.phi),
            "n_questions": one.n_questions,
            "is_exact": one.is_exact,
            "unread_rate": one.unread_rate,
            "noise_share": estimate(one.noise_share),
            "fields": one.table().to_dicts(),
        }
        for one in found
    ]
    agreed = {rule: estimate(one) for rule, one in stability.items()}
    document: dict[str, Any] = finite(
        {"model": model, "explanations": explanations, "wordings_agree": agreed}
    )
    return document
