"""The fixed world: who lives where, does what, and what things are like; drawn once from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from concordant.pocket.draws import coin, pick, several, zipf
from concordant.pocket.vocabulary import CITIES, COUNTRIES, JOBS, MEN, PETS, QUALITIES, THINGS, WOMEN

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class World:
    """The facts that hold.

    Parameters
    ----------
    people
        All people, the best known first: texts name the k-th with a probability proportional to 1 / k.
    city, job, pet, friend
        Of each person. Cities and jobs of people follow Zipf's law too.
    country
        Of each city.
    qualities
        Of each thing, the set of adjectives that are true of it; no two things have the same.

    Examples
    --------
    >>> world = draw_world(0)
    >>> len(world.people), world.country[world.city["mira"]] in COUNTRIES
    (64, True)
    """

    people: tuple[str, ...]
    city: Mapping[str, str]
    job: Mapping[str, str]
    pet: Mapping[str, str]
    friend: Mapping[str, str]
    country: Mapping[str, str]
    qualities: Mapping[str, frozenset[str]]


@cache
def draw_world(seed: int = 0) -> World:
    """Draw a world from a seed; all skills live in that of seed 0."""
    rng = np.random.default_rng(seed)
    people = several(rng, WOMEN + MEN, len(WOMEN + MEN))
    cities = several(rng, CITIES, len(CITIES))
    jobs = several(rng, JOBS, len(JOBS))
    circle = several(rng, people, len(people))  # nobody is their own best friend
    following = dict(zip(circle, circle[1:] + circle[:1], strict=True))
    qualities: dict[str, frozenset[str]] = {}
    while len(qualities) < len(THINGS):
        drawn = frozenset(quality for quality in QUALITIES if coin(rng))
        if drawn not in qualities.values():
            qualities[THINGS[len(qualities)]] = drawn
    return World(
        people=tuple(people),
        city={person: zipf(rng, cities) for person in people},
        job={person: zipf(rng, jobs) for person in people},
        pet={person: pick(rng, PETS) for person in people},
        friend=following,
        country={city: COUNTRIES[i % len(COUNTRIES)] for i, city in enumerate(cities)},
        qualities=qualities,
    )
