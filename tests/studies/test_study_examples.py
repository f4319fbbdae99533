"""The studies shown in CONTRIBUTING.md and docs/studies.md are run as a reader would run them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from concordant.cli.main import app
from concordant.studies.evidence import records

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example():
    (code,) = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    return code


def test_the_example_of_contributing_is_a_study_whose_claims_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trimmed_mean.py").write_text(example())
    words = ["trimmed_mean.py:trimmed_mean", "--scale", "smoke", "--seeds", "0-4", "--trust-code", "--json"]
    done = CliRunner().invoke(app, ["study", *words])
    assert done.exit_code == 0, done.output
    (study,) = json.loads(done.stdout)["studies"]
    states = {claim["id"]: claim["state"] for claim in study["claims"]}
    assert states == {"nearer-with-outliers": "holds", "keeps-up-without": "holds"}
    # The error of a mean of 20 standard normal values is 1/20; with a tenth of them ten times as large, 10.9/20.
    for measured in study["measurements"].values():
        assert 0.03 < measured["plain.clean_loss"] < 0.08
        assert 0.3 < measured["plain.loss"] < 0.9


def test_evidence_is_refused_in_one_sentence_and_the_page_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trimmed_mean.py").write_text(example())
    words = ["trimmed_mean.py:trimmed_mean", "--scale", "smoke", "--trust-code", "--evidence", "page.md"]
    done = CliRunner().invoke(app, ["study", *words])
    assert done.exit_code == 2
    assert done.output.endswith(
        "concordant: the results of 'trimmed-mean' cannot be kept as evidence: it was run at smoke scale, and "
        "evidence is of pocket scale\n"
    )
    assert "nearer-with-outliers" in done.output
    assert not Path("page.md").exists()


def test_the_page_of_evidence_is_written_without_running_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    records.recorded.cache_clear()
    try:
        done = CliRunner().invoke(app, ["study", "--evidence", "page.md"])
    finally:
        monkeypatch.undo()
        records.recorded.cache_clear()
    assert (done.exit_code, done.output) == (0, "")
    assert "No study has been run yet." in (tmp_path / "page.md").read_text(encoding="utf-8")
