"""Learning a stream: a model is trained on each set in turn, alone or interleaved with rows of earlier sets.

A buffer keeps the last sets (first in, first out). Every step takes a batch of the current set and, beside it, rows drawn
anew from the buffer, so that the gradient is that of both.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.core.progress import progress_bars
from concordant.learn.batches import Batches, mapped
from concordant.learn.loop import train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from concordant.learn.loop import Loss

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replay:
    """How earlier sets are replayed.

    Parameters
    ----------
    n_rows
        Rows drawn from the buffer for each step, at least 1; all that there are where they are fewer.
    n_sets
        Sets that the buffer keeps, the last ones; all of them by default.

    Raises
    ------
    ConfigError
        If a number is below 1.
    """

    n_rows: int
    n_sets: int | None = None

    def __post_init__(self) -> None:
        for name, number in (("n_rows", self.n_rows), ("n_sets", self.n_sets)):
            if number is not None and number < 1:
                message = f"{name} of Replay must be at least 1, got {number}"
                raise ConfigError(message)


class ReplayBuffer:
    """The last sets that were shown.

    Parameters
    ----------
    n_sets
        How many are kept; all by default.

    Examples
    --------
    >>> buffer = ReplayBuffer(n_sets=2)
    >>> for value in (1, 2, 3):
    ...     buffer.add((torch.full((2,), value), torch.arange(2)))
    >>> buffer.n_rows, buffer.rows()[0].tolist()
    (4, [2, 2, 3, 3])
    """

    def __init__(self, n_sets: int | None = None) -> None:
        self._sets: deque[Any] = deque(maxlen=n_sets)
        self._rows: Any = None

    def add(self, data: Any) -> None:
        """Keep a set: a tensor, or tensors in a tuple or mapping, rows first; the oldest goes where there are too many."""
        self._sets.append(data)
        self._rows = None

    @property
    def n_rows(self) -> int:
        """How many rows are kept."""
        return sum(map(_n_rows, self._sets))

    def rows(self) -> Any:
        """Return all rows that are kept, oldest first, in the form of a set.

        Raises
        ------
        DataError
            If nothing is kept.
        """
        if not self._sets:
            message = "the replay buffer is empty"
            raise DataError(message)
        if self._rows is None:  # joined once, and not for every step
            self._rows = joined(*self._sets)
        return self._rows

    def draw(self, n: int, generator: torch.Generator) -> Any:
        """Return n different rows, or all where there are fewer, in a random order."""
        chosen = torch.randperm(self.n_rows, generator=generator)[:n]
        return mapped(self.rows(), lambda part: part[chosen.to(part.device)])


class Interleaved:
    """Batches of the current set, each followed by rows drawn from a buffer.

    Parameters
    ----------
    current
        The set, as for :class:`ReplayBuffer`.
    size
        Rows of it in a batch; all by default.
    buffer, n_rows
        Where the further rows are from, and how many a batch has; none while the buffer is empty.

    Examples
    --------
    >>> buffer = ReplayBuffer()
    >>> buffer.add(torch.tensor([7, 8, 9]))
    >>> batches = Interleaved(torch.tensor([1, 2, 3, 4]), size=2, buffer=buffer, n_rows=1)
    >>> [batch.tolist() for batch in batches(torch.Generator().manual_seed(0))]
    [[1, 2, 7], [4, 3, 7]]
    """

    def __init__(
        self, current: Any, *, size: int | None = None, buffer: ReplayBuffer | None = None, n_rows: int = 0
    ) -> None:
        self._batches = Batches(current, size or _n_rows(current))
        self._buffer, self._n_rows = buffer, n_rows

    def __len__(self) -> int:
        return len(self._batches)

    def __call__(self, generator: torch.Generator) -> Iterator[Any]:
        """Go through the current set once, in an order drawn from the generator."""
        for batch in self._batches(generator):
            if self._buffer is None or not self._n_rows or not self._buffer.n_rows:
                yield batch
            else:
                yield joined(batch, self._buffer.draw(self._n_rows, generator))


def learn_stream(
    model: nn.Module,
    loss: Loss,
    sets: Sequence[Any],
    *,
    steps: int,
    evaluate: Callable[[nn.Module], T],
    replay: Replay | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> list[T]:
    """Train a model on each set in turn, in place, and say how it did after each.

    Parameters
    ----------
    model, loss
        As for :func:`concordant.learn.train`.
    sets
        The sets, in order: tensors, or tensors in tuples or mappings, rows first; at least one.
    steps
        Optimiser steps on each set. For arms with other numbers of sets to be comparable, let ``steps * len(sets)`` be
        the same.
    evaluate
        Is called with the model, in evaluation mode and without gradients, after each set.
    replay
        Whether and how earlier sets are interleaved; by default they are not seen again.
    size
        Rows of the current set in a batch; all by default.
    seed
        Decides the order of the rows and what is replayed.
    progress
        Whether to draw a bar of the sets on a terminal.
    options
        Of :func:`concordant.learn.train`: `optimizer` (made anew for each set where it is a function), `schedule`,
        `clip`, `device`, ...

    Returns
    -------
    list
        What `evaluate` gave after each set.

    Raises
    ------
    DataError
        If there is no set.

    Examples
    --------
    >>> from functools import partial
    >>> from concordant.learn import MLP
    >>> def nll(model, batch):
    ...     return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
    >>> x, y = torch.eye(4) + 1, torch.arange(4)
    >>> sets = [(x[:2], y[:2]), (x[2:], y[2:])]
    >>> def right(model):
    ...     return (model(x).argmax(1) == y).tolist()
    >>> how = {"steps": 100, "evaluate": right, "optimizer": partial(torch.optim.SGD, lr=0.3), "device": "cpu"}
    >>> learn_stream(MLP(4, 4, hidden=()), nll, sets, **how)[-1]
    [False, False, True, True]
    >>> learn_stream(MLP(4, 4, hidden=()), nll, sets, replay=Replay(2), **how)[-1]
    [True, True, True, True]
    """
    if not sets:
        message = "a stream needs at least one set, got none"
        raise DataError(message)
    buffer = ReplayBuffer(None if replay is None else replay.n_sets)
    found = []
    with progress_bars() as tell:
        for i, (current, set_seed) in enumerate(
            zip(sets, child_seeds(seed, len(sets)), strict=True), start=1
        ):
            batches = (
                Interleaved(current, size=size)
                if replay is None
                else Interleaved(current, size=size, buffer=buffer, n_rows=replay.n_rows)
            )
            train(model, loss, batches, steps=steps, seed=set_seed, progress=False, **options)
            buffer.add(current)
            found.append(_evaluated(model, evaluate))
            if progress:
                tell("sets", i, len(sets))
    return found


def joined(first: Any, *others: Any) -> Any:
    """Return the rows of sets of one form, one after the other.

    Raises
    ------
    DataError
        If the sets are not of one form.

    Examples
    --------
    >>> joined({"x": torch.tensor([1])}, {"x": torch.tensor([2, 3])})
    {'x': tensor([1, 2, 3])}
    """
    parts = [_tensors(data) for data in (first, *others)]
    if len({len(tensors) for tensors in parts}) > 1:
        message = (
            f"sets that are joined must be of one form, got {', '.join(str(len(p)) for p in parts)} tensors"
        )
        raise DataError(message)
    columns = iter([torch.cat(column) for column in zip(*parts, strict=True)])
    return mapped(first, lambda _: next(columns))


def _tensors(data: Any) -> list[Tensor]:
    found: list[Tensor] = []
    mapped(data, found.append)
    return found


def _n_rows(data: Any) -> int:
    return len(_tensors(data)[0])


def _evaluated(model: nn.Module, evaluate: Callable[[nn.Module], T]) -> T:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return evaluate(model)
    finally:
        model.train(training)
