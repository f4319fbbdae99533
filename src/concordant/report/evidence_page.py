"""The page of evidence, docs/evidence.md: what the recorded results of the studies say, and nothing typed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.report.figures import UNKNOWN, decimals, number
from concordant.report.files import write_text
from concordant.report.study_words import claim_texts, compared, counted, duration, tally, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


HEAD = (
    "paper and claim",
    "compared",
    "baseline",
    "difference",
    "95 % interval",
    "n",
    "minutes",
    "state",
    "of all",
)


def write(path: Path) -> None:
    """Write the page from the results that come with this package; `StoreError` where it cannot be written."""
    from concordant.studies.evidence.records import recorded

    write_text(path, evidence_page(recorded()))


def evidence_page(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    documents
        Results by slug, as `StudyResult.to_dict` gives them.

    Examples
    --------
    >>> print(evidence_page({}).splitlines()[0])
    # Evidence
    """
    from concordant.studies.catalogue.entries import load
    from concordant.studies.registry import study_names

    papers = load()
    waiting = [name for name in study_names() if name in papers and name not in documents]
    blocks = [
        "# Evidence",
        "Written by `make evidence`; no figure here was typed by hand.",
        *(_findings(documents) if documents else ["No study has been run yet."]),
        "## Not run",
        _not_run(len(papers) - len(documents), waiting),
        "## How to reproduce it",
        _how(),
    ]
    return "\n\n".join(blocks) + "\n"


def _findings(documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    from concordant.studies.decisions import holm_states

    claims = [(document, claim) for document in documents.values() for claim in document["claims"]]
    family = holm_states([(claim["p_holds"], claim["p_fails"]) for _, claim in claims])
    rows = [
        [
            f"`{document['study']}`: {_claim_text(document, claim)}",
            f"`{compared(claim['better'], claim['than'], claim['direction'], claim['margin'])}`",
            _cell(document["baseline"]),
            *_figures(claim),
            f"{document['seconds'] / 60:.1f}",
            f"**{claim['state']}**" + (f"; {_cell(claim['why'])}" if claim["why"] else ""),
            together,
        ]
        for (document, claim), together in zip(claims, family, strict=True)
    ]
    states = [claim["state"] for _, claim in claims]
    return [
        f"{counted(len(documents), 'papers')} with {tally(states)}.",
        "The difference is that of the method and its baseline on the same seeds, positive in the claim's favour. A claim "
        "*holds* when the whole interval of the mean difference lies above the margin, *fails* when it lies below, and is "
        "*undecided* otherwise. Claims that fail are listed like those that hold. Minutes are those of one core for all "
        "seeds of the study.",
        f"Each claim is judged by itself at 95 %; there {'is' if len(claims) == 1 else 'are'} {len(claims)} of them, and "
        "among many some are decided by chance. The last column has the states when all of them are judged as one family "
        "(Holm).",
        _table(HEAD, rows),
        "## Where the numbers come from",
        _table(
            ("study", "title", "seeds", "time", "machine", "versions", "commit"),
            [_origin(d) for d in documents.values()],
        ),
    ]


def _figures(claim: Mapping[str, Any]) -> list[str]:
    low, high = claim["low"], claim["high"]
    known = low is not None and high is not None
    places = decimals(low, high) if known else 3
    ends = f"{number(low, places, signed=True)} to {number(high, places, signed=True)}" if known else UNKNOWN
    return [number(claim["difference"], places, signed=True), ends, counted(claim["n"], claim["over"])]


def _origin(document: Mapping[str, Any]) -> list[str]:
    versions = dict(pair for found in document["versions"] for pair in found.items())
    return [
        f"`{document['study']}`",
        _cell(title_of(document["study"])),
        ", ".join(map(str, document["seeds"])),
        duration(document["seconds"]),
        _cell(document["machine"]),
        _cell(", ".join(f"{name} {found}" for name, found in versions.items())),
        f"`{document['commit']}`" if document["commit"] else UNKNOWN,
    ]


def _not_run(n: int, waiting: Sequence[str]) -> str:
    have = "has" if n == 1 else "have"
    said = f"{counted(n, 'papers')} of the catalogue {have} not been run; `concordant papers` lists them."
    if waiting:
        names = ", ".join(f"`{name}`" for name in waiting)
        said += f" Of these there is a study of {names}."
    return said


def _how() -> str:
    return (
        "```console\n$ make evidence\n$ concordant study NAME --fresh\n```\n\n"
        "The first runs every study at pocket scale with seeds 0 to 4 and writes this page; the second runs one of them "
        "anew. A study is tuned on other seeds than those it reports. [Studies](studies.md) says how claims are decided."
    )


def _claim_text(document: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    return _cell(claim_texts(document["study"]).get(claim["id"], claim["id"]))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = {"difference", "95 % interval", "n", "minutes"}
    rule = ["--:" if name in right else ":--" for name in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
