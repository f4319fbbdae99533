"""The verb ``fingerprint``: record what a model answers, and check that a copy of it still does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import Grade, Jobs, Json, Limit, Seed, TrustCode, TrustPickle

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.versions.fingerprints import Verification

Probes = Annotated[
    str,
    typer.Argument(metavar="PROBES", show_default=False, help="What is asked: jsonl, csv, parquet, ..."),
]
Claims = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="Claims of the model: YAML, JSON, or a model card (README.md). Repeatable."
    ),
]
Tolerance = Annotated[
    float, typer.Option(min=0.0, metavar="SHARE", help="Share of answers that may change beyond the noise.")
]
ClaimTolerance = Annotated[
    float, typer.Option(min=0.0, metavar="X", help="How much worse than claimed a figure may be.")
]
TokenTolerance = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="NATS", help="Mean divergence of tokens that is allowed; shown by default."
    ),
]
MaxTokens = Annotated[int, typer.Option(min=1, metavar="N", help="Longest answer of a language model.")]
Shown = Annotated[int, typer.Option("-n", "--show", min=0, metavar="N", help="Changed answers to show.")]

fingerprint = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@fingerprint.callback()
def about(context: typer.Context) -> None:
    """Record what a model answers and what is claimed of it, and check that a copy still behaves that way.

    A fingerprint is one file, without any code in it: probes, answers, probabilities, how much the model differs from
    itself, claims, versions. Accuracy alone misses most damage to a model; changed answers do not.

    For example:

        concordant fingerprint record hf:models/mine probes.jsonl -o mine.fingerprint

        concordant fingerprint verify mine.fingerprint hf:models/mine-4bit
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@fingerprint.command()
def record(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="What is recorded.")],
    probes: Probes,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The file that is written.")
    ] = Path("model.fingerprint"),
    claims: Claims = None,
    grade: Grade = None,
    noise: Annotated[
        bool,
        typer.Option("--noise/--no-noise", help="Ask again in other batches, to see the model's own noise."),
    ] = True,
    top: Annotated[
        int, typer.Option(min=0, metavar="K", help="Most probable tokens stored of a local language model.")
    ] = 64,
    max_tokens: MaxTokens = 256,
    limit: Limit = None,
    seed: Seed = None,
    jobs: Jobs = None,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Record a fingerprint: the answers of a model to probes, and what is claimed of it.

    For example:

        concordant fingerprint record pocket:1m-chat-v2 probes.jsonl -o pocket.fingerprint

        concordant fingerprint record sklearn:model.skops probes.parquet --claims README.md
    """
    from concordant.cli.output import clean_stdout
    from concordant.core.model import Request
    from concordant.versions.fingerprints import read_claims
    from concordant.versions.fingerprints import record as record_model

    with clean_stdout():
        found = record_model(
            _load(model, jobs, trust_pickle=trust_pickle, trust_code=trust_code),
            _items(probes, limit),
            claims=[claim for path in claims or () for claim in read_claims(path)],
            grade=grade,
            request=Request(max_tokens=max_tokens, seed=seed or 0),
            noise=noise,
            top=top,
        )
        path = found.save(output)
    graded = found.answers["correct"].drop_nulls()
    shares = [f"{graded.sum() / len(graded):.1%} right"] if len(graded) else []
    if "answer_change_rate" in found.about["noise"]:
        shares.append(f"{found.about['noise']['answer_change_rate']:.2%} changed when asked again")
    size = path.stat().st_size / 1024
    said = f"{len(found.probes):,} probes, {len(found.claims)} claims"
    typer.echo(f"{path}: {', '.join([said, *shares, f'{size:,.0f} kB'])}")
    return 0


@fingerprint.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FINGERPRINT", show_default=False, help="A recorded file.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="What is checked.")],
    *,
    claims: Claims = None,
    tolerance: Tolerance = 0.0,
    claim_tolerance: ClaimTolerance = 0.05,
    token_tolerance: TokenTolerance = None,
    show: Shown = 5,
    jobs: Jobs = None,
    json: Json = False,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Check that a model is still the one that was recorded: claims, answers, recall, calibration, tokens.

    For example:

        concordant fingerprint verify model.fingerprint sklearn:downloaded.skops

        concordant fingerprint verify mine.fingerprint hf:models/mine-4bit --tolerance 0.02
    """
    from concordant.cli.output import clean_stdout
    from concordant.versions.fingerprints import load_fingerprint, read_claims
    from concordant.versions.fingerprints import verify as verify_model

    with clean_stdout():
        found = verify_model(
            load_fingerprint(file),
            _load(model, jobs, trust_pickle=trust_pickle, trust_code=trust_code),
            claims=[claim for path in claims or () for claim in read_claims(path)],
            tolerance=tolerance,
            claim_tolerance=claim_tolerance,
            token_tolerance=token_tolerance,
        )
    return _deliver(found, show, json=json)


@fingerprint.command()
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", show_default=False, help="The original.")],
    new: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="Its copy.")],
    probes: Probes,
    *,
    grade: Grade = None,
    tolerance: Tolerance = 0.0,
    token_tolerance: TokenTolerance = None,
    show: Shown = 5,
    max_tokens: MaxTokens = 256,
    limit: Limit = None,
    jobs: Jobs = None,
    json: Json = False,
    trust_pickle: TrustPickle = False,
    trust_code: TrustCode = False,
) -> int:
    """Hold a copy of a model against its original, without a file between them.

    For example:

        concordant fingerprint compare hf:models/mine hf:models/mine-4bit probes.jsonl
    """
    from concordant.cli.output import clean_stdout
    from concordant.core.model import Request
    from concordant.versions.fingerprints import record as record_model
    from concordant.versions.fingerprints import verify as verify_model

    with clean_stdout():
        before, after = (
            _load(spec, jobs, trust_pickle=trust_pickle, trust_code=trust_code) for spec in (old, new)
        )
        recorded = record_model(
            before, _items(probes, limit), grade=grade, request=Request(max_tokens=max_tokens)
        )
        found = verify_model(recorded, after, tolerance=tolerance, token_tolerance=token_tolerance)
    return _deliver(found, show, json=json)


@fingerprint.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FINGERPRINT", show_default=False, help="A recorded file.")],
    *,
    json: Json = False,
) -> int:
    """Say what a fingerprint holds; no model is asked.

    For example:

        concordant fingerprint show model.fingerprint
    """
    from concordant.cli.output import print_json
    from concordant.report.sanitize import one_line
    from concordant.versions.fingerprints import load_fingerprint

    found = load_fingerprint(file)
    claims = [claim.to_dict() for claim in found.claims]
    tokens = 0 if found.tokens is None else len(found.tokens)
    facts: dict[str, Any] = {**found.about, "claims": claims, "stored_tokens": tokens}
    if json:
        print_json(facts)
        return 0
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value)) or "none"
        typer.echo(one_line(f"{name}: {value}"))
    return 0


def _load(spec: str, jobs: int | None, *, trust_pickle: bool, trust_code: bool) -> Any:
    from concordant.suite.loading import load_model

    return load_model(spec, concurrency=jobs, trust_pickle=trust_pickle, trust_code=trust_code)


def _items(source: str, limit: int | None) -> Items:
    from concordant.core.items import Items

    return Items.read(source, limit=limit)


def _deliver(found: Verification, show: int, *, json: bool) -> int:
    from concordant.cli.output import print_json, stdout_console
    from concordant.report.fingerprints import print_verification

    if json:
        from concordant.report.documents import finite

        print_json(finite({**found.to_dict(), "exit_code": found.exit_code}))
    else:
        print_verification(found, stdout_console(), show)
    return found.exit_code
