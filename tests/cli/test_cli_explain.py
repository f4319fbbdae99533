"""``concordant explain prompt``: its file with the lines of what is wrong, its table, its page, its document."""

from __future__ import annotations

import json

import pytest

from command import run
from concordant.core.errors import ConfigError
from concordant.suite.prompt_file import parse_prompts

TEMPLATE = """\
text: "{please} go {how} <now> ?"
fields:
  please: {text: "pray <b>", role: noise}
  how: 8
options:
  yes: we do
  no: we do not
"""
MODEL = """\
def hasty(prompt):
    lines = [line for line in prompt.splitlines() if line[1:3] == ". "]
    return next(line[0] for line in lines if ("we do not" not in line) == ("8" in prompt))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "models.py").write_text(MODEL)
    return tmp_path


def explain(*words, code=0):
    return run(
        "explain",
        "prompt",
        "template.yaml",
        "-m",
        "python:models.py:hasty",
        "--trust-code",
        *words,
        code=code,
    )


def test_it_prints_what_each_field_moves(folder) -> None:
    printed = explain("-n", 1).stdout
    assert "absent fields deleted" in printed
    assert "absent fields neutral" in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith("how")]
    assert [row[:3] for row in rows] == [["how", "informative", "+1.000"]] * 2
    assert "probability of 'yes': 0.000 with no field, 1.000 with all" in printed
    assert "noise fields have 0.00 of what moves the choice" in printed


def test_its_document_has_all_numbers(folder) -> None:
    document = json.loads(explain("-n", 2, "--absent", "delete", "--value", "log_odds", "--json").stdout)
    (found,) = document["explanations"]
    assert document["model"] == "hasty"
    assert [field["field"] for field in found["fields"]] == ["please", "how"]
    assert found["fields"][1]["phi"] == pytest.approx(
        2 * 1.6094379124341003
    )  # log(2.5 / 0.5), there and back
    assert found["fields"][1]["standard_error"] > 0
    assert (found["n_questions"], found["is_exact"], found["n_prompts"]) == (8, True, 1)


def test_its_page_shows_the_prompt_and_asks_for_nothing(folder) -> None:
    assert "report: page.html" in explain("-n", 1, "-o", "page.html").stdout
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '<mark class="noise" title="please">pray &lt;b&gt;</mark> go' in page
    assert "<b>" not in page.split("<h2>The prompt</h2>")[1].split("</section>")[0]
    assert page.count("<svg") == 2
    assert "default-src 'none'" in page


def test_wordings_and_rows_from_a_table(folder) -> None:
    (folder / "rows.csv").write_text("how,note\n8,a\n7,b\n")
    text = TEMPLATE.replace(
        'text: "{please} go {how} <now> ?"', 'text: ["{please} go {how} ?", "{how} ! {please}"]'
    )
    (folder / "template.yaml").write_text(text)
    printed = explain("-n", 1, "--rows", "rows.csv").stdout
    assert "wording 2, absent fields neutral" in printed
    assert "mean of 2 prompts" in printed
    assert printed.count("wordings agree") == 2
    (folder / "rows.csv").write_text("speed\n8\n")
    assert "columns named as fields (please, how)" in explain("--rows", "rows.csv", code=2).stderr


def test_a_dry_run_asks_nothing(folder) -> None:
    (folder / "models.py").unlink()
    printed = explain("--dry-run", "--absent", "neutral", "--one-order").stdout
    assert printed == "neutral: 4 questions for 1 prompts, all sets of fields\n"


def test_what_is_wrong_is_said_in_a_sentence(folder) -> None:
    assert (
        "--absent must be delete, neutral or both, got 'drop'" in explain("--absent", "drop", code=2).stderr
    )
    assert "value must be probability or log_odds" in explain("--value", "odds", code=2).stderr
    assert "no.yaml" in run("explain", "prompt", "no.yaml", "-m", "x", code=2).stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("role: noise", "rol: noise", "line 3: there is no key 'rol'; did you mean role?"),
        ("role: noise", "role: loud", "line 3: fields.please.role: .*'informative' or 'noise'"),
        ("how: 8", "who: 8", r"line 1: \{how\} in .* is no field; did you mean who\?"),
        ("options:", "option:", "line 1: the key 'options' is missing|line 5: there is no key 'option'"),
        ("no: we do not", "maybe: {}", "line 7: options.maybe: should be a valid string"),
        ("options:", "target: yess\noptions:", "line 5: there is no option 'yess'; did you mean yes?"),
        ("options:", "rows: [{hw: 9}]\noptions:", "line 5: there is no field 'hw'; did you mean how?"),
        ("options:", "rows: []\noptions:", "line 5: rows: .*at least 1"),
        (TEMPLATE, "text", "a file of prompts is a mapping with text, fields and options, got str"),
    ],
)
def test_a_file_that_is_wrong_is_told_the_line(old, new, message) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_prompts(TEMPLATE.replace(old, new))


def test_numbers_and_answers_are_texts() -> None:
    prompts = parse_prompts(TEMPLATE.replace("options:", "rows: [{how: 9.5}]\noptions:"))
    assert prompts.rows == [{"how": "9.5"}]
    assert prompts.templates[0].answers == ("yes", "no")  # not true and false
    assert prompts.templates[0].roles == ("noise", "informative")
