"""The verb ``papers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from concordant.cli.options import Json
from concordant.studies.catalogue.entries import Counterpart, Entry, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

N_FOUND = 10


def papers(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", show_default=False, help="What to look for; all papers by default."),
    ] = None,
    *,
    counterpart: Annotated[
        Counterpart | None,
        typer.Option(show_default=False, help="Only papers about agreement with this."),
    ] = None,
    state: Annotated[
        State | None, typer.Option(show_default=False, help="Only papers with a claim in this state.")
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, metavar="N", help=f"At most N papers; {N_FOUND} for a query.", show_default=False
        ),
    ] = None,
    long: Annotated[
        bool, typer.Option("-l", "--long", help="Show summaries, claims and limits instead of a table.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words", help="Look for the words alone, not the meaning: quicker.")
    ] = False,
    json: Json = False,
) -> int:
    """Search the catalogue of papers, or list it.

    Papers are found by their words, and by meaning where a sentence encoder is installed.

    For example:

        concordant papers "reward hacking"

        concordant papers --counterpart versions

        concordant papers muscle -k 1 --long
    """
    from concordant.cli.output import clean_stdout, print_json

    with clean_stdout():
        found = _found(query, counterpart, state, k, words=words)
    if json:
        from dataclasses import asdict

        print_json({"query": query, "papers": [asdict(paper) for paper in found]})
        return 0
    if not found:
        typer.echo("no paper of the catalogue fits", err=True)
        return 0
    _print(found, grouped=query is None, long=long)
    return 0


def _found(
    query: str | None, counterpart: Counterpart | None, state: State | None, k: int | None, *, words: bool
) -> list[Entry]:
    from concordant.studies.catalogue.entries import load

    every = load()
    if query is None:
        ranked = list(every.values())
    else:
        from concordant.studies.catalogue.ranking import find

        k = k or N_FOUND
        ranked = find(query, len(every), encode=None if words else "local")
    fitting = [
        paper
        for paper in ranked
        if (counterpart is None or counterpart in paper.counterparts)
        and (state is None or any(claim.state == state for claim in paper.claims))
    ]
    return fitting[:k]


def _print(found: Sequence[Entry], *, grouped: bool, long: bool) -> None:
    from concordant.cli.output import stdout_console

    console = stdout_console()
    if long:
        for paper in found:
            console.print(_card(paper), end="\n\n")
    else:
        console.print(_table(found, grouped=grouped))
    n = len(found)
    console.print(f"{n} paper{'' if n == 1 else 's'}; concordant cite NAME prints BibTeX", markup=False)


def _table(found: Sequence[Entry], *, grouped: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("paper", no_wrap=True)
    table.add_column("title", ratio=1)
    table.add_column("year", no_wrap=True)
    if not grouped:
        table.add_column("agrees with", no_wrap=True)
    table.add_column("claims", no_wrap=True)
    table.add_column("place")
    group = None
    for paper in found:
        if grouped and paper.counterpart != group:
            if group is not None:
                table.add_row("")
            group = paper.counterpart
            table.add_row(Text(group, style="bold"))
        cells = [paper.slug, paper.title, str(paper.year)]
        cells += [] if grouped else [paper.counterpart]
        cells += [_states(paper), paper.place.removeprefix("concordant.")]
        table.add_row(*map(Text, cells))
    return table


def _card(paper: Entry) -> Text:
    from rich.text import Text

    venue = f"{paper.venue} {paper.year}" if paper.venue else str(paper.year)
    arxiv = f", arXiv {paper.arxiv}" if paper.arxiv else ""
    part = f": {paper.part}" if paper.part else ""
    lines = [
        f"{', '.join(paper.authors)} ({venue}{arxiv})",
        paper.summary,
        f"Agrees with: {', '.join(paper.counterparts)}",
        *(f"Claim, {claim.state}: {claim.text}" for claim in paper.claims),
        f"Place: {paper.place}{part}",
        f"Limits: {paper.limits}",
        *([f"Note: {paper.note}"] if paper.note else []),
    ]
    return Text.assemble((f"{paper.slug}  ", "bold"), (paper.title, "bold"), *(f"\n{line}" for line in lines))


def _states(paper: Entry) -> str:
    """Say in which states the claims are: "not run", or "2 holds, 1 fails"."""
    from collections import Counter

    states = Counter(claim.state for claim in paper.claims)
    if len(states) == 1 and "not run" in states:
        return "not run"
    return ", ".join(f"{n} {state}" for state, n in states.items())
