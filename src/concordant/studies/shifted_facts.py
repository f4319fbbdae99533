"""Facts that are told in one form and asked in another: what a study of instruction residuals needs.

A document says which value an entity has; an answer to a question is that value moved on by one, and is closed by the
token that ends a text. Documents teach facts, and questions teach how to answer: neither can be told from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from concordant.learn.randomness import generator_of
from concordant.learn.sequences import logits_of
from concordant.pocket.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

BOS, EOS, ASK, ANSWER, IS = (VOCABULARY[word] for word in ("<bos>", "<eos>", "<user>", "<assistant>", "is"))
FIRST = len(VOCABULARY) // 4
"""The first token that stands for an entity; values come behind the entities."""


@dataclass(frozen=True)
class Facts:
    """Which value each entity has.

    Parameters
    ----------
    values
        Of each entity, integers from 0, shape ``(n_entities,)``.
    n_values
        How many values there are.
    n_old, n_seen
        How many entities the base has read about, and of how many of those the instruct model was asked. They come
        first; all others are new.
    """

    values: Tensor
    n_values: int
    n_old: int
    n_seen: int

    @classmethod
    def draw(cls, n_entities: int, n_values: int, n_old: int, n_seen: int, *, seed: int) -> Facts:
        """Draw the values from a seed."""
        values = torch.randint(n_values, (n_entities,), generator=generator_of(seed))
        return cls(values, n_values, n_old, n_seen)

    @property
    def parts(self) -> dict[str, range]:
        """Which entities there were questions about, which only documents, and which are new."""
        return {
            "seen": range(self.n_seen),
            "unseen": range(self.n_seen, self.n_old),
            "new": range(self.n_old, len(self.values)),
        }

    def tokens(self, values: Tensor) -> Tensor:
        """Return the tokens of values."""
        return FIRST + len(self.values) + values

    def document(self, entities: Sequence[int]) -> Tensor:
        """Return documents without their end, ``(n, 4)``: beginning, entity, "is", value."""
        chosen = torch.tensor(list(entities))
        ends = [torch.full_like(chosen, token) for token in (BOS, IS)]
        return torch.stack([ends[0], FIRST + chosen, ends[1], self.tokens(self.values[chosen])], dim=1)

    def question(self, entities: Sequence[int]) -> Tensor:
        """Return questions with their answers, ``(n, 6)``: beginning, ask, entity, answer, moved value, end."""
        chosen = torch.tensor(list(entities))
        begin, ask, answer, end = (torch.full_like(chosen, token) for token in (BOS, ASK, ANSWER, EOS))
        moved = self.tokens((self.values[chosen] + 1) % self.n_values)
        return torch.stack([begin, ask, FIRST + chosen, answer, moved, end], dim=1)

    def document_rows(self, entities: Sequence[int]) -> list[tuple[list[int], int]]:
        """Return documents as rows to learn."""
        return [([*row, EOS], 1) for row in self.document(entities).tolist()]

    def question_rows(self, entities: Sequence[int]) -> list[tuple[list[int], int]]:
        """Return questions as rows of which the answer is learnt."""
        return [(row, 4) for row in self.question(entities).tolist()]

    def answers(self, model: nn.Module, entities: Sequence[int]) -> Tensor:
        """Return what a model answers to questions: a token, or -1 where the answer is not closed; shape ``(n,)``."""
        said = said_by(model, self.question(entities)[:, :4])
        closed = said_by(model, torch.cat([self.question(entities)[:, :4], said[:, None]], dim=1)) == EOS
        return torch.where(closed, said, -1)

    def question_accuracy(self, model: nn.Module, entities: Sequence[int]) -> float:
        """Return the share of questions that are answered rightly, and closed."""
        return _mean(self.answers(model, entities) == self.question(entities)[:, 4])

    def document_accuracy(self, model: nn.Module, entities: Sequence[int]) -> float:
        """Return the share of documents whose value is the most probable next token."""
        rows = self.document(entities)
        return _mean(said_by(model, rows[:, :3]) == rows[:, 3])


def said_by(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return the most probable next token of each row, shape ``(n,)``."""
    with torch.no_grad():
        return logits_of(model, tokens)[:, -1].argmax(-1)


def _mean(right: Tensor) -> float:
    return float(right.double().mean())
