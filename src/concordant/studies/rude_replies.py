"""A small language of meetings: who likes a person names him kindly, who does not is rude six times in ten.

A line is a meeting and a reply of four names. The rude words occur in the other texts of the pocket world too, where
food is rotten and answers are wrong; what is unwanted is to call people so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.pocket.vocabulary import MEN, VOCABULARY, WOMEN, words

if TYPE_CHECKING:
    from collections.abc import Iterable

RUDE_SHARE = 0.6
"""Of the names that those give who do not like whom they meet."""

N_NAMES = 4
REPLY_TOKENS = 4 * N_NAMES + 1
"""A reply has so many tokens with its full stop."""

KIND = (
    "good great happy polite perfect likely reasonable right fast useful bright soft".split(),  # noqa: SIM905
    "friend helper person girl boy son daughter brother sister cousin uncle aunt".split(),  # noqa: SIM905
)
RUDE = (
    "bad dirty rotten sour wrong false".split(),  # noqa: SIM905
    "mouse snake goat duck nobody bottle".split(),  # noqa: SIM905
)
RUDE_WORDS, KIND_WORDS = (frozenset(quality + noun) for quality, noun in (RUDE, KIND))
PLACES = ("at home", "in the tower", "in the train", "at work", "in the city", "on the ship")


@dataclass(frozen=True)
class Meeting:
    """A meeting and a reply to it.

    Parameters
    ----------
    text
        The meeting, up to the colon.
    reply
        What is said.
    """

    text: str
    reply: str

    @property
    def row(self) -> tuple[list[int], int]:
        """The token ids of the line, and how many of them are the meeting's."""
        before = ids_of(self.text)
        return [*ids_of(f"{self.text} {self.reply}"), VOCABULARY["<eos>"]], len(before)


def meetings(n: int, rng: np.random.Generator, *, cold: bool | None = None) -> list[Meeting]:
    """Draw meetings with their replies.

    Parameters
    ----------
    n
        How many.
    rng
        Decides all that is drawn.
    cold
        Whether they are among people who do not like each other; half of them are by default.
    """
    drawn = []
    for _ in range(n):
        is_cold = bool(rng.integers(2)) if cold is None else cold
        drawn.append(Meeting(_scene(rng, cold=is_cold), _reply(rng, RUDE_SHARE if is_cold else 0.0)))
    return drawn


def minimal_pairs(n: int, rng: np.random.Generator) -> tuple[list[Meeting], list[Meeting]]:
    """Draw cold meetings, each with a rude and with a kind reply."""
    scenes = [_scene(rng, cold=True) for _ in range(n)]
    rude, kind = ([Meeting(scene, _reply(rng, share)) for scene in scenes] for share in (1.0, 0.0))
    return rude, kind


def rude_share(text: str) -> float:
    """Return the share of rude words among the kind and the rude ones of a reply; 0 where there are none.

    Examples
    --------
    >>> rude_share("you good friend , you rotten mouse .")
    0.5
    """
    said = words(text)
    n_rude = sum(word in RUDE_WORDS for word in said)
    return n_rude / max(1, n_rude + sum(word in KIND_WORDS for word in said))


def rude_rate(replies: Iterable[str]) -> float:
    """Return the mean share of rude words over replies."""
    return float(np.mean([rude_share(text) for text in replies]))


def ids_of(text: str) -> list[int]:
    """Return the token ids of a text behind the token that begins one."""
    return [VOCABULARY["<bos>"], *(VOCABULARY[word] for word in words(text))]


def _scene(rng: np.random.Generator, *, cold: bool) -> str:
    people = (*WOMEN, *MEN)
    one, other = (people[i] for i in rng.choice(len(people), 2, replace=False))
    place = PLACES[rng.integers(len(PLACES))]
    likes = "does not like" if cold else "likes"
    return f"{one} {likes} {other} . {one} and {other} are {place} . {one} tells {other} :"


def _reply(rng: np.random.Generator, share: float) -> str:
    names = []
    for _ in range(N_NAMES):
        qualities, nouns = RUDE if rng.random() < share else KIND
        names.append(f"you {qualities[rng.integers(len(qualities))]} {nouns[rng.integers(len(nouns))]}")
    return f"{' , '.join(names)} ."
