"""Classifiers and regressors in ONNX files, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from concordant.core.errors import ModelError, first_line, require
from concordant.models.classes import most_probable, softmax
from concordant.models.fingerprints import files_fingerprint
from concordant.models.rows import answer_frame, inputs_of, repeat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.items import Items
    from concordant.core.model import Request

Task = Literal["auto", "classifier", "regressor"]

ROUNDING = 1e-6
"""How far below 0 a probability may be: sums over trees leave a little."""

NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxModel:
    """An ONNX classifier or regressor as a batch model.

    What its outputs mean is told from their shapes:

    - a column of labels (integers or texts) is the prediction, and a table of floats or a list of
      dictionaries (``zipmap``) beside it are the probabilities;
    - a table of floats with several columns alone is logits (or probabilities, where its rows sum to 1): the
      prediction is the column of the greatest;
    - a single column of floats is the prediction of a regressor.

    Parameters
    ----------
    path
        The file.
    classes
        Labels of the columns of the probabilities, where the file does not tell: a sequence, or one text
        with commas.
    task
        What a single output of floats is: ``"classifier"`` (logits) or ``"regressor"``, where the number
        of its columns does not tell.
    threads
        Threads within one operator; 0 lets ONNX Runtime decide.
    name
        What reports call it; the name of the file by default.
    batch_size
        Rows in one call.

    Raises
    ------
    ModelError
        If the file cannot be read or run, or its outputs are none of the above.
    MissingExtraError
        If ONNX Runtime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        classes: str | Sequence[Any] | None = None,
        task: Task = "auto",
        threads: int = 0,
        name: str | None = None,
        batch_size: int = 8192,
    ) -> None:
        path = Path(path)
        if task not in ("auto", "classifier", "regressor"):
            message = f"task of {path}: allowed are auto, classifier and regressor, got {task!r}"
            raise ModelError(message)
        # Great weights lie beside the file, as model.onnx.data or model.onnx_data.
        files = [path, *path.parent.glob(f"{path.name}[._]data")]
        self.fingerprint = files_fingerprint(files, str(classes), task)
        self.name = name or path.stem
        self.batch_size = batch_size
        self.classes = classes.split(",") if isinstance(classes, str) else classes and list(classes)
        self._task = task
        self._session = _session(path, threads)

    def __repr__(self) -> str:
        return f"OnnxModel({self.name})"

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Predict all `items`; see `BatchModel.respond`."""
        outputs, probabilities = self._answers(inputs_of(items))
        frame = answer_frame(self.name, items, outputs, probabilities=probabilities)
        return repeat(frame, request.n)

    @property
    def inputs(self) -> dict[str, list[Any]]:
        """The shapes of the inputs of the graph by name; an axis is a number, or a text or None where it may be any."""
        return {node.name: list(node.shape) for node in self._session.get_inputs()}

    def probabilities(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probabilities of the classes, shape ``(n, classes)``.

        Parameters
        ----------
        inputs
            An array of n rows; a data frame with a column an input where the graph has several.

        Raises
        ------
        ModelError
            If it cannot take them, or tells no probabilities.
        """
        _, probabilities = self._answers(inputs)
        if probabilities is None:
            message = f"model {self.name!r} gives no probabilities of classes"
            raise ModelError(message)
        return np.asarray(probabilities, np.float64)

    def _answers(self, inputs: Any) -> tuple[Any, NDArray[Any] | None]:
        feeds = self._feeds(inputs)
        fixed, n = self._session.get_inputs()[0].shape[0], len(inputs)
        size = fixed if isinstance(fixed, int) and fixed > 0 else n
        parts = [self._run(feeds, start, size) for start in range(0, n, size)]
        return self._read([_joined(column)[:n] for column in zip(*parts, strict=True)])

    def _feeds(self, inputs: Any) -> dict[str, Any]:
        """Return the array of each input of the graph: all features, or one column of the table an input."""
        nodes = self._session.get_inputs()
        if len(nodes) == 1:
            table = inputs.to_numpy() if isinstance(inputs, pl.DataFrame) else np.asarray(inputs)
            columns = {nodes[0].name: table.reshape(-1, 1) if table.ndim == 1 else table}
        elif isinstance(inputs, pl.DataFrame) and {node.name for node in nodes} <= set(inputs.columns):
            columns = {node.name: inputs[node.name].to_numpy().reshape(-1, 1) for node in nodes}
        else:
            names = ", ".join(node.name for node in nodes)
            got = (
                f"columns {', '.join(inputs.columns)}"
                if isinstance(inputs, pl.DataFrame)
                else "inputs without names"
            )
            message = f"model {self.name!r} takes a table with the columns {names}, got {got}"
            raise ModelError(message)
        return {node.name: columns[node.name].astype(NUMBERS.get(node.type, np.float32)) for node in nodes}

    def _run(self, feeds: dict[str, Any], start: int, size: int) -> list[Any]:
        """Run `size` rows; a graph of a fixed number of rows gets its last rows again to fill it up."""
        rows = {name: column[start : start + size] for name, column in feeds.items()}
        lack = size - min(len(column) for column in rows.values())
        if lack:
            last = {name: np.repeat(column[-1:], lack, axis=0) for name, column in rows.items()}
            rows = {name: np.concatenate([column, last[name]]) for name, column in rows.items()}
        try:
            outputs: list[Any] = self._session.run(None, rows)
        except Exception as error:
            message = f"model {self.name!r} cannot take its inputs: {first_line(error)}"
            raise ModelError(message) from None
        return outputs

    def _read(self, columns: Sequence[Any]) -> tuple[Any, NDArray[Any] | None]:
        """Return predictions and probabilities from the outputs of the graph."""
        zipped = [column for column in columns if isinstance(column, list)]
        if zipped:
            self.classes = self.classes or list(zipped[0][0])
        arrays = [np.array([list(row.values()) for row in column]) for column in zipped]
        arrays += [column for column in columns if isinstance(column, np.ndarray)]
        labels = [array for array in arrays if array.dtype.kind in "iUO"]
        tables = [array for array in arrays if array.dtype.kind == "f" and array.ndim == 2]
        if labels:
            proper = [table for table in tables if _is_simplex(table) or np.isnan(table).any()]
            return labels[0].ravel(), proper[0].clip(min=0) if proper else None
        tables += [array.reshape(-1, 1) for array in arrays if array.dtype.kind == "f" and array.ndim == 1]
        if not tables:
            nodes = self._session.get_outputs()
            got = ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)
            message = (
                f"model {self.name!r}: its outputs are neither labels nor numbers of each row, got {got}"
            )
            raise ModelError(message)
        table = tables[0]
        if self._task == "regressor" or (self._task == "auto" and table.shape[1] == 1):
            return (table.ravel() if table.shape[1] == 1 else table).astype(np.float64), None
        probabilities = _probabilities(table)
        return most_probable(probabilities, self.classes), probabilities


load_onnx = OnnxModel


def _session(path: Path, threads: int) -> Any:
    runtime = require("onnxruntime", "onnx", "ONNX models")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    runtime.disable_telemetry_events()
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message = f"{path} cannot be run by ONNX Runtime: {first_line(error)}"
        raise ModelError(message) from None


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)


def _is_simplex(table: NDArray[Any]) -> bool:
    return bool((table >= -ROUNDING).all() and np.allclose(table.sum(axis=1), 1, atol=1e-3))


def _probabilities(table: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows that sum to 1 from logits: softmax, or the logistic function where there is one column."""
    table = table.astype(np.float64)
    if table.shape[1] == 1:
        table = np.hstack([np.zeros_like(table), table])
    elif _is_simplex(table):
        return table.clip(min=0)
    return softmax(table)
