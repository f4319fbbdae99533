import warnings

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from concordant.core.errors import ModelError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.models.onnx import OnnxModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])
CLASSIFIER = LogisticRegression(max_iter=1000).fit(X, Y)
ITEMS = Items.from_arrays(X)


def save(path, estimator, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(estimator, options.pop("initial_types", None) or X[:1], **options)
        path.write_bytes(model.SerializeToString())
    return path


def linear(path, weights, *, rows=None):
    """Write a graph of one matrix product: what a network exports when its logits are all it gives."""
    weights = np.asarray(weights, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["logits"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, weights.shape[0]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [rows, weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_agrees_with_the_estimator_it_came_from(tmp_path, zipmap):
    model = OnnxModel(save(tmp_path / "iris.onnx", CLASSIFIER, options={"zipmap": zipmap}), threads=1)
    frame = model.respond(ITEMS, Request())
    assert frame["output"].to_list() == CLASSIFIER.predict(X).tolist()
    np.testing.assert_allclose(frame["probabilities"].to_numpy(), CLASSIFIER.predict_proba(X), atol=1e-5)
    assert model.classes == ([0, 1, 2] if zipmap else None)


def test_labels_may_be_texts_and_raw_scores_are_no_probabilities(tmp_path):
    named = LogisticRegression(max_iter=1000).fit(X, NAMES[Y])
    options = {"zipmap": False, "raw_scores": True}
    frame = OnnxModel(save(tmp_path / "raw.onnx", named, options=options)).respond(ITEMS, Request())
    assert frame["output"].to_list() == named.predict(X).tolist()
    assert frame.columns == ["output"]


def test_a_regressor(tmp_path):
    fitted = LinearRegression().fit(X[:, :3], X[:, 3])
    model = OnnxModel(
        save(tmp_path / "width.onnx", fitted, initial_types=[("x", FloatTensorType([None, 3]))])
    )
    frame = model.respond(Items.from_arrays(X[:, :3]), Request(n=2))
    assert frame["output"].to_numpy() == pytest.approx(np.repeat(fitted.predict(X[:, :3]), 2), abs=1e-4)


def test_logits_alone_are_a_classifier(tmp_path):
    weights = np.eye(4)[:, :2]
    model = OnnxModel(linear(tmp_path / "logits.onnx", weights), classes="no,yes")
    x = np.array([[1.0, 0.0, 0, 0], [0.0, 3.0, 0, 0]])
    frame = model.respond(Items.from_arrays(x), Request())
    assert frame["output"].to_list() == ["no", "yes"]
    # softmax of (1, 0) and (0, 3): 1 / (1 + e^-1) and 1 / (1 + e^3)
    assert frame["probabilities"].to_numpy()[:, 0] == pytest.approx([0.7310586, 0.0474259], abs=1e-6)


def test_one_logit_is_what_the_task_says(tmp_path):
    path = linear(tmp_path / "one.onnx", [[2.0]])
    items = Items.from_arrays(np.array([-1.0, 1.0]))
    assert OnnxModel(path).respond(items, Request())["output"].to_list() == [-2.0, 2.0]
    frame = OnnxModel(path, task="classifier").respond(items, Request())
    assert frame["output"].to_list() == [0, 1]
    assert frame["probabilities"].to_numpy()[1, 1] == pytest.approx(0.8807971, abs=1e-6)  # 1 / (1 + e^-2)
    several = OnnxModel(linear(tmp_path / "two.onnx", [[1.0, 2.0]]), task="regressor").respond(
        items, Request()
    )
    assert several["output"].to_list() == [[-1.0, -2.0], [1.0, 2.0]]
    with pytest.raises(ModelError, match="allowed are auto, classifier and regressor, got 'clustering'"):
        OnnxModel(path, task="clustering")


@pytest.mark.parametrize("rows", [1, 2, 4, 7])
def test_a_graph_of_a_fixed_number_of_rows(tmp_path, rows):
    model = OnnxModel(linear(tmp_path / "fixed.onnx", [[2.0], [0.0]], rows=rows))
    x = np.arange(10.0).reshape(5, 2)
    assert model.respond(Items.from_arrays(x), Request())["output"].to_list() == [0.0, 4.0, 8.0, 12.0, 16.0]


def test_an_input_for_each_column_of_a_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "colour": ["red", "blue", "red", "blue"]})
    encode = ColumnTransformer([("colour", OneHotEncoder(), ["colour"])], remainder="passthrough")
    fitted = make_pipeline(encode, LogisticRegression()).fit(table, [0, 1, 0, 1])
    types = [("size", FloatTensorType([None, 1])), ("colour", StringTensorType([None, 1]))]
    model = OnnxModel(save(tmp_path / "table.onnx", fitted, initial_types=types))
    frame = model.respond(Items.from_arrays(pl.from_pandas(table)), Request())
    assert frame["output"].to_list() == [0, 1, 0, 1]
    with pytest.raises(ModelError, match="takes a table with the columns size, colour"):
        model.respond(ITEMS, Request())


def test_what_cannot_be_run(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_text("hello")
    with pytest.raises(ModelError, match=r"broken\.onnx cannot be run by ONNX Runtime"):
        OnnxModel(broken)
    with pytest.raises(ModelError, match=r"gone\.onnx: the model cannot be read"):
        OnnxModel(tmp_path / "gone.onnx")
    model = OnnxModel(save(tmp_path / "iris.onnx", CLASSIFIER))
    with pytest.raises(ModelError, match="model 'iris' cannot take its inputs"):
        model.respond(Items.from_arrays(X[:, :2]), Request())


def test_nan_from_a_graph_names_the_items(tmp_path):
    model = OnnxModel(linear(tmp_path / "nan.onnx", np.eye(2)))
    with pytest.raises(ModelError, match=r"1 of 2 items have NaN probabilities \('1'\)"):
        model.respond(Items.from_arrays(np.array([[1.0, 2.0], [np.nan, 1.0]])), Request())


def test_fingerprints_follow_content_and_options(tmp_path):
    path = linear(tmp_path / "a.onnx", [[1.0]])
    same = linear(tmp_path / "a.onnx", [[1.0]])
    assert OnnxModel(path).fingerprint == OnnxModel(same).fingerprint
    assert OnnxModel(path).fingerprint != OnnxModel(path, task="classifier").fingerprint
    before = OnnxModel(path).fingerprint
    assert before != OnnxModel(linear(tmp_path / "a.onnx", [[2.0]])).fingerprint
