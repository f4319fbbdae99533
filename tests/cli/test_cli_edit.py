"""The verb ``edit``, run as a user runs it, on a tiny model in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from command import run
from tiny_models import save_gpt2, save_llama

torch = pytest.importorskip("torch")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Save a model once for all tests."""
    return save_llama(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture
def folder(tmp_path, monkeypatch, made):
    """Give a folder to work in, with a model and texts."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "model")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [(letters[i], letters[(3 * i + 1) % 26]) for i in range(20)]
    write("unwanted", [{"input": f"{a}{b}111{a}"} for a, b in pairs])
    write("wanted", [{"input": f"{a}{b}{b}{a}{b}"} for a, b in pairs])
    write("items", [{"input": f"{a}{b}", "reference": f"{a}{a}"} for a, b in pairs])
    write("facts", [{"prefix": "ab", "good": "c"}, {"prefix": "de", "good": "f"}])
    write("contexts", [{"prefix": f"{a}ab", "good": "c"} for a, _ in pairs[:6]])
    return tmp_path


def write(name, records):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def files_of(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


SURGERY = ("edit", "surgery", "model", "--unwanted", "unwanted.jsonl", "--wanted", "wanted.jsonl")
QUICK = ("--items", "items.jsonl", "--max-tokens", 4, "--controls", 1, "--strength", 0.5, "--strength", 1)


def test_from_texts_to_an_edit_and_back(folder):
    made = run(*SURGERY, *QUICK, "--bound", 10, "--pattern", "[a-m]", "-o", "x.edit")
    assert "held-out texts told rightly" in made.stdout
    assert "continuations (target, n=10)" in made.stdout
    assert "general items (elsewhere, n=10)" in made.stdout
    assert "x.edit: strength 1, " in made.stdout
    told = json.loads(run("edit", "diff", "x.edit", "--json").stdout)
    assert sum(tensor["rows"] for tensor in told["tensors"]) == told["settings"]["rows"] == round(0.05 * 128)
    assert {line["measure"] for line in told["ledger"]} >= {
        "rate",
        "loss",
        "kl",
        "accuracy",
        "negative_flip_rate",
    }
    assert all(len(line["random"]) == 1 for line in told["ledger"])
    assert "gate_proj.weight" in run("edit", "diff", "x.edit").stdout

    applied = run("edit", "apply", "x.edit", "hf:model", "-o", "edited").stdout
    assert "x.edit applied" in applied
    assert "continuations (target, n=10)" in applied
    assert (
        json.loads(run("edit", "undo", "x.edit", "edited", "-o", "back", "--json").stdout)["written"]
        == "back"
    )
    assert files_of("back") == files_of("model") != files_of("edited")

    again = run("edit", "apply", "x.edit", "edited", "-o", "twice", code=2)
    assert "the model has this edit already" in again.stderr
    save_llama("other", seed=1)
    assert "was made for the weights" in run("edit", "apply", "x.edit", "other", "-o", "no", code=2).stderr
    run("edit", "apply", "x.edit", "other", "-o", "forced", "--force")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "back",
        "edited",
        "forced",
        "model",
        "other",
    ]


def test_nothing_within_the_bound(folder):
    found = run(*SURGERY, *QUICK, "--bound", 1e9, "--strength", 50, "-o", "x.edit", "--json")
    told = json.loads(found.stdout)
    assert [point["strength"] for point in told["tried"]["strengths"]] == [0.5, 1.0, 50.0]
    assert told["edit"] == "x.edit"
    assert told["settings"]["strength"] == 50.0
    from concordant.models.huggingface import load_huggingface

    prompts = ["ab", "cd", "ef", "gh"]
    model = load_huggingface("model", device="cpu").language_model
    likeliest = [
        one[0].text for one in model.generate(prompts, max_tokens=8)
    ]  # what any edit can but make less likely
    write("own", [{"input": p, "reference": text} for p, text in zip(prompts, likeliest, strict=True)])
    strong = ("--items", "own.jsonl", "--max-tokens", 4, "--bound", 0, "--strength", 50)
    none = run(*SURGERY, *strong, "-o", "y.edit", code=1)
    assert "no edit: nothing that was tried stays within the bound" in none.stdout
    assert not Path("y.edit").exists()


def test_teaching_examples(folder):
    words = (
        "edit",
        "canonical",
        "model",
        "facts.jsonl",
        "--general",
        "items.jsonl",
        "--contexts",
        "contexts.jsonl",
    )
    quick = ("--controls", 0, "--epochs", 2, "--bound", 5, "--rate", 1e-3, "--rate", 1e-2)
    told = json.loads(run(*words, *quick, "-o", "facts.edit", "--json").stdout)
    assert [one["rate"] for one in told["tried"]["rates"]] == [1e-3, 1e-2]
    assert told["bound"] == 5
    groups = {line["group"]: line["n"] for line in told["ledger"]}
    assert groups == {"other contexts": 3, "general texts": 10, "nearest texts": 2, "general items": 20}
    run("edit", "apply", "facts.edit", "model", "-o", "taught")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            (*SURGERY, *QUICK, "--rule", "best", "-o", "x"),
            "rule must be one of opposed, aligned, random, got 'best'",
        ),
        ((*SURGERY, *QUICK, "--pattern", "(", "-o", "x"), "--pattern must be a regular expression"),
        ((*SURGERY, *QUICK, "--limit", 3, "-o", "x"), "a probe needs at least 8 unwanted texts, got 3"),
        (("edit", "diff", "none"), "there is no edit none"),
        (
            ("edit", "apply", "items.jsonl", "model", "-o", "x"),
            "items.jsonl is no edit that this package wrote",
        ),
        (
            ("edit", "canonical", "nowhere", "facts.jsonl", "--general", "items.jsonl", "-o", "x"),
            "needs the files of the model",
        ),
        (
            (
                "edit",
                "canonical",
                "model",
                "facts.jsonl",
                "--general",
                "items.jsonl",
                "--way",
                "lore",
                "-o",
                "x",
            ),
            "no way of editing 'lore'; did you mean lora?",
        ),
        (
            ("edit", "canonical", "pocket:250k-bass", "facts.jsonl", "--general", "items.jsonl", "-o", "x"),
            "no pocket model '250k-bass' ships; did you mean 250k-base?",
        ),
    ],
)
def test_errors_are_one_sentence(folder, words, sentence):
    result = run(*words, code=2)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_models_without_gates_are_refused(folder):
    save_gpt2("gpt2", pad=True)
    words = ("edit", "surgery", "gpt2", *SURGERY[3:], *QUICK, "-o", "x")
    assert "the GPT2LMHeadModel has none" in run(*words, code=2).stderr


def test_help_teaches():
    assert "concordant edit surgery pocket:250k-base" in run("edit").stdout
    for verb in ("surgery", "canonical", "apply", "undo", "diff"):
        assert f"concordant edit {verb} " in run("edit", verb, "--help").stdout
