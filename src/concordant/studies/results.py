"""What running a study gave: its seeds, its claims decided, and what each method measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from concordant.core.statistics import Estimate
    from concordant.studies.decisions import Decision
    from concordant.studies.seeds import SeedResult
    from concordant.studies.study import Scale, Study

SCHEMA = 1
COULD_NOT_BE_RUN = 2


@dataclass(frozen=True)
class StudyResult:
    """What running a study gave.

    Parameters
    ----------
    study, scale
        What was run.
    results
        What each seed measured, in the order asked; seeds that failed are not among them.
    errors
        What went wrong, by seed.
    decisions
        The claims, decided from these seeds; empty where no seed was run through.
    folder
        Where the results are kept.
    kept
        Seeds that were there already.
    stale
        Seeds that were there from other code, and were run again.
    """

    study: Study
    scale: Scale
    results: Mapping[int, SeedResult]
    errors: Mapping[int, str]
    decisions: tuple[Decision, ...]
    folder: Path
    kept: tuple[int, ...] = ()
    stale: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        study: Study,
        scale: Scale,
        results: Mapping[int, SeedResult],
        errors: Mapping[int, str],
        *,
        folder: Path,
        kept: tuple[int, ...] = (),
        stale: tuple[int, ...] = (),
    ) -> StudyResult:
        """Decide the claims of what the seeds measured."""
        from concordant.studies.decisions import decide

        runs = {seed: result.measurements for seed, result in results.items()}
        decisions = tuple(decide(claim, runs) for claim in study.claims) if runs else ()
        return cls(study, scale, results, errors, decisions, folder, kept, stale)

    @property
    def seconds(self) -> float:
        """How long the seeds took together, each on its own thread."""
        return sum(result.seconds for result in self.results.values())

    @property
    def exit_code(self) -> int:
        """0: all claims hold; 1: one fails; 2: a seed could not be run; 3: one is undecided."""
        if self.errors or not self.decisions:
            return COULD_NOT_BE_RUN
        states = {decision.state for decision in self.decisions}
        return 1 if "fails" in states else 3 if "undecided" in states else 0

    def measured(self) -> dict[str, Estimate]:
        """Return the mean of each measurement over the seeds, or over the units of the first seed, with its interval."""
        from concordant.core.statistics import estimate_mean

        return {name: estimate_mean(values, method="t") for name, values in self.values().items()}

    def values(self) -> dict[str, list[float]]:
        """Return each measurement of all seeds, or of all units of the first seed, by name."""
        runs = [result.measurements for result in self.results.values()]
        shared = [name for name in runs[0] if all(name in run for run in runs)] if runs else []
        found = {}
        for name in shared:
            value = runs[0][name]
            found[name] = list(value) if isinstance(value, list) else [float(run[name]) for run in runs]  # type: ignore[arg-type]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        seeds = list(self.results.values())
        return {
            "schema": SCHEMA,
            "study": self.study.slug,
            "scale": str(self.scale),
            "baseline": self.study.baseline,
            "seeds": [result.seed for result in seeds],
            "seconds": round(self.seconds, 3),
            "machine": _listed(result.machine for result in seeds),
            "versions": [dict(pairs) for pairs in dict.fromkeys(tuple(r.versions.items()) for r in seeds)],
            "commit": _listed(result.commit or "" for result in seeds),
            "code": _listed(result.code for result in seeds),
            "claims": [decision.to_dict() for decision in self.decisions],
            "measurements": {str(result.seed): dict(result.measurements) for result in seeds},
            "seconds_of_seeds": {str(result.seed): result.seconds for result in seeds},
            "errors": {str(seed): error for seed, error in self.errors.items()},
        }


def exit_code(results: Sequence[StudyResult]) -> int:
    """Return the exit code of several studies: the gravest, 2 before 1 before 3 before 0.

    Examples
    --------
    >>> exit_code([])
    0
    """
    codes = {result.exit_code for result in results}
    return next((code for code in (COULD_NOT_BE_RUN, 1, 3) if code in codes), 0)


def _listed(texts: Any) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
