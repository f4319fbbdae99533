"""The options of a relation or of a model's loader, as the signature of what makes it declares them.

A check file gives options as plain values. An option whose annotation names a model takes the name of one of
the file's models, one that takes a function takes ``FILE.py:NAME``, and every other is checked against its
annotation.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections import abc
from dataclasses import dataclass
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from concordant.core.errors import nearest

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODEL_NAMES = ("Model", "BatchModel", "ConcurrentModel")


class _ModelName:
    """Stands for a model in an evaluated annotation."""


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword option.

    Parameters
    ----------
    name
        Its keyword.
    type
        What it may be, as far as its annotation can be read; `Any` otherwise.
    required
        Whether it has no default.
    takes_model, takes_function, takes_models
        Whether it may be a model, a function, or a list of models.
    about
        What its docstring says.
    """

    name: str
    type: Any
    required: bool
    takes_model: bool
    takes_function: bool
    takes_models: bool = False
    about: str = ""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what a check file may give."""
        kinds: list[dict[str, Any]] = []
        if self.takes_model:
            kinds.append({"type": "string", "description": "the name of a model"})
        if self.takes_models:
            kinds.append({"type": "array", "items": {"type": "string"}, "description": "names of models"})
        if self.takes_function:
            kinds.append({"type": "string", "pattern": r"\.py:\w+$"})
        plain = _without(self.type)
        if plain is not None:
            kinds.append(_json_schema(plain))
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return schema | ({"description": self.about} if self.about else {})


def options_of(made: Callable[..., Any]) -> dict[str, Option] | None:
    """Return the options of a class or function by name, or None where it takes any.

    Examples
    --------
    >>> def loader(path: str, *, batch_size: int = 8): ...
    >>> {name: option.required for name, option in options_of(loader).items()}
    {'path': True, 'batch_size': False}
    """
    parameters = inspect.signature(made).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    home = made.__init__ if isinstance(made, type) else made  # type: ignore[misc]
    names = vars(sys.modules.get(getattr(home, "__module__", ""), typing))
    about = parameters_of(inspect.getdoc(made) or "")
    options = {}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        annotation = parameter.annotation
        type_ = Any if annotation is parameter.empty else _evaluated(annotation, names)
        parts = set(_parts(type_))
        options[parameter.name] = Option(
            parameter.name,
            type_,
            parameter.default is parameter.empty,
            _ModelName in parts,
            abc.Callable in parts,
            any(map(_are_models, _alternatives(type_))),
            about.get(parameter.name, ""),
        )
    return options


def parameters_of(doc: str) -> dict[str, str]:
    r"""Return what a numpydoc docstring says of each parameter, on one line.

    Examples
    --------
    >>> parameters_of("Add.\n\nParameters\n----------\na, b\n    Two numbers,\n    both positive.\n")
    {'a': 'Two numbers, both positive.', 'b': 'Two numbers, both positive.'}
    """
    lines = doc.split("\n")
    titles = [i for i in range(len(lines) - 1) if lines[i + 1].startswith("---")]
    start = next((i + 2 for i in titles if lines[i] == "Parameters"), len(lines))
    end = next((i for i in titles if i >= start), len(lines))
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines[start:end]:
        if line and not line.startswith(" "):
            names = [name.strip(" `*") for name in line.split(":")[0].split(",")]
        else:
            for name in names:
                found.setdefault(name, []).append(line.strip())
    return {name: " ".join(filter(None, text)) for name, text in found.items()}


def unknown(given: Mapping[str, Any], options: Mapping[str, Option] | None) -> tuple[str, str] | None:
    """Return the first option given that is not known, with a hint; None where all are."""
    if options is None:
        return None
    return next(((name, nearest(name, options)) for name in given if name not in options), None)


def checked(option: Option, value: Any) -> Any:
    """Return a plain value as the annotation of its option wants it.

    Raises
    ------
    ValueError
        If it is something else; the text says what is allowed.
    """
    plain = _without(option.type)
    if plain is None:
        message = "should be the name of a model" if option.takes_model else "should be FILE.py:NAME"
        raise ValueError(message)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(plain)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        messages = dict.fromkeys(e["msg"].removeprefix("Input ") for e in error.errors())
        raise ValueError(" or ".join(messages)) from None


class _Names(dict[str, Any]):
    """Names of an annotation: those of its module, models as `_ModelName`, `Any` for what is not there."""

    def __missing__(self, name: str) -> Any:
        if name in MODEL_NAMES:
            return _ModelName
        return getattr(abc, name, None) or getattr(typing, name, None) or getattr(builtins, name, Any)


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    known = _Names({k: v for k, v in names.items() if k not in MODEL_NAMES})
    try:
        return eval(annotation, {"__builtins__": {}}, known)
    except (TypeError, AttributeError, SyntaxError):
        return Any


def _parts(type_: Any) -> typing.Iterator[Any]:
    origin = typing.get_origin(type_)
    yield type_ if origin is None else origin
    if origin is not abc.Callable:
        for part in typing.get_args(type_):
            yield from _parts(part)


def _without(type_: Any) -> Any:
    """Return a type without its models and functions, or None where nothing is left."""
    if type_ is _ModelName or type_ is abc.Callable or typing.get_origin(type_) is abc.Callable:
        return None
    if _are_models(type_):
        return None
    if _alternatives(type_) == (type_,):
        return type_
    parts = map(_without, _alternatives(type_))
    kept = tuple(part for part in parts if part is not None and part is not type(None))
    return typing.Union[kept] if kept else None  # noqa: UP007 - of a tuple


def _alternatives(type_: Any) -> tuple[Any, ...]:
    """Return the parts of a union; of any other type, itself."""
    return typing.get_args(type_) if typing.get_origin(type_) in (typing.Union, type(int | str)) else (type_,)


def _are_models(type_: Any) -> bool:
    return typing.get_origin(type_) in (abc.Sequence, list) and typing.get_args(type_) == (_ModelName,)


def _json_schema(type_: Any) -> dict[str, Any]:
    try:
        return TypeAdapter(type_).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticInvalidForJsonSchema):
        return {}
