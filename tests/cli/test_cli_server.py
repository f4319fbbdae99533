"""The whole command against a real server: answers kept and cached, failures recorded, keys never shown."""

import collections
import json
import random

import pytest

import command
from openai_server import Fault, serve

KEY = "sk-a-key-that-must-not-be-seen"


def answer(body):
    """Add right, but for sums of numbers above 30."""
    number = int(body["messages"][0]["content"].split()[0])
    return [str(2 * number if number <= 30 else 0)] * body.get("n", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rows = [{"id": f"q{i}", "input": f"{i} plus {i}", "reference": 2 * i} for i in range(40)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONCORDANT_CACHE", str(tmp_path / "answers.sqlite"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return tmp_path


def check_file(folder, server, more=""):
    (folder / "check.yaml").write_text(
        "models:\n"
        f"  new: {{spec: 'openai:small', base_url: '{server.url}', first_wait: 0.001, longest_wait: 0.01, retries: 3}}\n"
        "items: questions.jsonl\n"
        "checks:\n"
        "  - relation: variants.reworded\n"
        "    templates: ['{input} is?']\n"
        f"    gate: agreement_score >= 0.5\n{more}"
    )


def run(*words, code=0):
    result = command.run(*words, code=code)
    assert KEY not in result.output
    return result


def test_what_was_answered_once_is_asked_never_again(folder):
    with serve(answer) as server:
        check_file(folder, server)
        first = json.loads(run("check", "check.yaml", "--json", "-j", "8", "--folder", "first").stdout)
        assert len(server.requests) == 80
        assert server.most_in_flight <= 8
        cached = json.loads(run("check", "check.yaml", "--json", "--folder", "second").stdout)
        run("check", "check.yaml", "--folder", "first", "--resume")
        run("report", "first", "-o", "again.html")
        assert len(server.requests) == 80
        assert run("cache").stdout.splitlines()[1:] == ["  small: 80"]
        assert cached["findings"] == first["findings"]
        run("check", "check.yaml", "--no-cache", "--limit", "5")
        assert len(server.requests) == 90
    accuracy = next(f for f in first["findings"] if f["measure"] == "accuracy")
    assert accuracy["value"] == 31 / 40
    assert KEY not in "".join(path.read_text(errors="ignore") for path in folder.rglob("*") if path.is_file())


def test_faults_end_as_outputs_or_as_recorded_errors(folder):
    generator = random.Random(3)
    kinds = [
        None,
        None,
        Fault(429, headers={"Retry-After": "0"}),
        Fault(500),
        Fault(keep=0.5),
        Fault(body=b"{"),
        Fault(close=True),
        Fault(body=b""),
    ]
    faults = collections.defaultdict(lambda: [generator.choice(kinds) for _ in range(3)] + [None])

    def fault(body, attempt):
        text = body["messages"][0]["content"]
        if text.startswith("7 plus") and broken:
            return Fault(500)
        return faults[text][attempt - 1] if attempt <= 4 else None

    broken = True
    with serve(answer, fault) as server:
        check_file(folder, server)
        found = json.loads(run("check", "check.yaml", "--json", "--folder", "run").stdout)
        n = len(server.requests)
        again = json.loads(run("check", "check.yaml", "--json", "--folder", "run", "--resume").stdout)
        assert len(server.requests) == n
        assert again["findings"] == found["findings"]
        broken = False
        mended = json.loads(run("check", "check.yaml", "--json", "--folder", "run", "--retry-errors").stdout)
        assert len(server.requests) == n + 2  # only what failed is asked: one item in two wordings
    finding = next(f for f in found["findings"] if f["measure"] == "agreement_score")
    assert (finding["n"], finding["n_error"], finding["n_ungraded"]) == (39, 1, 0)
    finding = next(f for f in mended["findings"] if f["measure"] == "agreement_score")
    assert (finding["n"], finding["n_error"]) == (40, 0)


def test_a_refused_key_is_one_sentence(folder):
    with serve(answer, lambda body, attempt: Fault(401, body=f"no such key {KEY}".encode())) as server:
        check_file(folder, server)
        said = run("check", "check.yaml", code=2).stderr
        assert len(server.requests) < 40
    assert "OPENAI_API_KEY" in said
    assert said.count("\n") == 1


def test_a_server_that_is_down_is_one_sentence_and_nothing_is_kept_of_it(folder):
    with serve(answer) as server:
        check_file(folder, server)
    said = run("check", "check.yaml", "--folder", "run", code=2).stderr
    assert said.count("\n") == 1
    assert "small" in said
    assert not list((folder / "run" / "behaviours").glob("*.parquet"))
