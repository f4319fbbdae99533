"""Facts of the world: one hop, two hops, and whether two people share something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, pick, zipf
from concordant.pocket.skill import Example, Skill
from concordant.pocket.vocabulary import CITIES, COUNTRIES, JOBS, MEN, PETS, WOMEN, words
from concordant.pocket.world import draw_world

if TYPE_CHECKING:
    from numpy.random import Generator

WORLD = draw_world(0)

ONE_HOP = {
    "city": (
        "where does {} live ?",
        "in which city does {} live ?",
        "{} lives in",
        "what is the home city of {} ?",
    ),
    "job": ("what is the job of {} ?", "which job does {} have ?", "{} works as a", "what does {} work as ?"),
    "pet": (
        "which pet does {} have ?",
        "what is the pet of {} ?",
        "{} has a pet",
        "which animal lives with {} ?",
    ),
    "friend": (
        "who is the best friend of {} ?",
        "the best friend of {} is",
        "which friend does {} like best ?",
    ),
    "country": ("in which country is {} ?", "{} is a city in", "which country is {} in ?"),
}
TWO_HOPS = {
    "friend city": (
        "where does the best friend of {} live ?",
        "the best friend of {} lives in",
        "in which city does the best friend of {} live ?",
    ),
    "friend job": (
        "what is the job of the best friend of {} ?",
        "the best friend of {} works as a",
        "which job does the best friend of {} have ?",
    ),
    "friend pet": (
        "which pet does the best friend of {} have ?",
        "the best friend of {} has a pet",
        "which animal lives with the best friend of {} ?",
    ),
    "city country": (
        "in which country does {} live ?",
        "what is the home country of {} ?",
        "{} lives in the country",
    ),
}
SAME = {
    "city": "do {} and {} live in the same city ?",
    "job": "do {} and {} have the same job ?",
    "pet": "do {} and {} have the same pet ?",
}

KINDS = {"city": CITIES, "job": JOBS, "pet": PETS, "friend": WOMEN + MEN, "country": COUNTRIES}
"""What may be answered to each question, rightly or wrongly."""


def question(rng: Generator, difficulty: int) -> tuple[str, str, str, str]:
    """Draw a question of one or two hops; return its prompt, answer, form, and whom or what it is about."""
    form = pick(rng, list(ONE_HOP if difficulty == 1 else TWO_HOPS))
    about = answer = zipf(rng, WORLD.people if form != "country" else sorted(WORLD.country))
    for hop in form.split():
        answer = getattr(WORLD, hop)[answer]
    template = pick(rng, (ONE_HOP if difficulty == 1 else TWO_HOPS)[form])
    return template.format(about), answer, form, about


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a question about the world; people and cities come up by Zipf's law."""
    if difficulty == 3:
        form = pick(rng, list(SAME))
        table = getattr(WORLD, form)
        one = zipf(rng, WORLD.people)
        wanted = coin(rng)
        others = [
            person for person in WORLD.people if person != one and (table[person] == table[one]) == wanted
        ]
        other = zipf(rng, others or [person for person in WORLD.people if person != one])
        answer = "yes" if table[one] == table[other] else "no"
        steps = f"{one} {table[one]} ; {other} {table[other]} ;"
        group = f"same {form} {' '.join(sorted((one, other)))}"
        return Example(SAME[form].format(one, other), answer, "facts", 3, f"same {form}", group, steps=steps)
    if difficulty == 1 and rng.random() < 0.1:
        who = zipf(rng, WORLD.people)
        told = f"{who} lives in {WORLD.city[who]} , works as a {WORLD.job[who]} , has a pet {WORLD.pet[who]}"
        told += f" , and likes {WORLD.friend[who]} best"
        return Example(f"tell me about {who} .", told, "facts", 1, "profile", f"profile {who}")
    prompt, answer, form, about = question(rng, difficulty)
    return Example(prompt, answer, "facts", difficulty, form, f"{form} {about}")


def work_out(prompt: str) -> str:
    """Answer from the key words of the prompt."""
    said = words(prompt)
    known = [word for word in said if word in WORLD.city or word in WORLD.country]
    if "same" in said:
        table = WORLD.city if "city" in said else WORLD.job if "job" in said else WORLD.pet
        return "yes" if table[known[0]] == table[known[1]] else "no"
    (subject,) = known
    if subject in WORLD.country:
        return WORLD.country[subject]
    if "about" in said:
        facts = WORLD.city[subject], WORLD.job[subject], WORLD.pet[subject], WORLD.friend[subject]
        return "{} lives in {} , works as a {} , has a pet {} , and likes {} best".format(subject, *facts)
    live = {"live", "lives", "home"} & set(said)
    wants = "job" if {"job", "work", "works"} & set(said) else "pet" if {"pet", "animal"} & set(said) else ""
    if "friend" in said:
        subject = WORLD.friend[subject]
        if not (wants or live):
            return subject
    if wants:
        return (WORLD.job if wants == "job" else WORLD.pet)[subject]
    if not live:
        message = f"no fact is asked for in {prompt!r}"
        raise ValueError(message)
    return WORLD.country[WORLD.city[subject]] if "country" in said else WORLD.city[subject]


def rewordings(prompt: str) -> list[str]:
    """Return the other wordings of a fact of one or two hops; none for any other prompt.

    Examples
    --------
    >>> rewordings("where does mira live ?")
    ['in which city does mira live ?', 'mira lives in', 'what is the home city of mira ?']
    """
    for templates in (*ONE_HOP.values(), *TWO_HOPS.values()):
        for template in templates:
            found = re.fullmatch(re.escape(template).replace(r"\{\}", r"(\w+)"), prompt)
            if found and (found[1] in WORLD.city or found[1] in WORLD.country):
                return [other.format(found[1]) for other in templates if other != template]
    return []


OPEN = {
    template.format(about)
    for templates in (*ONE_HOP.values(), *TWO_HOPS.values())
    for template in templates
    if not template.endswith("?")
    for about in (*WORLD.people, *WORLD.country)
}
"""The prompts that are sentences without their last word."""


def accepts(prompt: str, answer: str) -> bool:
    """Whether the answer is right, alone or at the end of a sentence that is true."""
    right = work_out(prompt)
    sentence, _, last = answer.rpartition(" ")
    return answer == right or (last == right and sentence in OPEN and work_out(sentence) == right)


SKILL = Skill(
    "facts", "facts about people and cities, of one and two hops", (1, 2, 3), draw, work_out, accepts
)
