"""Load a model by what names it: ``load("hf:models/new")``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from concordant.core.errors import ConfigError, ModelError, nearest
from concordant.core.registry import lookup, registered

if TYPE_CHECKING:
    from concordant.core.model import Model

VERBATIM = ("log",)
"""Schemes whose ``?...`` belongs to the source and is not read as options of the model."""


def load(spec: Any, **options: Any) -> Model:
    """Load a model.

    Parameters
    ----------
    spec
        ``SCHEME:SOURCE[?option=value&...]`` with one of the registered schemes (``hf:``, ``openai:``,
        ``sklearn:``, ``onnx:``, ``log:``, and those of installed plugins), or an object that has
        behaviour: a function, a scikit-learn estimator, a language model, or what already is a model; see
        `concordant.models.adapters.as_model`.
    options
        Options of the model; they win over those in `spec`. ``name=`` is what people call it.

    Raises
    ------
    ModelError
        If the scheme is unknown, or the model cannot be loaded.
    ConfigError
        If the model has no such option.

    Examples
    --------
    >>> load(str.upper, name="shouting")
    FunctionModel(shouting)
    """
    from concordant.models.adapters import as_model

    if not isinstance(spec, str):
        return as_model(spec, **options)
    scheme, colon, source = spec.partition(":")
    if not colon or scheme not in registered("models"):
        hint = nearest(scheme, registered("models"))
        message = f"{spec!r} names no model: allowed are SCHEME:SOURCE with {hint}"
        raise ModelError(message)
    if scheme not in VERBATIM:
        source, _, query = source.partition("?")
        options = {**_parse(query), **options}
    if not source:
        message = f"{spec!r} names no model: behind {scheme}: comes a name or a path"
        raise ModelError(message)
    loader = lookup("models", scheme)
    try:
        inspect.signature(loader).bind(source, **options)
    except TypeError:
        allowed = list(inspect.signature(loader).parameters)[1:]
        wrong = next((name for name in options if name not in allowed), "")
        message = f"{scheme}: has no option {wrong!r}; {nearest(wrong, allowed)}"
        raise ConfigError(message) from None
    return as_model(loader(source, **options))


def _parse(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        options[key] = option_value(text)
    return options


def option_value(text: str) -> Any:
    """Return what a text in a specification means: true or false, a number, or itself.

    Examples
    --------
    >>> option_value("True"), option_value("20"), option_value("0.5"), option_value("pool")
    (True, 20, 0.5, 'pool')
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
