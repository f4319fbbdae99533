"""Digests of what decides the behaviour of an object, without running any of its code but its pickling hooks.

Equal fingerprints mean equal models: answers are shared and cached by them. So where it must err, a
fingerprint errs towards *different*: a function is known by its bytecode, its defaults, the variables it
closes over and the global variables it names; an object by the bytecode of its class and by its state;
what comes from an installed package by its name. Arrays count by value, whatever their memory layout, and
dictionaries and sets whatever their order, so that the same training gives the same fingerprint in
another process.

What it cannot see: files and servers that a function reads. Give such a model a `fingerprint` of its own.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ModelError
from concordant.core.items import frame_digest
from concordant.core.model import digest

if TYPE_CHECKING:
    from pathlib import Path

Seen = dict[int, tuple[str, Any]]
"""Digest of each object already met, by id; the object is kept so that its id stays its own."""

LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def fingerprint(value: Any) -> str:
    """Return the digest of an object: a function, an estimator, arrays, plain data.

    Raises
    ------
    ModelError
        If the object is nested too deeply to be walked through.

    Examples
    --------
    >>> def threshold(at):
    ...     return lambda x: x > at
    >>> fingerprint(threshold(1)) == fingerprint(threshold(1))
    True
    >>> fingerprint(threshold(1)) == fingerprint(threshold(2))
    False
    """
    try:
        return _digest(value, {})
    except RecursionError:
        kind = qualified_name(type(value))
        message = f"a {kind} is nested too deeply to make its fingerprint; pass fingerprint=TEXT"
        raise ModelError(message) from None


def files_fingerprint(paths: Iterable[Path], *parts: Any) -> str:
    """Return the digest of the contents of files, by their names in order, and of further `parts`.

    Raises
    ------
    ModelError
        If one of them cannot be read.
    """
    contents = []
    for path in sorted(paths):
        try:
            with path.open("rb") as file:
                contents.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
        except OSError as error:
            message = f"{path}: the model cannot be read: {error.strerror}"
            raise ModelError(message) from None
    return digest(contents, *parts)


def qualified_name(value: Any) -> str:
    """Return where a class or function comes from, as ``module.name``."""
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _digest(value: Any, seen: Seen) -> str:
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return digest(type(value).__name__, value if isinstance(value, bytes) else repr(value))
    if id(value) in seen:
        return seen[id(value)][0]
    seen[id(value)] = ("cycle", value)  # what an object that holds itself finds in the place of itself
    result = digest(*_parts(value, seen))
    seen[id(value)] = (result, value)
    return result


def _parts(value: Any, seen: Seen) -> list[Any]:
    """Return digestible parts of one object. The order matters: a class is callable, a frame is iterable."""
    name = qualified_name(type(value))
    if isinstance(value, np.ndarray | np.generic):
        return _array_parts(np.asarray(value), seen)
    if isinstance(value, Mapping):
        return [name, *sorted(_digest(key, seen) + _digest(item, seen) for key, item in value.items())]
    if isinstance(value, list | tuple):
        return [name, *(_digest(item, seen) for item in value)]
    if isinstance(value, set | frozenset):
        return [name, *sorted(_digest(item, seen) for item in value)]
    if isinstance(value, pl.DataFrame | pl.Series):
        return [name, frame_digest(value if isinstance(value, pl.DataFrame) else value.to_frame())]
    if isinstance(value, types.ModuleType):
        return [name, value.__name__]
    if isinstance(value, type):
        return _class_parts(value)
    if isinstance(value, functools.partial):
        return [name, *(_digest(part, seen) for part in (value.func, value.args, value.keywords))]
    if isinstance(value, types.MethodType):
        return [name, _digest(value.__func__, seen), _digest(value.__self__, seen)]
    unwrapped = inspect.unwrap(value) if callable(value) else value
    if isinstance(unwrapped, types.FunctionType):
        return _function_parts(unwrapped, seen)
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return [name, str(value.dtype), list(value.shape), _tensor_bytes(value)]
    if callable(getattr(value, "state_dict", None)):  # a torch module; its repr tells the activations
        layers = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        return [*_class_parts(type(value)), layers, _digest(dict(value.state_dict()), seen)]
    return [*_class_parts(type(value)), *_state_parts(value, seen)]


def _array_parts(array: np.ndarray[Any, Any], seen: Seen) -> list[Any]:
    if array.dtype.names:  # by field, because the padding between fields is whatever was in memory
        return ["fields", array.shape, *(_digest(array[name], seen) for name in array.dtype.names)]
    if array.dtype.hasobject:
        return ["objects", array.shape, _digest(array.tolist(), seen)]
    return ["array", str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes()]


def _tensor_bytes(tensor: Any) -> bytes:
    import torch

    return bytes(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def _function_parts(function: types.FunctionType, seen: Seen) -> list[Any]:
    """Return what a function is made of: its code, its defaults, and the values of its free names by now."""
    code = function.__code__
    if _is_library(code):
        return [qualified_name(function)]
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    closed = {name: cell.cell_contents for name, cell in cells.items() if cell != types.CellType()}
    known = function.__globals__
    named = {name: known[name] for name in sorted(_names(code)) if name in known}
    values = (function.__defaults__, function.__kwdefaults__, closed, named)
    return [qualified_name(function), _code_digest(code), _digest(values, seen)]


def _class_parts(kind: type) -> list[Any]:
    """Return the name of a class, and the code of the functions that it and its parents define."""
    methods = (
        (qualified_name(parent), name, _code_digest(member.__code__))
        for parent in kind.__mro__
        for name, member in vars(parent).items()
        if isinstance(member, types.FunctionType) and not _is_library(member.__code__)
    )
    return [qualified_name(kind), sorted(methods)]


def _is_library(code: types.CodeType) -> bool:
    return code.co_filename.startswith(LIBRARIES)


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def _code_digest(code: types.CodeType) -> str:
    """Return the digest of bytecode: two functions on one line have one source, but not one bytecode."""
    constants = [_code_digest(c) if isinstance(c, types.CodeType) else _digest(c, {}) for c in code.co_consts]
    return digest(code.co_code, code.co_names, code.co_varnames, constants)


def _state_parts(value: Any, seen: Seen) -> list[Any]:
    """Return the state of an object as pickling would see it; else its attributes."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:
        return [_digest(getattr(value, "__dict__", None), seen)]
    if isinstance(reduced, str):
        return [reduced]
    return [_digest(list(part) if isinstance(part, Iterator) else part, seen) for part in reduced[1:]]
