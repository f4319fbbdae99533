"""Instruction styles: the same content said politely, briefly, loudly, or as a list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import number, pick, several
from concordant.pocket.skill import Example, Skill
from concordant.pocket.vocabulary import CITIES, COLOURS, JOBS, PETS

if TYPE_CHECKING:
    from numpy.random import Generator

KINDS = {"colours": COLOURS, "animals": PETS, "jobs": JOBS, "cities": CITIES}
INSTRUCTIONS = {
    "polite": "please be polite .",
    "brief": "be brief .",
    "loud": "be loud .",
    "listed": "make a list .",
}
OPENINGS = ("of course , with pleasure :", "thank you for asking :", "it is my pleasure :")
CLOSINGS = ("please ask me again", "have a nice day")


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw 1, 2 or 3 words (the difficulty) to find among others of another kind, and a style to say them in."""
    wanted, other = several(rng, list(KINDS), 2)
    right = several(rng, KINDS[wanted], difficulty)
    listed = several(rng, right + several(rng, KINDS[other], number(rng, 1, 4)), 99)
    right = [word for word in listed if word in right]
    style = pick(rng, list(INSTRUCTIONS))
    prompt = f"{INSTRUCTIONS[style]} which {wanted} do you see in : {' '.join(listed)} ?"
    opening, closing = pick(rng, OPENINGS), pick(rng, CLOSINGS)
    answer = {
        "polite": f"{opening} {' , '.join(right)} . {closing}",
        "brief": " , ".join(right),
        "loud": " ".join(f"{word} !" for word in right),
        "listed": " ".join(f"( {i} ) {word}" for i, word in enumerate(right, 1)),
    }[style]
    return Example(prompt, answer, "styles", difficulty, style, prompt.partition(" which ")[2])


def style_of(answer: str) -> str:
    """Return the style of an answer, empty where it has none of them.

    Examples
    --------
    >>> style_of("red ! blue !"), style_of("( 1 ) red"), style_of("red , blue"), style_of("red blue !")
    ('loud', 'listed', 'brief', '')
    """
    if any(answer.startswith(start) for start in OPENINGS) and any(answer.endswith(end) for end in CLOSINGS):
        return "polite"
    patterns = {"loud": r"(\w+ ! ?)+", "listed": r"(\( \d+ \) \w+ ?)+", "brief": r"\w+( , \w+)*"}
    return next((style for style, pattern in patterns.items() if re.fullmatch(pattern, answer)), "")


def named(answer: str) -> list[str]:
    """Return the words of any of the kinds that an answer names, in order."""
    return [word for word in answer.split() if any(word in kind for kind in KINDS.values())]


def _asked(prompt: str) -> tuple[str, list[str]]:
    (style,) = [style for style, words in INSTRUCTIONS.items() if prompt.startswith(words)]
    ((kind, listed),) = re.findall(r"which (\w+) do you see in : (.+) \?", prompt)
    return style, [word for word in listed.split() if word in KINDS[kind]]


def work_out(prompt: str) -> str:
    """Filter the list by kind and write it in the style."""
    style, right = _asked(prompt)
    if style == "polite":
        return f"{OPENINGS[0]} {' , '.join(right)} . {CLOSINGS[0]}"
    if style == "listed":
        return " ".join(f"( {i + 1} ) {right[i]}" for i in range(len(right)))
    return " , ".join(right) if style == "brief" else " ! ".join(right) + " !"


def accepts(prompt: str, answer: str) -> bool:
    """Whether the answer names the right words, in any order, in the style asked for."""
    style, right = _asked(prompt)
    if style == "listed" and re.findall(r"\( (\d+) \)", answer) != [str(i + 1) for i in range(len(right))]:
        return False
    return style_of(answer) == style and sorted(named(answer)) == sorted(right)


SKILL = Skill("styles", "say it politely, briefly, loudly, or as a list", (1, 2, 3), draw, work_out, accepts)
