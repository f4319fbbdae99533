"""The verb `study`: what it runs, prints, writes and answers."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from concordant.cli.main import app
from concordant.cli.study import seeds_of
from concordant.core import registry
from concordant.core.errors import ConfigError
from concordant.studies.registry import find_study

TOYS = {
    "toy-mean": "toy_studies:toy_mean",
    "toy-worse": "toy_studies:toy_worse",
    "toy-broken": "no_such_module:study",
    "toy-plain": "toy_studies:HIGHER",
    "toy-renamed": "toy_studies:toy_worse",
}
CODE = """
from concordant.studies.study import Claim, study

@study("mine", claims=[Claim("c", "a.score", 0, "higher")], baseline="nothing")
def mine(scale, seed):
    return {"a.score": 1 + seed / 100}

other = 3
"""


@pytest.fixture(autouse=True)
def toys(monkeypatch, tmp_path):
    points = {name: EntryPoint(name, value, "concordant.studies") for name, value in TOYS.items()}
    real = registry.registered

    def registered(group):
        return points if group == "studies" else real(group)

    monkeypatch.setattr(registry, "registered", registered)
    monkeypatch.setattr("concordant.studies.registry.registered", registered)
    monkeypatch.chdir(tmp_path)


def concordant(*words):
    return CliRunner().invoke(app, ["study", *words])


def test_it_prints_claims_and_measurements_and_writes_a_page(tmp_path):
    done = concordant("toy-mean", "--scale", "smoke", "--seeds", "0-4")
    assert done.exit_code == 3
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert lines[0] == "toy-mean Estimate a mean from all values, and from the first one."
    assert lines[1].startswith("smoke scale · seeds 0 to 4 · ")
    (nearer,) = [line for line in lines if line.startswith("✓ holds nearer ")]
    assert nearer.endswith(" 5 seeds")
    (units,) = [line for line in lines if line.startswith("✓ holds units ")]
    assert units.endswith("+0.250 +0.183 to +0.317 7 units")
    (small,) = [i for i, line in enumerate(lines) if line.startswith("? undecided small ")]
    assert lines[small + 1 : small + 3] == [
        "0.01 − mean.error > 0",
        f"about {done_json(tmp_path)['claims'][2]['needed_n']} seeds would decide it",
    ]
    assert "score each 0.500 0.433 to 0.567 7" in lines
    (curve,) = [line for line in lines if line.startswith("curve_error of mean at 5: ")]
    assert [part.split(": ")[0] for part in curve.removeprefix("curve_error of mean at ").split(" · ")] == [
        "5",
        "10",
        "25",
    ]
    assert lines[-1] == f"report: {tmp_path / 'runs/studies/toy-mean-smoke/report.html'}"
    assert (tmp_path / "runs/studies/toy-mean-smoke/report.html").stat().st_size > 10_000

    again = concordant("toy-mean", "--scale", "smoke", "--seeds", "0-4")
    assert "seeds 0 to 4 were there already; --fresh runs them again" in again.output


def done_json(folder, name="toy-mean-smoke"):
    return json.loads((folder / "runs" / "studies" / name / "study.json").read_text())


def test_all_of_them_and_one_that_is_broken_hides_no_other(tmp_path):
    done = concordant("--all", "--scale", "smoke", "--json", "-o", "out", "-j", "2")
    assert done.exit_code == 2
    document = json.loads(done.stdout)
    assert [study["study"] for study in document["studies"]] == ["toy-mean", "toy-worse"]
    assert document["studies"][1]["claims"][0]["state"] == "fails"
    assert document["not_loaded"] == {
        "toy-broken": (
            "the study 'toy-broken' cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"
        ),
        "toy-plain": (
            "the entry point 'toy-plain' of concordant.studies must be a function under @study(...), got Claim"
        ),
        "toy-renamed": (
            "the entry point 'toy-renamed' of concordant.studies is the study 'toy-worse'; give both one name"
        ),
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="study-toy-mean"' in page
    assert 'id="study-toy-worse"' in page


def test_a_claim_that_fails_is_exit_code_1(tmp_path):
    assert concordant("toy-worse", "--scale", "smoke").exit_code == 1
    assert done_json(tmp_path, "toy-worse-smoke")["claims"][0]["n"] == 2


def test_a_study_in_a_file(tmp_path):
    (tmp_path / "my_study.py").write_text(CODE)
    refused = concordant("my_study.py:mine", "--scale", "smoke")
    assert refused.exit_code == 2
    assert "allow that with --trust-code" in refused.output
    done = concordant("my_study.py:mine", "--scale", "smoke", "--seeds", "0-2", "--trust-code", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["studies"][0]["claims"][0]["state"] == "holds"
    wrong = concordant("my_study.py:other", "--trust-code")
    assert "my_study.py:other must be a function under @study(...), got int" in wrong.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["toy-men"], "there is no study 'toy-men'; did you mean toy-mean?"),
        (["toy-mean", "--scale", "poket"], "there is no scale 'poket'; did you mean pocket?"),
        (["toy-mean", "--seeds", "1,x"], "--seeds must be numbers or ranges like 0,1,2 or 0-9, got '1,x'"),
        (["toy-mean", "--seeds", "1,1"], "seeds must be different whole numbers from 0 up, got 1, 1"),
        ([], "name a study, or give --all; concordant study --list shows what there is"),
        (["toy-mean", "--all"], "name studies or give --all, not both; got toy-mean"),
        (["toy-broken"], "the study 'toy-broken' cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_run_is_one_sentence_and_exit_code_2(words, said):
    done = concordant(*words)
    assert done.exit_code == 2
    assert done.output.startswith(f"concordant: {said}")
    assert done.output.count("\n") == 1


def test_the_list_imports_none_of_them():
    done = concordant("--list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()[:-1]] == sorted(TOYS)
    found = json.loads(concordant("--list", "--json").stdout)["studies"]
    assert found[0] == {"name": "toy-broken", "title": "", "claims": {}}


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "1,,2", "1.5"])
def test_bad_seeds(text):
    with pytest.raises(ConfigError, match="--seeds must be numbers or ranges"):
        seeds_of(text)


def test_names_are_looked_up():
    assert find_study("toy-mean").slug == "toy-mean"
