"""What the released models are trained on: which skills, how often, and how the replies are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.pocket.sampling import examples
from concordant.pocket.skills import SKILLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from concordant.pocket.skill import Example


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix of training texts.

    Parameters
    ----------
    about
        One line for the model card.
    shares
        How many examples of each skill, relative to the others; a skill that is not named has none.
    worked
        How likely a reply shows its steps, for skills that have any; by skill.
    chat
        Whether a text is a conversation, of which the reply alone is learnt, or a line of plain text, all of
        which is.

    Raises
    ------
    ConfigError
        If a skill does not exist, or a number is out of range.
    """

    about: str
    shares: Mapping[str, float]
    worked: Mapping[str, float] = field(default_factory=dict)
    chat: bool = True

    def __post_init__(self) -> None:
        unknown = {*self.shares, *self.worked} - set(SKILLS)
        if unknown:
            message = f"a mix names the skills {', '.join(SKILLS)}; got {', '.join(sorted(unknown))}"
            raise ConfigError(message)
        if any(share < 0 for share in self.shares.values()) or sum(self.shares.values()) <= 0:
            message = f"the shares of a mix must not be negative, nor all 0; got {dict(self.shares)}"
            raise ConfigError(message)
        if any(not 0 <= chance <= 1 for chance in self.worked.values()):
            message = f"how likely steps are shown must lie in [0, 1]; got {dict(self.worked)}"
            raise ConfigError(message)

    def draw(self, n: int, *, seed: int) -> list[tuple[Example, bool]]:
        """Draw about `n` training examples in random order, each with whether its reply shows the steps.

        Parameters
        ----------
        n
            How many, at least 1; each skill gets its share, rounded.
        seed
            Decides everything.

        Examples
        --------
        >>> drawn = MIXES["chat-v1"].draw(200, seed=0)
        >>> sorted({example.skill for example, _ in drawn}) == sorted(SKILLS), any(worked for _, worked in drawn)
        (True, False)
        """
        total = sum(self.shares.values())
        rng = np.random.default_rng([seed, n])
        drawn: list[tuple[Example, bool]] = []
        for skill, share in self.shares.items():
            count = round(n * share / total)
            if count == 0:
                continue
            shown = rng.random(count) < self.worked.get(skill, 0.0)
            drawn += zip(examples([skill], count, seed=seed), shown.tolist(), strict=True)
        return [drawn[i] for i in rng.permutation(len(drawn))]


# Long prompts with a short reply teach little a token, so there are fewer of them.
_EVEN = dict.fromkeys(SKILLS, 1.0) | {"programs": 0.7, "games": 0.6, "facts": 1.5, "arithmetic": 1.5}
_STEPS = ("worked", "ordering", "siblings", "beliefs", "programs", "countdown")

MIXES: dict[str, Mix] = {
    "base": Mix(
        "lines of plain text from all skills, half of the replies with their steps",
        _EVEN | {"worked": 1.3},
        {**dict.fromkeys(_STEPS, 0.5), "facts": 0.5},
        chat=False,
    ),
    "chat-v1": Mix(
        "short replies without steps, and many facts",
        _EVEN | {"facts": 4.0, "choice": 3.0, "dialogues": 1.5, "styles": 1.5},
    ),
    "chat-v2": Mix(
        "the update of v1: replies show their steps, reasoning comes more often, facts, choices and styles less",
        _EVEN
        | {"choice": 1.5, "dialogues": 0.5, "styles": 0.5, "arithmetic": 2.0}
        | {"worked": 2.0, "programs": 1.0, "siblings": 1.5, "ordering": 1.5, "beliefs": 1.2},
        dict.fromkeys(_STEPS, 1.0),
    ),
}
"""The mixes of the released models. From v1 to v2 the average goes up, and what was left out gets worse."""
