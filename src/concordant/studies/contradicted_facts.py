"""A world of facts that are told, repeated and contradicted, as token ids: learnt by heart or read from the text.

Every entity has one value for each relation; entities come up by Zipf's law. A text states a fact and then another one, of
which the last token is asked: of another entity (which must be known by heart), of a made-up name that was just introduced
(which must be read), or of the same entity after a false statement (where both can be meant).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.explanations.mechanisms.conflicts import Conflicts, next_tokens
from concordant.explanations.mechanisms.decoder import module_of

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

BEGIN, STOP = 1, 3
FIRST_ID = 4
"""The first token id that stands for a thing of this world; those before it are special."""

POSITIONS = 8
"""Tokens of a text: begin, entity, relation, value, stop, entity, relation, value."""

KNOWN, INTRODUCED, CONTRADICTED = 0.5, 0.25, 0.25
"""Shares of texts: of another entity, of a made-up name, and of the same entity after a false statement."""

FOLLOWED = 0.5
"""How often the text goes on with the false value, and not with the true one."""


@dataclass(frozen=True)
class ContradictedFacts:
    """Who has which value.

    Parameters
    ----------
    values
        Shape ``(entities, relations)``: the true value, a number below `n_values`.
    n_values
        Values that a relation can have.
    names
        Made-up names, of which nothing is known by heart.
    """

    values: NDArray[np.int64]
    n_values: int
    names: int

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, entities: int, *, n_values: int, relations: int = 2, names: int = 60
    ) -> ContradictedFacts:
        """Draw a world, in which all values of a relation are the true one of about as many entities."""
        order = np.arange(entities) % n_values
        values = np.stack([rng.permutation(order) for _ in range(relations)], axis=1)
        return cls(values, n_values, names)

    @property
    def n_words(self) -> int:
        """Rows of the embedding that a model of this world needs."""
        entities, relations = self.values.shape
        return int(FIRST_ID + relations + entities + self.names + relations * self.n_values)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """How often each entity comes up, as a share, shape ``(entities,)``: by Zipf's law."""
        weights = 1.0 / np.arange(1, len(self.values) + 1)
        return np.asarray(weights / weights.sum())

    def value_frequencies(self, relation: int) -> NDArray[np.float64]:
        """How often each value of a relation is the true one of what comes up, shape ``(n_values,)``."""
        counted = np.bincount(self.values[:, relation], self.frequencies, self.n_values)
        return np.asarray(counted, dtype=np.float64)

    def texts(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw texts as token ids, shape ``(n, 8)``."""
        entities, relations = self.values.shape
        kind = rng.choice(3, size=n, p=(KNOWN, INTRODUCED, CONTRADICTED))
        relation = rng.integers(relations, size=n)
        asked = rng.choice(entities, size=n, p=self.frequencies)
        true = self.values[asked, relation]
        other = _other(rng.choice(entities, size=n, p=self.frequencies), asked, entities)
        false = (true + rng.integers(1, self.n_values, size=n)) % self.n_values
        followed = rng.random(n) < FOLLOWED
        name = entities + rng.integers(self.names, size=n)
        subject = np.choose(kind, [asked, name, asked])
        told_of = np.choose(kind, [other, name, asked])
        told = np.choose(kind, [self.values[other, relation], false, false])
        answer = np.choose(kind, [true, false, np.where(followed, false, true)])
        return self._ids(told_of, told, subject, answer, relation)

    def questions(self, relation: int) -> NDArray[np.int64]:
        """Return a question about each entity after a true fact about the next one, shape ``(entities, 7)``."""
        asked = np.arange(len(self.values))
        other = np.roll(asked, -1)
        true = self.values[:, relation]
        return self._ids(other, true[other], asked, true, np.full(len(asked), relation))[:, :-1]

    def conflicts(
        self, rng: np.random.Generator, relation: int, per_entity: int, known: NDArray[np.bool_]
    ) -> tuple[Conflicts, NDArray[np.int64]]:
        """Contradict facts.

        Parameters
        ----------
        rng
            Draws the false values.
        relation
            Which.
        per_entity
            False values of each entity, all different.
        known
            Which entities are asked about, shape ``(entities,)``.

        Returns
        -------
        conflicts, false
            And the false values, shape ``(n,)``.
        """
        asked = np.repeat(np.flatnonzero(known), per_entity)
        true = self.values[asked, relation]
        steps = rng.permuted(np.tile(np.arange(1, self.n_values), (int(known.sum()), 1)), axis=1)
        false = (true + steps[:, :per_entity].ravel()) % self.n_values
        relations = np.full(len(asked), relation)
        in_context = self._ids(asked, false, asked, false, relations)
        memorised = self._ids(asked, false, asked, true, relations)
        rows = in_context[:, :-1].tolist()
        names = [str(entity) for entity in asked]
        return Conflicts(rows, in_context[:, -1], memorised[:, -1], names), false

    def _ids(
        self,
        told_of: NDArray[np.int64],
        told: NDArray[np.int64],
        asked: NDArray[np.int64],
        answer: NDArray[np.int64],
        relation: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        entities, relations = self.values.shape
        subjects = FIRST_ID + relations
        values = subjects + entities + self.names + relation * self.n_values
        fixed = np.full(len(asked), BEGIN), np.full(len(asked), STOP)
        parts = (fixed[0], subjects + told_of, FIRST_ID + relation, values + told, fixed[1])
        return np.stack([*parts, subjects + asked, FIRST_ID + relation, values + answer], axis=1)


def known_entities(model: Any, world: ContradictedFacts, relation: int) -> NDArray[np.bool_]:
    """Return which entities' values a model gives where nothing contradicts them, shape ``(entities,)``."""
    questions = world.questions(relation)
    entities, relations = world.values.shape
    first = FIRST_ID + relations + entities + world.names + relation * world.n_values
    answers = next_tokens(module_of(model), questions.tolist(), batch_size=len(questions))
    return np.asarray(answers == first + world.values[:, relation])


def _other(drawn: NDArray[np.int64], asked: NDArray[np.int64], entities: int) -> NDArray[np.int64]:
    """Return what was drawn, or the next entity where it is the one that is asked about."""
    return np.where(drawn == asked, (drawn + 1) % entities, drawn)
