import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

import concordant.models
from concordant.core import registry
from concordant.core.errors import ConfigError, ModelError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.models import (
    Endpoint,
    FunctionModel,
    GenerativeModel,
    OnnxModel,
    PredictorModel,
)
from concordant.models.load import load

X = np.array([[0.0], [1.0], [2.0], [3.0]])


@pytest.fixture
def fitted():
    return LogisticRegression().fit(X, [0, 0, 1, 1])


def test_each_scheme(tmp_path, fitted, llama):
    skops.io.dump(fitted, tmp_path / "model.skops")
    assert isinstance(load(f"sklearn:{tmp_path}/model.skops"), PredictorModel)
    assert isinstance(load(f"hf:{llama}"), GenerativeModel)
    assert isinstance(load("openai:tiny", base_url="http://127.0.0.1:1/v1"), Endpoint)
    with pytest.raises(ModelError, match=r"gone\.onnx: the model cannot be read"):
        load(f"onnx:{tmp_path}/gone.onnx")


def test_objects(fitted):
    assert isinstance(load(str.upper), FunctionModel)
    model = load(fitted, name="mine")
    assert model.name == "mine"
    assert load(model) is model
    assert model.respond(Items.from_arrays(X), Request())["output"].to_list() == [0, 0, 1, 1]


def test_options_in_the_specification_and_beside_it():
    spec = "openai:org/name:v1?base_url=http://127.0.0.1:8000/v1&concurrency=64&logprobs=true&deadline=2.5"
    model = load(spec)
    assert repr(model) == "Endpoint('org/name:v1' at http://127.0.0.1:8000/v1)"
    assert (model.name, model.concurrency) == ("org/name:v1", 64)
    assert model.fingerprint != load(spec, logprobs=False).fingerprint
    assert load(spec, concurrency=3, name="new").concurrency == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("opena:gpt", r"'opena:gpt' names no model: .* did you mean openai\?"),
        ("models/new", "'models/new' names no model: allowed are SCHEME:SOURCE with known: hf, log, onnx"),
        ("hf:", "behind hf: comes a name or a path"),
        ("onnx:?threads=1", "behind onnx: comes a name or a path"),
    ],
)
def test_what_names_no_model(spec, message):
    with pytest.raises(ModelError, match=message):
        load(spec)


def test_unknown_options():
    with pytest.raises(ConfigError, match=r"openai: has no option 'concurency'; did you mean concurrency\?"):
        load("openai:gpt?concurency=4")
    with pytest.raises(ConfigError, match=r"onnx: has no option 'thread'; did you mean threads\?"):
        load("onnx:model.onnx", thread=4)


def make_plain(source, *, times=1):
    """Stand for the loader of an installed package, which returns a plain function."""
    return lambda text: text + source * times


def test_schemes_of_installed_packages(monkeypatch):
    point = EntryPoint("plain", "plug_in:make_plain", "concordant.models")
    monkeypatch.setitem(sys.modules, "plug_in", sys.modules[__name__])
    points = {**registry.registered("models"), "plain": point}
    monkeypatch.setattr(registry, "registered", lambda group: points)
    monkeypatch.setattr(sys.modules[load.__module__], "registered", lambda group: points)
    model = load("plain:!?times=2")
    items = Items.from_records([{"input": "hey"}])
    assert model.respond(items, Request())["output"].to_list() == ["hey!!"]


def test_public_names():
    public = {name for name in dir(concordant.models) if not name.startswith("_")}
    assert set(concordant.models._LATER) <= public
    for name in concordant.models._LATER:
        assert getattr(concordant.models, name).__module__.startswith("concordant.models")
    assert OnnxModel is concordant.models.OnnxModel
    with pytest.raises(AttributeError, match="has no attribute 'Elsewhere'"):
        _ = concordant.models.Elsewhere


def test_nothing_heavy_is_imported():
    code = "import sys, concordant.models; print([m for m in HEAVY if m in sys.modules])"
    heavy = ["torch", "transformers", "aiohttp", "sklearn", "scipy", "onnxruntime", "skops", "pandas"]
    found = subprocess.check_output([sys.executable, "-c", f"HEAVY = {heavy}\n{code}"], text=True)
    assert found.strip() == "[]"
