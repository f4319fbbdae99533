from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from concordant.core.errors import StoreError
from concordant.report.junit import to_junit, write
from report.made_reports import flips_report, several_report, stored, with_unknowns

GATES = ("negative_flip_rate <= 0.3", "gain >= 0.4", "gain >= 0.15")  # holds, fails, undecided


def parsed(report):
    return ET.fromstring(to_junit(report).encode())


def properties(case):
    return {p.get("name"): p.get("value") for p in case.iter("property")}


def test_a_suite_a_relation_and_a_case_a_gate():
    report = flips_report(gates=GATES)
    assert [g.state for g in report.gates] == ["holds", "fails", "undecided"]
    (suite,) = parsed(report)
    assert suite.get("name") == "versions.flips"
    cases = suite.findall("testcase")
    holds, fails, undecided = cases[:3]
    assert (len(holds.findall("failure")), len(holds.findall("skipped"))) == (0, 0)
    assert fails.find("failure").get("message").startswith("gain ≥ 0.4: fails, +0.190")
    assert undecided.find("skipped").get("message").startswith("undecided: gain ≥ 0.15")
    assert properties(undecided)["state"] == "undecided"
    assert int(properties(undecided)["needed_n"]) == report.gates[2].needed_n
    free = {case.get("name") for case in cases[3:]}
    assert free == set(report["versions.flips"].findings) - {"negative_flip_rate", "gain"}


def test_counts_add_up():
    root = parsed(several_report())
    for element in [root, *root]:
        cases = list(element.iter("testcase"))
        assert int(element.get("tests")) == len(cases)
        assert int(element.get("failures")) == sum(case.find("failure") is not None for case in cases)
        assert int(element.get("skipped")) == sum(case.find("skipped") is not None for case in cases)


def test_figures_are_exact():
    report = flips_report()
    (suite,) = parsed(report)
    for case in suite.iter("testcase"):
        if case.get("name") in report["versions.flips"].findings:
            finding = report["versions.flips"][case.get("name")]
            assert float(properties(case)["value"]) == finding.value
            assert float(properties(case)["low"]) == finding.low
            assert int(properties(case)["n"]) == finding.n


@pytest.mark.parametrize("make", [with_unknowns, stored])
def test_unusual_reports_are_valid(make):
    text = to_junit(make(flips_report(40)))
    assert ET.fromstring(text.encode()).tag == "testsuites"
    assert '"nan"' not in text
    assert "inf" not in text.replace("information", "")


def test_hostile_text_is_inert():
    report = flips_report(40, hostile=True)
    assert parsed(report).get("name").startswith("<script>alert(1)</script>")
    assert "␛[31mred" in parsed(report).get("name")


def test_it_is_saved_by_its_suffix(tmp_path):
    report = flips_report(20)
    assert report.save(tmp_path / "gates.xml").read_text(encoding="utf-8") == to_junit(report)
    with pytest.raises(StoreError, match="cannot be written"):
        write(report, tmp_path)
