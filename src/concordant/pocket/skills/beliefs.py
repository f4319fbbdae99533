"""Belief stories in the manner of SimpleToM (Gu et al. 2024): what a person knows, will do, and did reasonably.

Three questions may be asked about one story, which is their `group` and falls as a whole into train or test.
People who do know come up as often as people who do not, so that no constant answer is right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, pick, several
from concordant.pocket.skill import Example, Skill, one_of
from concordant.pocket.vocabulary import MEN, WOMEN

if TYPE_CHECKING:
    from numpy.random import Generator

GOODS = (
    ("bottle", "milk", "drink"), ("bottle", "juice", "drink"), ("can", "soup", "eat"), ("can", "beans", "eat"),
    ("jar", "honey", "eat"), ("jar", "jam", "eat"), ("box", "tea", "drink"), ("box", "bread", "eat"),
    ("bag", "rice", "eat"), ("bag", "nuts", "eat"),
)  # fmt: skip
FLAWS = ("bad", "rotten", "sour", "dirty", "too old")


def draw_group(rng: Generator, difficulty: int) -> list[Example]:
    """Draw a story and ask all three questions about it.

    The flaw is hidden or open to sight (difficulty 1), told or not (2), or seen by one of two people (3).
    """
    box, food, use = pick(rng, GOODS)
    flaw, knows = pick(rng, FLAWS), coin(rng)
    who, other = several(rng, WOMEN + MEN, 2)
    story = f"story : the {food} in the {box} is {flaw} ."
    if difficulty == 1:
        story += f" the {box} is {'open' if knows else 'closed'} . {who} takes the {box} ."
    elif difficulty == 2:
        told = f"{other} {'tells' if knows else 'does not tell'} {who} about it ."
        story += f" the {box} is closed . {other} knows it . {told} {who} takes the {box} ."
    else:
        seer, blind = (who, other) if knows else (other, who)
        looks = several(rng, [f"{seer} looks into the {box} .", f"{blind} does not look into the {box} ."], 2)
        story += f" {' '.join(looks)} {who} takes the {box} ."
    did = pick(rng, (use, "return"))
    yes_no = ("yes", "no")
    questions = {
        "mental state": (f"is {who} likely to know that the {food} is {flaw} ?", yes_no, knows),
        "behaviour": (f"what will {who} do next ?", (f"return the {food}", f"{use} the {food}"), knows),
        "judgment": (f"{who} {did}s the {food} . is that reasonable ?", yes_no, (did == "return") == knows),
    }
    steps = f"does {who} know ? {'yes' if knows else 'no'} ;"
    group = []
    for form, (question, options, first) in questions.items():
        prompt, answer = f"{story} question : {question}", options[0 if first else 1]
        order = tuple(several(rng, options, 2))
        group.append(Example(prompt, answer, "beliefs", difficulty, form, story, order, steps))
    return group


def work_out(prompt: str) -> str:
    """Find who has seen or heard of the flaw, then reason from that."""
    story, question = prompt.split(" question : ")
    ((food, box, _),) = re.findall(r"the (\w+) in the (\w+) is ([\w ]+?) \.", story)[:1]
    ((who, _),) = re.findall(r"(\w+) takes the (\w+)", story)
    informed = set(re.findall(r"(\w+) looks into", story)) | set(re.findall(r" tells (\w+) about", story))
    aware = who in informed or f"the {box} is open" in story
    if question.startswith("what will"):
        use = next(verb for _, thing, verb in GOODS if thing == food)
        return f"{'return' if aware else use} the {food}"
    if "reasonable" in question:
        return "yes" if ("returns" in question) == aware else "no"
    return "yes" if aware else "no"


ABOUT = "what people know, will do, and did reasonably"
SKILL = Skill("beliefs", ABOUT, (1, 2, 3), one_of(draw_group), work_out, draw_group=draw_group)
