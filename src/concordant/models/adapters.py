"""Any object that has behaviour, as a model of the flow."""

from __future__ import annotations

import inspect
from typing import Any

from concordant.core.errors import ConfigError, ModelError
from concordant.core.model import BatchModel, ConcurrentModel, Model
from concordant.models.base import LanguageModel, Predictor
from concordant.models.functions import AsyncFunctionModel, FunctionModel
from concordant.models.language import GenerativeModel
from concordant.models.predictors import PredictorModel

ALLOWED = (
    "a function, an async function, an object with predict (scikit-learn), "
    "an object with generate and score, or an object with respond or complete"
)


def as_model(value: Any, **options: Any) -> Model:
    """Return `value` as a model of the flow, by what it can do.

    Parameters
    ----------
    value
        In this order: a `BatchModel` or `ConcurrentModel`, which is returned as it is; a
        `~concordant.models.base.LanguageModel`; a `~concordant.models.base.Predictor`; an ``async``
        function; a function or other callable object.
    options
        Options of the adapter: `name`, `fingerprint`, `batch_size`; see `FunctionModel`,
        `AsyncFunctionModel`, `PredictorModel` and `GenerativeModel`.

    Raises
    ------
    ModelError
        If the object is none of these.
    ConfigError
        If an option is not one of its adapter.

    Examples
    --------
    >>> as_model(len, name="length")
    FunctionModel(length)
    """
    if isinstance(value, type):
        message = f"the class {value.__name__} is not a model, but an object made from it may be"
        raise ModelError(message)
    if isinstance(value, BatchModel | ConcurrentModel):
        adapter: Any = _as_it_is
    elif isinstance(value, LanguageModel):
        adapter = GenerativeModel
    elif isinstance(value, Predictor):
        adapter = PredictorModel
    elif inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(type(value).__call__):
        adapter = AsyncFunctionModel
    elif callable(value):
        adapter = FunctionModel
    else:
        message = f"{type(value).__name__} is not a model; allowed: {ALLOWED}"
        raise ModelError(message)
    try:
        inspect.signature(adapter).bind(value, **options)
    except TypeError as error:
        known = ", ".join(list(inspect.signature(adapter).parameters)[1:]) or "none"
        message = f"a {type(value).__name__} cannot be made a model: {error}; allowed options: {known}"
        raise ConfigError(message) from None
    model: Model = adapter(value, **options)
    return model


def _as_it_is(value: Model) -> Model:
    return value
