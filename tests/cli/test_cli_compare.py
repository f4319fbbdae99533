"""``concordant compare``: from two logs to a table, a document and an exit code."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import polars as pl
import pytest

import command

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k" / "example_model_solutions.jsonl"


run = partial(command.run, "compare")


def words_of(text):
    """Return a text without its line breaks."""
    return " ".join(text.split())


def document(*words, code=0):
    result = run(*words, "--json", code=code)
    assert result.stderr == ""
    return json.loads(result.stdout)


def value(report, measure, relation="versions.flips"):
    return next(
        f["value"] for f in report["findings"] if (f["relation"], f["measure"]) == (relation, measure)
    )


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def logs(tmp_path):
    """Two logs of 40 items: new loses 2 of the 20 that old has right, and wins 10."""
    rows = [
        {"id": f"q{i}", "question": f"{i} + {i} = ?", "target": 2 * i, "topic": "ab"[i % 2]}
        for i in range(40)
    ]
    old = [{**row, "answer": f"It is {row['target'] if i < 20 else -1}."} for i, row in enumerate(rows)]
    new = [{**row, "answer": f"It is {row['target'] if 2 <= i < 30 else -2}."} for i, row in enumerate(rows)]
    return write(tmp_path / "old.jsonl", old), write(tmp_path / "new.jsonl", new)


@pytest.mark.skipif(not GSM8K.exists(), reason="the data set gsm8k is not beside the project")
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("6b_finetuning", "6b_verification", {"accuracy_old": 0.2168, "accuracy_new": 0.3904}),
        ("6b_finetuning", "6b_verification", {"negative_flip_rate": 0.0485, "positive_flip_rate": 0.2221}),
        (
            "175b_finetuning",
            "175b_verification",
            {"negative_flip_rate": 0.0576, "positive_flip_rate": 0.2729},
        ),
    ],
)
def test_the_recorded_models_of_gsm8k(old, new, expected):
    report = document(f"{GSM8K}#{old}", f"{GSM8K}#{new}")
    assert {measure: round(value(report, measure), 4) for measure in expected} == expected
    gain = value(report, "positive_flip_rate") - value(report, "negative_flip_rate")
    assert value(report, "gain") == pytest.approx(gain, abs=1e-12)
    assert report["about"]["compared"]["n_both"] == report["n_items"] == 1319


def test_two_logs_need_nothing_else(logs):
    report = document(*logs)
    figures = {
        "accuracy_old": 0.5,
        "accuracy_new": 0.7,
        "gain": 0.2,
        "negative_flip_rate": 0.05,
        "positive_flip_rate": 0.25,
    }
    assert {measure: round(value(report, measure), 12) for measure in figures} == figures
    gain = next(f for f in report["findings"] if f["measure"] == "gain")
    # 2 against 10 discordant pairs: 2 * (1 + 12 + 66) / 2**12
    assert gain["p_value"] == pytest.approx(2 * 79 / 4096)
    assert gain["test"] == "McNemar, exact"
    assert "would show with about" in gain["note"] or gain["p_value"] < 0.05
    assert {f["slice"] for f in report["slices"]} == {"topic"}
    assert report["about"]["graders"] == ["number"]


def test_what_is_printed_for_people(logs):
    out = run(*logs).stdout
    assert "old → new on 40 items" in out
    assert "2 items went from right to wrong and 10 from wrong to right" in words_of(out)
    assert "aligned by id: 40 items in both" in out
    assert "It is -2." in out
    assert "\x1b" not in out


def test_gates_decide_the_exit_code(logs):
    assert document(*logs, "--gate", "negative_flip_rate <= 50%")["state"] == "holds"
    assert document(*logs, "--gate", "accuracy_old >= 0.9", code=1)["state"] == "fails"
    undecided = document(*logs, "--gate", "negative_flip_rate <= 0.06", code=3)
    assert undecided["gates"][0]["needed_n"] > 40
    several = document(*logs, "--gate", "accuracy_old >= 0.9", "--gate", "negative_flip_rate <= 0.06", code=1)
    assert [gate["state"] for gate in several["gates"]] == ["fails", "undecided"]


def test_files_are_written_beside_what_is_printed(logs, tmp_path):
    page, table, xml = tmp_path / "out" / "report.html", tmp_path / "report.parquet", tmp_path / "gates.xml"
    out = run(*logs, "-o", page, "-o", table, "--junit", xml).stdout
    assert out.splitlines()[-3:] == [f"report: {path}" for path in (page, table, xml)]
    assert "<html" in page.read_text()
    assert "negative_flip_rate" in pl.read_parquet(table)["measure"].to_list()
    assert xml.read_text().startswith("<?xml")


def test_items_that_only_one_log_has_are_said(logs, tmp_path):
    old, new = logs
    few = write(tmp_path / "few.jsonl", [json.loads(line) for line in new.read_text().splitlines()[:-7]])
    result = run(old, few)
    assert "aligned by id: 33 items in both" in result.stdout
    assert "left out: 7 items that only old (old) has: q33, q34, q35, q36, q37, ..." in result.stdout
    assert document(old, few)["about"]["compared"]["n_only_old"] == 7


def test_logs_without_common_ids_are_aligned_by_the_question(logs, tmp_path):
    old, new = logs
    renamed = [
        {**json.loads(line), "id": f"other-{i}"} for i, line in enumerate(new.read_text().splitlines())
    ]
    report = document(old, write(tmp_path / "renamed.jsonl", renamed[::-1]))
    assert report["about"]["compared"]["by"] == "input"
    assert value(report, "positive_flip_rate") == 0.25
    assert (
        "aligned by the text of the question: 40 items in both" in run(old, tmp_path / "renamed.jsonl").stdout
    )


def test_of_repeated_answers_the_first_is_compared(logs, tmp_path):
    old, new = logs
    rows = [json.loads(line) for line in new.read_text().splitlines()]
    twice = [
        {**row, "sample": sample, "answer": row["answer"] if not sample else "0"}
        for row in rows
        for sample in (0, 1)
    ]
    result = run(old, write(tmp_path / "twice.jsonl", twice))
    assert "of repeated answers the first is compared (new has up to 2 an item)" in result.stdout
    assert "2 items went from right to wrong and 10 from wrong to right" in words_of(result.stdout)


def test_columns_limit_grade_and_slices_can_be_named(tmp_path):
    def log(name, shift):
        rows = [
            {
                "uid": i,
                "task": f"say {i}",
                "said": f"x{i + shift * (i % 3 == 0)}",
                "right": f"X{i}",
                "who": i % 4,
            }
            for i in range(30)
        ]
        (tmp_path / name).write_text(pl.DataFrame(rows).write_csv())
        return tmp_path / name

    named = ["--id", "uid", "--input", "task", "--answer", "said", "--reference", "right"]
    report = document(log("a.csv", 0), log("b.csv", 1), *named, "--grade", "normalized", "--slice", "who")
    assert value(report, "negative_flip_rate") == pytest.approx(1 / 3)
    assert {f["slice_value"] for f in report["slices"]} == {"0", "1", "2", "3"}
    report = document(tmp_path / "a.csv", tmp_path / "b.csv", *named, "--grade", "exact", "--limit", "6")
    assert (report["n_items"], value(report, "accuracy_old")) == (6, 0)


def test_scores_are_compared_where_logs_have_them(tmp_path):
    for name, shift in (("a", 0.0), ("b", 0.5)):
        write(
            tmp_path / f"{name}.jsonl",
            [{"id": str(i), "output": "-", "score": i / 10 + shift * (i > 5)} for i in range(10)],
        )
    report = document(tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--gate", "mean_regression_part <= 0.4")
    assert value(report, "mean_gain_part", "versions.scores") == pytest.approx(0.2)
    assert report["gates"][0]["relation"] == "versions.scores"


def test_a_log_against_a_model(logs, tmp_path):
    (tmp_path / "model.py").write_text("def model(text):\n    return str(2 * int(text.split()[0]))\n")
    spec = f"python:{tmp_path / 'model.py'}:model"
    assert "--trust-code" in run(logs[0], spec, code=2).stderr
    report = document(logs[0], spec, "--trust-code")
    assert (value(report, "accuracy_old"), value(report, "accuracy_new")) == (0.5, 1.0)
    assert "say what to ask them" in run(spec, spec, "--trust-code", code=2).stderr
    items = write(tmp_path / "items.jsonl", [{"input": f"{i} + {i}", "reference": 2 * i} for i in range(12)])
    assert document(spec, spec, "--trust-code", "--items", items)["n_items"] == 12


def test_run_folders_are_logs(logs, tmp_path):
    import concordant as cc

    items = cc.Items.from_records([{"id": f"q{i}", "input": f"{i}?", "reference": i} for i in range(10)])

    @cc.relation(variants=("plain", "spaced"))
    def spaced(item):
        yield item.input
        yield item.input + " "

    for name, most in (("before", 10), ("after", 4)):
        model = cc.load(lambda text, most=most: str(min(int(text.strip("? ")), most)), name=name)
        cc.check(model, items, [spaced], folder=tmp_path / name, progress=False)
    report = document(tmp_path / "before", tmp_path / "after")
    assert report["title"].startswith("before → after")
    assert value(report, "negative_flip_rate") == 0.5
    assert value(document(tmp_path / "before", f"{tmp_path / 'after'}#after"), "negative_flip_rate") == 0.5
    assert "did you mean after?" in run(tmp_path / "before", f"{tmp_path / 'after'}#aftr", code=2).stderr


def test_hostile_text_is_inert(tmp_path):
    evil = "\x1b]0;owned\x07\x1b[31m\u202eright\x00<script>alert(1)</script>" + "long " * 5000
    rows = [{"id": str(i), "question": f"{evil} {i}", "target": "yes", "output": evil} for i in range(4)]
    old = write(tmp_path / "old.jsonl", [{**row, "output": "yes"} for row in rows])
    out = run(old, write(tmp_path / "new.jsonl", rows), "-o", tmp_path / "report.html").stdout
    assert not any(ord(c) < 32 and c not in "\n\t" for c in out)
    assert "\u202e" not in out
    assert len(out) < 20_000
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert json.loads(run(old, tmp_path / "new.jsonl", "--json").stdout)


# -- bad input: exit code 2 and one sentence ---------------------------------------------------------------------

BAD = {
    "missing.jsonl": (None, "there is no such file"),
    "empty.jsonl": (b"", "is empty"),
    "latin.jsonl": ('{"id": 1, "output": "é"}'.encode("latin-1"), "line 1: not UTF-8 text"),
    "malformed.jsonl": (b'{"id": 1, "output": "a"}\n{"id": 2,\n', "line 2: malformed JSON"),
    "ragged.csv": (b"id,output\n1,a\n2,b,c\n", "line 3: 3 fields where the header has 2"),
    "twice.jsonl": (
        b'{"id": 1, "sample": 0, "output": "a"}\n{"id": 1, "sample": 0, "output": "b"}\n',
        "sample",
    ),
    "columns.jsonl": (b'{"id": 1, "foo": "a"}\n', "columns.jsonl"),
    "parquet.parquet": (b"PAR1 not really", "not a readable Parquet file"),
    "list.json": (b"[1, 2", "malformed JSON"),
    "log.eval": (b"not a zip", "log.eval"),
    "format.docx": (b"x", "format"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read(logs, tmp_path, name):
    data, message = BAD[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    result = run(logs[0], tmp_path / name, code=2)
    assert result.stdout == ""
    assert message in result.stderr
    assert name in result.stderr
    assert result.stderr.startswith("concordant: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gate", "negative_flip_rate = 2"], "the gate 'negative_flip_rate = 2' does not parse"),
        (
            ["--gate", "negativ_flip_rate <= 2"],
            "has no finding 'negativ_flip_rate'; did you mean negative_flip_rate?",
        ),
        (["--grade", "nubmer"], "there is no grader 'nubmer'; did you mean number?"),
        (["--slice", "topci"], "there is no column 'topci' to slice by; did you mean topic?"),
        (["--id", "idd"], "there is no column 'idd'"),
        (["--limit", "0"], "Invalid value for '--limit'"),
        (["--frobnicate"], "--frobnicate"),
        (["-o", "report.docx"], "there is no writer 'docx'"),
    ],
)
def test_options_that_cannot_be_understood(logs, words, message):
    result = run(*logs, *words, code=2)
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_logs_that_share_nothing(logs, tmp_path):
    other = write(tmp_path / "other.jsonl", [{"id": "z1", "question": "else?", "output": "1"}])
    result = run(logs[0], other, code=2)
    assert "share no items, neither by id nor by input: old has q0, q1" in result.stderr
    assert "other has z1" in result.stderr


def test_nothing_that_can_be_judged_is_no_success(tmp_path):
    rows = [{"id": str(i), "output": None, "error": "the server closed"} for i in range(3)]
    log = write(tmp_path / "log.jsonl", rows)
    result = run(log, log, code=2)
    assert "nothing could be judged" in result.stderr
    assert "the server closed" in result.stderr


def test_answers_that_cannot_be_graded_are_still_compared(tmp_path):
    for name in "ab":
        write(
            tmp_path / f"{name}.jsonl",
            [{"id": str(i), "output": f"{name if i < 3 else 'same'}"} for i in range(12)],
        )
    report = document(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert value(report, "agreement_score") == 0.75
    assert not [f for f in report["findings"] if f["measure"] == "accuracy_old"]


def test_a_terminal_of_ascii_keeps_the_sign_of_a_number(tmp_path):
    rows = [{"id": str(i), "question": f"q{i}", "target": "x", "answer": "x"} for i in range(20)]
    worse = [{**row, "answer": "y"} if i < 9 else row for i, row in enumerate(rows)]
    for name, log in (("old", rows), ("new", worse)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, log)))
    command = [str(Path(sys.executable).with_name("concordant")), "compare", "old.jsonl", "new.jsonl"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert "a change of -0.45" in done.stdout.decode("ascii")
    assert "?" not in done.stdout.decode("ascii").split("that differ")[0]
