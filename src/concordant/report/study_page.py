"""The page of studies: one self-contained HTML file with each claim's differences and each method's measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.report.bars import claim_bar
from concordant.report.charts import to_svg
from concordant.report.files import write_text
from concordant.report.html import whole_page
from concordant.report.sanitize import brief
from concordant.report.study_charts import study_spec
from concordant.report.study_words import (
    MAX_LINE,
    claim_row,
    counted,
    facts,
    interval_text,
    remarks,
    tally,
    title_of,
    value_text,
)
from concordant.report.telling import MARKS
from concordant.studies.catalogue.entries import load
from concordant.studies.study import method_and_metric

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from concordant.studies.results import StudyResult

GRAVEST = ("fails", "undecided", "holds")


def write(results: Sequence[StudyResult], path: str | Path) -> None:
    """Write the page of studies, at least one; `StoreError` where it cannot be written."""
    write_text(path, render(results))


def render(results: Sequence[StudyResult]) -> str:
    """Return the page of studies, of which each has at least one seed that was run through."""
    svgs = to_svg(study_spec(result, compact=narrow) for result in results for narrow in (False, True))
    states = [decision.state for result in results for decision in result.decisions]
    state = next((s for s in GRAVEST if s in states), "undecided")
    one = _line(title_of(results[0].study.slug) or results[0].study.about or results[0].study.slug)
    return whole_page(
        "study.html.j2",
        title=one if len(results) == 1 else counted(len(results), "studies"),
        state=state,
        mark=MARKS[state],
        marks=MARKS,
        verdict=f"{tally(states)}.",
        n_claims=len(states),
        studies=[_study(result) for result in results],
        charts={result.study.slug: svgs[2 * i : 2 * i + 2] for i, result in enumerate(results)},
    )


def _study(result: StudyResult) -> dict[str, Any]:
    slug = result.study.slug
    paper = load().get(slug)
    return {
        "slug": slug,
        "title": _line(title_of(slug) or result.study.about or slug),
        "paper": "" if paper is None else f"{_authors(paper.authors)} ({paper.year})",
        "summary": "" if paper is None else paper.summary,
        "limits": "" if paper is None else paper.limits,
        "baseline": _line(result.study.baseline),
        "facts": [_line(fact) for fact in facts(result)],
        "remarks": [_line(remark) for remark in remarks(result)],
        "claims": [
            {"row": claim_row(decision, slug), "bar": claim_bar(decision)} for decision in result.decisions
        ],
        "measured": [
            {
                "metric": metric,
                "method": method if x is None else f"{method} at {x}",
                "value": value_text(mean),
                "raw": f"{mean.value:.10g}",
                "interval": interval_text(mean),
                "n": mean.n,
            }
            for name, mean in result.measured().items()
            for method, metric, x in [method_and_metric(name)]
        ],
    }


def _authors(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} et al."


def _line(text: str) -> str:
    return brief(text, MAX_LINE)
