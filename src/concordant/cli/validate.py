"""The verb ``validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from concordant.cli.options import TrustCode

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.models.recorded import Recorded


def validate(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", show_default=False, help="A check file, items or a log.")
    ] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of check files instead.")
    ] = False,
    trust_code: TrustCode = False,
) -> int:
    """Say how a check file, items or a log are understood.

    No model is loaded or asked.

    For example:

        concordant validate check.yaml

        concordant validate questions.jsonl

        concordant validate answers.jsonl#large
    """
    if schema:
        from concordant.cli.output import print_json
        from concordant.suite import suite_schema

        print_json(suite_schema())
        return 0
    if file is None:
        raise typer.BadParameter("name a check file, items or a log (or ask for --schema)", param_hint="FILE")  # noqa: EM101
    lines = _check_file(file, trust_code=trust_code) if file.endswith((".yaml", ".yml")) else _table(file)
    from concordant.report.sanitize import one_line

    for line in lines:
        typer.echo(f"{' ' * (len(line) - len(line.lstrip()))}{one_line(line)}")
    return 0


def _check_file(file: str, *, trust_code: bool) -> list[str]:
    from concordant.cli.output import clean_stdout
    from concordant.suite import Suite

    with clean_stdout():
        suite = Suite.read(file, trust_code=trust_code)
    lines = [f"{file}: a check file"]
    for name, entry in suite.file.models.items():
        role = " (under test)" if name == suite.subject else ""
        lines.append(f"  model {name}{role}: {entry.spec}")
    if suite.file.items is not None:
        items = suite.read_items()
        suite.check_slices(items)
        lines += [f"  {line}" for line in _items_lines(items, suite.file.items.source)]
    else:
        lines.append(f"  items: those that {suite.subject} was recorded on")
    for planned, asked in zip(suite.checks, suite.file.checks, strict=True):
        options = ", ".join(f"{name}={_shown(value)}" for name, value in planned.options.items())
        lines.append(f"  check {asked.name or asked.relation}{f' ({options})' if options else ''}")
        lines += [f"    gate {gate}" for gate in planned.gates.values()]
    gates = sum(len(planned.gates) for planned in suite.checks)
    lines.append(f"valid: {len(suite.checks)} relations, {gates} gates; no model was loaded")
    return lines


def _shown(value: Any) -> str:
    from concordant.suite.relations import ModelName

    if isinstance(value, list) and any(isinstance(part, ModelName) for part in value):
        return f"[{', '.join(map(_shown, value))}]"
    return value.name if isinstance(value, ModelName) else getattr(value, "__name__", repr(value))


def _table(file: str) -> list[str]:
    """Say what a file is as items and as a log: many tables can be either."""
    from concordant.core.errors import ConcordantError
    from concordant.core.items import Items
    from concordant.models.recorded import Recorded
    from concordant.models.run_folder import is_run_folder, load_run

    found: list[str] = []
    errors: list[ConcordantError] = []
    if is_run_folder(file):
        return [f"{file}: the folder of a run", *_log_lines(load_run(file))]
    try:
        found += [f"{file}: as items", *(f"  {line}" for line in _items_lines(Items.read(file), file))]
    except ConcordantError as error:
        errors.append(error)
    try:
        log = Recorded.read(file)
    except ConcordantError as error:
        errors.append(error)
    else:
        found += [f"{file}: as a log", *_log_lines(log)]
    if not found:
        raise errors[0] if file.endswith((".csv", ".tsv", ".parquet")) else errors[-1]
    return found


def _items_lines(items: Items, source: str) -> list[str]:
    from concordant.core.items import ROLES

    frame = items.frame
    roles = [f"{role} ({frame[role].dtype})" for role in ROLES if role in frame.columns]
    lines = [f"items: {len(items):,} from {source}", f"  columns: {', '.join(roles)}"]
    if items.slices:
        plain = [name for name in items.slices if not frame[name].dtype.is_nested()]
        slices = [f"{name} ({frame[name].n_unique():,} values)" for name in plain]
        lines.append(f"  further columns: {', '.join(slices)}")
    return lines


def _log_lines(log: Recorded) -> list[str]:
    records = log.records
    lines = [
        f"  answers of {log.name}: {len(records):,} on {len(log.held):,} items",
        f"  columns: {', '.join(records.columns)}",
    ]
    if "error" in records.columns and (n := len(records) - records["error"].null_count()):
        lines.append(f"  errors: {n:,}")
    if "correct" in records.columns and (known := records["correct"].drop_nulls()).len():
        lines.append(
            f"  graded by the log itself: {known.cast(int).sum() / len(known):.4f} right of {len(known):,}"
        )
    elif "reference" in records.columns:
        lines.append("  gradable by its references")
    else:
        lines.append("  not gradable: it has neither a column that says what is right nor references")
    return lines
