"""From the specification of a model to the model.

``SCHEME:REST``, ``python:FILE.py:NAME``, or the bare path of a log or run folder.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from concordant.core.code import from_file
from concordant.core.errors import ConfigError, nearest
from concordant.core.registry import lookup, registered
from concordant.models.load import VERBATIM, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from concordant.core.model import Model

FILES = ("log", "onnx", "python", "sklearn", "torch")
"""Schemes whose rest is a path whether it is there or not."""

SERVERS = ("openai",)
"""Schemes whose rest is never a path."""

TRUST = ("trust_pickle", "trust_code", "trust_remote_code")
"""Options that only the command line gives: a file cannot allow itself to run code."""


def scheme_of(spec: str) -> tuple[str, str]:
    """Split a specification; a bare path is a log.

    Examples
    --------
    >>> scheme_of("hf:models/new"), scheme_of("answers.jsonl#small")
    (('hf', 'models/new'), ('log', 'answers.jsonl#small'))
    """
    scheme, colon, rest = spec.partition(":")
    if colon and scheme.isidentifier() and len(scheme) > 1 and not rest.startswith("\\"):
        return scheme, rest
    return "log", spec


def located(spec: str, base: Path) -> str:
    """Return a specification whose relative path starts from `base`, a hub or server name as it is."""
    scheme, rest = scheme_of(spec)
    path = rest.rpartition(":")[0] if scheme == "python" else rest.partition("#")[0].partition("?")[0]
    if not path or Path(path).is_absolute() or base == Path() or scheme in SERVERS:
        return f"{scheme}:{rest}"
    return f"{scheme}:{base / rest}" if scheme in FILES or (base / path).exists() else f"{scheme}:{rest}"


def check_spec(spec: str, options: Mapping[str, Any]) -> None:
    """Say what is wrong with a specification or its options, without loading anything.

    Raises
    ------
    ConfigError
        If the scheme or an option is not known; the nearest name is given.
    """
    scheme, rest = scheme_of(spec)
    known = [*registered("models"), "python"]
    if scheme not in known:
        message = f"there is no model loader {scheme!r} ({spec}); {nearest(scheme, known)}"
        raise ConfigError(message)
    given = list(options)
    if scheme not in VERBATIM:
        given += [name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)]
    for name in given:
        if name in TRUST:
            message = f"{name} is no option of a model; it is one of the command: --{name.replace('_', '-')}"
            raise ConfigError(message)
    allowed = _keywords(_loader(scheme))
    if allowed is not None and (wrong := next((name for name in given if name not in allowed), None)):
        hint = nearest(wrong, [name for name in allowed if name not in TRUST])
        message = f"{scheme}: models have no option {wrong!r}; {hint}"
        raise ConfigError(message)


def load_model(
    spec: str,
    options: Mapping[str, Any] | None = None,
    *,
    base: Path = Path(),
    concurrency: int | None = None,
    trust_pickle: bool = False,
    trust_code: bool = False,
) -> Model:
    """Load a model.

    Parameters
    ----------
    spec
        ``SCHEME:REST``, ``python:FILE.py:NAME``, or the path of a log or run folder.
    options
        Options of its loader.
    base
        The folder that a relative path starts from.
    concurrency
        Prompts in flight, where the loader knows such an option.
    trust_pickle, trust_code
        Whether files that can run code may be loaded.

    Raises
    ------
    ConcordantError
        If it cannot be loaded.
    """
    options = dict(options or {})
    check_spec(spec, options)
    spec = located(spec, base)
    scheme, rest = scheme_of(spec)
    loader = _loader(scheme)
    allowed = _keywords(loader) or ()
    if concurrency is not None and "concurrency" in allowed:
        options["concurrency"] = concurrency
    for name, is_given in (("trust_pickle", trust_pickle), ("trust_code", trust_code)):
        if is_given and name in allowed:
            options[name] = True
    if scheme == "python":
        found = from_file(rest, Path(), trust_code=trust_code)
        options.setdefault("name", rest.rpartition(":")[2])
        if concurrency is not None and inspect.iscoroutinefunction(found):
            options["concurrency"] = concurrency
        return _loader(scheme)(found, **options)  # type: ignore[no-any-return]
    return load(spec, **options)


def _loader(scheme: str) -> Callable[..., Any]:
    if scheme == "python":
        from concordant.models.adapters import as_model

        return as_model
    return lookup("models", scheme)  # type: ignore[no-any-return]


def _keywords(loader: Callable[..., Any]) -> list[str] | None:
    parameters = list(inspect.signature(loader).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters[1:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
