"""Multiple choice over the facts: the same questions with four options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.pocket.draws import several
from concordant.pocket.skill import Example, Skill
from concordant.pocket.skills import facts

if TYPE_CHECKING:
    from numpy.random import Generator


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a question of one hop (difficulty 1) or two (2), three wrong options of the same kind."""
    prompt, answer, form, about = facts.question(rng, difficulty)
    same_kind = facts.KINDS[form.split()[-1]]
    wrong = several(rng, [option for option in same_kind if option not in (answer, about)], 3)
    choices = tuple(several(rng, [answer, *wrong], 4))
    return Example(prompt, answer, "choice", difficulty, form, f"{form} {about}", choices)


SKILL = Skill("choice", "the facts with four options", (1, 2), draw, facts.work_out, facts.accepts)
