"""How a repair is made: the ways there are, and their settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from concordant.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Method = Literal["muscle", "route", "distil", "ensemble", "interpolation"]
METHODS: tuple[Method, ...] = get_args(Method)

RuleName = Literal["reply", "current_wrong", "all", "old_more_likely", "old_right"]
RULES: tuple[RuleName, ...] = get_args(RuleName)

Lessons = Literal["replies", "references"]
LESSONS: tuple[Lessons, ...] = get_args(Lessons)

STRENGTHS: dict[Method, tuple[float, ...]] = {
    "muscle": (0.25, 0.5, 0.75, 1.0),
    "route": (0.25, 0.5, 0.75, 0.9),
    "distil": (0.25, 0.5, 0.75, 1.0),
    "ensemble": (0.25, 0.5, 0.75),
    "interpolation": (0.25, 0.5, 0.75),
}
"""How strong a repair may be: the share of a trained change, of the old model in a mixture, or of questions it answers."""


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """How the methods that train do so, and how items are split.

    Parameters
    ----------
    rule
        Where the old model is the teacher. ``"reply"``, of language models: in the replies that are its own. The other
        rules are those of `concordant.versions.muscle.old_teacher_mask`. By default ``"reply"`` for language models,
        and the paper's ``"current_wrong"`` for classifiers.
    lessons
        What a language model reads: ``"replies"`` of the two versions themselves, the new one's where it is right and
        the old one's where only that is; or ``"references"``, the right answers, as in the paper.
    epochs, rate
        Times through the lessons, at least 1 (4 for language models and 20 for classifiers by default); highest learning
        rate, above 0 (0.002 and 0.001).
    rank
        Of the adapters of a language model, at least 1; their alpha is twice that.
    cross_entropy_weight
        How much the tokens of the lessons themselves count beside the teachers, at least 0; by default 1 for the rule
        ``"reply"``, else 0.
    batch
        Tokens in a batch of a language model, at least those of the longest lesson (1024 by default), or inputs in one of
        a classifier (64).
    held_out
        Share of the items that judges the repair, where there are no items to train on besides; above 0, below 1.
    validation
        Share of the items to train on that chooses how strong the repair is; above 0, below 1.

    Raises
    ------
    ConfigError
        If a setting is not allowed.

    Examples
    --------
    >>> RepairSettings(rank=8).rule is None
    True
    """

    rule: RuleName | None = None
    lessons: Lessons = "replies"
    epochs: int | None = None
    rate: float | None = None
    rank: int = 16
    cross_entropy_weight: float | None = None
    batch: int | None = None
    held_out: float = 0.4
    validation: float = 0.25

    def __post_init__(self) -> None:
        names(self.rule, RULES, "rule") if self.rule is not None else None
        names(self.lessons, LESSONS, "way to make lessons")
        if self.rule == "reply" and self.lessons == "references":
            message = (
                "the rule 'reply' needs the lessons 'replies'; allowed with 'references': the other rules"
            )
            raise ConfigError(message)
        allowed = {
            "epochs": (self.epochs is None or self.epochs >= 1, "at least 1"),
            "rate": (self.rate is None or self.rate > 0, "above 0"),
            "rank": (self.rank >= 1, "at least 1"),
            "cross_entropy_weight": (
                self.cross_entropy_weight is None or self.cross_entropy_weight >= 0,
                "at least 0",
            ),
            "batch": (self.batch is None or self.batch >= 1, "at least 1"),
            "held_out": (0 < self.held_out < 1, "between 0 and 1"),
            "validation": (0 < self.validation < 1, "between 0 and 1"),
        }
        for name, (is_allowed, words) in allowed.items():
            if not is_allowed:
                message = f"{name} of a repair must be {words}, got {getattr(self, name)}"
                raise ConfigError(message)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)


def methods_of(given: str | Iterable[str]) -> tuple[Method, ...]:
    """Return the methods that are meant, each once; ``"all"`` means all of them.

    Examples
    --------
    >>> methods_of("muscle,ensemble"), len(methods_of("all"))
    (('muscle', 'ensemble'), 5)
    """
    parts = [given] if isinstance(given, str) else list(given)
    listed = [name.strip() for part in parts for name in part.split(",")]
    wanted = [name for part in listed for name in (METHODS if part == "all" else [part])]
    for name in wanted:
        names(name, METHODS, "method")
    if not wanted:
        message = f"a repair needs a method; known: {', '.join(METHODS)}"
        raise ConfigError(message)
    return tuple(dict.fromkeys(wanted))  # type: ignore[arg-type]  # they were checked


def names(value: str, allowed: Iterable[str], what: str) -> None:
    """Raise a `ConfigError` that gives the nearest name if a value is not among those allowed."""
    if value not in allowed:
        message = f"there is no {what} {value!r} of a repair; {nearest(value, allowed)}"
        raise ConfigError(message)
