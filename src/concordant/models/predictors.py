"""Classifiers and regressors as models: scikit-learn estimators and whatever else has ``predict``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ModelError, nearest
from concordant.models.classes import most_probable
from concordant.models.fingerprints import fingerprint as fingerprint_of
from concordant.models.rows import answer_frame, inputs_of, repeat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.items import Items
    from concordant.core.model import Request
    from concordant.models.base import Predictor


class PredictorModel:
    """A predictor as a batch model: its label or number is the output.

    Inputs are given as the predictor was fitted: a table as a pandas data frame of the columns in
    ``feature_names_in_`` where it has them (polars where pandas is not installed), as an array where it
    was fitted on one (``n_features_in_`` without names), and as a polars data frame otherwise; numbers as
    a column of shape ``(n, 1)``; texts as a list of prompts.

    Parameters
    ----------
    predictor
        A fitted scikit-learn estimator or pipeline, or any `concordant.models.base.Predictor`.
    name
        What reports call it; the name of the class by default.
    batch_size
        Rows in one call.
    fingerprint
        Digest of what decides its behaviour; by default made from its parameters and fitted arrays.

    Attributes
    ----------
    classes : list or None
        The labels that the columns of the probabilities stand for.

    Notes
    -----
    A predictor is deterministic: several samples of an item are copies. Probabilities of several outputs
    at once (a list of arrays) are left out.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from concordant.core.items import Items
    >>> from concordant.core.model import Request
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = PredictorModel(LogisticRegression().fit(x, [0, 0, 1, 1]))
    >>> answers = model.respond(Items.from_arrays(x), Request())
    >>> answers["output"].to_list(), model.classes
    ([0, 0, 1, 1], [0, 1])
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        name: str | None = None,
        batch_size: int = 8192,
        fingerprint: str | None = None,
    ) -> None:
        self.predictor: Any = predictor
        self.name = name or type(predictor).__name__
        self.fingerprint = fingerprint or fingerprint_of(predictor)
        self.batch_size = batch_size

    def __repr__(self) -> str:
        return f"PredictorModel({self.name})"

    @property
    def classes(self) -> list[Any] | None:
        """The labels that the columns of the probabilities stand for, where known."""
        classes = getattr(self.predictor, "classes_", None)
        return None if classes is None else np.asarray(classes).tolist()

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Predict all `items`; see `BatchModel.respond`."""
        x = self._features(items)
        probabilities = self._probabilities(x)
        if callable(getattr(self.predictor, "probabilities", None)) and probabilities is not None:
            outputs: Any = most_probable(probabilities, self.classes)
        else:
            outputs = self.predictor.predict(x)
        if getattr(outputs, "ndim", 1) == 2 and outputs.shape[1] == 1:
            outputs = np.asarray(outputs).ravel()
        frame = answer_frame(self.name, items, outputs, probabilities=probabilities)
        return repeat(frame, request.n)

    def _probabilities(self, x: Any) -> NDArray[Any] | None:
        for method in ("probabilities", "predict_proba"):
            if callable(call := getattr(self.predictor, method, None)):
                found = call(x)
                return None if isinstance(found, list) else np.asarray(found)
        return None

    def _features(self, items: Items) -> Any:
        inputs = inputs_of(items)
        if isinstance(inputs, np.ndarray) and inputs.ndim == 1:
            return inputs.reshape(-1, 1)
        if not isinstance(inputs, pl.DataFrame):
            return inputs
        names = getattr(self.predictor, "feature_names_in_", None)
        if names is None:
            return inputs.to_numpy() if hasattr(self.predictor, "n_features_in_") else inputs
        missing = [str(name) for name in names if name not in inputs.columns]
        if missing:
            lacks = f"lack {len(missing)} columns, first {missing[0]!r}"
            message = f"model {self.name!r}: the inputs {lacks}; {nearest(missing[0], inputs.columns)}"
            raise ModelError(message)
        inputs = inputs.select(list(names))
        try:
            return inputs.to_pandas()
        except ModuleNotFoundError:
            return inputs
