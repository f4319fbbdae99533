"""What has behaviour: functions, predictors, language models, servers, recordings.

`concordant.load` finds them by name.

What needs more than numpy and polars is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from concordant.models.adapters import as_model as as_model
from concordant.models.base import Dynamics as Dynamics
from concordant.models.base import LanguageModel as LanguageModel
from concordant.models.base import Policy as Policy
from concordant.models.base import Predictor as Predictor
from concordant.models.base import RewardModel as RewardModel
from concordant.models.functions import AsyncFunctionModel as AsyncFunctionModel
from concordant.models.functions import FunctionModel as FunctionModel
from concordant.models.language import GenerativeModel as GenerativeModel
from concordant.models.predictors import PredictorModel as PredictorModel

if TYPE_CHECKING:
    from concordant.models.causal import CausalLM as CausalLM
    from concordant.models.endpoint import Endpoint as Endpoint
    from concordant.models.huggingface import load_huggingface as load_huggingface
    from concordant.models.onnx import OnnxModel as OnnxModel
    from concordant.models.recorded import Recorded as Recorded
    from concordant.models.sklearn_file import load_sklearn as load_sklearn
    from concordant.models.text_classifier import TextClassifier as TextClassifier

_LATER = {
    "CausalLM": "causal",
    "Endpoint": "endpoint",
    "OnnxModel": "onnx",
    "Recorded": "recorded",
    "TextClassifier": "text_classifier",
    "load_huggingface": "huggingface",
    "load_sklearn": "sklearn_file",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
