"""``concordant retention``: from several logs to tables, a page, a document and an exit code."""

from __future__ import annotations

import json
from functools import partial

import pytest

import command

run = partial(command.run, "retention")

HISTORIES = {"q0": "111", "q1": "011", "q2": "101", "q3": "110", "q4": "000", "q5": "100"}
"""Which of three versions answer each question rightly."""


@pytest.fixture
def logs(tmp_path):
    """Three logs of six questions; the third has another question, too."""
    paths = []
    for t in range(3):
        rows = [
            {
                "id": id,
                "question": f"What is {id}?",
                "target": 7,
                "part": "ab"[i % 2],
                "answer": 7 if history[t] == "1" else 8,
            }
            for i, (id, history) in enumerate(HISTORIES.items())
        ]
        if t == 2:
            rows.append({"id": "extra", "question": "More?", "target": 7, "part": "b", "answer": 7})
        path = tmp_path / f"{('may', 'june', 'july')[t]}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(path)
    return paths


def test_what_is_printed_for_people(logs):
    lines = [line.split() for line in run(*logs, "--by", "part").stdout.splitlines()]
    assert ["accuracy", "by", "part", "v1", "v2", "v3", "forgetting", "gap", "n"] in lines
    assert any(line[:5] == ["all", "items", "0.67", "0.50", "0.50"] for line in lines)
    assert any(line[:4] == ["a", "0.67", "0.33", "0.67"] for line in lines)
    assert ["✓", "✗", "✓", "regained", "1", "0.167"] in lines
    assert ["✗", "✗", "✗", "never", "right", "1", "0.167"] in lines
    assert ["v2", "is", "june"] in lines
    assert ["left", "out,", "as", "not", "all", "have", "them:", "1", "of", "july"] in lines


def test_the_document_has_the_findings_and_the_matrix(logs):
    report = json.loads(run(*logs, "--by", "part", "--json").stdout)
    values = {f["measure"]: f["value"] for f in report["findings"]}
    assert values["forgetting_rate"] == pytest.approx(2 / 5)
    assert values["kept_rate"] == values["learnt_rate"] == values["regained_rate"] == pytest.approx(1 / 6)
    matrix = {(f["slice_value"], f["measure"]): f["value"] for f in report["slices"] if f["slice"] == "part"}
    assert matrix["b", "accuracy_v2"] == pytest.approx(2 / 3)
    assert report["about"]["compared"]["versions"] == ["may", "june", "july"]


def test_gates_decide_the_exit_code(logs):
    run(*logs, "--gate", "forgetting_rate <= 0.95")
    run(*logs, "--gate", "kept_rate >= 0.9", code=1)
    run(*logs, "--gate", "forgetting_rate <= 0.5", code=3)
    unknown = run(*logs, "--gate", "forgeting_rate <= 0.5", code=2)
    assert (
        "versions.retention has no finding 'forgeting_rate'; did you mean forgetting_rate?" in unknown.stderr
    )


def test_the_page_has_the_heat_map(logs, tmp_path):
    page = tmp_path / "retention.html"
    run(*logs, "--by", "part", "-o", page)
    assert "Accuracy of each set of items after each version" in page.read_text()
    assert "part = b" in page.read_text()


def test_what_cannot_be_done_is_said(logs, tmp_path):
    assert "two or more versions, oldest first, got 1" in run(logs[0], code=2).stderr
    assert (
        "there is no column 'parts' to slice by; did you mean part?"
        in run(*logs, "--by", "parts", code=2).stderr
    )
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"id": "z", "question": "Z?", "target": 1, "answer": 1}) + "\n")
    assert "the recordings share no items" in run(*logs, other, code=2).stderr
