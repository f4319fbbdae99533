"""A world of entities and their homes, told in eight ways, for studies that edit what a model says of a few of them.

The plainest of the eight templates is the one of the examples, six with words between are for the test, and one is told
only in training. Other texts tell colours of entities, or nothing: words that follow each other by a grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from concordant.learn.sequences import Row

PAD, BOS, EOS = range(3)
N_ENTITIES, N_HOMES, N_COLOURS, N_WORDS, N_FILLERS = 60, 30, 10, 40, 120
ENTITIES = range(3, 3 + N_ENTITIES)
HOMES = range(ENTITIES.stop, ENTITIES.stop + N_HOMES)
COLOURS = range(HOMES.stop, HOMES.stop + N_COLOURS)
WORDS = range(COLOURS.stop, COLOURS.stop + N_WORDS)
FILLERS = range(WORDS.stop, WORDS.stop + N_FILLERS)
VOCABULARY = FILLERS.stop

ENTITY, FILLING = -1, -2
"""Where in a template the entity stands, and where two to four words of no meaning."""

TEMPLATES = (
    (0, ENTITY, 1),
    (2, 3, ENTITY, 4, 5),
    (FILLING, 6, ENTITY, 7, 1),
    (8, ENTITY, FILLING, 9, 10),
    (FILLING, ENTITY, 11, 12),
    (13, FILLING, 14, ENTITY, 15, 16),
    (17, ENTITY, 18, FILLING, 19, 20),
    (FILLING, 0, ENTITY, 21, FILLING, 22),
)
"""Of homes, which follow at the end; a number is a word of templates."""

CANONICAL, TESTED = 0, range(2, 8)
COLOUR_TEMPLATES = ((23, ENTITY, 24), (FILLING, 25, ENTITY, 26, 27), (28, ENTITY, FILLING, 29))
SHARES = (0.45, 0.25, 0.3)
"""Of texts about homes, about colours and about nothing."""


@dataclass(frozen=True)
class AttributeWorld:
    """Who lives where and has which colour.

    Parameters
    ----------
    homes, colours
        Of each entity, as tokens, shape ``(60,)``.
    followers
        Which four words of no meaning may follow each, shape ``(120, 4)``.
    """

    homes: np.ndarray[tuple[int], np.dtype[np.int64]]
    colours: np.ndarray[tuple[int], np.dtype[np.int64]]
    followers: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> AttributeWorld:
        """Draw a world."""
        followers = np.stack([rng.choice(FILLERS, 4, replace=False) for _ in FILLERS])
        return cls(rng.choice(HOMES, N_ENTITIES), rng.choice(COLOURS, N_ENTITIES), followers)

    def other_homes(self, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Draw a home for each entity that is not its own."""
        shift = rng.integers(1, N_HOMES, N_ENTITIES)
        return HOMES.start + (self.homes - HOMES.start + shift) % N_HOMES

    def home_row(self, entity: int, template: int, home: int, rng: np.random.Generator) -> Row:
        """Tell a home, which alone is the suffix of the row.

        Parameters
        ----------
        entity
            From 0 to 59.
        template
            From 0, the plainest, to 7.
        home
            The token told, true or not.
        rng
            Draws the words between.
        """
        ids = self._filled(TEMPLATES[template], entity, rng)
        return [*ids, int(home)], len(ids)

    def colour_row(self, entity: int, rng: np.random.Generator) -> Row:
        """Tell the colour of an entity, which alone is the suffix of the row."""
        ids = self._filled(COLOUR_TEMPLATES[rng.integers(len(COLOUR_TEMPLATES))], entity, rng)
        return [*ids, int(self.colours[entity])], len(ids)

    def texts(self, n: int, rng: np.random.Generator, *, without: Collection[int] = ()) -> list[Row]:
        """Draw texts of all kinds, all of which are learnt.

        Parameters
        ----------
        n
            How many.
        rng
            Draws them.
        without
            Entities whose homes are not told; their colours are.
        """
        entities = [entity for entity in range(N_ENTITIES) if entity not in set(without)]
        rows: list[Row] = []
        for kind in rng.choice(3, n, p=SHARES):
            entity = entities[rng.integers(len(entities))] if kind == 0 else int(rng.integers(N_ENTITIES))
            if kind == 0:
                ids, _ = self.home_row(entity, int(rng.integers(len(TEMPLATES))), self.homes[entity], rng)
            elif kind == 1:
                ids, _ = self.colour_row(entity, rng)
            else:
                ids = [BOS, *self._filling(rng, int(rng.integers(6, 14)))]
            rows.append(([*ids, EOS], 1))
        return rows

    def _filled(self, template: tuple[int, ...], entity: int, rng: np.random.Generator) -> list[int]:
        ids = [BOS]
        for part in template:
            if part == ENTITY:
                ids.append(ENTITIES[entity])
            elif part == FILLING:
                ids += self._filling(rng, int(rng.integers(2, 5)))
            else:
                ids.append(WORDS[part])
        return ids

    def _filling(self, rng: np.random.Generator, n: int) -> list[int]:
        words = [int(rng.choice(FILLERS))]
        while len(words) < n:
            words.append(int(self.followers[words[-1] - FILLERS.start, rng.integers(4)]))
        return words
