"""What can go wrong, and the exit code it has.

::

    ConcordantError                 exit code 2
    ├── DataError                   items, logs and stored runs that cannot be read or do not fit together
    ├── ConfigError                 check.yaml, gates, relations and options that cannot be understood
    ├── ModelError                  a model that cannot be loaded or reached, or answers in a wrong shape
    ├── MissingExtraError           an optional dependency that is not installed
    └── StoreError                  a run folder that cannot be written, read or shared

Every message is one sentence that says what was wrong, where, what is allowed and what was got.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


class ConcordantError(Exception):
    """The base of all errors that are the user's to mend; the command line prints them and exits with 2."""

    exit_code = 2


class DataError(ConcordantError):
    """Items, logs or stored runs that cannot be read or do not fit together."""


class ConfigError(ConcordantError):
    """A configuration, gate, relation or option that cannot be understood."""


class ModelError(ConcordantError):
    """A model that cannot be loaded or reached, or that answers in a wrong shape."""


class MissingExtraError(ConcordantError):
    """An optional dependency that is not installed."""


class StoreError(ConcordantError):
    """A run folder that cannot be written, read or shared."""


def nearest(name: str, options: Iterable[str]) -> str:
    """Return a hint for a misspelt `name`: the nearest of `options`, or all of them when none is near.

    Examples
    --------
    >>> nearest("version.flip", ["versions.flips", "versions.scores"])
    'did you mean versions.flips?'
    >>> nearest("zzz", ["a", "b"])
    'known: a, b'
    """
    known = sorted(options)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(known)}" if known else "there are none"


def first_line(error: BaseException, limit: int = 300) -> str:
    r"""Return the first line of what an exception says, cut to `limit` characters; empty where it says nothing.

    Examples
    --------
    >>> first_line(ValueError("a is not b\nwhere a is ..."))
    'a is not b'
    """
    text = str(error).strip().split("\n", 1)[0]
    return text if len(text) <= limit else f"{text[:limit]}..."


def described(error: BaseException) -> str:
    """Return the kind of an exception and its first line, as what befell one item is recorded.

    Examples
    --------
    >>> described(KeyError("question"))
    "KeyError: 'question'"
    """
    return f"{type(error).__name__}: {first_line(error)}"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional `module`, or say which extra brings it.

    Parameters
    ----------
    module
        Dotted name of the module.
    extra
        The extra of this package that installs it.
    purpose
        What needs it, as the subject of the sentence: "ONNX models".

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".")[0] != error.name.split(".")[0]:
            raise
        message = f"{purpose} need {module.split('.')[0]}, which is not installed: pip install 'concordant[{extra}]'"
        raise MissingExtraError(message) from None
