"""Gambles: which of two machines pays more on average (compare Liu et al. 2024 on choices of people)."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from concordant.pocket.draws import number, several
from concordant.pocket.skill import Example, Skill

if TYPE_CHECKING:
    from numpy.random import Generator


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a sure sum and a gamble (difficulty 1), two gambles (2), or two with two prizes each (3)."""
    while True:
        (one, first), (two, second) = (_machine(rng, kind) for kind in _kinds(rng, difficulty))
        if first != second:
            break
    prompt = f"left pays {one} . right pays {two} . which pays more on average ?"
    answer = "left" if first > second else "right"
    choices = tuple(several(rng, ("left", "right"), 2))
    return Example(prompt, answer, "gambles", difficulty, "expected value", prompt, choices)


def _kinds(rng: Generator, difficulty: int) -> list[int]:
    return [several(rng, (0, 1), 2), [1, 1], [2, 2]][difficulty - 1]


def _machine(rng: Generator, prizes: int) -> tuple[str, int]:
    """Return what a machine pays, as text, and 10 times its mean."""
    if prizes == 0:
        sure = number(rng, 1, 50)
        return f"{sure} for sure", 10 * sure
    first, second, tenths = number(rng, 1, 99), number(rng, 1, 99), number(rng, 1, 9)
    text = f"{first} with {10 * tenths} %"
    if prizes == 1:
        return text, first * tenths
    return f"{text} and {second} with {100 - 10 * tenths} %", first * tenths + second * (10 - tenths)


def work_out(prompt: str) -> str:
    """Take the mean of the prizes of each machine."""
    means = {}
    for side, offer in re.findall(r"(left|right) pays (.+?) \.", prompt):
        prizes = re.findall(r"(\d+) with (\d+) %", offer) or [(offer.split()[0], "100")]
        means[side] = sum(Fraction(int(prize) * int(percent), 100) for prize, percent in prizes)
    return "left" if means["left"] > means["right"] else "right"


SKILL = Skill("gambles", "which of two machines pays more on average", (1, 2, 3), draw, work_out)
