"""A reversible edit: which numbers of a model change, with the exact old and new value of each.

An edit is made for one model, which it knows by a digest of its weights. It is applied to those weights and to no
others, and undone only on the model that it gave, so that undoing gives every bit back. It is saved as one small
safetensors file, since only what changes is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError, StoreError
from concordant.learn.checkpoint import load_tensors, save_tensors
from concordant.versions.editing.changes import Change, changed_rows, same_bits
from concordant.versions.editing.digests import model_digest, tensor_digests, weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn

PARTS = ("index", "old", "new")
KIND = "edit"


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
    >>> from concordant.versions.editing import edit_of_rows
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
        try:
            tensors, header = load_tensors(Path(path))
        except StoreError:
            header = {}
        if header.get("kind") != KIND:
            message = f"{path} is no edit that this package wrote, or it is damaged"
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


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
