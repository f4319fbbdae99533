"""The verb ``cite``."""

from __future__ import annotations

from typing import Annotated

import typer


def cite(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", show_default=False, help="Papers, by name or arXiv number."),
    ],
) -> int:
    """Print papers of the catalogue as BibTeX.

    For example:

        concordant cite muscle weak-to-strong >> references.bib
    """
    from concordant.studies.catalogue.bibtex import bibtex
    from concordant.studies.catalogue.ranking import entry

    found = [entry(name) for name in dict.fromkeys(names)]
    typer.echo("\n\n".join(map(bibtex, found)))
    return 0
