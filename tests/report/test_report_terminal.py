from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from concordant.report.figures import interval_text, value_text
from concordant.report.terminal import print_comparison, print_report
from report.made_reports import HOSTILE, flips_report, several_report, stored, with_unknowns

SGR = re.compile(r"\x1b\[[0-9;]*m")


def printed(show, report, width=100, **console):
    out = StringIO()
    show(report, Console(file=out, width=width, **console))
    return out.getvalue()


@pytest.fixture(scope="module")
def reports():
    plain = several_report()
    return {
        "plain": plain,
        "hostile": flips_report(40, hostile=True),
        "unknown": with_unknowns(flips_report(40)),
        "stored": stored(plain),
        "small": flips_report(4, gates=()),
    }


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("show", [print_report, print_comparison])
@pytest.mark.parametrize("kind", ["plain", "hostile", "unknown", "stored", "small"])
def test_no_line_is_too_wide_and_nothing_steers_the_terminal(reports, kind, show, width):
    text = printed(show, reports[kind], width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert not re.search(r"(?<![A-Za-z])(nan|inf|None)(?![A-Za-z])", text)


def test_on_a_terminal_only_colours_are_sent(reports):
    text = printed(print_report, reports["hostile"], force_terminal=True)
    assert SGR.search(text)
    assert "\x1b" not in SGR.sub("", text)


def test_no_color_is_honoured(reports, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(print_report, reports["plain"], force_terminal=True)
    codes = {code for sent in SGR.findall(text) for code in sent[2:-1].split(";")}
    assert codes <= {"", "0", "1", "2"}  # reset, bold, dim


def test_markup_of_others_is_text(reports):
    text = printed(print_report, reports["hostile"], width=400)
    assert "[bold]markup[/bold]" in text
    assert "<script>alert(1)" in text
    assert "[bold]" in HOSTILE


def test_a_report_says_what_a_user_wants_to_know(reports):
    report = reports["plain"]
    text = printed(print_report, report)
    assert "✗ fails  1 of 3 gates fails: gain ≥ 0.4 (versions.flips)" in text
    for finding in report.findings:
        line = next(
            line
            for line in text.splitlines()
            if line.startswith(f"{finding.measure} ") and interval_text(finding) in line
        )
        assert value_text(finding) in line
        assert f"{finding.n} items" in line
    assert "Left out: 3 items with an error." in text
    assert "3 × time-out after 30 s" in text
    assert "10 of" not in text
    assert "3 of " in text


def test_a_comparison_says_what_changed(reports):
    report = reports["plain"]
    text = printed(print_comparison, report)
    lines = {line[:22].strip(): line for line in text.splitlines()}
    assert "0.582" in lines["accuracy, old"]
    assert "0.772" in lines["accuracy, new"]
    assert "2e−5" in lines["gain"]
    assert lines["right, now wrong"].split()[3] == "32"
    assert lines["wrong, now right"].split()[3] == "77"
    assert "worst slices by gain" in text
    assert "10 of 130 that differ" in text
    assert text.count("✓ right: ") == text.count("✗ wrong: ") == 10
    assert "old: marbles-1" in text


def test_a_comparison_that_cannot_be_decided_says_how_many_items_would(reports):
    text = printed(print_comparison, reports["small"])
    note = reports["small"]["versions.flips"]["gain"].note
    assert note == "" or note in text
    assert "did not change demonstrably" in text


def test_a_report_without_versions_is_not_a_comparison(reports):
    report = reports["plain"]
    del report.results["versions.flips"]
    try:
        assert printed(print_comparison, report, width=120) == printed(print_report, report, width=120)
    finally:
        reports["plain"] = several_report()


def test_by_default_it_prints_on_standard_output(capsys):
    print_report(flips_report(4))
    assert "accuracy_old" in capsys.readouterr().out
