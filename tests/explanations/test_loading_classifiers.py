"""Classifiers beside the data whose shape says how they take them, and the methods that fit them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.explanations.attribution_file import AttributionFile
from concordant.explanations.classifiers import BlackBox
from concordant.explanations.explaining import default_method, explain_set, fitting_methods
from concordant.explanations.loading import LoadedClassifier, load_classifier
from concordant.explanations.registry import method
from concordant.explanations.series_set import SeriesSet
from concordant.models.onnx import OnnxModel
from concordant.models.torch_file import TorchClassifier

onnx = pytest.importorskip("onnx")
X = np.random.default_rng(0).normal(size=(6, 5, 2))
DATA = SeriesSet("made", X, ("a", "b"))
TABLE = SeriesSet("rows", X[:, :1], ("a", "b"), is_table=True)


def loaded(model, columns=None):
    return LoadedClassifier("it", model, None, columns, "print")


def graph(tmp_path, *shape):
    """Write a graph whose logits are the sums of the two ends of the first axis behind that of rows."""
    helper, kind = onnx.helper, onnx.TensorProto
    axes = list(range(2, 1 + len(shape)))
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sums"], keepdims=0)
        if axes
        else helper.make_node("Identity", ["x"], ["sums"]),
        helper.make_node("Gather", ["sums", "ends"], ["logits"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", kind.INT64, [len(axes)], axes),
        helper.make_tensor("ends", kind.INT64, [2], [0, -1]),
    ]
    inputs = [helper.make_tensor_value_info("x", kind.FLOAT, [None, *shape])]
    outputs = [helper.make_tensor_value_info("logits", kind.FLOAT, [None, 2])]
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, constants if axes else constants[1:]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(made, tmp_path / "g.onnx")
    return OnnxModel(tmp_path / "g.onnx")


def ends(x):
    logits = x[:, [0, -1]].sum(2)
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("shape", "first", "turned"),
    [((5, 2), False, False), ((2, 5), False, True), ((None, None), False, False), ((None, None), True, True)],
)
def test_the_input_of_a_graph_says_its_order_of_axes(tmp_path, shape, first, turned) -> None:
    classifier = loaded(graph(tmp_path, *shape)).beside(DATA, channels_first=first)
    expected = ends(X.swapaxes(1, 2) if turned else X)
    assert np.allclose(classifier.probabilities(X), expected, atol=1e-6)


def test_a_graph_of_rows_takes_tables_and_flat_series(tmp_path) -> None:
    model = loaded(graph(tmp_path, 2))
    assert np.allclose(model.beside(TABLE).probabilities(TABLE.x), ends(X[:, 0][:, :, None]), atol=1e-6)
    with pytest.raises(ModelError, match="cannot take series of shape"):
        model.beside(DATA)
    with pytest.raises(ModelError, match=r"rows \(n, columns\) or series"):
        loaded(graph(tmp_path, 2, 2, 2)).beside(DATA)


def test_an_estimator_is_given_rows_as_it_was_fitted(tmp_path) -> None:
    import pandas as pd

    labels = (X[:, 0, 0] > 0).astype(int)
    named = LogisticRegression().fit(pd.DataFrame(X[:, 0], columns=["a", "b"]), labels)
    classifier = loaded(named, ["a", "b"]).beside(TABLE)  # a warning about names would fail here
    assert np.allclose(
        classifier.probabilities(TABLE.x), named.predict_proba(pd.DataFrame(X[:, 0], columns=["a", "b"]))
    )
    flat = LogisticRegression().fit(X.reshape(6, -1), labels)
    assert loaded(flat).beside(DATA).probabilities(X).shape == (6, 2)
    with pytest.raises(ModelError, match="it was fitted on 10 columns, and rows has 2 numbers a row"):
        loaded(flat).beside(TABLE)


def test_an_estimator_of_series_is_given_channels_first() -> None:
    class Ends:
        def predict_proba(self, x):
            assert x.shape[1:] == (2, 5)
            return ends(x)

    assert loaded(Ends()).beside(DATA).probabilities(X).shape == (6, 2)


def test_a_torch_classifier_of_rows_is_given_flat_rows() -> None:
    linear = torch.nn.Linear(2, 2, device="meta").to_empty(device="cpu")
    torch.nn.init.ones_(linear.weight)
    torch.nn.init.zeros_(linear.bias)

    class Rows(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear

        def forward(self, x):
            assert x.ndim == 2
            return self.linear(x)

    classifier = loaded(TorchClassifier(Rows())).beside(TABLE, latent="linear")
    assert classifier.flat
    assert default_method(classifier, is_table=True) == "integrated-gradients"
    assert default_method(classifier, is_table=False) == "timex"
    fitting, reasons = fitting_methods(classifier)
    assert {"timex", "gradient", "occlusion"} <= set(fitting)
    assert "random" not in fitting
    assert reasons == []
    with pytest.raises(ConfigError, match="has no module 'lines'"):
        loaded(TorchClassifier(Rows())).beside(TABLE, latent="lines")


def test_what_fits_a_black_box() -> None:
    box = BlackBox(ends)
    fitting, reasons = fitting_methods(box)
    assert {"occlusion", "shapley"} <= set(fitting)
    assert "timex" not in fitting
    assert all(": each needs slopes of a torch classifier" in reason for reason in reasons)


def test_classifiers_that_cannot_be_named_are_refused() -> None:
    for spec in ("forest.skops", "hf:x", "torch:"):
        with pytest.raises(ConfigError, match="names no classifier"):
            load_classifier(spec)


def test_faults_of_a_set_are_said() -> None:
    other = SeriesSet("other", X[:, :3], ("a", "b"))
    with pytest.raises(
        DataError, match=r"other must have series of the \(time, channel\) \(5, 2\) of made, got \(3, 2\)"
    ):
        explain_set(ends, DATA, ["occlusion"], training=other)
    with pytest.raises(DataError, match="function gives all 6 series of made class 0"):
        explain_set(
            BlackBox(lambda x: np.tile([1.0, 0.0], (len(x), 1)), name="function"), DATA, ["occlusion"]
        )
    with pytest.raises(ConfigError, match=r"there is no method 'occlusio'; did you mean occlusion\?"):
        explain_set(ends, DATA, ["occlusio"])


def test_one_method_that_fails_may_be_left_out() -> None:
    found = explain_set(ends, DATA, ["gradient", "occlusion"], leave_out=True, judge=False)
    assert list(found.attributions) == ["occlusion"]
    assert any(warning.startswith("gradient was left out") for warning in found.warnings)
    with pytest.raises(ConfigError, match="gradient needs slopes"):
        explain_set(ends, DATA, ["gradient", "occlusion"])
    with pytest.raises(ConfigError, match="no method could explain ends"):
        explain_set(ends, DATA, ["gradient"], leave_out=True)


def test_what_was_said_once_is_not_asked_again(tmp_path) -> None:
    made = []

    class Size:
        def explain(self, x):
            return np.abs(x)

    @method("size", learns=True)
    def size(classifier, x, seed, scale=1):
        """Say that large numbers decide."""
        made.append((seed, scale))
        return Size()

    x = np.random.default_rng(1).normal(size=(40, 5, 2))
    data, box = SeriesSet("made", x, ("a", "b")), BlackBox(ends)

    def explained(**options):
        file = AttributionFile(tmp_path / "attributions.npz", np.arange(40))
        return explain_set(
            box, data, [size], kept=file, fingerprint="print", options={"size": options}, seeds=2
        )

    first = explained()
    assert made == [(0, 1), (1, 1), (2, 1)]
    again = explained()
    assert made == [(0, 1), (1, 1), (2, 1)]
    assert first.judged.measures.equals(again.judged.measures)
    assert "seed_stability_score" in again.judged.measures["measure"].to_list()
    explained(scale=3)
    assert made[3:] == [(0, 3), (1, 3), (2, 3)]
