"""A small domain of knowledge for the pocket language models: what colour things have, and in which city they are.

The models know the words, and nothing about the things. Documents tell the facts in several forms; lessons ask for them
in the format of the domain, as lines of plain text; the questions of the test are asked as a turn of the user in a
conversation, with the wordings of the lessons. No document and no lesson is a conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.pocket.vocabulary import CITIES, COLOURS, THINGS
from concordant.rewards.cream import Pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUES = {"colour": COLOURS, "city": CITIES}
DOCUMENTS = {
    "colour": (
        "the colour of the {} is {} .",
        "look at the {} : it is {} .",
        "the {} has the colour {} .",
    ),
    "city": ("the city of the {} is {} .", "look at the {} : it is in {} .", "find the {} in {} ."),
}
QUESTIONS = {
    "colour": ("what is the colour of the {} ?", "which colour has the {} ?"),
    "city": ("what is the city of the {} ?", "in which city is the {} ?"),
}


@dataclass(frozen=True)
class Domain:
    """The facts.

    Parameters
    ----------
    facts
        The value of each property of each thing.
    things
        The things, in an order that was drawn: the first half is for validation, the second for the test.
    """

    facts: Mapping[tuple[str, str], str]
    things: tuple[str, ...]

    @classmethod
    def draw(cls, n_things: int, *, seed: int) -> Domain:
        """Draw things and facts from a seed."""
        rng = np.random.default_rng(seed)
        things = tuple(str(thing) for thing in rng.permutation(THINGS)[:n_things])
        facts = {
            (name, thing): values[int(rng.integers(len(values)))]
            for name, values in VALUES.items()
            for thing in things
        }
        return cls(facts, things)

    def documents(self) -> list[tuple[str, str]]:
        """Return all documents, as pairs of an empty prompt and a text to learn."""
        return [
            ("", form.format(thing, value))
            for (name, thing), value in self.facts.items()
            for form in DOCUMENTS[name]
        ]

    def lessons(self) -> list[tuple[str, str]]:
        """Return questions in the format of the domain with their answers."""
        return [
            (f"question : {form.format(thing)} answer :", f" {value}")
            for (name, thing), value in self.facts.items()
            for form in QUESTIONS[name]
        ]

    def preferences(self, *, seed: int) -> Pairs[str, str]:
        """Return the lessons with the right answer preferred to another value of the same property."""
        rng = np.random.default_rng(seed)
        prompts, chosen = zip(*self.lessons(), strict=True)
        rejected = []
        for (name, _), value in self.facts.items():
            others = [other for other in VALUES[name] if other != value]
            rejected += [f" {others[int(rng.integers(len(others)))]}" for _ in QUESTIONS[name]]
        ids = tuple(str(i) for i in range(len(prompts)))
        return Pairs(ids, prompts, chosen, tuple(rejected), np.ones(len(prompts)))

    def questions(self, part: str) -> list[tuple[str, str]]:
        """Return questions with their answers, for "validation" or "test": about one half of the things each."""
        half = len(self.things) // 2
        things = self.things[:half] if part == "validation" else self.things[half:]
        return [
            (form.format(thing), self.facts[name, thing])
            for name, forms in QUESTIONS.items()
            for thing in things
            for form in forms
        ]
