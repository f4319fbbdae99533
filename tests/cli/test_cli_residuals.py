"""The verb ``residuals``: what it writes, tells and refuses."""

from __future__ import annotations

import json

import pytest

from command import run
from concordant.pocket import items, load_pocket

PAIR = ("--base", "pocket:250k-base", "--instruct", "pocket:250k-chat-v1")


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "items.jsonl"
    rows = items(["counting"], 12).frame.select("id", "input", "reference").to_dicts()
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_without_items_it_writes_coefficient_one(tmp_path):
    out = tmp_path / "out"
    told = run("residuals", *PAIR, "--updated", "pocket:250k-base", "-o", out).stdout
    assert "coefficient 1, the default" in told
    assert json.loads((out / "residual.json").read_text())["coefficient"] == 1.0
    assert (out / "chat_template.jinja").is_file()
    assert load_pocket(str(out)).name == "pocket out"


def test_with_items_it_tries_coefficients_and_writes_the_best(asked, tmp_path):
    words = ["residuals", *PAIR, "--updated", "pocket:250k-base", "-o", tmp_path / "out"]
    words += ["--check", asked, "--new-items", asked, "--coefficients", "0,1", "--max-tokens", "4"]
    told = json.loads(run(*words, "--json").stdout)
    assert told["coefficient"] == told["sweep"]["chosen"] == 1.0
    assert told["why"].startswith("the highest mean of the two accuracies")
    assert [row["coefficient"] for row in told["sweep"]["tried"]] == [0.0, 1.0]
    assert told["sweep"]["tried"][1]["negative_flip_rate"]["value"] == 0.0


def test_the_table_has_a_row_for_each_coefficient(asked, tmp_path):
    words = ["residuals", *PAIR, "--updated", "pocket:250k-base", "-o", tmp_path / "out"]
    told = run(
        *words, "--check", asked, "--coefficients", "1", "--max-tokens", "4", "--coefficient", "0.5"
    ).stdout
    for part in ("instruct model", "0 (updated base)", "1 *", "coefficient 0.5, the coefficient asked for"):
        assert part in told


def test_what_is_refused(asked, tmp_path):
    words = ["residuals", *PAIR, "-o", tmp_path / "out"]
    assert "there is no --check" in run(*words, "--updated", "x", "--new-items", asked, code=2).stderr
    assert "got 'x'" in run(*words, "--updated", "x", code=2).stderr
    bad = run(*words, "--updated", "pocket:250k-base", "--check", asked, "--coefficients", "a", code=2)
    assert "--coefficients must be numbers" in bad.stderr
    assert "one architecture" in run(*words, "--updated", "pocket:1m-base", code=2).stderr
    (tmp_path / "out").mkdir()
    assert "is there already" in run(*words, "--updated", "pocket:250k-base", code=2).stderr
