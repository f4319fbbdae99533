"""Ordering: numbers by size, and people by who is taller than whom."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number, pick, several
from concordant.pocket.skill import Example, Skill, numbers
from concordant.pocket.vocabulary import MEN, WOMEN

if TYPE_CHECKING:
    from numpy.random import Generator


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a list of 2, 3, ... numbers to sort, or as many people plus one in a chain of comparisons."""
    n = difficulty + 2
    if coin(rng):
        listed = several(rng, range(100), n)
        up = coin(rng)
        ways = "small to large" if up else "large to small"
        answer = " , ".join(str(value) for value in sorted(listed, reverse=not up))
        prompt = f"order from {ways} : {' , '.join(str(value) for value in listed)} ."
        return Example(prompt, answer, "ordering", difficulty, "numbers", prompt)
    people = several(rng, WOMEN + MEN, n)  # the tallest first
    said = [
        f"{tall} is taller than {short} ." if coin(rng) else f"{short} is smaller than {tall} ."
        for tall, short in pairwise(people)
    ]
    form, rank = pick(rng, (("tallest", 0), ("smallest", n - 1)))
    if difficulty > 1 and coin(rng):
        rank = number(rng, 1, n)
        form, rank = f"number {rank} from the top", rank - 1
    prompt = f"{' '.join(several(rng, said, len(said)))} who is {'' if 'top' in form else 'the '}{form} ?"
    steps = " > ".join(people) + " ;"
    return Example(prompt, people[rank], "ordering", difficulty, "people", prompt, steps=steps)


def work_out(prompt: str) -> str:
    """Sort the numbers, or count for each person how many are smaller."""
    if prompt.startswith("order from"):
        found = sorted(numbers(prompt))
        return " , ".join(str(value) for value in (found if "small to large" in prompt else found[::-1]))
    pairs = {(a, b) for a, b in re.findall(r"(\w+) is taller than (\w+)", prompt)}
    pairs |= {(b, a) for a, b in re.findall(r"(\w+) is smaller than (\w+)", prompt)}
    people: set[str] = {person for pair in pairs for person in pair}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    tallest_first = sorted(people, key=lambda person: -sum(tall == person for tall, _ in pairs))
    if "from the top" in prompt:
        return tallest_first[numbers(prompt)[0] - 1]
    return tallest_first[0 if "the tallest" in prompt else -1]


SKILL = Skill("ordering", "numbers by size, people by comparisons", (1, 2, 3), draw, work_out)
