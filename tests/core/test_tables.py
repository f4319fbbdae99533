"""Table files: what can be read, and what is said of what cannot."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from concordant.core.errors import DataError
from concordant.core.tables import read_table, read_text, table_format

FRAME = pl.DataFrame(
    {"q": ["a,b", 'say "c"', "two\nlines", "Grüße"], "n": [1, 2, None, 4], "x": [0.5, 1.5, 2.5, 3.5]}
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def said(path: Path, **options) -> str:
    """Return what is said of a file that cannot be read; one sentence that names it."""
    with pytest.raises(DataError) as caught:
        read_table(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.fixture
def files(tmp_path):
    """Write one table in every format."""
    paths = {
        suffix: tmp_path / f"t.{suffix}"
        for suffix in ("jsonl", "ndjson", "json", "csv", "tsv", "parquet", "pq")
    }
    FRAME.write_ndjson(paths["jsonl"])
    FRAME.write_ndjson(paths["ndjson"])
    paths["json"].write_text(json.dumps(FRAME.to_dicts()), encoding="utf-8")
    FRAME.write_csv(paths["csv"])
    FRAME.write_csv(paths["tsv"], separator="\t")
    FRAME.write_parquet(paths["parquet"])
    FRAME.write_parquet(paths["pq"])
    for suffix in ("jsonl", "csv"):
        paths[f"{suffix}.gz"] = tmp_path / f"t.{suffix}.gz"
        paths[f"{suffix}.gz"].write_bytes(gzip.compress(paths[suffix].read_bytes()))
    return paths


def test_every_format_gives_the_same_table(files):
    for path in files.values():
        assert_frame_equal(read_table(path), FRAME)
        assert_frame_equal(read_table(str(path), limit=2), FRAME.head(2))


def test_the_format_can_be_given(files, tmp_path):
    path = files["csv"].rename(tmp_path / "data.txt")
    assert_frame_equal(read_table(path, "csv"), FRAME)
    assert said(path).startswith(": the format is not known by its suffix; allowed: .jsonl,")
    assert table_format(Path("A.JSONL.GZ")) == "jsonl"


def test_json_may_be_an_object_with_rows(tmp_path):
    path = write(tmp_path, "t.json", '{"version": 1, "rows": [{"a": 1}, {"b": "x"}]}')
    assert read_table(path).to_dicts() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=5
    )
)
def test_jsonl_of_any_text_is_read_as_it_was_written(tmp_path_factory, texts):
    lines = "\n".join(json.dumps({"t": text}, ensure_ascii=False) for text in texts)
    path = write(tmp_path_factory.mktemp("any"), "t.jsonl", lines)
    assert read_table(path)["t"].to_list() == texts


def test_blank_lines_windows_line_ends_and_a_byte_order_mark(tmp_path):
    assert read_table(write(tmp_path, "t.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n'))[
        "a"
    ].to_list() == [1, 2]
    assert read_table(write(tmp_path, "t.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n")).to_dicts() == [
        {"a": 1, "b": 2}
    ]


def test_names_made_of_digits_keep_their_zeros(tmp_path):
    path = write(tmp_path, "t.csv", 'id,zip,n\n007,"01234",10\n7,56789,0\n')
    assert read_table(path).rows() == [("007", "01234", 10), ("7", "56789", 0)]
    assert read_table(path, limit=1).rows() == [("007", "01234", 10)]


def test_blank_lines_of_a_csv_file_are_no_rows(tmp_path):
    assert read_table(write(tmp_path, "t.csv", "a,b\n01,2\n\n3,4\n\n")).rows() == [("01", 2), ("3", 4)]


def test_values_of_several_kinds_in_one_column_become_texts(tmp_path):
    lines = '{"a": 1}\n{"a": "x"}\n{"a": true}\n'
    assert read_table(write(tmp_path, "t.jsonl", lines))["a"].to_list() == ["1", "x", "true"]
    late = "a\n" + "1\n" * 20_000 + "x\n"  # looks like a column of numbers for long
    assert read_table(write(tmp_path, "t.csv", late))["a"].to_list()[-2:] == ["1", "x"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b"", " is empty"),
        ("t.jsonl", b" \n\n", " is empty"),
        ("t.csv", b"", " is empty"),
        ("t.csv", b"a,b\n", " holds no rows"),
        ("t.json", b"[]", " holds no rows"),
        ("t.jsonl", '{"a": 1}\n{"a": "caf\xe9"}'.encode("latin-1"), ", line 2: not UTF-8 text (byte 0xe9)"),
        ("t.csv", "a\nx\ncaf\xe9\n".encode("latin-1"), ", line 3: not UTF-8 text (byte 0xe9)"),
        ("t.jsonl", '{"a": 1}'.encode("utf-16"), ", line 1: not UTF-8 text (byte 0xff)"),
        ("t.jsonl", b'{"a": 1}\n\n{"a": \n', ", line 3: malformed JSON: Expecting value (column 7)"),
        (
            "t.jsonl",
            b'{"a": "x\xe2\x80\xa8y"}\n{"a": oops}\n',
            ", line 2: malformed JSON",
        ),  # U+2028 ends no line
        ("t.jsonl", b'{"a": 1}\n{"a": "torn', ", line 2: malformed JSON: Unterminated string"),
        ("t.jsonl", b'{"a": 1} {"a": 2}\n', ", line 1: malformed JSON: Extra data"),
        ("t.jsonl", b'{"a": 1}\n[1, 2]\n', ", line 2: allowed is one JSON object a line, got list"),
        ("t.jsonl", b'{"a": 1}\n5\n', ", line 2: allowed is one JSON object a line, got int"),
        ("t.json", b'[{"a": 1},\n {"a": }]', ", line 2, column 8: malformed JSON: Expecting value"),
        (
            "t.json",
            b'{"a": 1}',
            ": allowed is an array of objects, or an object with such an array under 'rows'",
        ),
        ("t.json", b"[1, 2]", ": allowed is an array of objects"),
        ("t.json", b"[" * 100_000, ": malformed JSON: nested too deeply"),
        ("t.jsonl", b'{"a": ' + b"[" * 100_000 + b"\n", ", line 1: malformed JSON: nested too deeply"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n", ", line 3: 3 fields where the header has 2"),
        ("t.csv", b'a,b\n1,"two\nlines"\n3,4,5\n', ", line 4: 3 fields where the header has 2"),
        ("t.csv", b"a,b\n1,2\n3\n", ", line 3: 1 fields where the header has 2"),
        ("t.csv", b'a,b\n1,"open\n', " is not a readable CSV file"),
        ("t.parquet", b"PAR1 not really", " is not a readable Parquet file"),
        ("t.parquet", b"", " is not a readable Parquet file"),
        ("t.jsonl.gz", b"not gzip", " cannot be read: Not a gzipped file"),
        ("t.jsonl.gz", gzip.compress(b'{"a": 1}', mtime=0)[:-6], " cannot be read"),
        ("t.jsonl.gz", gzip.compress(b'{"a": 1}' * 9, mtime=0)[:14] + b"\xff" * 20, " cannot be read"),
    ],
)
def test_what_is_said_of_a_file_that_cannot_be_read(tmp_path, name, content, message):
    assert said(write(tmp_path, name, content)).startswith(message)


def test_what_is_said_of_what_is_no_file(tmp_path):
    assert said(tmp_path / "none.jsonl") == ": there is no such file"
    assert said(tmp_path / "none.parquet") == ": there is no such file"
    assert said(tmp_path) == " is a folder, not a file"


def test_rows_that_do_not_fit_into_one_table(tmp_path):
    path = write(tmp_path, "t.json", '[{"a": "x"}, {"a": [{"b": 1}]}]')
    assert said(path).startswith(": the rows do not fit into one table: ")


def test_read_text(tmp_path):
    assert read_text(write(tmp_path, "a.yaml", "größer: 1\n")) == "größer: 1\n"
    with pytest.raises(DataError, match="line 1: not UTF-8"):
        read_text(write(tmp_path, "b.yaml", b"\xff"))


def test_a_csv_file_of_semicolons_is_read_as_spreadsheets_save_it(tmp_path):
    file = tmp_path / "answers.csv"
    file.write_text('id;question;answer\nq0;"2; 3, or 4?";3\nq1;y;0,5\n')
    assert read_table(file).rows() == [("q0", "2; 3, or 4?", "3"), ("q1", "y", "0,5")]
    file.write_text("id;question;answer\nq0;2\n")
    with pytest.raises(DataError, match=r"line 2: 2 fields where the header has 3"):
        read_table(file)
