"""The verb merge, on pocket models."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from command import run
from concordant import pocket
from concordant.pocket import model_folder
from concordant.versions import merging

RECIPE = """
method: {method}
base: pocket:250k-base
parents:
  - pocket:250k-chat-v1
  - pocket:250k-chat-v2
scale: 0.5
files: pocket:250k-chat-v2
"""
BREADCRUMBS = RECIPE.format(method="breadcrumbs") + "keep: 0.8\nremove: 0.01\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(BREADCRUMBS)
    return path


def test_a_merge_of_pocket_models(tmp_path, recipe):
    out = tmp_path / "merged"
    told = run("merge", recipe, "-o", out).stdout
    assert "breadcrumbs of 2 models, shares of each row: 29 weights" in told
    assert "pocket:250k-chat-v1: cosine 0.97" in told
    assert f"wrote {out}" in told
    weights = [
        load_file(model_folder(name) / "model.safetensors")
        for name in ("250k-base", "250k-chat-v1", "250k-chat-v2")
    ]
    expected = merging.breadcrumbs(weights[0], weights[1:], scale=0.5, keep=0.8, remove=0.01)
    found = load_file(out / "model.safetensors")
    assert all((found[name] == weight).all() for name, weight in expected.items())
    assert (out / "chat_template.jinja").is_file()
    record = json.loads((out / "merge.json").read_text())
    assert record["method"] == "breadcrumbs"
    assert record["scope"] == "row"
    assert record["recipe"]["keep"] == 0.8


def test_a_dry_run_writes_nothing(tmp_path, recipe):
    recipe.write_text("method: slerp\nparents: [pocket:250k-chat-v1, pocket:250k-chat-v2]\nt: 0.5\n")
    told = run("merge", recipe, "--dry-run").stdout
    assert "branches of slerp: 29 spherical, 0 linear" in told
    assert "nothing was written" in told
    document = json.loads(run("merge", recipe, "--dry-run", "--json").stdout)
    assert document["slerp_branches"] == {"spherical": 29}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_missing_chat_template_is_told(recipe):
    recipe.write_text(BREADCRUMBS.replace("files: pocket:250k-chat-v2\n", ""))
    assert "no chat template is copied" in run("merge", recipe, "--dry-run").stdout


def test_the_result_is_held_against_every_parent(tmp_path, recipe):
    items = pocket.items(["facts", "siblings"], 6)
    items.frame.write_ndjson(tmp_path / "items.jsonl")
    recipe.write_text(
        BREADCRUMBS
        + "check:\n  items: items.jsonl\n  gates: ['normalised_accuracy >= 0.0001']\n  limit: 12\n"
    )
    out = tmp_path / "merged"
    document = json.loads(run("merge", recipe, "-o", out, "--json").stdout)
    (report,) = document["checks"]
    assert report["n_items"] == 12
    gates = {gate["relation"]: gate["state"] for gate in report["gates"]}
    assert gates.keys() == {"pocket:250k-chat-v1", "pocket:250k-chat-v2"}
    found = {(row["relation"], row["measure"]): row for row in report["findings"]}
    for parent in gates:
        values = {
            name: found[parent, name]["value"]
            for name in ("accuracy_old", "accuracy_new", "normalised_accuracy")
        }
        assert values["normalised_accuracy"] == pytest.approx(values["accuracy_new"] / values["accuracy_old"])
        assert found[parent, "normalised_accuracy"]["low"] < values["normalised_accuracy"]


def test_a_gate_that_fails_is_exit_code_1(tmp_path, recipe):
    items = pocket.items(["facts"], 12)
    items.frame.write_ndjson(tmp_path / "items.jsonl")
    words = ("merge", recipe, "-o", tmp_path / "out", "--check", tmp_path / "items.jsonl")
    told = run(*words, "--gate", "accuracy_new >= 1.0", code=1).stdout
    assert "accuracy_new >= 1: fails" in told
    assert "accuracy of the parent" in told


def test_a_recipe_of_mergekit(tmp_path, recipe):
    folder = model_folder("250k-chat-v1")
    recipe.write_text(
        f"merge_method: linear\nmodels:\n  - model: {folder}\n    parameters: {{weight: 1}}\ndtype: float32\n"
    )
    run("merge", recipe, "-o", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert record["recipe"]["mergekit"]["merge_method"] == "linear"
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("keep:", "kep:"), "there is no key 'kep'; did you mean keep?"),
        (("pocket:250k-chat-v1", "pocket:250k-chat-v9"), "no pocket model '250k-chat-v9' ships"),
        (("pocket:250k-chat-v1", "250k-chat-v1"), "the model that ships is called pocket:250k-chat-v1"),
        (("pocket:250k-chat-v1", "./nowhere"), "there is no folder ./nowhere to merge"),
        (("pocket:250k-chat-v1", "pocket:1m-chat-v1"), "names and shapes of weights are the same, got"),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(recipe, change, said):
    recipe.write_text(BREADCRUMBS.replace(*change))
    result = run("merge", recipe, "--dry-run", code=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_where_it_goes_must_be_said(tmp_path, recipe):
    assert "-o FOLDER" in run("merge", recipe, code=2).stderr
    (tmp_path / "there").mkdir()
    assert "is there already" in run("merge", recipe, "-o", tmp_path / "there", code=2).stderr
