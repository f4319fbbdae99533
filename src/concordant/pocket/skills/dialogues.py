"""Dialogues whose next line of the user shows satisfaction (compare Zhang et al. 2025 on follow-ups).

The helper's answer is right as often as wrong. `GOOD` and `BAD` are the follow-ups whose likelihood can serve as
a reward.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number, pick
from concordant.pocket.skill import Example, Skill, numbers
from concordant.pocket.skills import facts

if TYPE_CHECKING:
    from numpy.random import Generator

GOOD = (
    "thank you , that is right", "great , well done", "perfect , i like it", "yes , that helps me",
    "good answer , thank you", "that is just what i asked",
)  # fmt: skip
BAD = (
    "no , that is wrong", "sorry , that is not right", "bad answer , try again", "that does not help me",
    "i do not like it", "that is not what i asked",
)  # fmt: skip


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a sum up to 20 (difficulty 1), a fact of one hop (2) or of two (3), answered rightly or wrongly."""
    if difficulty == 1:
        total = number(rng, 0, 20)
        a = number(rng, 0, total)
        question, right, form = f"what is {a} + {total - a} ?", str(total), "sum"
        others = [str(n) for n in range(21)]
    else:
        question, right, form, _ = facts.question(rng, difficulty - 1)
        others = list(facts.KINDS[form.split()[-1]])
    good = coin(rng)
    said = right if good else pick(rng, [other for other in others if other != right])
    prompt = f"user : {question} helper : {said} . what does the user say next ?"
    follow_up = pick(rng, GOOD if good else BAD)
    return Example(prompt, follow_up, "dialogues", difficulty, form, question)


def satisfied(prompt: str) -> bool:
    """Whether the helper's answer is right, so that the user is satisfied."""
    ((question, said),) = re.findall(r"user : (.+) helper : (.+) \. what does", prompt)
    right = str(sum(numbers(question))) if "+" in question else facts.work_out(question)
    return bool(said == right)


def work_out(prompt: str) -> str:
    """Check the helper's answer."""
    return (GOOD if satisfied(prompt) else BAD)[0]


def accepts(prompt: str, answer: str) -> bool:
    """Whether the follow-up shows what the answer deserves."""
    return answer in (GOOD if satisfied(prompt) else BAD)


SKILL = Skill(
    "dialogues", "what a user says after a right or wrong answer", (1, 2, 3), draw, work_out, accepts
)
