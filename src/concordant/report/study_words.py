"""What is said of studies, on every kind of page: titles, sentences and figures as texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.report.figures import MINUS, UNKNOWN, decimals, number
from concordant.report.sanitize import brief
from concordant.studies.catalogue.entries import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from concordant.core.statistics import Estimate
    from concordant.studies.decisions import Decision
    from concordant.studies.results import StudyResult

MAX_LINE = 300


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim as texts: its state, what it says, what was compared, and the figure.

    Parameters
    ----------
    id, state
        The claim, and what became of it.
    text
        Its sentence in the catalogue; empty where the paper is not in it.
    compared
        What was compared, and what the difference had to exceed.
    difference, interval, n
        The figure.
    why
        For an undecided claim, what would decide it.
    """

    id: str
    state: str
    text: str
    compared: str
    difference: str
    interval: str
    n: str
    why: str


def claim_row(decision: Decision, slug: str) -> ClaimRow:
    """Return a decision as texts.

    Parameters
    ----------
    decision
        The decision.
    slug
        Slug of its paper.
    """
    claim, estimate = decision.claim, decision.estimate
    return ClaimRow(
        id=claim.id,
        state=decision.state,
        text=claim_texts(slug).get(claim.id, ""),
        compared=compared(claim.better, claim.than, claim.direction, claim.margin),
        difference=value_text(estimate, signed=True),
        interval=interval_text(estimate, signed=True),
        n=counted(estimate.n, decision.unit),
        why=decision.why(),
    )


def title_of(slug: str) -> str:
    """Return the title of a paper of the catalogue; empty where it is not in it.

    Examples
    --------
    >>> title_of("muscle").split(":")[0]
    'MUSCLE'
    """
    paper = load().get(slug)
    return "" if paper is None else paper.title


def claim_texts(slug: str) -> dict[str, str]:
    """Return the sentences of a paper's claims by id."""
    paper = load().get(slug)
    return {} if paper is None else {claim.id: claim.text for claim in paper.claims}


def compared(better: str, than: str | float, direction: str, margin: float) -> str:
    """Return what a claim compares: the difference in its favour, and what it must exceed.

    Examples
    --------
    >>> compared("new.loss", "old.loss", "lower", 0.0), compared("new.score", 0.25, "higher", -0.01)
    ('old.loss − new.loss > 0', 'new.score − 0.25 > −0.01')
    """
    other = than if isinstance(than, str) else _plain(than)
    first, second = (better, other) if direction == "higher" else (other, better)
    return f"{first} {MINUS} {second} > {_plain(margin)}"


def value_text(estimate: Estimate, *, signed: bool = False) -> str:
    """Return a value with the digits that its interval warrants."""
    return number(estimate.value, _places(estimate), signed=signed)


def interval_text(estimate: Estimate, *, signed: bool = False) -> str:
    """Return an interval, or a dash where it is not known."""
    if not math.isfinite(estimate.low) and not math.isfinite(estimate.high):
        return UNKNOWN
    places = _places(estimate)
    return f"{number(estimate.low, places, signed=signed)} to {number(estimate.high, places, signed=signed)}"


def duration(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> duration(0.25), duration(48.2), duration(754), duration(9_000)
    ('0.2 s', '48 s', '13 min', '2.5 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(n: int, unit: str) -> str:
    """Return a number with its unit: ``1 seed``, ``12 units``."""
    return f"{n:,} {unit.removesuffix('s') if n == 1 else unit}"


def facts(result: StudyResult) -> list[str]:
    """Return how a study was run: scale, seeds, duration, machine, versions, commit."""
    seeds = list(result.results.values())
    if not seeds:
        return [f"{result.scale} scale"]
    versions = dict(pair for seed in seeds for pair in seed.versions.items())
    commits = dict.fromkeys(seed.commit for seed in seeds if seed.commit)
    return [
        f"{result.scale} scale",
        f"{'seed' if len(seeds) == 1 else 'seeds'} {_runs([seed.seed for seed in seeds])}",
        f"{duration(result.seconds)} of {counted(seeds[0].threads, 'threads')}",
        "; ".join(dict.fromkeys(seed.machine for seed in seeds)),
        ", ".join(f"{name} {found}" for name, found in versions.items()),
        *([f"commit {', '.join(commits)}"] if commits else []),
    ]


def remarks(result: StudyResult) -> list[str]:
    """Return what else is to be known: seeds that failed, that were there, that came from other code."""
    said = []
    for error, seeds in failures(result.errors).items():
        logs = ", ".join(
            str(path) for seed in seeds[:1] if (path := result.folder / f"seed-{seed}.log").exists()
        )
        where = f" ({logs})" if logs else ""
        said.append(f"{_seeds(seeds)} failed: {brief(error, MAX_LINE)}{where}")
    if result.stale:
        said.append(f"{_seeds(result.stale)} came from other code and {_were(result.stale)} run again")
    if result.kept:
        said.append(f"{_seeds(result.kept)} {_were(result.kept)} there already; --fresh runs them again")
    return said


def failures(errors: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the seeds that failed, by what went wrong."""
    found: dict[str, list[int]] = {}
    for seed, error in errors.items():
        found.setdefault(error, []).append(seed)
    return found


def tally(states: Iterable[str]) -> str:
    """Say how many claims are in which state.

    Examples
    --------
    >>> tally(["holds", "undecided", "holds"])
    '3 claims: 2 hold, 1 undecided'
    """
    states = list(states)
    verbs = {"holds": ("holds", "hold"), "fails": ("fails", "fail"), "undecided": ("undecided",) * 2}
    parts = [f"{n} {verbs[s][n != 1]}" for s in verbs if (n := states.count(s))]
    return f"{counted(len(states), 'claims')}: {', '.join(parts)}" if states else "no claim could be decided"


def _places(estimate: Estimate) -> int:
    return decimals(estimate.low, estimate.high)


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def _were(seeds: Sequence[int]) -> str:
    return "was" if len(seeds) == 1 else "were"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {_runs(seeds)}"


def _runs(seeds: Sequence[int]) -> str:
    """Return numbers with runs shortened: ``0 to 4, 7``."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{p[0]} to {p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in parts)
