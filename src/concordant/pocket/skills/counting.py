"""Counting: how often a word stands in a list, or how many of a list are of a kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number, pick, several
from concordant.pocket.skill import Example, Skill
from concordant.pocket.vocabulary import CITIES, COLOURS, JOBS, PETS

if TYPE_CHECKING:
    from numpy.random import Generator

KINDS = {"animals": PETS, "colours": COLOURS, "cities": CITIES, "jobs": JOBS}


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a list of up to 5 (difficulty 1), 9 (2) or 14 (3) words and what to count in it."""
    n = number(rng, 3, (5, 9, 14)[difficulty - 1])
    count = number(rng, 0, n)
    if coin(rng):
        target, *others = several(rng, COLOURS, 4)
        listed = [target] * count + [pick(rng, others) for _ in range(n - count)]
        form, asked = "word", f"how many times does {target} occur in"
    else:
        form = "kind"
        target, other = several(rng, list(KINDS), 2)
        listed = [pick(rng, KINDS[target]) for _ in range(count)] + [
            pick(rng, KINDS[other]) for _ in range(n - count)
        ]
        asked = f"how many {target} are in"
    prompt = f"{asked} : {' '.join(several(rng, listed, n))} ?"
    return Example(prompt, str(count), "counting", difficulty, form, prompt)


def work_out(prompt: str) -> str:
    """Count in what stands between the colon and the question mark."""
    question, listed = prompt.removesuffix(" ?").split(" : ")
    if "occur" in question:
        (target,) = re.findall(r"does (\w+) occur", question)
        return str(listed.split().count(target))
    kind = KINDS[question.split()[2]]
    return str(sum(word in kind for word in listed.split()))


SKILL = Skill("counting", "words, and words of a kind, in a list", (1, 2, 3), draw, work_out)
