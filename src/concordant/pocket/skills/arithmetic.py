"""Arithmetic in one go: sums, differences, products, quotients, with every number from 0 to 99."""

from __future__ import annotations

import re
from operator import add, floordiv, mul, sub
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number
from concordant.pocket.skill import Example, Skill, numbers

if TYPE_CHECKING:
    from numpy.random import Generator


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a sum or difference up to 20 (difficulty 1) or 99 (2), or a product or quotient (3)."""
    if difficulty == 3:
        b = number(rng, 1, 12)
        a = number(rng, 0, 99 // b)
        if coin(rng):
            prompt, answer, form = f"what is {a} * {b} ?", a * b, "product"
        else:
            prompt, answer, form = f"what is {a * b} / {b} ?", a, "quotient"
    else:
        total = number(rng, 0, 20 if difficulty == 1 else 99)
        part = number(rng, 0, total)
        if coin(rng):
            prompt, answer, form = f"what is {part} + {total - part} ?", total, "sum"
        else:
            prompt, answer, form = f"what is {total} - {part} ?", total - part, "difference"
    return Example(prompt, str(answer), "arithmetic", difficulty, form, prompt)


def work_out(prompt: str) -> str:
    """Read the two numbers and the sign between them."""
    a, b = numbers(prompt)
    (sign,) = re.findall(r"\d ([-+*/]) \d", prompt)
    return str({"+": add, "-": sub, "*": mul, "/": floordiv}[sign](a, b))


def accepts(prompt: str, answer: str) -> bool:
    """Whether the answer is right, alone or behind the sum that was asked."""
    asked = prompt.removeprefix("what is ").removesuffix(" ?")
    return answer.removeprefix(f"{asked} = ") == work_out(prompt)


ABOUT = "sums, differences, products and quotients in one go"
SKILL = Skill("arithmetic", ABOUT, (1, 2, 3), draw, work_out, accepts)
