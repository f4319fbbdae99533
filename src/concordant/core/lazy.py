"""Public names of a package whose modules are not imported before one of their names is used."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from concordant.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def late_names(
    package: str, home: Mapping[str, str], *, torch: str | Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``; it has an ``__all__``.
    home
        For each public name the module of the package that has it.
    torch
        What needs torch, as the subject of a sentence ("merges of weights"): a text for all modules, or a text for each
        module that does. Where torch is missing, the error names the extra that brings it.

    Examples
    --------
    >>> find, listed = late_names("concordant.learn", {"train": "loop"}, torch="training")
    >>> find("train").__module__, "train" in listed()
    ('concordant.learn.loop', True)
    """

    def find(name: str) -> Any:
        if name not in home:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        purpose = torch if torch is None or isinstance(torch, str) else torch.get(home[name])
        if purpose is not None:
            require("torch", "torch", purpose)
        value = getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return list(sys.modules[package].__all__)

    return find, listed
