"""Editing a language model and giving it back: reversible edits, what they changed, and two ways of making them.

An edit is a small file. It is applied to the weights it was made for, undone to the bit, and told by a ledger: what
changed where it should, what changed elsewhere, beside random edits of the same size.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concordant.versions.editing.edit import Change as Change
    from concordant.versions.editing.edit import Edit as Edit
    from concordant.versions.editing.edit import edit_between as edit_between
    from concordant.versions.editing.edit import edit_of_rows as edit_of_rows

_HOME = {
    "Change": "edit",
    "Edit": "edit",
    "edit_between": "edit",
    "edit_of_rows": "edit",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'concordant.versions.editing' has no attribute {name!r}"
        raise AttributeError(message)
    from concordant.core.errors import require

    require("torch", "torch", "edits of models")
    value = getattr(importlib.import_module(f"concordant.versions.editing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
