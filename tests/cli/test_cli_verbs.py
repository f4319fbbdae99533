"""The other verbs, the exit codes of the real command, and that standard output stays clean."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import concordant as cc
from command import run
from concordant.cli.main import VERBS
from concordant.core.cache import AnswerCache
from concordant.core.model import Completion, Request

COMMAND = str(Path(sys.executable).with_name("concordant"))
CHECK = """\
models:
  old: python:models.py:old
  new: python:models.py:new
items: questions.jsonl
checks:
  - relation: versions.flips
    against: old
    gate: GATE
  - relation: models.py:shouted
output: report.md
"""
MODELS = """\
import sys
import concordant as cc

print("a model that talks while it is loaded")


def old(text):
    print("a model that talks")
    return str(min(int(text.split()[0]), 50))


def new(text):
    return str(max(int(text.split()[0]), 10))


@cc.relation(variants=("plain", "loud"))
def shouted(item):
    yield item.input
    yield item.input.upper()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "check.yaml").write_text(CHECK.replace("GATE", "negative_flip_rate <= 0.9"))
    rows = [{"input": f"{i} marbles", "reference": i, "topic": "ab"[i % 2]} for i in range(100)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONCORDANT_CACHE", str(tmp_path / "cache" / "answers.sqlite"))
    return tmp_path


def real(*words, **how):
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, **how)


def gate(folder, text):
    (folder / "check.yaml").write_text(CHECK.replace("GATE", text))


# -- check -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "code", "state"),
    [("<= 0.5", 0, "holds"), ("<= 0.01", 1, "fails"), ("<= 0.11", 3, "undecided"), ("<=", 2, None)],
)
def test_exit_codes_and_a_clean_standard_output(folder, bound, code, state):
    gate(folder, f"negative_flip_rate {bound}")
    done = real("check", "check.yaml", "--trust-code", "--json")
    assert done.returncode == code, done.stderr
    if state is None:
        assert done.stdout == ""
        assert done.stderr.startswith(
            "concordant: check.yaml, line 8: the gate 'negative_flip_rate <=' does not parse"
        )
        assert done.stderr.count("\n") == 1
    else:
        assert json.loads(done.stdout)["state"] == state
        assert "a model that talks" in done.stderr


def test_a_run_is_kept_and_its_report_written(folder):
    out = run("check", "check.yaml", "--trust-code", "-o", "more.html", "--junit", "gates.xml").stdout
    (kept,) = Path("runs").iterdir()
    assert re.fullmatch(r"check-\d{8}-\d{6}", kept.name)
    assert out.splitlines()[-4:] == [
        f"run: {kept}",
        "report: more.html",
        "report: report.md",
        "report: gates.xml",
    ]
    assert {path.name for path in kept.iterdir()} >= {
        "run.json",
        "items.parquet",
        "behaviours",
        "findings.parquet",
        "report.json",
    }
    assert all(Path(name).stat().st_size for name in ("more.html", "report.md", "gates.xml"))


def test_resume_goes_on_with_the_latest_run(folder):
    assert (
        "there is no run of check in runs to go on with"
        in run("check", "check.yaml", "--trust-code", "--resume", code=2).stderr
    )
    run("check", "check.yaml", "--trust-code", "--limit", "20")
    run("check", "check.yaml", "--trust-code", "--limit", "20", "--resume")
    assert len(list(Path("runs").iterdir())) == 1
    run("check", "check.yaml", "--trust-code", "--limit", "20")
    assert len(list(Path("runs").iterdir())) == 2
    said = run("check", "check.yaml", "--trust-code", "--folder", next(Path("runs").iterdir()), code=2).stderr
    assert "already holds a run; go on with it by --resume" in said


def test_seed_and_limit_reach_the_record(folder):
    found = json.loads(
        run("check", "check.yaml", "--trust-code", "--json", "--limit", "30", "--seed", "5").stdout
    )
    assert (found["n_items"], found["about"]["seed"], found["about"]["suite"]["limit"]) == (30, 5, 30)


# -- report ------------------------------------------------------------------------------------------------------


def test_a_run_is_rendered_again_without_its_models(folder):
    first = run("check", "check.yaml", "--trust-code", "--json", "--folder", "kept").stdout
    before = {path: path.read_bytes() for path in Path("kept").rglob("*") if path.is_file()}
    models = (folder / "models.py").read_text()
    (folder / "models.py").write_text(
        models.replace("return str", "raise SystemError").replace("def new", "def gone")
    )
    Path("questions.jsonl").unlink()
    again = run("report", "kept", "--trust-code", "--json").stdout
    assert json.loads(again) == json.loads(first)
    out = run("report", "kept", "--trust-code", "-o", "again.html").stdout
    assert "100 items · new and old" in out or "100 items · old and new" in out
    assert Path("again.html").stat().st_size > 10_000
    assert {path: path.read_bytes() for path in Path("kept").rglob("*") if path.is_file()} == before


def test_a_report_has_the_exit_code_of_its_gates(folder):
    gate(folder, "negative_flip_rate <= 0.01")
    run("check", "check.yaml", "--trust-code", "--folder", "kept", code=1)
    run("report", "kept", "--trust-code", code=1)


def test_a_run_made_in_python_is_rendered_from_what_is_stored(folder):
    items = cc.Items.from_records(
        [{"input": str(i), "reference": i % 9, "topic": "ab"[i % 2]} for i in range(60)]
    )

    @cc.relation(variants=("plain", "spaced"))
    def spaced(item):
        yield item.input
        yield item.input + " "

    model = cc.load(lambda text: text.strip(), name="echo")
    made = cc.check(
        model, items, [spaced], gates={"spaced": "accuracy >= 0.5"}, folder="kept", progress=False
    )
    again = json.loads(run("report", "kept", "--json", code=1).stdout)
    plain = json.loads(json.dumps(made.to_dict(), default=str))
    assert again["findings"] == plain["findings"]
    assert again["slices"] == plain["slices"]
    assert again["gates"] == plain["gates"]
    out = run("report", "kept", "-o", "again.html", "-o", "again.md", code=1).stdout
    assert "accuracy" in out
    assert Path("again.html").stat().st_size > 10_000


def test_a_run_that_was_not_finished_is_not_rendered(folder):
    run("check", "check.yaml", "--trust-code", "--folder", "kept")
    min(Path("kept/behaviours").iterdir()).unlink()
    said = run("report", "kept", "--trust-code", code=2).stderr
    assert "holds a run that was not finished: go on with it by concordant check --resume" in said
    assert "holds no readable run" in run("report", folder, code=2).stderr


# -- validate, list, cache, info ---------------------------------------------------------------------------------


def test_validate_says_what_a_check_file_means(folder):
    lines = run("validate", "check.yaml", "--trust-code").stdout.splitlines()
    assert "check.yaml: a check file" in lines
    assert "  model new (under test): python:models.py:new" in lines
    assert "  items: 100 from questions.jsonl" in lines
    assert "  check versions.flips (against=old)" in lines
    assert "    gate negative_flip_rate <= 0.9" in lines
    assert lines[-1] == "valid: 2 relations, 1 gates; no model was loaded"


def test_validate_says_what_a_table_means(folder):
    assert "items: 100 from questions.jsonl" in run("validate", "questions.jsonl").stdout
    rows = [
        {"id": i, "question": f"{i}?", "output": "1", "correct": i > 0, "error": None if i else "down"}
        for i in range(4)
    ]
    pl.DataFrame(rows).write_csv(folder / "log.csv")
    out = run("validate", "log.csv").stdout
    assert "as a log" in out
    assert "answers of log: 4 on 4 items" in out
    assert "errors: 1" in out
    run("check", "check.yaml", "--trust-code", "--folder", "kept")
    assert "answers of new: 100 on 100 items" in run("validate", "kept").stdout
    assert "there is no such file" in run("validate", "nothing.jsonl", code=2).stderr
    assert "name a check file" in run("validate", code=2).stderr


def test_validate_prints_the_schema():
    schema = json.loads(run("validate", "--schema").stdout)
    assert schema["title"] == "concordant check file"


def test_list_has_a_line_for_everything():
    out = run("list").stdout
    for name in ("versions.flips", "variants.reworded", "openai", "number", "jensen_shannon", "html"):
        assert re.search(rf"^  {re.escape(name)} +\S", out, re.MULTILINE), name
    assert "cannot be loaded" not in out
    found = json.loads(run("list", "relations", "--json").stdout)
    assert list(found) == ["relations"]
    assert all(found["relations"].values())
    assert "relatoins" in run("list", "relatoins", code=2).stderr


def test_the_cache_is_looked_at_and_cleared(folder):
    path = folder / "cache" / "answers.sqlite"
    assert run("cache").stdout == f"{path}: 0 answers, 0.0 MB\n"
    assert not path.exists()
    answers = AnswerCache(path)
    for model, prompts in (("small", "ab"), ("large", "cde")):
        answers.put({answers.key(model, prompt, Request()): [Completion("x")] for prompt in prompts}, model)
    answers.close()
    assert run("cache").stdout.splitlines()[1:] == ["  large: 3", "  small: 2"]
    assert "did you mean small?" in run("cache", "clear", "--model", "smal", code=2).stderr
    assert run("cache", "clear", "--model", "small").stdout.startswith("removed 2 answers\n")
    assert json.loads(run("cache", "--json").stdout)["models"] == {"large": 3}
    assert run("cache", "clear").stdout.startswith("removed 3 answers\n")


def test_info_shows_no_secret(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setattr("concordant.cli.info._devices", lambda: "cpu")  # importing torch takes seconds
    out = run("info").stdout
    assert "sk-very-secret" not in out
    assert re.search(r"OPENAI_API_KEY +set$", out, re.MULTILINE)
    assert f"cache: {folder / 'cache' / 'answers.sqlite'}" in out
    facts = json.loads(run("info", "--json").stdout)
    assert facts["libraries"]["polars"] == pl.__version__
    assert all(state.startswith(("installed", "not installed")) for state in facts["extras"].values())
    assert "pip install 'concordant[" in out or all(
        state.startswith("installed") for state in facts["extras"].values()
    )


# -- the command itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_says_what_it_does_and_shows_an_example(verb):
    out = run(*verb.split(), "--help").stdout
    assert re.search(rf"^ +concordant {verb}", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80
    assert run(*verb.split(), "-h").stdout == out


def test_no_words_show_the_help_and_wrong_words_exit_2():
    assert run().stdout == run("--help").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").stdout)
    said = run("chekc", code=2).stderr
    assert said.count("\n") == 1
    assert "chekc" in said
    assert "check" in said.replace("chekc", "")


def test_an_unexpected_error_is_no_gate_that_fails(monkeypatch):
    def broken():
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("concordant.cli.info._facts", broken)
    said = run("info", code=2).stderr
    assert (
        said
        == "concordant: unexpected ZeroDivisionError: a fault (this is a fault of concordant; --debug shows where)\n"
    )
    assert "Traceback" in run("info", "--debug", code=2).stderr
    assert "Traceback" in run("--debug", "info", code=2).stderr


@pytest.mark.parametrize("words", ["list", "report kept --trust-code", "report kept --trust-code --json"])
def test_a_closed_pipe_is_silent_and_no_gate_that_fails(folder, words):
    run("check", "check.yaml", "--trust-code", "--folder", "kept")
    script = f"{COMMAND} {words} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stderr.replace("a model that talks while it is loaded\n", "") == ""
    assert done.stdout.strip() in ("0", "141")


def test_a_model_that_always_fails_is_said_in_one_sentence(folder):
    (folder / "models.py").write_text(MODELS.replace("str(max(int(text.split()[0]), 10))", "1 / 0"))
    said = run("check", "check.yaml", "--trust-code", code=2).stderr
    assert said.splitlines()[-1].startswith("concordant: model 'new' raised ZeroDivisionError")


@pytest.mark.parametrize(
    ("returned", "message"),
    [("x[:-1, 0]", "4"), ("np.where(x[:, 0] == 3, np.nan, x[:, 0])", "row3")],
)
def test_a_predictor_that_gives_too_few_rows_or_nan_is_named(folder, returned, message):
    Path("models.py").write_text(f"import numpy as np\n\n\ndef model(x):\n    return {returned}\n")
    rows = {"id": [f"row{i}" for i in range(5)], "input": [[float(i), 1.0] for i in range(5)]}
    pl.DataFrame(rows).write_parquet("x.parquet")
    Path("check.yaml").write_text(
        "models: {new: 'python:models.py:model'}\n"
        "items: x.parquet\n"
        "checks: [{relation: variants.perturbed, perturbations: [order]}]\n"
    )
    said = run("check", "check.yaml", "--trust-code", code=2).stderr
    assert said.count("\n") == 1
    assert message in said


def test_ctrl_c_before_anything_is_130(folder):
    (folder / "models.py").write_text("import time\ntime.sleep(30)\n")
    process = subprocess.Popen(
        [COMMAND, "validate", "check.yaml", "--trust-code"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    with process:
        import time

        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (130, "concordant: stopped\n")


def test_items_that_cannot_be_used_are_said_in_one_sentence(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # as if it was not installed
    twice = "".join(json.dumps({"id": "q1", "input": str(i)}) + "\n" for i in range(2))
    Path("twice.jsonl").write_text(twice)
    Path("none.jsonl").write_text('{"foo": 1}\n')
    for source, message in (
        ("hf-dataset:org/name", "pip install 'concordant[hub]'"),
        ("twice.jsonl", "1 item ids occur more than once, the first is 'q1'"),
        ("none.jsonl", "no column is recognised as the input (say which: input=NAME); there are foo"),
    ):
        Path("check.yaml").write_text(CHECK.replace("GATE", "gain >= 0").replace("questions.jsonl", source))
        said = run("check", "check.yaml", "--trust-code", code=2).stderr
        (said,) = [line for line in said.splitlines() if not line.startswith("a model that talks")]
        assert message in said
