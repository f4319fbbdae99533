"""Countdown: reach a target with each given number once (compare Gandhi et al. 2025); the steps show a search."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from typing import TYPE_CHECKING

from concordant.pocket.draws import number, pick, several
from concordant.pocket.skill import Example, Skill, numbers
from concordant.pocket.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator

OPERATORS = ("+", "-", "*", "/")


def apply(a: Fraction, operator: str, b: Fraction) -> Fraction:
    """Apply an operator; ValueError where it divides by zero."""
    if operator == "/":
        if b == 0:
            message = "division by zero"
            raise ValueError(message)
        return a / b
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def value_of(expression: str) -> Fraction:
    """Return the exact value of an expression with brackets, products before sums; ValueError where it is none.

    Examples
    --------
    >>> value_of("( 3 + 5 ) * 7 / 2")
    Fraction(28, 1)
    """
    rest = words(expression)[::-1]

    def atom() -> Fraction:
        word = rest.pop() if rest else ""
        if word == "(":
            inside = chain("+-", lambda: chain("*/", atom))
            if not rest or rest.pop() != ")":
                message = f"a bracket is not closed in {expression!r}"
                raise ValueError(message)
            return inside
        return Fraction(int(word))

    def chain(operators: str, part: Callable[[], Fraction]) -> Fraction:
        value = part()
        while rest and rest[-1] in operators:
            value = apply(value, rest.pop(), part())
        return value

    value = chain("+-", lambda: chain("*/", atom))
    if rest:
        message = f"{expression!r} is not one expression"
        raise ValueError(message)
    return value


def searched(given: list[int], target: int) -> Iterator[tuple[str, bool]]:
    """Go through left-to-right expressions with whole intermediate results from 0 to 99; say which hit the target."""
    for order in permutations(given):
        for signs in product("+-*", repeat=len(given) - 1):
            text, value = str(order[0]), order[0]
            for i, (sign, b) in enumerate(zip(signs, order[1:], strict=True)):
                text = f"( {text} ) {sign} {b}" if i else f"{text} {sign} {b}"
                value = value + b if sign == "+" else value - b if sign == "-" else value * b
                if not 0 <= value <= 99:
                    break
            else:
                yield f"{text} = {value}", value == target


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw 2 numbers up to 20 (difficulty 1), or 3 (2) or 4 (3) up to 9, and a target that they reach, from 0 to 99."""
    given = [number(rng, 1, 20 if difficulty == 1 else 9) for _ in range(difficulty + 1)]
    reached = list(dict.fromkeys(text for text, _ in searched(given, 0)))
    hit, target = pick(rng, reached).split(" = ")
    misses = [text for text in reached if not text.endswith(f" = {target}")]
    tried = [f"{text} no ;" for text in several(rng, misses, number(rng, 0, 2))]
    steps = " ".join([*tried, f"{hit} = {target} yes ;"])
    prompt = f"use {' '.join(map(str, given))} to make {target} ."
    return Example(prompt, hit, "countdown", difficulty, "countdown", prompt, steps=steps)


def work_out(prompt: str) -> str:
    """Search by joining any two numbers until one is left."""
    *given, target = numbers(prompt)
    found = _join([(Fraction(n), str(n)) for n in given], Fraction(target))
    if found is None:
        message = f"{target} cannot be reached"
        raise ValueError(message)
    return found


def _join(have: list[tuple[Fraction, str]], target: Fraction) -> str | None:
    if len(have) == 1:
        return have[0][1][2:-2] if have[0][0] == target else None  # without the outermost brackets
    for (i, (a, left)), (j, (b, right)) in permutations(enumerate(have), 2):
        others = [part for k, part in enumerate(have) if k not in (i, j)]
        for operator in OPERATORS:
            if (operator in "+*" and i > j) or (operator == "/" and b == 0):
                continue
            joined = (apply(a, operator, b), f"( {left} {operator} {right} )")
            if found := _join([*others, joined], target):
                return found
    return None


def accepts(prompt: str, answer: str) -> bool:
    """Whether an expression, perhaps followed by ``= target``, uses the numbers once each and hits the target."""
    *given, target = numbers(prompt)
    expression, equals, claimed = answer.partition(" = ")
    if sorted(numbers(expression)) != sorted(given) or (equals and claimed != str(target)):
        return False
    try:
        return value_of(expression) == target
    except ValueError:
        return False


SKILL = Skill("countdown", "reach a target with each number once", (1, 2, 3), draw, work_out, accepts)
