"""``concordant repair``: a check file whose update is mended, kept in a folder, and named again in another check."""

from __future__ import annotations

import json
from functools import partial

import polars as pl
import pytest
from typer.testing import CliRunner

import command
import concordant as cc
from concordant import pocket
from concordant.cli.main import app

run = partial(command.run, "repair")


def document(*words):
    """Return what a repair found, whatever became of its gates."""
    result = CliRunner().invoke(app, ["repair", *words, "--json"])
    assert result.exit_code in (0, 1, 3), result.stderr
    return json.loads(result.stdout)


MODELS = """
import numpy as np
import torch
from concordant.versions import TorchClassifier

def classifier(*weights):
    module = torch.nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 0.0], list(weights)]))
        module.bias.zero_()
    return TorchClassifier(module, ["no", "yes"])

old, new = classifier(2.0, -1.0), classifier(2.0, 2.0)

def nearly(output, item):
    return 1.0 if output == item.reference else 0.25
"""


def write_check(folder, gate, *, grade="", models="python:models.py:{}"):
    (folder / "check.yaml").write_text(
        f"models:\n  old: {models.format('old')}\n  new: {models.format('new')}\n"
        f"items: items.jsonl\n{grade}request: {{max_tokens: 4}}\n"
        f"checks:\n  - relation: versions.flips\n    against: old\n    gates: {gate}\n"
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A check of classifiers that both get the sign of the first number, and are distracted by the second one."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((300, 2)).round(4)
    rows = [
        {"id": f"q{i}", "input": row.tolist(), "reference": "yes" if row[0] > 0 else "no"}
        for i, row in enumerate(x)
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "models.py").write_text(MODELS)
    write_check(tmp_path, "[negative_flip_rate <= 0.2]")
    return tmp_path


def test_an_update_is_mended_and_all_of_it_kept(folder):
    words = ("check.yaml", "-m", "ensemble,muscle,route", "-o", "mended", "--trust-code")
    found = json.loads(run(*words, "--json").stdout)
    assert found["state"] == "holds"
    assert found["gates"]["before"][0]["state"] in ("fails", "undecided")
    assert found["items"] == {"lessons": 135, "validation": 45, "held_out": 120, "shared_and_left_out": 0}
    assert list(found["methods"]) == ["ensemble", "muscle", "route"]
    kept = {path.name for path in (folder / "mended").iterdir()}
    assert kept == {"before", "after", "repair.json", "report.html"}
    stored = json.loads((folder / "mended" / "repair.json").read_text())
    assert stored["methods"] == found["methods"]
    assert not (folder / "mended.partial").exists()
    page = (folder / "mended" / "report.html").read_text()
    assert "Repaired by ensemble, the update passes its gates" in page
    assert page.count("<svg") >= 2
    again = command.run("report", "mended/after", "--trust-code").stdout
    assert "negative_flip_rate" in again
    said = run(*words, code=2).stderr
    assert "mended is there already" in said


def test_exit_codes_are_those_of_the_repaired_model(folder):
    write_check(folder, "[negative_flip_rate <= 0.001, gain >= 0.5]")
    printed = run("check.yaml", "-m", "muscle", "--epochs", "1", "--trust-code", code=1).stdout
    assert "still fails on the held-out items" in printed
    assert (folder / "runs" / "check-repair" / "repair.json").exists()
    write_check(folder, "[negative_flip_rate <= 0.9]")
    printed = run("check.yaml", "--trust-code").stdout
    assert "nothing to repair" in printed
    assert json.loads((folder / "runs" / "check-repair-2" / "repair.json").read_text())["kept"] is None
    said = command.run("compare", "repaired:runs/check-repair-2", "log:x.jsonl", code=2).stderr
    assert "holds a repair that changed nothing" in said


def test_scores_stand_beside_the_flips(folder):
    write_check(folder, "[negative_flip_rate <= 0.05]", grade="grade: models.py:nearly\n")
    said = run("check.yaml", code=2).stderr
    assert "--trust-code" in said
    found = document("check.yaml", "-m", "ensemble", "--trust-code")
    points = found["methods"]["ensemble"]["held_out"]
    assert {"score_new", "mean_regression_part"} <= set(points)
    assert points["score_new"]["value"] == pytest.approx(0.25 + 0.75 * points["accuracy_new"]["value"])


def test_a_first_look_loads_no_model(folder):
    (folder / "models.py").write_text("raise SystemExit('it was run')")
    printed = run("check.yaml", "--dry-run", "--limit", "100", "--trust-code").stdout
    assert "45 items to learn from, 15 to choose, 40 to judge" in printed
    (folder / "lessons.jsonl").write_text((folder / "items.jsonl").read_text())
    said = run("check.yaml", "--dry-run", "--train", "lessons.jsonl", "--trust-code", code=2).stderr
    assert "all 300 items to train on share an input" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-m", "muscel"), "did you mean muscle"),
        (("--rule", "all_wrong"), "no rule 'all_wrong'"),
        (("--lessons", "reference"), "did you mean references"),
        (("--held-out", "1.5"), "between 0 and 1"),
    ],
)
def test_what_is_misspelt(folder, words, says):
    assert says in run("check.yaml", *words, "--trust-code", code=2).stderr


def test_a_file_without_a_gate_on_flips(folder):
    write_check(folder, "[]")
    assert "no check of versions.flips with a gate" in run("check.yaml", "--trust-code", code=2).stderr


def test_what_was_stopped_goes_on_with_the_same_settings_only(folder, monkeypatch):
    from concordant.suite import repairing

    with monkeypatch.context() as stopped:
        stopped.setattr(repairing, "write_repair_page", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run("check.yaml", "-m", "muscle", "-o", "mended", "--trust-code", code=130)
    assert not (folder / "mended").exists()
    said = run("check.yaml", "-m", "muscle", "--epochs", "3", "-o", "mended", "--trust-code", code=2).stderr
    assert "was stopped and had other settings" in said
    whole, resumed = (
        document("check.yaml", "-m", "muscle", "-o", where, "--trust-code") for where in ("other", "mended")
    )
    assert resumed["methods"] == whole["methods"]
    kept = {path.name for path in (folder / "mended").iterdir()}
    assert kept == {"before", "after", "repair.json", "report.html", "weights.safetensors"}


# -- language models -----------------------------------------------------------------------------------------------


@pytest.fixture
def language(tmp_path, monkeypatch):
    """A check of two versions of a pocket model on a few items of two skills."""
    monkeypatch.chdir(tmp_path)
    rows = pocket.items(["arithmetic", "facts"], 20, seed=1000).frame.to_dicts()
    rows = [{key: value for key, value in row.items() if value is not None} for row in rows]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = "pocket:250k-chat-{}"
    write_check(tmp_path, "[negative_flip_rate <= 0.01]", grade="grade: pocket\n", models=models)
    text = (tmp_path / "check.yaml").read_text()
    (tmp_path / "check.yaml").write_text(text.replace("chat-old", "chat-v1").replace("chat-new", "chat-v2"))
    return tmp_path


@pytest.mark.parametrize("method", ["muscle", "route"])
def test_a_language_model_is_kept_as_it_was_judged(language, method):
    found = document("check.yaml", "-m", method, "--epochs", "2", "--rank", "2", "-o", "mended")
    judged = found["methods"][method]
    held_out = cc.Items(pl.read_parquet("mended/after/items.parquet"))
    flips = cc.check(
        cc.load("repaired:mended"),
        held_out,
        [cc.versions.Flips(cc.load("pocket:250k-chat-v1"))],
        grade="pocket",
        request=cc.Request(max_tokens=16),
        progress=False,
    )["versions.flips"]
    for name in ("negative_flip_rate", "accuracy_new"):
        assert flips[name].value == pytest.approx(judged["held_out"][name]["value"])
    if method == "muscle":
        assert {"adapter", "model"} <= {path.name for path in (language / "mended").iterdir()}
        assert judged["about"]["lessons"] + judged["about"]["left_out"] == found["items"]["lessons"]


def test_the_rule_of_the_paper(language):
    words = ("--lessons", "references", "--rule", "current_wrong", "--epochs", "1", "--rank", "2")
    found = document("check.yaml", "-m", "muscle", *words)
    assert found["settings"]["lessons"] == "references"
    assert 0 < found["methods"]["muscle"]["about"]["masked_rates"][0] <= 1
