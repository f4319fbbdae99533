"""Files that cannot be read: one sentence with the file, the line if there are lines, and what was wrong."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import polars as pl
import pytest

from concordant.core.errors import DataError
from concordant.models.readers import read_records

GOOD = '{"id": 1, "output": "x"}'


def fault(path, content=None):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_records(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.eval", "a.jsonl.gz", "a"])
def test_a_missing_file(tmp_path, name):
    assert "there is no such file" in fault(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.eval", "a.parquet"])
def test_an_empty_file(tmp_path, name):
    assert fault(tmp_path / name, "").endswith(f"{name} is empty")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_blank_file(tmp_path, name):
    assert fault(tmp_path / name, " \n\n").endswith(f"{name} is empty")


def test_a_folder(tmp_path):
    (tmp_path / "a.jsonl").mkdir()
    assert "is a folder, not a file" in fault(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'{GOOD}\n{GOOD}\n{{"id": 3, "outp', "line 3: malformed JSON"),
        (f"{GOOD}\n{GOOD} and more\n{GOOD}", "line 2: malformed JSON: Extra data"),
        (f"{GOOD}\n\n[1, 2]\n", "line 3: allowed is one JSON object a line, got list"),
        (f"{GOOD}\n'single'\n", "line 2: malformed JSON"),
        (b'{"id": 1, "output": "x"}\n{"id": 2, "output": "\xff"}\n', "line 2: not UTF-8 text (byte 0xff)"),
    ],
)
def test_jsonl_names_the_line(tmp_path, content, message):
    assert message in fault(tmp_path / "a.jsonl", content)


def test_gzip_that_ends_early(tmp_path):
    packed = gzip.compress((GOOD + "\n").encode() * 50)
    assert "cannot be read" in fault(tmp_path / "a.jsonl.gz", packed[:-20])


def test_json_names_line_and_column(tmp_path):
    assert "line 3, column 1: malformed JSON" in fault(tmp_path / "a.json", '[\n{"id": 1},\n')


def test_csv_names_the_line(tmp_path):
    assert "line 3: 3 fields where the header has 2" in fault(tmp_path / "a.csv", "id,output\n1,x\n2,y,z\n")


def test_parquet_that_is_none(tmp_path):
    assert "not a readable Parquet file" in fault(tmp_path / "a.parquet", b"PAR1 and no more")


@pytest.mark.parametrize(
    "content", ["[]", "{}", "3", '"text"', "[1, {}]", '{"rows": []}', '{"a": {"b": []}}']
)
def test_json_without_rows(tmp_path, content):
    assert "rows are an array of objects or outputs" in fault(tmp_path / "a.json", content)


def test_a_format_that_nothing_tells(tmp_path):
    assert "the format is not known" in fault(tmp_path / "a.bin", b"\x00\x01\x02")


def test_columns_that_are_not_recognised_are_listed(tmp_path):
    path = tmp_path / "a.jsonl"
    message = fault(path, json.dumps({"name": 1, "said": "x"}))
    assert "no column is recognised as the output (say which: output=NAME); there are name, said" in message
    with pytest.raises(DataError, match=r"recognised as the id or the input .*; there are name, said"):
        read_records(f"{path}?output=said")
    with pytest.raises(DataError, match=r"there is no column 'sayd'; did you mean said\?"):
        read_records(f"{path}?output=sayd")
    with pytest.raises(
        DataError, match=r"only id= and sample= may name several columns, got output=name,said"
    ):
        read_records(f"{path}?output=name,said")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 1}, {"id": None}], "column id, row 2: allowed is an id in every row, got None"),
        ([{"id": [1]}, {"id": [2]}], "column id, row 1: allowed is a text or a number, got [1]"),
        (
            [{"id": 1, "correct": "maybe"}],
            "column correct, row 1: allowed is true or false, 1 or 0, got 'maybe'",
        ),
        (
            [{"id": 1, "correct": 1}, {"id": 2, "correct": 0.5}],
            "column correct, row 2: allowed is true or false",
        ),
        ([{"question": "q"}, {"question": None}], "row 2 has neither an id nor an input"),
        ([{"id": 1, "choices": "a or b"}], "column choices, row 1: allowed is a list of texts, got 'a or b'"),
    ],
)
def test_values_that_do_not_fit_name_the_row(tmp_path, rows, message):
    rows = [{"output": "x", **row} for row in rows]
    assert message in fault(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))


def test_a_named_column_that_does_not_fit(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "output": "x", "grade": "B"}')
    with pytest.raises(
        DataError,
        match=r"grade cannot be the column correct: row 1: allowed is true or false, 1 or 0, got 'B'",
    ):
        read_records(f"{path}?correct=grade")


def test_unusual_line_ends_inside_texts_are_no_line_ends(tmp_path):
    path = tmp_path / "a.jsonl"
    # A mixed column makes the fast reader give up, and the lines are then gone through one by one.
    path.write_text('{"id": 1, "output": "a\u2028b", "n": true}\n{"id": 2, "output": "c\x85d", "n": 1}\n')
    assert read_records(path)["output"].to_list() == ["a\u2028b", "c\x85d"]


def test_a_large_table_is_not_gone_through_in_python(tmp_path):
    path = tmp_path / "a.parquet"
    n = 200_000
    frame = pl.DataFrame(
        {"item": pl.int_range(n, eager=True) // 4, "sample": pl.int_range(n, eager=True) % 4}
    )
    frame.with_columns(output=pl.lit("x"), correct=pl.lit(value=True)).write_parquet(path)
    tracemalloc.start()
    try:
        found = read_records(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == n
    assert peak < 1e6, "more than a few Python objects were made"
