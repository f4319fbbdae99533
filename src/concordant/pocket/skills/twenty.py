"""Twenty questions about the things of the world: judge, guess and ask (compare Zhang et al. 2024)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import number, pick, several, zipf
from concordant.pocket.skill import Example, Skill
from concordant.pocket.vocabulary import QUALITIES, THINGS
from concordant.pocket.world import draw_world

if TYPE_CHECKING:
    from numpy.random import Generator

TABLE = draw_world(0).qualities


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a question to the judge (difficulty 1), a last guess (2), or a next question to ask (3)."""
    if difficulty == 1:
        thing, quality = zipf(rng, THINGS), pick(rng, QUALITIES)
        prompt = f"think of the {thing} . is it {quality} ?"
        answer = "yes" if quality in TABLE[thing] else "no"
        return Example(prompt, answer, "twenty", 1, "judge", f"{thing} {quality}")
    thing = zipf(rng, THINGS)
    asked = several(rng, QUALITIES, number(rng, 5, 9) if difficulty == 2 else number(rng, 1, 4))
    left = list(THINGS)
    known = []
    for quality in asked:
        known.append(f"is it {quality} ? {'yes' if quality in TABLE[thing] else 'no'} .")
        left = [other for other in left if (quality in TABLE[other]) == (quality in TABLE[thing])]
    history = " ".join(known)
    if difficulty == 2 or len(left) == 1:
        prompt = f"{history} what is it ?"
        return Example(prompt, thing, "twenty", difficulty, "guess", history)
    halves = {
        quality: abs(2 * sum(quality in TABLE[other] for other in left) - len(left)) for quality in QUALITIES
    }
    best = min(halves, key=lambda quality: (halves[quality], quality))
    return Example(
        f"{history} what do you ask next ?", f"is it {best} ?", "twenty", difficulty, "ask", history
    )


def possible(history: str) -> set[str]:
    """Return the things that fit all the answers given so far.

    Examples
    --------
    >>> len(possible("")), possible("is it big ? yes .") & possible("is it big ? no .")
    (64, set())
    """
    known = re.findall(r"is it (\w+) \? (yes|no) \.", history)
    return {
        thing
        for thing in THINGS
        if all((quality in TABLE[thing]) == (said == "yes") for quality, said in known)
    }


def informative(history: str) -> dict[str, int]:
    """Return the questions that tell the possible things apart, each with the size of its smaller part."""
    left = possible(history)
    parts = {quality: sum(quality in TABLE[thing] for thing in left) for quality in QUALITIES}
    return {quality: min(n, len(left) - n) for quality, n in parts.items() if 0 < n < len(left)}


def work_out(prompt: str) -> str:
    """Look the answer up, name a thing that fits, or ask what splits the things most evenly."""
    judged = re.fullmatch(r"think of the (\w+) \. is it (\w+) \?", prompt)
    if judged:
        return "yes" if judged[2] in TABLE[judged[1]] else "no"
    if prompt.endswith("what is it ?"):
        return min(possible(prompt))
    if not prompt.endswith("what do you ask next ?"):
        message = f"neither a guess nor a question is asked for in {prompt!r}"
        raise ValueError(message)
    sizes = informative(prompt)
    return f"is it {max(sorted(sizes), key=lambda quality: sizes[quality])} ?"


def accepts(prompt: str, answer: str) -> bool:
    """Whether a guess fits all answers so far, or a question tells the possible things apart."""
    if prompt.endswith("what is it ?"):
        return answer in possible(prompt)
    if prompt.endswith("ask next ?"):
        asked = re.fullmatch(r"is it (\w+) \?", answer)
        return asked is not None and asked[1] in informative(prompt)
    return answer == work_out(prompt)


SKILL = Skill("twenty", "twenty questions: judge, guess, ask", (1, 2, 3), draw, work_out, accepts)
