"""Batches: the rows of some tensors in an order that a generator decides, cut into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

Epoch: TypeAlias = Callable[[torch.Generator], Iterable[Any]]


class Batches:
    """The rows of a tensor, or of several side by side, in shuffled batches.

    Parameters
    ----------
    data
        A tensor, a tuple of tensors or a mapping of tensors, all with equally many rows (the first axis). A batch
        has the same form.
    size
        Rows a batch, at least 1.
    shuffle
        Whether each epoch has an order of its own.
    drop_last
        Whether the last batch is left out where it would be smaller than the others.

    Raises
    ------
    DataError
        If there is no row, or the tensors differ in their number of rows.
    ConfigError
        If the size is below 1.

    Examples
    --------
    >>> import torch
    >>> batches = Batches({"x": torch.arange(5), "y": torch.arange(5) * 10}, 2)
    >>> len(batches)
    3
    >>> next(iter(batches(torch.Generator().manual_seed(0))))
    {'x': tensor([4, 0]), 'y': tensor([40,  0])}
    """

    def __init__(
        self,
        data: Tensor | tuple[Tensor, ...] | Mapping[str, Tensor],
        size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        if size < 1:
            message = f"the size of a batch must be at least 1, got {size}"
            raise ConfigError(message)
        parts = (
            [data]
            if isinstance(data, torch.Tensor)
            else [*data.values()]
            if isinstance(data, Mapping)
            else data
        )
        rows = {len(part) for part in parts}
        if len(rows) != 1 or rows == {0}:
            got = " and ".join(str(len(part)) for part in parts) or "no"
            message = f"batches need tensors with equally many rows and at least one, got {got} rows"
            raise DataError(message)
        self.data, self.size, self.shuffle, self.drop_last = data, size, shuffle, drop_last
        (self.n_rows,) = rows

    def __len__(self) -> int:
        return self.n_rows // self.size if self.drop_last else -(-self.n_rows // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[Any]:
        """Go through one epoch in an order drawn from the generator."""
        order = (
            torch.randperm(self.n_rows, generator=generator) if self.shuffle else torch.arange(self.n_rows)
        )
        for index in range(len(self)):
            yield _rows(self.data, order[index * self.size : (index + 1) * self.size])


def _rows(data: Any, chosen: Tensor) -> Any:
    return mapped(data, lambda part: part[chosen.to(part.device)])


def epoch_of(batches: Sequence[Any] | Epoch) -> Epoch:
    """Return a function that gives one epoch: a sequence of batches is gone through in a random order.

    Raises
    ------
    DataError
        If it is neither a function of a generator nor a sequence of batches.
    """
    if callable(batches):
        return batches
    if not isinstance(batches, Sequence) or isinstance(batches, str):
        message = (
            "batches must be a sequence of batches or a function of a generator that gives one epoch, "
            f"got a {type(batches).__name__}"
        )
        raise DataError(message)

    def epoch(generator: torch.Generator) -> Iterator[Any]:
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index]

    return epoch


def mapped(batch: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply a function to every tensor of a batch: through mappings, lists and (named) tuples; the rest stays."""
    if isinstance(batch, torch.Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: mapped(part, function) for key, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(part, function) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(mapped(part, function) for part in batch)
    return batch


class Stream:
    """Epoch after epoch of batches, with a position that can be kept and gone back to.

    The position is the state of the generator at the start of the epoch and the number of batches taken since;
    going back draws the epoch again and passes over those.
    """

    def __init__(self, epoch: Epoch, generator: torch.Generator) -> None:
        self.epoch, self.generator = epoch, generator
        self.start, self.taken = generator.get_state(), 0
        self._rest: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self._rest is None:
            self._begin()
        assert self._rest is not None
        missing = object()
        batch = next(self._rest, missing)
        if batch is missing:
            self._begin()
            batch = next(self._rest, missing)
        if batch is missing:
            message = "an epoch of training needs at least one batch, got none"
            raise DataError(message)
        self.taken += 1
        return batch

    def position(self) -> tuple[Tensor, int]:
        """Return where :meth:`go_to` goes on from; of an epoch that is seen to be over, the start of the next."""
        epoch: Any = self.epoch
        if self._rest is not None and isinstance(epoch, Sized) and self.taken == len(epoch):
            missing = object()
            further = next(self._rest, missing)
            if further is missing:
                self.start, self.taken, self._rest = self.generator.get_state(), 0, None
            else:  # its length says less than it has
                self._rest = chain([further], self._rest)
        return self.start, self.taken

    def go_to(self, start: Tensor, taken: int) -> None:
        """Go to a position: the state at the start of an epoch, and how many of its batches are passed over."""
        self.generator.set_state(start)
        self._begin()
        assert self._rest is not None
        for _ in range(taken):
            next(self._rest, None)
        self.taken = taken

    def _begin(self) -> None:
        self.start, self.taken = self.generator.get_state(), 0
        self._rest = iter(self.epoch(self.generator))
