"""What an edit changes in one tensor: some of its rows, or single numbers, with their values before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers as wide as a number, to compare bits: NaN is NaN then, and minus zero is not zero."""


@dataclass(frozen=True)
class Change:
    """What changes in one tensor, seen as rows of one width: its own rows, or single numbers where few of a row change.

    Parameters
    ----------
    shape
        Of the tensor.
    index
        Which rows of ``tensor.reshape(-1, width)``, in ascending order, shape ``(n,)``.
    old, new
        Their values before and after, shape ``(n, width)``, in the precision of the model's files.
    """

    shape: tuple[int, ...]
    index: Tensor
    old: Tensor
    new: Tensor

    @property
    def n_numbers(self) -> int:
        """How many numbers are in the rows that change."""
        return self.old.numel()

    @property
    def n_rows(self) -> int:
        """How many rows of the tensor have a change."""
        if self.shape and self.old.shape[1] == 1:
            return int(torch.unique(self.index // max(1, self.shape[-1])).numel())
        return len(self.index)

    @property
    def norm(self) -> float:
        """Length of the whole difference."""
        return float((self.new.double() - self.old.double()).norm())

    def reversed(self) -> Change:
        """Return the change back."""
        return Change(self.shape, self.index, self.new, self.old)

    def rows_of(self, tensor: Tensor) -> Tensor:
        """Return a copy of the rows of a tensor that change, shape ``(n, width)``."""
        return tensor.detach().reshape(-1, self.old.shape[1])[self.index.to(tensor.device)]

    def put(self, tensor: Tensor, rows: Tensor) -> None:
        """Write rows into a tensor in place."""
        whole = tensor.detach()
        seen = whole.reshape(-1, self.old.shape[1])
        seen[self.index.to(tensor.device)] = rows.to(seen)
        if not whole.is_contiguous():  # then what was seen is a copy
            whole.copy_(seen.view_as(whole))


def change_between(before: Tensor, after: Tensor) -> Change | None:
    """Return what changes between two tensors in the cheaper of both forms, or None where nothing does."""
    differ = (bits_of(before) != bits_of(after)).reshape(before.shape)
    if not bool(differ.any()):
        return None
    rows = differ.reshape(before.shape[0] if before.ndim else 1, -1)
    width = rows.shape[1]
    touched = rows.any(1)
    item = 2 * before.element_size()
    if int(touched.sum()) * (8 + item * width) <= int(rows.sum()) * (8 + item):
        index = touched.nonzero()[:, 0]
    else:
        index, width = rows.flatten().nonzero()[:, 0], 1
    old, new = (tensor.reshape(-1, width)[index] for tensor in (before, after))
    return Change(tuple(before.shape), index, old, new)


def changed_rows(change: Change, rows: Tensor, *, force: bool) -> Tensor:
    """Return what rows of a model become: the new values, or where it is forced what is there plus the difference."""
    if not force:
        return change.new.to(rows)
    wide = torch.promote_types(rows.dtype, torch.float32)
    difference = change.new.to(wide) - change.old.to(wide)
    return (rows.to(wide) + difference.to(rows.device)).to(rows.dtype)


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Say whether two tensors are equal bit for bit.

    Examples
    --------
    >>> import torch
    >>> same_bits(torch.tensor([0.0]), torch.tensor([-0.0])), same_bits(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    (False, True)
    """
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return torch.equal(bits_of(first), bits_of(second))


def bits_of(tensor: Tensor) -> Tensor:
    """Return the bits of the numbers of a tensor as integers, flat."""
    return tensor.contiguous().view(-1).view(BITS[tensor.element_size()])
