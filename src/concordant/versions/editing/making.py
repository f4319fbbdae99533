"""Making edits: from new values of rows, from what is added to them, or as what leads from one model to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError
from concordant.versions.editing.changes import Change, change_between
from concordant.versions.editing.digests import model_digest, tensor_digest, tensor_digests, weights_of
from concordant.versions.editing.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn


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
        change = change_between(tensor.detach().cpu().to(dtype), second[name].detach().cpu().to(dtype))
        if change is not None:
            _check_finite(name, change.new)
            changes[name] = change
    return _edit(first, changes, about)


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
