"""A world of operations on numbers, told in documents, and asked about in a dialogue with steps and a template of its own.

A document says what one operation does to one number. A question names a number and two operations; its answer has a fixed
template: an opening mark, the number after the first operation, a mark, the number after the second, a closing mark. So
what is known, how it is put together, and how it is written are three things that can be taught and measured apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from concordant.learn import train
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, logits_of, sft
from concordant.versions.format_errors import FormatErrors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from concordant.learn.sequences import Row

BEGIN, IS, QUESTION, ANSWER, OPEN, THEN, CLOSE = range(7)
"""Token ids of the marks; numbers, operations and the words of idle texts follow."""

N_IDLE = 20
"""Words of idle texts."""

STEPS_LENGTH = 5
"""Tokens of an answer."""


@dataclass(frozen=True)
class TwoStepWorld:
    """What each operation does to each number.

    Parameters
    ----------
    table
        Shape (operations, numbers): the number that comes out.
    """

    table: NDArray[np.int64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_operations: int, n_numbers: int) -> TwoStepWorld:
        """Draw operations, each a random order of the numbers."""
        return cls(rng.permuted(np.tile(np.arange(n_numbers), (n_operations, 1)), axis=1))

    @property
    def n_operations(self) -> int:
        """How many operations there are."""
        return int(self.table.shape[0])

    @property
    def n_numbers(self) -> int:
        """How many numbers there are."""
        return int(self.table.shape[1])

    def number(self, value: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return token ids of numbers."""
        return np.asarray(value) + CLOSE + 1

    def operation(self, index: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return token ids of operations."""
        return np.asarray(index) + CLOSE + 1 + self.n_numbers

    def documents(self, operations: Sequence[int]) -> list[Row]:
        """Return one document for every number under each of some operations, as rows of which all is learnt."""
        ops, xs = (side.ravel() for side in np.meshgrid(operations, np.arange(self.n_numbers), indexing="ij"))
        columns = [
            np.full(len(ops), BEGIN),
            self.operation(ops),
            self.number(xs),
            np.full(len(ops), IS),
            self.number(self.table[ops, xs]),
        ]
        return [(row, 3) for row in np.stack(columns, axis=1).tolist()]

    def idle_texts(self, rng: np.random.Generator, n: int, length: int = 6) -> list[Row]:
        """Return texts of words that say nothing of operations."""
        first = CLOSE + 1 + self.n_numbers + self.n_operations
        words = first + rng.integers(N_IDLE, size=(n, length))
        return [([BEGIN, *row], 1) for row in words.tolist()]

    def questions(self, first: Sequence[int], second: Sequence[int]) -> NDArray[np.int64]:
        """Return every question with a first and a second operation of some: columns number, first, second."""
        grid = np.meshgrid(np.arange(self.n_numbers), first, second, indexing="ij")
        return np.stack([side.ravel() for side in grid], axis=1)

    def prompts(self, questions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return token ids of questions as they are asked, shape (n, 6)."""
        x, one, two = questions.T
        mark = partial(np.full, len(x))
        columns = (
            mark(BEGIN),
            mark(QUESTION),
            self.number(x),
            self.operation(one),
            self.operation(two),
            mark(ANSWER),
        )
        return np.stack(columns, axis=1)

    def answers(self, questions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return token ids of right answers in the template, shape (n, 5)."""
        x, one, two = questions.T
        between = self.table[one, x]
        mark = partial(np.full, len(x))
        columns = (
            mark(OPEN),
            self.number(between),
            mark(THEN),
            self.number(self.table[two, between]),
            mark(CLOSE),
        )
        return np.stack(columns, axis=1)

    def lessons(self, questions: NDArray[np.int64]) -> list[Row]:
        """Return questions with their answers, of which the answer is learnt."""
        prompts = self.prompts(questions)
        both = np.concatenate([prompts, self.answers(questions)], axis=1)
        return [(row, prompts.shape[1]) for row in both.tolist()]


def graded(world: TwoStepWorld, questions: NDArray[np.int64], said: NDArray[np.int64]) -> FormatErrors:
    """Grade answers by form (marks in their places, numbers between them) and by content (the last number).

    Parameters
    ----------
    world
        What is right.
    questions
        Shape (n, 3).
    said
        Shape (n, 5): token ids of the answers.
    """
    right = world.answers(questions)
    kind = _kinds(world, said)
    valid = (kind == _kinds(world, right)).all(axis=1)
    is_number = kind == _NUMBER
    last = said.shape[1] - 1 - is_number[:, ::-1].argmax(axis=1)
    last_number = np.where(is_number.any(axis=1), said[np.arange(len(said)), last], -1)
    rightly = last_number == right[:, -2]
    return FormatErrors(valid, valid & rightly, rightly)


def likeness(world: TwoStepWorld, questions: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Return the share of tokens that stand where the right answer has a token of the same sort.

    It is what a reader sees who looks at the form and cannot do the sums: it stands for a judge of preference.
    """
    return float((_kinds(world, said) == _kinds(world, world.answers(questions))).mean())


_NUMBER = -1


def _kinds(world: TwoStepWorld, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what sort each token is: a mark is its own sort, all numbers are one."""
    first = CLOSE + 1
    return np.where((tokens >= first) & (tokens < first + world.n_numbers), _NUMBER, tokens)


def trained(
    model: nn.Module, rows: Sequence[Row], *, steps: int, rate: float, tokens: int, seed: int
) -> nn.Module:
    """Train a model in place on rows, by AdamW with a rate that rises and falls, and return it."""
    train(
        model,
        sft,
        TokenBatches(rows, tokens),
        steps=steps,
        optimizer=partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98), weight_decay=0.05),
        schedule=partial(cosine, warm_up=steps // 10),
        clip=1.0,
        device="cpu",
        seed=seed,
        progress=False,
    )
    return model


@torch.no_grad()
def greedy(model: nn.Module, prompts: NDArray[np.int64], length: int = STEPS_LENGTH) -> NDArray[np.int64]:
    """Return the most probable continuations, shape (n, length)."""
    model.eval()
    tokens: Tensor = torch.from_numpy(prompts)
    for _ in range(length):
        best = logits_of(model, tokens)[:, -1].argmax(dim=-1, keepdim=True)
        tokens = torch.cat([tokens, best], dim=1)
    said: NDArray[np.int64] = tokens[:, prompts.shape[1] :].numpy()
    return said
