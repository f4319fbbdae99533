import pickle

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from concordant.core.errors import MissingExtraError, ModelError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.models.sklearn_file import load_sklearn

X = np.array([[0.0], [1.0], [2.0], [3.0]])
FITTED = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, [0, 0, 1, 1])


class Own(BaseEstimator):
    """An estimator that skops does not know."""

    def predict(self, x):
        return np.zeros(len(x))


def answers(model):
    return model.respond(Items.from_arrays(X), Request())["output"].to_list()


def test_skops(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(FITTED, path)
    model = load_sklearn(path)
    assert model.name == "model"
    assert answers(model) == [0, 0, 1, 1]
    assert model.fingerprint == load_sklearn(path, name="other").fingerprint


def test_types_that_are_not_known_are_listed_and_may_be_trusted(tmp_path):
    path = tmp_path / "own.skops"
    skops.io.dump(Own(), path)
    (kind,) = skops.io.get_untrusted_types(file=path)
    with pytest.raises(ModelError, match=f"if you trust them, pass trusted={kind}"):
        load_sklearn(path)
    assert answers(load_sklearn(path, trusted=[kind])) == [0, 0, 0, 0]
    assert answers(load_sklearn(path, trusted=f"{kind}, other.Type")) == [0, 0, 0, 0]


@pytest.mark.parametrize("suffix", ["joblib", "pkl"])
def test_pickles_only_on_the_users_word(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    if suffix == "pkl":
        path.write_bytes(pickle.dumps(FITTED))
    else:
        joblib.dump(FITTED, path)
    with pytest.raises(ModelError, match="--trust-pickle"):
        load_sklearn(path)
    assert answers(load_sklearn(path, trust_pickle=True)) == [0, 0, 1, 1]


def test_files_that_hold_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.skops: the model cannot be read"):
        load_sklearn(tmp_path / "gone.skops")
    broken = tmp_path / "broken.skops"
    broken.write_text("hello")
    with pytest.raises(ModelError, match="cannot be loaded by skops: BadZipFile"):
        load_sklearn(broken)
    torn = tmp_path / "torn.pkl"
    torn.write_bytes(pickle.dumps(FITTED)[:50])
    with pytest.raises(ModelError, match="cannot be unpickled"):
        load_sklearn(torn, trust_pickle=True)
    with pytest.raises(
        ModelError, match=r"allowed for a scikit-learn model are .skops, .joblib.* got '.onnx'"
    ):
        load_sklearn(tmp_path / "model.onnx")
    data = tmp_path / "data.skops"
    skops.io.dump({"a": 1}, data)
    with pytest.raises(ModelError, match="holds a dict, which has no predict"):
        load_sklearn(data)


def test_without_skops(tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    skops.io.dump(FITTED, path)
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'concordant\[sklearn\]'"):
        load_sklearn(path)
