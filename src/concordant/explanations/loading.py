"""Classifiers to explain, from what names them, such as ``torch:FOLDER``, ``sklearn:FILE.skops`` or ``onnx:FILE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.code import from_file
from concordant.core.errors import ConfigError, ModelError, nearest
from concordant.core.model import digest
from concordant.explanations.classifiers import BlackBox, Classifier, as_classifier
from concordant.models.fingerprints import fingerprint
from concordant.models.load import load
from concordant.models.onnx import OnnxModel
from concordant.models.predictors import PredictorModel
from concordant.models.torch_file import TorchClassifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from concordant.explanations.classifiers import Layout
    from concordant.explanations.series_set import SeriesSet

SCHEMES = ("torch", "sklearn", "onnx", "python")


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier that was loaded, not yet seen beside the data whose shape says how it takes them.

    Attributes
    ----------
    name
        What reports call it.
    model
        A torch classifier, an estimator, an ONNX graph, or a function.
    named
        Names of its classes, in its order, or None where it does not tell them before it is asked.
    columns
        Names of the columns of the tables that it takes, or None where it does not tell.
    fingerprint
        Digest of what decides its behaviour.
    """

    name: str
    model: Any
    named: list[Any] | None
    columns: list[str] | None
    fingerprint: str

    @property
    def classes(self) -> list[Any] | None:
        """Names of its classes, in its order, or None where it does not tell; a graph may tell once it was asked."""
        return _listed(self.model.classes) if isinstance(self.model, OnnxModel) else self.named

    def beside(
        self, data: SeriesSet, *, latent: str | None = None, channels_first: bool = False
    ) -> Classifier:
        """Return it as a classifier of a set.

        Parameters
        ----------
        data
            What it is to explain.
        latent
            Name of the module of a torch classifier where its representation of a series is.
        channels_first
            Whether it wants ``(batch, channel, time)``.

        Raises
        ------
        ConfigError
            If there is no module of that name, or an option does not fit its kind.
        ModelError
            If it cannot take such a set, or tells no probabilities.
        DataError
            If the axes of the set are the wrong way round for it.
        """
        module = _module(self.model)
        if module is not None:
            from concordant.explanations.series_model import SeriesModel

            def seen(*, flat: bool) -> SeriesModel:
                outputs: Any = getattr(self.model, "outputs", "logits")
                return SeriesModel(
                    module,
                    latent=latent,
                    channels_first=channels_first,
                    flat=flat,
                    outputs=outputs,
                    name=self.name,
                )

            if data.is_table and _takes(seen(flat=True), data):
                return seen(flat=True)
            return seen(flat=False)
        if latent is not None:
            message = f"--latent names a module of a torch classifier, and {self.name} is none"
            raise ConfigError(message)
        if isinstance(self.model, OnnxModel):
            graph = _of_onnx(self.model, data, channels_first=channels_first)
            graph.probabilities(data.x[:1])
            return graph
        if not hasattr(self.model, "predict_proba"):
            return as_classifier(
                self.model, name=self.name, layout=_layout(data, channels_first=channels_first)
            )
        return _of_estimator(self.model, self.name, data, self.columns)


def load_classifier(spec: str, *, trust_code: bool = False, trust_pickle: bool = False) -> LoadedClassifier:
    """Load a classifier.

    Parameters
    ----------
    spec
        ``torch:``, ``sklearn:`` or ``onnx:`` as :func:`concordant.load` takes them, or ``python:FILE.py:NAME``, where the
        name is that of a torch module, an estimator, or a function from arrays to probabilities.
    trust_code, trust_pickle
        Whether files that can run code may be loaded.

    Raises
    ------
    ConfigError
        If it names no classifier, or code that is not trusted.
    ModelError
        If it cannot be loaded, or tells no probabilities.
    """
    scheme, colon, source = spec.partition(":")
    if not colon or scheme not in SCHEMES or not source:
        message = (
            f"{spec!r} names no classifier: SCHEME:FILE is expected with {', '.join(SCHEMES)}; {nearest(scheme, SCHEMES)} "
            "(of a language model, concordant explain prompt explains the prompt)"
        )
        raise ConfigError(message)
    if scheme == "python":
        found = from_file(source, Path(), trust_code=trust_code)
        return LoadedClassifier(
            source.rpartition(":")[2],
            found,
            _listed(getattr(found, "classes_", None)),
            _listed(getattr(found, "feature_names_in_", None)),
            fingerprint(found),
        )
    trusted = {"torch": {"trust_code": trust_code}, "sklearn": {"trust_pickle": trust_pickle}}
    model = load(spec, **{name: True for name, given in trusted.get(scheme, {}).items() if given})
    if isinstance(model, OnnxModel):
        columns = list(model.inputs) if len(model.inputs) > 1 else None
        return LoadedClassifier(model.name, model, _listed(model.classes), columns, model.fingerprint)
    assert isinstance(model, PredictorModel)
    predictor = model.predictor
    if not isinstance(predictor, TorchClassifier) and not hasattr(predictor, "predict_proba"):
        message = f"{spec} holds a {type(predictor).__name__}, which has no predict_proba: explanations are of probabilities"
        raise ModelError(message)
    columns = _listed(getattr(predictor, "feature_names_in_", None))
    return LoadedClassifier(model.name, predictor, model.classes, columns, digest(model.fingerprint, spec))


def _module(model: Any) -> Any:
    if isinstance(model, TorchClassifier):
        return model.module
    import sys

    torch = sys.modules.get("torch")
    return model if torch is not None and isinstance(model, torch.nn.Module) else None


def _takes(classifier: Classifier, data: SeriesSet) -> bool:
    try:
        classifier.probabilities(data.x[:2])
    except Exception:
        return False
    return True


def _layout(data: SeriesSet, *, channels_first: bool) -> Layout:
    if data.is_table:
        return "flat"
    return "channel-time" if channels_first else "time-channel"


def _of_estimator(estimator: Any, name: str, data: SeriesSet, columns: list[str] | None) -> BlackBox:
    """Return an estimator that is given rows of a table as it was fitted on them, or series."""
    n_columns = getattr(estimator, "n_features_in_", None)
    if n_columns is None and not data.is_table:
        return BlackBox(estimator.predict_proba, name=name, layout="channel-time")
    n_given = data.x.shape[1] * data.x.shape[2]
    if n_columns is not None and n_columns != n_given:
        message = f"{name} was fitted on {n_columns} columns, and {data.name} has {n_given} numbers a row"
        raise ModelError(message)
    call: Callable[[NDArray[Any]], Any] = estimator.predict_proba
    if columns is not None:
        call = lambda x: estimator.predict_proba(_frame(x, columns))  # noqa: E731
    return BlackBox(call, name=name, layout="flat")


def _frame(x: NDArray[Any], columns: list[str]) -> Any:
    frame = pl.DataFrame(x, schema=columns)
    try:
        return frame.to_pandas()
    except ModuleNotFoundError:
        return frame


def _of_onnx(model: OnnxModel, data: SeriesSet, *, channels_first: bool) -> BlackBox:
    """Return a graph as a classifier; the shape of its input says how it takes series, where it is fixed."""
    if len(model.inputs) > 1:
        names = list(model.inputs)
        return BlackBox(
            lambda x: model.probabilities(pl.DataFrame(x, schema=names)), name=model.name, layout="flat"
        )
    shape = next(iter(model.inputs.values()))
    layout: Layout = _layout(data, channels_first=channels_first)
    if len(shape) == 2:
        layout = "flat"
    elif len(shape) == 3 and not data.is_table:
        time, channel = data.x.shape[1:]
        fits = [
            all(not isinstance(a, int) or a == b for a, b in zip(shape[1:], own, strict=True))
            for own in ((time, channel), (channel, time))
        ]
        if fits == [False, True]:
            layout = "channel-time"
        elif fits == [True, False]:
            layout = "time-channel"
    elif len(shape) == 3:
        layout = "time-channel"
    else:
        message = f"the input of {model.name} has shape {shape}: rows (n, columns) or series (n, time, channel) are expected"
        raise ModelError(message)
    return BlackBox(model.probabilities, name=model.name, layout=layout)


def _listed(names: Any) -> list[Any] | None:
    if names is None:
        return None
    return list(names.tolist() if hasattr(names, "tolist") else names)
