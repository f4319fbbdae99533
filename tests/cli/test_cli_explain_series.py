"""``concordant explain MODEL DATA``: real classifiers and files, what is left behind, going on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from command import run
from concordant.explanations.attribution_file import AttributionFile
from concordant.explanations.gradients import IntegratedGradients
from concordant.models.torch_file import load_torch

SHARED = Path(__file__).parents[3] / "shared" / "data" / "timex"
TIME = 12
NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, first=False):
        super().__init__()
        self.first = first
        self.encoder = nn.Linear({time}, 4, device="meta").to_empty(device="cpu")
        self.head = nn.Linear(4, 2, device="meta").to_empty(device="cpu")
        weight = torch.zeros(4, {time})
        weight[0, 3:6], weight[1, 3:6] = 1.0, -1.0
        weight[2:, 0] = 0.1
        self.load_state_dict(
            {{
                "encoder.weight": weight,
                "encoder.bias": torch.zeros(4),
                "head.weight": torch.tensor([[-2.0, 2.0, 0.0, 0.0], [2.0, -2.0, 0.0, 0.0]]),
                "head.bias": torch.zeros(2),
            }}
        )

    def forward(self, x):
        if x.shape[1] != (1 if self.first else {time}):
            raise ValueError("wrong axes")
        return self.head(self.encoder(x.flatten(1)))


def make():
    return Net()


def first():
    return Net(first=True)


def broken():
    raise RuntimeError("no weights")


def constant(x):
    import numpy as np

    return np.tile([0.9, 0.1], (len(x), 1))


def rule(x):
    import numpy as np

    p = 1 / (1 + np.exp(-4 * x[:, 3:6].sum((1, 2))))
    return np.stack([1 - p, p], axis=1)


number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a torch network, series that it knows, and a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.format(time=TIME))
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, TIME, 1))
    labels = (x[:, 3:6].sum((1, 2)) > 0).astype(int)
    truth = np.zeros(x.shape, bool)
    truth[:, 3:6] = True
    np.savez(
        "series.npz", x=x, y=np.array(["low", "high"])[labels], classes=np.array(["low", "high"]), truth=truth
    )
    table = pl.DataFrame(
        {"age": rng.normal(size=80), "dose": rng.normal(size=80), "noise": rng.normal(size=80)}
    )
    ill = (table["age"] + table["dose"] > 0).to_list()
    table.with_columns(outcome=pl.Series(["ill" if one else "well" for one in ill])).write_csv("table.csv")
    return tmp_path


@pytest.fixture
def no_page(monkeypatch):
    """Pages are drawn where a test looks at one."""
    monkeypatch.setattr("concordant.report.explained.render", lambda explained: "")


def series(*words, code=0, data="series.npz", model="torch:net.py:make"):
    return run("explain", model, data, "--trust-code", *words, code=code)


def table_model():
    frame = pl.read_csv("table.csv")
    columns = ["dose", "age", "noise"]  # not the order of the file
    model = RandomForestClassifier(20, random_state=0)
    return model.fit(frame.select(columns).to_pandas(), frame["outcome"].to_numpy()), columns


def test_the_folder_has_all_figures(folder) -> None:
    printed = series("-m", "integrated-gradients", "--compare", "occlusion", "-o", "out").stdout
    assert "integrated-gradients" in printed
    assert f"report: {Path('out', 'report.html')}" in printed
    names = {path.name for path in Path("out").iterdir()}
    assert names == {
        "attributions.npz",
        "again.npz",
        "explained.json",
        "report.html",
        "measures.parquet",
        "measures.csv",
    }
    with np.load("out/attributions.npz", allow_pickle=False) as file:
        found = file["integrated-gradients"]
        assert file["rows"].tolist() == list(range(60))
    x = np.load("series.npz")["x"]
    module = load_torch("net.py:make", trust_code=True).predictor.module
    assert np.allclose(found, IntegratedGradients(module).explain(x), atol=1e-5)
    document = json.loads(Path("out/explained.json").read_text())
    assert document["model"]["classes"] == ["low", "high"]
    assert document["model"]["accuracy"]["value"] == 1.0
    assert document["warnings"] == [
        "no training series were given: methods learnt from those that are explained"
    ]
    assert set(document["methods"]) == {"integrated-gradients", "occlusion"}
    judged = {(row["explainer"], row["measure"]): row for row in document["judged"]["measures"]}
    assert judged["integrated-gradients", "auprc_score"]["value"] > judged["random", "auprc_score"]["high"]
    assert pl.read_parquet("out/measures.parquet").height == len(document["judged"]["measures"])
    command = document["settings"]["command"].split()
    assert command[:4] == ["concordant", "explain", "torch:net.py:make", "series.npz"]
    assert run(*command[1:], "--json").stdout.startswith("{")
    assert "<svg" in Path("out/report.html").read_text() or "<canvas" in Path("out/report.html").read_text()


def test_a_stopped_command_goes_on(folder, no_page, monkeypatch) -> None:
    words = ("-m", "gradient", "--compare", "integrated-gradients", "-o", "out")

    def stop(self, x, *_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(IntegratedGradients, "explain", stop)
        stopped = series(*words, code=130)
    assert "the same command goes on" in stopped.stderr
    assert [path.name for path in Path("out").iterdir()] == ["attributions.npz"]
    before = dict(np.load("out/attributions.npz"))["gradient"]
    made = []
    put = AttributionFile.put

    def noted(self, name, *rest):
        if self.path.name == "attributions.npz":
            made.append(name)
        put(self, name, *rest)

    monkeypatch.setattr(AttributionFile, "put", noted)
    series(*words)
    assert made == ["integrated-gradients"]
    assert np.array_equal(np.load("out/attributions.npz")["gradient"], before)
    made.clear()
    series(*words)
    assert made == []
    series(*words, "--seed", 1)
    assert made == ["gradient", "integrated-gradients"]
    made.clear()
    series(*words, "--seed", 1, "--set", "integrated-gradients.steps=7")
    assert made == ["integrated-gradients"]


def test_timex_needs_a_latent_and_shows_landmarks(folder, no_page) -> None:
    refused = series("-m", "timex", code=2).stderr
    assert "name a module with latent=" in refused
    assert "encoder" in refused
    words = ("--latent", "encoder", "--set", "timex.epochs=3", "--set", "timex.n_landmarks=4", "--json")
    document = json.loads(series(*words, "-o", "out").stdout)
    assert list(document["methods"]) == ["timex"]
    marks = document["landmarks"]["timex"]
    assert sum(marks["n_near"]) == 60
    assert len(marks["rows"][0]) == 5
    again = json.loads(series(*words, "-o", "out").stdout)
    assert again["landmarks"] == document["landmarks"]
    assert "has no module 'nowhere'" in series("--latent", "nowhere", code=2).stderr


def test_all_methods_that_fit_are_compared(folder) -> None:
    document = json.loads(series("--compare", "all", "--json", model="python:net.py:rule").stdout)
    assert {"occlusion", "shapley"} <= set(document["methods"])
    (line,) = document["left_out"]
    assert "timex" in line
    assert line.endswith("each needs slopes of a torch classifier, and of rule only probabilities are known")


def test_limit_spreads_over_the_file(folder) -> None:
    document = json.loads(series("-m", "gradient", "--limit", 6, "--json").stdout)
    assert document["data"]["rows"] == [0, 10, 20, 30, 40, 50]


def test_tables_of_estimators_and_their_onnx_agree(folder, no_page) -> None:
    skops = pytest.importorskip("skops.io")
    skl2onnx = pytest.importorskip("skl2onnx")
    model, columns = table_model()
    skops.dump(model, "forest.skops")
    frame = pl.read_csv("table.csv")
    frame.select(*columns, "outcome").write_csv("ordered.csv")  # a graph knows no names
    types = [("rows", skl2onnx.common.data_types.FloatTensorType([None, 3]))]
    graph = skl2onnx.to_onnx(model, initial_types=types, options={"zipmap": True})
    Path("forest.onnx").write_bytes(graph.SerializeToString())
    words = ("--labels", "outcome", "-m", "shapley", "--json")
    documents = [
        json.loads(run("explain", *source, *words, "-o", out).stdout)
        for source, out in (
            (("sklearn:forest.skops?trusted=sklearn.tree._tree.Tree", "table.csv"), "a"),
            (("onnx:forest.onnx", "ordered.csv"), "b"),
        )
    ]
    assert all(document["data"]["channels"] == columns for document in documents)
    assert documents[0]["model"]["accuracy"] == documents[1]["model"]["accuracy"]
    a, b = (np.load(f"{name}/attributions.npz")["shapley"] for name in "ab")
    assert a.shape == (len(frame), 1, 3)
    assert np.allclose(a, b, atol=1e-5)
    assert np.abs(a[..., 2]).mean() < np.abs(a[..., :2]).mean() / 2


def test_a_weak_classifier_is_warned_of(folder) -> None:
    arrays = dict(np.load("series.npz"))
    turned = np.where(np.arange(60) % 2 == 0, arrays["y"], np.where(arrays["y"] == "low", "high", "low"))
    np.savez("weak.npz", **{**arrays, "y": turned})
    printed = series("-m", "gradient", data="weak.npz").stdout
    assert "explanations of a poor classifier mean little" in " ".join(printed.split())
    np.savez("bare.npz", x=arrays["x"])
    assert "has no labels" in series("-m", "gradient", data="bare.npz").stdout


def test_fit_makes_what_explain_takes(folder) -> None:
    rng = np.random.default_rng(5)
    level = np.repeat([-1.0, 1.0], 20)[:, None, None]
    x = (0.3 * rng.normal(size=(40, TIME, 1)) + level) * 50 + 1000  # far from mean 0
    np.savez("levels.npz", x=x, y=np.repeat(["low", "high"], 20))
    document = json.loads(
        run(
            "explain", "fit", "levels.npz", "--test", "levels.npz", "-o", "made", "--epochs", 20, "--json"
        ).stdout
    )
    assert document["accuracy"]["test"]["value"] > 0.9
    assert document["accuracy"]["validation"]["n"] == 8
    found = json.loads(run("explain", "torch:made", "levels.npz", "--set", "timex.epochs=2", "--json").stdout)
    assert list(found["methods"]) == ["timex"]
    assert found["model"]["accuracy"]["value"] == document["accuracy"]["test"]["value"]
    assert found["model"]["classes"] == ["high", "low"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "has no labels, and a classifier learns from them"),
        ({"y": np.zeros(60, int)}, "has one class only, '0'"),
        ({"y": np.arange(60) // 59}, "has one row of class '1'"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(folder, change, message) -> None:
    arrays = {**dict(np.load("series.npz")), **change}
    arrays.pop("classes")
    np.savez("bad.npz", **{name: value for name, value in arrays.items() if value is not None})
    assert message in run("explain", "fit", "bad.npz", "-o", "made", code=2).stderr
    assert not Path("made").exists()


@pytest.mark.filterwarnings("ignore")  # of torch.export, while it exports
def test_exported_programs_are_code_with_any_batch(folder, no_page) -> None:
    module, x = load_torch("net.py:make", trust_code=True).predictor.module, torch.zeros(4, TIME, 1)
    torch.export.save(torch.export.export(module, (x,)), "fixed.pt2")
    torch.export.save(
        torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)), "net.pt2"
    )
    assert "allow that with --trust-code" in run("explain", "torch:net.pt2", "series.npz", code=2).stderr
    assert "takes batches of exactly 4" in series(model="torch:fixed.pt2", code=2).stderr
    words = ("-m", "integrated-gradients", "--latent", "encoder")
    series(*words, "-o", "a", model="torch:net.pt2")
    series(*words, "-o", "b")
    a, b = (np.load(f"{name}/attributions.npz")["integrated-gradients"] for name in "ab")
    assert np.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("hf:x", "series.npz"), "'hf:x' names no classifier"),
        (("torch:nothing", "series.npz"), "a torch classifier is a folder with config.json"),
        (("torch:net.py:make", "series.npz"), "allow that with --trust-code"),
        (("torch:net.py:broken", "series.npz", "--trust-code"), "failed: RuntimeError: no weights"),
        (("torch:net.py:number", "series.npz", "--trust-code"), "must be a torch module"),
        (("torch:net.py:make", "no.npz", "--trust-code"), "no.npz cannot be read"),
        (("torch:net.py:make", "series.npz", "--trust-code", "-m", "timez"), "did you mean timex?"),
        (("torch:net.py:make", "series.npz", "--trust-code", "--set", "epochs=3"), "METHOD.OPTION=VALUE"),
        (
            ("torch:net.py:make", "series.npz", "--trust-code", "--set", "timex.epochs=3"),
            "options are given for timex, which is not asked",
        ),
        (
            ("torch:net.py:make", "series.npz", "--trust-code", "-m", "gradient", "--set", "gradient.sign=3"),
            "an option of gradient is unknown",
        ),
        (
            ("torch:net.py:make", "series.npz", "--trust-code", "-m", "gradient", "--absent", "moment"),
            "absent must be one of mean, rows, moments, zero, got 'moment'",
        ),
        (
            (
                "torch:net.py:make",
                "series.npz",
                "--trust-code",
                "--latent",
                "encoder",
                "--set",
                "timex.epochs=x",
            ),
            "timex cannot be made with {'epochs': 'x'}",
        ),
        (("torch:net.py:first", "series.npz", "--trust-code"), "axes the wrong way round"),
        (("torch:net.py:make", "series.npz", "--trust-code", "--channels-first"), "axes the wrong way round"),
        (("python:net.py:constant", "series.npz", "--trust-code"), "gives all 60 series of series class 0"),
        (("torch:net.py:make", "series.npz", "--trust-code", "--train", "table.csv"), "must hold numbers"),
        (
            ("python:net.py:constant", "series.npz", "--trust-code", "--latent", "x"),
            "--latent names a module",
        ),
        (
            ("torch:net.py:make", "series.npz", "--trust-code", "-o", "."),
            "which is no part of an explanation",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder, words, message) -> None:
    error = run("explain", *words, code=2).stderr
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_channels_first_turns_the_axes(folder) -> None:
    same = series("-m", "gradient", "--channels-first", "--json", model="torch:net.py:first").stdout
    assert json.loads(same)["model"]["accuracy"]["value"] == 1.0


def test_prompts_are_still_explained_by_their_name() -> None:
    assert "TEMPLATE.yaml" in run("explain", "prompt", "-h").stdout
    taught = run("explain", "-h").stdout
    assert "explain torch:classifier GunPoint_TEST.ts" in taught
    assert "explain prompt template.yaml" in taught
    assert run("explain").stdout == taught


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the series of the UCR archive")
def test_a_real_set(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, test = SHARED / "GunPoint_TRAIN.ts", SHARED / "GunPoint_TEST.ts"
    printed = run("explain", "fit", train, "-o", "gun", "--epochs", 5).stdout
    assert "held-out accuracy" in printed
    document = json.loads(
        run("explain", "torch:gun", test, "--train", train, "-m", "gradient", "--limit", 20, "--json").stdout
    )
    assert document["data"]["steps"] == 150
    assert document["data"]["n"] == 20
