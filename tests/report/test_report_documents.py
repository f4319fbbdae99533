from __future__ import annotations

import json
import math
import re

import numpy as np
import polars as pl
import pytest

from concordant.core.errors import StoreError
from concordant.report.documents import (
    finite,
    to_json,
    to_markdown,
    write_json,
    write_markdown,
    write_parquet,
)
from concordant.report.figures import interval_text
from report.made_reports import flips_report, stored, with_unknowns


def strictly(text):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


# -- JSON --------------------------------------------------------------------------------------------------------


def test_json_holds_the_whole_report(report, tmp_path):
    document = strictly(report.save(tmp_path / "report.json").read_text())
    assert document == finite(report.to_dict())
    assert document["state"] == "fails"
    by_name = {(f["relation"], f["measure"]): f for f in document["findings"]}
    for finding in report.findings:
        row = by_name[finding.relation, finding.measure]
        assert (row["value"], row["low"], row["high"], row["n"]) == (
            finding.value,
            finding.low,
            finding.high,
            finding.n,
        )


def test_json_has_no_number_that_is_none():
    text = to_json(with_unknowns(flips_report(20)))
    strictly(text)
    assert not re.search(r":\s*-?(NaN|Infinity)", text)


def test_hostile_json_is_plain_ascii():
    text = to_json(flips_report(20, hostile=True))
    assert text.isascii()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
    assert strictly(text)["title"].startswith("<script>")


def test_finite_takes_what_settings_may_hold():
    value = {
        "a": np.float64("nan"),
        1: np.int64(3),
        "c": {math.inf, 1.0},
        "d": np.array([1.0, np.inf]),
        "e": object,
    }
    assert finite(value) == {
        "a": None,
        "1": 3,
        "c": [None, 1.0],
        "d": [1.0, None],
        "e": str(object),
    } or finite(value)["c"] == [
        1.0,
        None,
    ]


# -- Markdown ----------------------------------------------------------------------------------------------------


def cells(line):
    return re.split(r"(?<!\\)\|", line)[1:-1]


def tables(text):
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append(cells(line))
        elif rows:
            found.append(rows)
            rows = []
    return found


def test_markdown_tables_are_even_and_complete(report):
    text = to_markdown(report)
    found = tables(text)
    assert len(found) == 1 + 2 + 2  # gates; findings of two relations; slices of two relations
    assert all(len({len(row) for row in table}) == 1 for table in found)
    assert "### ❌ marbles-2 against marbles-1" in text
    assert "1 of 3 gates fails" in text
    for finding in report.findings:
        assert interval_text(finding) in text
        assert f"{finding.n} items" in text


@pytest.mark.parametrize("make", [with_unknowns, stored])
def test_markdown_of_unusual_reports(make):
    text = to_markdown(make(flips_report(40)))
    assert not re.search(r"(?<![A-Za-z])(nan|inf|None)(?![A-Za-z])", text)
    assert "What changed" not in text
    assert "Accuracy" in text


def test_hostile_markdown_is_text():
    text = to_markdown(flips_report(40, hostile=True))
    bare = re.sub(r"</?details>|</?summary>", "", text)
    assert "<" not in bare
    assert ">" not in bare
    assert all(len({len(row) for row in table}) == 1 for table in tables(text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert not re.search(r"(?<!\\)`", text)
    assert not re.search(r"(?<!\\)[\[\]]", text)


def test_links_and_mentions_in_titles_lead_nowhere():
    report = flips_report(4)
    named = type(report)("see https://evil.example #1 @all", report.items, report.results, [], report.about)
    head = to_markdown(named).splitlines()[0]
    assert "://" not in head
    assert r"\#1" in head
    assert "@all" not in head


# -- Parquet and faults ------------------------------------------------------------------------------------------


def test_parquet_holds_all_findings(report, tmp_path):
    path = report.save(tmp_path / "findings.parquet")
    assert pl.read_parquet(path).equals(report.frame())
    assert len(pl.read_parquet(path)) == len(report.findings) + len(report.slices)


@pytest.mark.parametrize("write", [write_json, write_markdown, write_parquet])
def test_a_place_that_cannot_be_written_is_named(report, tmp_path, write):
    with pytest.raises(StoreError, match=re.escape(str(tmp_path))):
        write(report, tmp_path)


def test_markdown_is_saved_by_its_suffix(report, tmp_path):
    assert report.save(tmp_path / "summary.md").read_text(encoding="utf-8") == to_markdown(report)
