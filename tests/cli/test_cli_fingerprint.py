"""The verb fingerprint, through the real command: exit codes, what is printed, what is refused."""

import json

import polars as pl
import pytest

from command import run

MODELS = """\
def good(text):
    return str(int(text.split()[0]) + 1)


def damaged(text):
    n = int(text.split()[0])
    return str(n + (2 if n % 10 == 0 else 1))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODELS)
    rows = [{"id": f"p{i}", "input": f"{i} marbles", "reference": i + 1} for i in range(100)]
    pl.DataFrame(rows).write_ndjson("probes.jsonl")
    (tmp_path / "claims.yaml").write_text("claims: [{metric: accuracy, value: 0.99}]\n")
    return tmp_path


def recorded(*more):
    words = ("record", "python:models.py:good", "probes.jsonl", "-o", "good.fingerprint", "--trust-code")
    return run("fingerprint", *words, *more)


def test_record_says_what_it_kept(folder):
    out = recorded("--claims", "claims.yaml").stdout
    assert out.startswith(
        "good.fingerprint: 100 probes, 1 claims, 100.0% right, 0.00% changed when asked again"
    )
    facts = json.loads(run("fingerprint", "show", "good.fingerprint", "--json").stdout)
    assert facts["claims"][0]["value"] == 0.99
    assert facts["probes"]["n"] == 100
    assert "grader: number" in run("fingerprint", "show", "good.fingerprint").stdout


def test_verify_passes_a_copy_and_fails_a_damaged_one(folder):
    recorded("--claims", "claims.yaml")
    verify = ("fingerprint", "verify", "good.fingerprint")
    same = run(*verify, "python:models.py:good", "--trust-code")
    assert same.stdout.rstrip().endswith("pass")
    found = run(*verify, "python:models.py:damaged", "--trust-code", "-n", "2", code=1)
    assert "broken" in found.stdout
    assert "and 8 more" in found.stdout
    document = json.loads(run(*verify, "python:models.py:damaged", "--trust-code", "--json", code=1).stdout)
    assert (document["state"], document["exit_code"]) == ("fail", 1)
    assert {row["item"] for row in document["changed"]} == {f"p{i}" for i in range(0, 100, 10)}
    words = ("--tolerance", "0.2", "--claim-tolerance", "0.3")
    assert run(*verify, "python:models.py:damaged", "--trust-code", *words).stdout.rstrip().endswith("pass")


def test_a_claim_that_few_probes_cannot_tell_exits_with_3(folder):
    recorded("--limit", "10")
    words = ("fingerprint", "verify", "good.fingerprint", "python:models.py:good", "--trust-code")
    out = run(*words, "--claims", "claims.yaml", code=3).stdout
    assert "cannot tell" in out


def test_compare_holds_two_models_against_each_other(folder):
    words = ("python:models.py:good", "python:models.py:damaged", "probes.jsonl", "--trust-code")
    assert "answers changed" in run("fingerprint", "compare", *words, code=1).stdout


def test_what_cannot_be_run_is_one_sentence(folder):
    verify = ("fingerprint", "verify")
    assert "there is no fingerprint none" in run(*verify, "none", "python:models.py:good", code=2).stderr
    (folder / "bad").write_text("no")
    assert "no whole fingerprint" in run(*verify, "bad", "python:models.py:good", code=2).stderr
    recorded()
    out = run(*verify, "good.fingerprint", "python:models.py:good", code=2)
    assert "--trust-code" in out.stderr


def test_without_a_verb_the_help_is_shown(folder):
    assert "concordant fingerprint record" in run("fingerprint").stdout
