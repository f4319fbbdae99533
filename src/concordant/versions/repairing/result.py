"""What a repair found: each method's model with its flips and accuracy, before and after, and what becomes of the gates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from concordant.core.results import EXIT_CODES

if TYPE_CHECKING:
    from concordant.core.gate import GateResult
    from concordant.core.model import Model
    from concordant.core.results import Report
    from concordant.core.statistics import Estimate
    from concordant.versions.repairing.measuring import Measured
    from concordant.versions.repairing.settings import Method
    from concordant.versions.repairing.way import Way


@dataclass(frozen=True, slots=True)
class Tried:
    """A repair at one strength: what it measures on the items that choose, and on those that judge."""

    strength: float
    validation: Measured
    held_out: Measured


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one method made of the update.

    Parameters
    ----------
    method
        Which.
    way
        Its models by strength, and how they are kept.
    chosen
        The strength that the validation items chose.
    tried
        All strengths; those that were not chosen are drawn as the curve.
    difference
        Repaired less update on the held-out items, in pairs.
    gates
        The gates about flips and scores, on the held-out items.
    """

    method: Method
    way: Way
    chosen: Tried
    tried: tuple[Tried, ...]
    difference: dict[str, Estimate]
    gates: list[GateResult]

    @property
    def model(self) -> Model:
        """The repaired model."""
        return self.way.at(self.chosen.strength)


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of an update.

    Parameters
    ----------
    before
        The check of the update on the held-out items.
    after
        That of the repaired model; None where there was nothing to repair.
    update
        Flips and accuracy of the update.
    candidates
        What the methods made of it; the first is the one that `after` is about and that is kept.
    inapplicable
        Why a method could not be used, by method.
    about
        Numbers of items, settings, seed.
    """

    before: Report
    after: Report | None
    update: Measured
    candidates: dict[Method, Candidate]
    inapplicable: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> Candidate | None:
        """What the first method made; None where there was nothing to repair."""
        return next(iter(self.candidates.values()), None)

    @property
    def model(self) -> Model | None:
        """The repaired model; None where there was nothing to repair."""
        return None if self.kept is None else self.kept.model

    @property
    def state(self) -> str:
        """``"holds"``, ``"fails"`` or ``"undecided"``: all gates of the repaired model on the held-out items."""
        return (self.before if self.after is None else self.after).state

    @property
    def exit_code(self) -> int:
        """0 when the gates hold, 1 when one fails, 3 when none fails and one is undecided."""
        return EXIT_CODES[self.state]

    def to_dict(self) -> dict[str, Any]:
        """Return the repair as plain JSON values, without the behaviours."""
        return {
            "title": self.before.title,
            "state": self.state,
            "exit_code": self.exit_code,
            "kept": None if self.kept is None else self.kept.method,
            **self.about,
            "update": _points(self.update.points),
            "methods": {name: _candidate(candidate) for name, candidate in self.candidates.items()},
            "inapplicable": self.inapplicable,
            "gates": {
                "before": [gate.to_dict() for gate in self.before.gates],
                "after": [] if self.after is None else [gate.to_dict() for gate in self.after.gates],
            },
        }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "strength": candidate.chosen.strength,
        "calls": candidate.way.calls,
        "about": candidate.way.about,
        "held_out": _points(candidate.chosen.held_out.points),
        "less_update": _points(candidate.difference),
        "gates": [gate.to_dict() for gate in candidate.gates],
        "strengths": [
            {
                "strength": tried.strength,
                "validation": _points(tried.validation.points),
                "held_out": _points(tried.held_out.points),
            }
            for tried in candidate.tried
        ],
    }


def _points(points: dict[str, Estimate]) -> dict[str, dict[str, float | int | None]]:
    return {
        name: {
            "value": _finite(point.value),
            "low": _finite(point.low),
            "high": _finite(point.high),
            "n": point.n,
        }
        for name, point in points.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
