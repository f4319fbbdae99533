"""The verb ``list``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from concordant.cli.options import Json

Kind = Literal["relations", "models", "graders", "agreements", "explainers", "writers"]


def list_names(
    kind: Annotated[
        Kind | None, typer.Argument(show_default=False, help="What to list; everything by default.")
    ] = None,
    *,
    json: Json = False,
) -> int:
    """List what can be named: relations, models, graders, explainers, ...

    Installed packages add to it.

    For example:

        concordant list relations
    """
    from typing import get_args

    kinds: tuple[Kind, ...] = get_args(Kind) if kind is None else (kind,)
    found = {name: _names(name) for name in kinds}
    if json:
        from concordant.cli.output import print_json

        print_json(found)
        return 0
    for number, (name, entries) in enumerate(found.items()):
        if len(found) > 1:
            typer.echo(f"{chr(10) if number else ''}{name}")
        width = max(map(len, entries), default=0)
        for entry, about in entries.items():
            typer.echo(f"  {entry:{width}}  {about}".rstrip())
    return 0


def _names(kind: Kind) -> dict[str, str]:
    from concordant.core.registry import first_sentence, registered

    if kind in ("relations", "models", "explainers", "writers"):
        return {name: _about_registered(kind, name) for name in sorted(registered(kind))}
    if kind == "graders":
        from concordant.core.grading import GRADERS

        own = {name: first_sentence(made) for name, made in GRADERS.items()}
        return own | {name: _about_registered(kind, name) for name in sorted(registered(kind))}
    from concordant.core.agreement import AGREEMENTS

    return {name: first_sentence(function) for name, function in AGREEMENTS.items()}


def _about_registered(kind: Kind, name: str) -> str:
    from concordant.core.registry import first_sentence, lookup

    try:
        found = lookup(kind, name)
        return first_sentence(found.build if kind == "explainers" else found)
    except Exception as error:  # somebody's package that is broken must not hide the others
        return f"(cannot be loaded: {type(error).__name__}: {error})"
