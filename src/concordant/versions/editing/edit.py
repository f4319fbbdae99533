"""A reversible edit: which numbers of a model change, with the exact old and new value of each.

An edit is made for one model, which it knows by a digest of its weights. It is applied to those weights and to no
others, and undone only on the model that it gave, so that undoing gives every bit back. It is saved as one small
safetensors file, since only what changes is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ModelError, StoreError
from concordant.learn.checkpoint import load_tensors, save_tensors
from concordant.versions.editing.digests import model_digest, tensor_digest, tensor_digests, weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers as wide as a number, to compare bits: NaN is NaN then, and minus zero is not zero."""

PARTS = ("index", "old", "new")
KIND = "edit"


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
            return int((self.index // max(1, self.shape[-1])).unique().numel())
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


@dataclass(frozen=True)
class Edit:
    """Changes of the weights of one model.

    Parameters
    ----------
    changes
        By the name of the tensor.
    before, after
        Digests of the model without and with the edit.
    about
        What is to be remembered of how it was made: ``method``, ``settings``, ``seed``; JSON.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> untouched = model.weight.detach().clone()
    >>> edit = edit_of_rows(model, {"weight": (torch.tensor([1]), torch.tensor([[7.0, 8.0]]))})
    >>> edit.apply(model)
    >>> model.weight[1].tolist()
    [7.0, 8.0]
    >>> edit.undo(model)
    >>> torch.equal(model.weight, untouched)
    True
    """

    changes: Mapping[str, Change]
    before: str
    after: str
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_numbers(self) -> int:
        """How many numbers it holds a new value of."""
        return sum(change.n_numbers for change in self.changes.values())

    def reversed(self) -> Edit:
        """Return the edit that gives the model back."""
        changes = {name: change.reversed() for name, change in self.changes.items()}
        return Edit(changes, self.after, self.before, self.about)

    def apply(self, model: nn.Module | Mapping[str, Tensor], *, force: bool = False) -> None:
        """Write the new values into a model in place.

        Parameters
        ----------
        model
            A module, or tensors by name. It may be of a wider precision than the edit, which changes no value.
        force
            Whether a model of other weights is edited too: the differences are added to what is there, which
            cannot be undone to the bit.

        Raises
        ------
        ModelError
            If a tensor is missing, of another shape or too coarse, or the weights are not those that the edit was
            made for; nothing has been changed then.
        """
        weights = weights_of(model)
        self.check_tensors({name: (tuple(t.shape), t.dtype) for name, t in weights.items()})
        if not force:
            self.check_digest(model_digest(tensor_digests(weights)))
        for name, change in self.changes.items():
            rows = change.rows_of(weights[name])
            change.put(weights[name], changed_rows(change, rows, force=force))

    def undo(self, model: nn.Module | Mapping[str, Tensor], *, force: bool = False) -> None:
        """Write the old values back into a model in place; arguments and errors as for `apply`."""
        self.reversed().apply(model, force=force)

    def check_tensors(self, have: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
        """Check that a model has the tensors of the edit, of their shapes and precise enough for its values.

        Raises
        ------
        ModelError
            If it has not.
        """
        for name, change in self.changes.items():
            if name not in have:
                message = f"the edit changes {name}, which the model lacks"
                raise ModelError(message)
            shape, dtype = have[name]
            if shape != change.shape:
                message = f"the edit is for a {name} of shape {change.shape}, the model has one of {shape}"
                raise ModelError(message)
            for values in (change.old, change.new):
                if not same_bits(values.to(dtype).to(values.dtype), values):
                    message = (
                        f"{name} is {_short(dtype)} in the model, which cannot hold the {_short(values.dtype)} values of "
                        "the edit: make the edit for the model as it is stored"
                    )
                    raise ModelError(message)

    def check_digest(self, digest: str) -> None:
        """Check that a digest is that of the model the edit was made for.

        Raises
        ------
        ModelError
            If it is not.
        """
        if digest == self.before:
            return
        if digest == self.after:
            message = "the model has this edit already, or it was undone already"
        else:
            message = (
                f"the edit was made for the weights {self.before}, the model has {digest}: give that model, undo "
                "later edits first, or force it, which adds the differences"
            )
        raise ModelError(message)

    def save(self, path: str | Path) -> None:
        """Write the edit to a safetensors file, all or nothing.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        tensors = {
            f"{name}|{part}": getattr(change, part) for name, change in self.changes.items() for part in PARTS
        }
        header = {
            "kind": KIND,
            "shapes": {name: list(change.shape) for name, change in self.changes.items()},
            "before": self.before,
            "after": self.after,
            "about": dict(self.about),
        }
        save_tensors(Path(path), tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> Edit:
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If the file is not there, is damaged, or is not an edit.
        """
        if not Path(path).is_file():
            message = f"there is no edit {path}"
            raise StoreError(message)
        tensors, header = load_tensors(Path(path))
        if header.get("kind") != KIND:
            message = f"{path} is a file of this package but not an edit"
            raise StoreError(message)
        try:
            changes = {
                name: Change(tuple(shape), *(tensors[f"{name}|{part}"] for part in PARTS))
                for name, shape in header["shapes"].items()
            }
            return cls(changes, header["before"], header["after"], header["about"])
        except KeyError as error:
            message = f"{path} is a damaged edit: {error} is missing"
            raise StoreError(message) from None


def edit_of_rows(
    model: nn.Module | Mapping[str, Tensor],
    rows: Mapping[str, tuple[Tensor, Tensor]],
    *,
    stored: Mapping[str, torch.dtype] | None = None,
    **about: Any,
) -> Edit:
    """Make an edit from new values of some rows; the model is left as it is.

    Parameters
    ----------
    model
        A module, or tensors by name.
    rows
        By the name of a tensor: which rows along its first axis, shape ``(n,)``, and their new values, shape
        ``(n, ...)``.
    stored
        Precision of each tensor in the files of the model, where it is not that in memory: the values are rounded to
        it, so that the edit of the files and of the model in memory is one.
    about
        For `Edit.about`.

    Raises
    ------
    ModelError
        If a value is not finite.
    """
    weights = weights_of(model)
    changes = {}
    for name, (index, new) in rows.items():
        order = index.argsort()
        dtype = (stored or {}).get(name, weights[name].dtype)
        _check_finite(name, new)
        old = weights[name].detach()[index[order]].reshape(len(order), -1).cpu().to(dtype)
        new = new[order].detach().reshape(len(order), -1).cpu().to(dtype)
        changes[name] = Change(tuple(weights[name].shape), index[order].cpu().long(), old, new)
    return _edit(weights, changes, about)


def edit_of_parts(
    model: nn.Module | Mapping[str, Tensor],
    parts: Mapping[str, tuple[Tensor, Tensor]],
    *,
    stored: Mapping[str, torch.dtype] | None = None,
    **about: Any,
) -> Edit:
    """Make an edit that adds to some rows; the model is left as it is.

    Parameters
    ----------
    model, stored, about
        As for :func:`edit_of_rows`.
    parts
        By the name of a tensor: which rows of ``tensor.reshape(-1, width)``, ascending, shape ``(n,)``, and what is added
        to them, shape ``(n, width)``.
    """
    weights = weights_of(model)
    changes = {}
    for name, (index, step) in parts.items():
        dtype = (stored or {}).get(name, weights[name].dtype)
        old = weights[name].detach().cpu().reshape(-1, step.shape[1])[index].to(dtype)
        new = (old.float() + step).to(dtype)
        _check_finite(name, new)
        changes[name] = Change(tuple(weights[name].shape), index, old, new)
    return _edit(weights, changes, about)


def edit_between(
    before: nn.Module | Mapping[str, Tensor],
    after: nn.Module | Mapping[str, Tensor],
    *,
    stored: Mapping[str, torch.dtype] | None = None,
    **about: Any,
) -> Edit:
    """Make the edit that leads from one model to another of the same tensors.

    Parameters
    ----------
    before, after
        Modules, or tensors by name.
    stored, about
        As for :func:`edit_of_rows`.

    Raises
    ------
    ModelError
        If the two have not the same tensors, or a value is not finite.
    """
    first, second = weights_of(before), weights_of(after)
    for name in sorted(first.keys() | second.keys()):
        shapes = [tuple(w[name].shape) if name in w else "absent" for w in (first, second)]
        if shapes[0] != shapes[1]:
            message = f"no edit leads from one model to the other: {name} is {shapes[0]} before and {shapes[1]} after"
            raise ModelError(message)
    changes = {}
    for name, tensor in first.items():
        dtype = (stored or {}).get(name, tensor.dtype)
        change = _change(tensor.detach().cpu().to(dtype), second[name].detach().cpu().to(dtype))
        if change is not None:
            _check_finite(name, change.new)
            changes[name] = change
    return _edit(first, changes, about)


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
    return torch.equal(_bits(first), _bits(second))


def _change(before: Tensor, after: Tensor) -> Change | None:
    """Return what changes between two tensors in the cheaper of both forms, or None where nothing does."""
    differ = (_bits(before) != _bits(after)).reshape(before.shape)
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


def _edit(weights: Mapping[str, Tensor], changes: Mapping[str, Change], about: Mapping[str, Any]) -> Edit:
    digests = tensor_digests(weights)
    changed = dict(digests)
    for name, change in changes.items():
        edited = weights[name].detach().clone()
        change.put(edited, change.new)
        changed[name] = tensor_digest(edited)
    return Edit(dict(changes), model_digest(digests), model_digest(changed), dict(about))


def _check_finite(name: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        message = f"the new values of {name} must be finite numbers, got NaN or infinity"
        raise ModelError(message)


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(BITS[tensor.element_size()])


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
