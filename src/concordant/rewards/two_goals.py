"""A plane on which people want to be in one of two places, with answers, a point mass that moves, and a random record.

Places are positions in the square [-1, 1] x [-1, 1]. There are two kinds of people, each with a goal of their own that
nobody is told; what somebody wants is to be near it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from concordant.rewards.comparisons import Comparisons

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DISTANCE = 0.6
"""Of both goals from the middle, on opposite sides of it."""

DRAG, PUSH = 0.5, 0.1
"""What is left of a velocity after a step, and what a full push adds to it: at most 0.2 a step."""

NEAR = 0.2
"""So near to the goal, an episode is a success."""


class Record(NamedTuple):
    """Moves of a point mass: position and velocity before and after, ``(moves, 4)``, and the push, ``(moves, 2)``."""

    states: Floats
    actions: Floats
    next_states: Floats


@dataclass(frozen=True, eq=False)
class TwoGoals:
    """The plane with its goals.

    Parameters
    ----------
    goals
        Shape ``(2, 2)``: the position of each.
    sharpness
        How surely people answer: a is preferred with probability ``sigmoid(sharpness * (r(a) - r(b)))``.
    """

    goals: Floats
    sharpness: float = 8.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> TwoGoals:
        """Draw the direction in which the two goals lie."""
        angle = rng.uniform(0, 2 * np.pi)
        goal = DISTANCE * np.array([np.cos(angle), np.sin(angle)])
        return cls(np.stack([goal, -goal]))

    def reward(self, places: Floats, kinds: NDArray[np.intp]) -> Floats:
        """Return minus the distance ``(people, ...)`` of places ``(people, ..., 2)`` to the goals of kinds ``(people,)``."""
        goals = self.goals[kinds].reshape(len(kinds), *[1] * (places.ndim - 2), 2)
        distance: Floats = np.linalg.norm(places - goals, axis=-1)
        return -distance

    def people(
        self, rng: np.random.Generator, n_people: int, n: int, *, noisy: bool = True
    ) -> tuple[Comparisons, NDArray[np.intp]]:
        """Draw people and let them compare random places.

        Returns
        -------
        Comparisons
            Of `n_people` people with n answers each, by chance according to their sharpness, or right ones.
        ndarray of shape ``(people,)``
            Their kinds, 0 or 1.
        """
        kinds = rng.integers(2, size=n_people)
        return self.answers(rng, kinds, n, noisy=noisy), kinds

    def answers(
        self, rng: np.random.Generator, kinds: NDArray[np.intp], n: int, *, noisy: bool = True
    ) -> Comparisons:
        """Let people of given kinds compare random places; see `people`."""
        a, b = rng.uniform(-1, 1, size=(2, len(kinds), n, 2))
        return Comparisons(a, b, self.preferences(rng, a, b, kinds, noisy=noisy))

    def preferences(
        self, rng: np.random.Generator, a: Floats, b: Floats, kinds: NDArray[np.intp], *, noisy: bool = True
    ) -> NDArray[np.bool_]:
        """Return who prefers a, ``(people, n)``, of places ``(people, n, 2)``."""
        difference = self.reward(a, kinds) - self.reward(b, kinds)
        if not noisy:
            return difference > 0
        return rng.random(difference.shape) < 1 / (1 + np.exp(-self.sharpness * difference))


def moved(states: Floats, actions: Floats) -> Floats:
    """Return the states ``(n, 4)`` after pushes ``(n, 2)``, which are cut to [-1, 1]; walls stop what runs into them."""
    velocity = DRAG * states[:, 2:] + PUSH * np.clip(actions, -1, 1)
    place = states[:, :2] + velocity
    inside = np.clip(place, -1, 1)
    return np.concatenate([inside, np.where(place == inside, velocity, 0.0)], axis=1)


def starts(rng: np.random.Generator, n: int) -> Floats:
    """Draw states at rest anywhere, shape ``(n, 4)``."""
    return np.concatenate([rng.uniform(-1, 1, size=(n, 2)), np.zeros((n, 2))], axis=1)


def random_record(rng: np.random.Generator, episodes: int, length: int) -> Record:
    """Record episodes of random pushes that mean to go nowhere."""
    state = starts(rng, episodes)
    moves = []
    for _ in range(length):
        action = rng.uniform(-1, 1, size=(episodes, 2))
        after = moved(state, action)
        moves.append((state, action, after))
        state = after
    return Record(*(np.concatenate(part) for part in zip(*moves, strict=True)))


def reached(
    world: TwoGoals,
    act: Callable[[Floats], NDArray[np.floating]],
    start: Floats,
    kinds: NDArray[np.intp],
    length: int,
) -> NDArray[np.bool_]:
    """Return whose goal was near at the end of an episode, shape ``(people,)``.

    Parameters
    ----------
    world
        Whose goals count.
    act
        Gives pushes ``(people, 2)`` in states ``(people, 4)``.
    start
        One state a person.
    kinds
        The kind of each, shape ``(people,)``.
    length
        Moves of an episode.
    """
    state = start
    for _ in range(length):
        state = moved(state, np.asarray(act(state), dtype=np.float64))
    return world.reward(state[:, :2], kinds) > -NEAR
