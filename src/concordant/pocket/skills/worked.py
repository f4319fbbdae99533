"""Arithmetic step by step: tens and ones apart, or one operation after another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number
from concordant.pocket.skill import Example, Skill

if TYPE_CHECKING:
    from numpy.random import Generator


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a sum of two numbers (difficulty 1), or a chain of three (2) or four (3) numbers, from 0 to 99."""
    if difficulty == 1:
        total = number(rng, 20, 99)
        a = number(rng, 0, total)
        b = total - a
        ones, tens = a % 10 + b % 10, a // 10 * 10 + b // 10 * 10
        steps = f"{a % 10} + {b % 10} = {ones} ; {a - a % 10} + {b - b % 10} = {tens} ; {tens} + {ones} = {total} ;"
        prompt, form, value = f"{a} + {b}", "tens and ones", total
    else:
        value = number(rng, 0, 50)
        prompt, parts, form = str(value), [], "chain"
        for _ in range(difficulty):
            add = coin(rng) if 0 < value < 99 else value == 0
            b = number(rng, 0, 99 - value if add else value)
            after = value + b if add else value - b
            sign = "+" if add else "-"
            parts.append(f"{value} {sign} {b} = {after} ;")
            prompt, value = f"{prompt} {sign} {b}", after
        steps = " ".join(parts)
    prompt = f"work out {prompt} step by step ."
    return Example(prompt, str(value), "worked", difficulty, form, prompt, steps=steps)


def work_out(prompt: str) -> str:
    """Add up the signed numbers."""
    (chain,) = re.findall(r"work out (.+) step by step", prompt)
    return str(sum(int(sign + digits) for sign, digits in re.findall(r"([-+]?) ?(\d+)", chain)))


def accepts(prompt: str, answer: str) -> bool:
    """Whether the answer is right, alone or behind the chain that was asked."""
    asked = prompt.removeprefix("work out ").removesuffix(" step by step .")
    return answer.removeprefix(f"{asked} = ") == work_out(prompt)


SKILL = Skill("worked", "sums and chains of sums step by step", (1, 2, 3), draw, work_out, accepts)
