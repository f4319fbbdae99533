"""The report as JUnit XML, which every build server shows: a suite a relation, a case a gate.

A gate that fails is a failure. One that is undecided is skipped, with the reason as its message and the state among
its properties: the data spoke neither for it nor against it, and a build server has no other word for that. A finding
without a gate is a case that passes and carries its figures as properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from concordant.report.figures import bound_text, figure_text, reason
from concordant.report.files import write_text
from concordant.report.sanitize import brief

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.core.finding import Finding
    from concordant.core.results import Report, Result

MAX_TEXT = 2000
PROPERTIES = (
    *("state", "needed_n", "value", "low", "high", "level"),
    *("n", "n_error", "n_ungraded", "unit", "p_value", "test"),
)


def write(report: Report, path: Path) -> None:
    """Write the report as JUnit XML; `StoreError` where it cannot be written."""
    write_text(path, to_junit(report))


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML text."""
    root = ET.Element("testsuites", name=_text(report.title))
    for result in report.results.values():
        _suite(root, report, result)
    for count in ("tests", "failures", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("errors", "0")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, report: Report, result: Result) -> None:
    gates = [g for g in report.gates if g.finding.relation == result.name]
    gated = {g.finding.measure for g in gates}
    free = [f for f in result.findings.values() if f.measure not in gated]
    states = [g.state for g in gates]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_text(result.name),
        tests=str(len(gates) + len(free)),
        failures=str(states.count("fails")),
        skipped=str(states.count("undecided")),
        errors="0",
    )
    if started := str(report.about.get("started", "")):
        suite.set("timestamp", _text(started)[:19])
    for gate in gates:
        case = _case(suite, result, bound_text(gate))
        needed = "" if gate.needed_n is None else str(gate.needed_n)
        _properties(case, gate.finding, state=gate.state, needed_n=needed)
        sentence = f"{bound_text(gate)}: {gate.state}, {figure_text(gate.finding)}; {reason(gate)}"
        if gate.state == "fails":
            failure = ET.SubElement(case, "failure", type="gate", message=_text(sentence))
            failure.text = _text(gate.finding.about)
        elif gate.state == "undecided":
            ET.SubElement(case, "skipped", message=_text(f"undecided: {sentence}"))
    for finding in free:
        _properties(_case(suite, result, finding.measure), finding)


def _case(suite: ET.Element, result: Result, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_text(result.name), name=_text(name), time="0")


def _properties(case: ET.Element, finding: Finding, **more: str) -> None:
    row = {**more, **finding.to_dict()}
    properties = ET.SubElement(case, "properties")
    for name in PROPERTIES:
        if row.get(name) not in (None, ""):
            ET.SubElement(properties, "property", name=name, value=_text(str(row[name])))


def _text(text: str) -> str:
    # `visible` has taken every character that XML 1.0 forbids: controls, surrogates, noncharacters.
    return brief(text, MAX_TEXT)
