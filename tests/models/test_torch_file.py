"""Torch classifiers from folders, exported programs and Python files, and whole files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import concordant as cc
from concordant.core.errors import ConfigError, ModelError, StoreError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.whole_files import write_whole
from concordant.explanations.series_networks import series_convolution, series_transformer
from concordant.models.torch_file import TorchClassifier, load_torch, save_network
from concordant.suite.loading import load_model

OPTIONS = {"n_channels": 2, "n_classes": 3}
CODE = """\
import torch

def make():
    return torch.nn.Linear(2, 2, device="meta").to_empty(device="cpu")
"""


@pytest.fixture
def written(tmp_path):
    module = series_convolution(**OPTIONS, seed=1).eval()
    module.scale_to(torch.arange(24.0).reshape(3, 4, 2))
    save_network(tmp_path / "net", module, "series-convolution", OPTIONS, classes=["a", "b", "c"])
    return tmp_path / "net", module


def test_a_folder_gives_back_the_network(written) -> None:
    folder, module = written
    x = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)
    model = load_torch(folder)
    with torch.no_grad():
        expected = module(torch.tensor(x)).softmax(-1).numpy()
    assert np.allclose(model.predictor.probabilities(x), expected, atol=1e-6)
    assert model.classes == ["a", "b", "c"]
    assert model.name == "net"
    answers = cc.load(f"torch:{folder}").respond(Items.from_arrays(x), Request())
    assert answers["output"].to_list() == [["a", "b", "c"][i] for i in expected.argmax(1)]


def test_the_fingerprint_is_that_of_the_weights(written, tmp_path) -> None:
    folder, module = written
    first = load_torch(folder).fingerprint
    assert load_torch(folder).fingerprint == first
    with torch.no_grad():
        module.network.head.bias += 1
    save_network(folder, module, "series-convolution", OPTIONS, classes=["a", "b", "c"])
    assert load_torch(folder).fingerprint != first


def test_a_transformer_is_masked_behind_its_scale() -> None:
    model = series_transformer(n_channels=1, n_classes=2, length=6, seed=0).eval()
    x = torch.randn(3, 6, 1, generator=torch.Generator().manual_seed(0))
    model.scale_to(x)
    with torch.no_grad():
        assert torch.allclose(model(x), model.network((x - x.mean()) / x.std()), atol=1e-6)
        assert torch.allclose(model(x, torch.ones(3, 6)), model(x), atol=1e-6)
        assert not torch.allclose(model(x, torch.zeros(3, 6)), model(x))
    constant = torch.ones(2, 4, 1)
    model.scale_to(constant)
    assert torch.isfinite(model(constant)).all()


def test_outputs_may_be_probabilities() -> None:
    class Half(torch.nn.Module):
        def forward(self, x):
            return torch.full((len(x), 2), 0.5)

    assert (
        TorchClassifier(Half(), outputs="probabilities").probabilities(np.ones((3, 2))).tolist()
        == [[0.5, 0.5]] * 3
    )
    with pytest.raises(ConfigError, match="logits or probabilities, got 'odds'"):
        TorchClassifier(Half(), outputs="odds")


def test_code_is_run_on_the_users_word_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    with pytest.raises(ConfigError, match="allow that with --trust-code"):
        load_torch("code.py:make")
    with pytest.raises(ConfigError, match="trust_code is no option of a model; it is one of the command"):
        load_model("torch:code.py:make?trust_code=true")
    from safetensors.torch import save_file

    save_file({"weight": torch.eye(2), "bias": torch.zeros(2)}, "w.safetensors")
    model = load_model("torch:code.py:make?weights=w.safetensors&classes=left,right", trust_code=True)
    answers = model.respond(Items.from_arrays(np.array([[2.0, 0.0], [0.0, 2.0]])), Request())
    assert answers["output"].to_list() == ["left", "right"]
    save_file({"weight": torch.eye(3)}, "w.safetensors")
    with pytest.raises(ModelError, match=r"w\.safetensors do not fit the Linear: .*size mismatch"):
        load_torch("code.py:make", weights="w.safetensors", trust_code=True)
    with pytest.raises(StoreError, match="no checkpoint"):
        load_torch("code.py:make", weights="no.safetensors", trust_code=True)


def test_what_is_no_classifier_is_refused(tmp_path, written) -> None:
    folder, _ = written
    with pytest.raises(ConfigError, match="has its own"):
        load_torch(folder, weights="w.safetensors")
    with pytest.raises(ModelError, match=r"is a folder with config\.json and model\.safetensors"):
        load_torch(tmp_path)
    with pytest.raises(ModelError, match="there is no such file"):
        load_torch(tmp_path / "no.pt2", trust_code=True)
    (tmp_path / "bad.pt2").write_bytes(b"no zip")
    with pytest.raises(ModelError, match=r"cannot be loaded by torch\.export"):
        load_torch(tmp_path / "bad.pt2", trust_code=True)
    with pytest.raises(ModelError, match="cannot take inputs of shape"):
        load_torch(folder).predictor.probabilities(np.ones((2, 3)))
    config = json.loads((folder / "config.json").read_text())
    for change, error, message in (
        ({"network": "series-convolutions"}, ConfigError, "did you mean series-convolution?"),
        (
            {"options": {"n_channel": 1}},
            ModelError,
            "options that the network series-convolution does not take",
        ),
        ({"options": {**OPTIONS, "n_classes": 4}}, ModelError, "do not fit the StandardisedConvolution"),
        ({"network": None}, ModelError, "does not say which network"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(error, match=message):
            load_torch(folder)


def test_a_file_is_there_wholly_or_as_it_was(tmp_path, monkeypatch) -> None:
    import os

    write_whole(tmp_path / "a", b"old")

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
