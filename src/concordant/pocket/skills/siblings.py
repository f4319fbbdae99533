"""Sibling puzzles in the manner of Alice in Wonderland (Nezhurina et al. 2024), with controls and variations.

The numbers are the variation and the form is the question: `group` names the numbers, so that one structure can
be compared over numbers and one pair of numbers over structures. Controls use the same nouns and need no step.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number, pick
from concordant.pocket.skill import Example, Skill, numbers, one_of
from concordant.pocket.vocabulary import MEN, WOMEN

if TYPE_CHECKING:
    from numpy.random import Generator

CONTROLS = {
    "total": "how many siblings does {who} have ?",
    "own brothers": "how many brothers does {who} have ?",
    "own sisters": "how many sisters does {who} have ?",
}
MAIN = {
    "sisters of brother": "how many sisters does {who} ' s brother have ?",
    "brothers of sister": "how many brothers does {who} ' s sister have ?",
    "sisters of sister": "how many sisters does {who} ' s sister have ?",
    "brothers of brother": "how many brothers does {who} ' s brother have ?",
}


def draw_group(rng: Generator, difficulty: int) -> list[Example]:
    """Draw a family and ask all controls (difficulty 1), all questions from a sibling's side (2), or for cousins (3)."""
    woman = coin(rng)
    who = pick(rng, WOMEN if woman else MEN)
    brothers, sisters = number(rng, 1, 10), number(rng, 1, 10)
    if difficulty == 3:
        return [_cousins(rng, who, brothers)]
    girls, boys = sisters + woman, brothers + (not woman)  # in the whole family
    answers = {
        "total": girls + boys - 1,
        "own brothers": brothers,
        "own sisters": sisters,
        "sisters of brother": girls,
        "brothers of sister": boys,
        "sisters of sister": girls - 1,
        "brothers of brother": boys - 1,
    }
    told = f"{who} has {brothers} brothers and {sisters} sisters ."
    group, steps = (
        f"siblings {brothers} {sisters}",
        f"girls {girls} , boys {boys} ;" if difficulty == 2 else None,
    )
    return [
        Example(
            f"{told} question : {asked.format(who=who)}",
            str(answers[form]),
            "siblings",
            difficulty,
            form,
            group,
            steps=steps,
        )
        for form, asked in (CONTROLS if difficulty == 1 else MAIN).items()
    ]


def _cousins(rng: Generator, who: str, brothers: int) -> Example:
    uncles, aunts, each = number(rng, 0, 5), number(rng, 1, 5), number(rng, 1, 5)
    told = f"{who} has {brothers} brothers . the mother of {who} has {uncles} brothers and {aunts} sisters ."
    prompt = f"{told} each of them has {each} children . how many cousins does {who} ' s brother have ?"
    both = uncles + aunts
    steps = f"{uncles} + {aunts} = {both} ; {both} * {each} = {both * each} ;"
    group = f"cousins {uncles} {aunts} {each}"
    return Example(prompt, str(both * each), "siblings", 3, "cousins", group, steps=steps)


def work_out(prompt: str) -> str:
    """List the children of the family one by one and count those that are asked for."""
    if "cousins" in prompt:
        uncles, aunts, each = numbers(prompt)[1:]
        return str(uncles * each + aunts * each)
    who = prompt.split()[0]
    brothers, sisters = numbers(prompt)
    family = [("brother", i) for i in range(brothers)] + [("sister", i) for i in range(sisters)]
    family.append(("sister" if who in WOMEN else "brother", -1))
    (wanted,) = re.findall(r"how many (\w+)s does", prompt)
    side = re.findall(r"' s (\w+) have", prompt)
    me = (side[0], 0) if side else family[-1]
    return str(sum(wanted in ("sibling", child[0]) for child in family if child != me))


ABOUT = "sibling puzzles with controls and variations"
SKILL = Skill("siblings", ABOUT, (1, 2, 3), one_of(draw_group), work_out, draw_group=draw_group)
