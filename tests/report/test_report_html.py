from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from concordant.core.check import check
from concordant.core.errors import StoreError
from concordant.report.figures import interval_text, value_text
from concordant.report.html import MAX_BYTES, TEMPLATES, fragment, render, write
from concordant.report.palette import DARK, LIGHT
from report.made_reports import (
    HOSTILE,
    Answers,
    Reworded,
    flips_report,
    outputs,
    questions,
    stored,
    with_unknowns,
)

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ALLOWED = (
    "html head meta title style body a div header span button h1 h2 h3 h4 p nav ul ol li main section dl dt dd b em"
    " table caption thead tbody tr th td figure figcaption details summary article ins del script"
    " svg g path line rect circle text tspan"
)


class Page(HTMLParser):
    """Every element, attribute and text of a page; fails on elements that are not closed where they should be."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.pieces, self.raw = [], [], [], {"style": [], "script": []}
        self.open = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.pieces))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        else:
            self.pieces.append(data)


@pytest.fixture(scope="module")
def page(report):
    return Page(render(report))


def test_it_asks_the_network_for_nothing(page):
    assert set(page.tags) <= set(ALLOWED.split()) - {"img"}
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data", "style", "background")
        assert not name.startswith("on")
        if name in ("href", "xlink:href"):
            assert value.startswith("#")
        assert "//" not in re.sub("'sha256-[^']+'", "", value) or name.startswith("xmlns")
    css = "".join(page.raw["style"])
    assert "url(" not in css
    assert "@import" not in css


def test_the_policy_allows_its_own_style_and_script_and_nothing_else(page):
    (policy,) = (v for t, n, v in page.attributes if t == "meta" and n == "content" and "default-src" in v)
    (style,), (script,) = page.raw["style"], page.raw["script"]
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}';"
        " base-uri 'none'; form-action 'none'"
    )
    assert script == (TEMPLATES / "page.js").read_text(encoding="utf-8")


def test_every_finding_has_its_interval_and_n(report, page):
    for finding in [
        *report.findings,
        *(f for f in report.slices if f.measure in ("gain", "negative_flip_rate")),
    ]:
        assert value_text(finding) in page.text
        assert interval_text(finding) in page.text
        assert f"{finding.n:,} items" in page.text


def test_it_has_all_its_parts(report, page):
    for part in (
        "1 of 3 gates fails: gain ≥ 0.4 (versions.flips); measured was",
        "32 items went from right to wrong and 77 from wrong to right",
        "within the bound",
        "Left out: 3 items with an error.",
        "3 × time-out after 30 s",
        "gain on all 7 slices",
        "Benjamini-Hochberg over 7 slices",
        "Mia has",
        "Please, if you can:",
        report.items.digest(),
        "made-marbles-1",
        "How to read this",
    ):
        assert part in page.text, part
    assert page.tags.count("ins") > 2
    assert page.tags.count("article") > 20


def test_tables_sort_by_exact_numbers(report, page):
    keys = [float(value) for _, name, value in page.attributes if name == "data-sort" and value]
    assert (
        len(keys) == 2 * (3 + 1) * 7
    )  # value and p; three measures of flips, one of rewordings; seven slices
    for finding in report["versions.flips"].slices:
        if finding.measure == "gain":
            assert pytest.approx(finding.p_value, rel=1e-9) in keys


def test_links_within_the_page_lead_somewhere(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for _, n, v in page.attributes if n == "href"} <= set(ids)


def test_it_is_light_and_dark_and_prints(page):
    css = "".join(page.raw["style"])
    for name in LIGHT:
        assert f"--cc-{name}:{LIGHT[name]}" in css
        assert f"--cc-{name}:{DARK[name]}" in css
        assert f'[fill="{LIGHT[name]}"] {{ fill: var(--cc-{name}); }}' in css
    for part in ("prefers-color-scheme: dark", "@media print", '[data-theme="dark"]'):
        assert part in css
    used = set(re.findall(r"var\((--cc-[\w-]+)\)", css))
    assert used <= set(re.findall(r"(--cc-[\w-]+):", css))


def test_classes_of_the_script_are_there(page):
    script = page.raw["script"][0]
    assert "theme" in {v for _, n, v in page.attributes if n == "id"}
    classes = {c for _, n, v in page.attributes if n == "class" for c in v.split()}
    assert {"sortable", "relation", "card"} <= classes
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(", script)


def assert_inert(text):
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\ud800-\udfff]", text
    )
    page = Page(text)
    assert set(page.tags) <= set(ALLOWED.split()) - {"img"}
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    return page


def test_hostile_text_is_inert():
    report = flips_report(60, hostile=True, more=[Reworded(Answers("m", pl.Series([HOSTILE] * 60)))])
    text = render(report)
    page = assert_inert(text)
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in page.text
    assert "{{ 7*7 }} {% raw %}" in page.text
    assert "␛[31mred" in page.text
    assert "⟨U+202E⟩esrever" in page.text
    assert assert_inert(fragment(report)).tags.count("script") == 0


def test_unknown_figures_never_read_nan_or_inf():
    report = with_unknowns(flips_report(40))
    for text in (render(report), fragment(report)):
        assert not re.search(r"(?<![A-Za-z])(nan|inf|-inf|none)(?![A-Za-z])", Page(text).text, re.IGNORECASE)
        assert "NaN" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("change", ["no gates", "no slices", "nothing differs", "stored", "no findings"])
def test_reports_with_less_in_them(change):
    report = flips_report(40, gates=() if change == "no gates" else ("gain >= 0",))
    result = report.results["versions.flips"]
    if change == "no slices":
        result.slices.clear()
    if change == "nothing differs":
        result.verdicts.replace_column(0, pl.Series("agreement", [1.0] * 40))
    if change == "stored":
        report = stored(report)
    if change == "no findings":
        result.findings.clear()
        result.slices.clear()
    page = Page(render(report))
    assert ("Items that agree least" in page.text) == (change not in ("nothing differs", "stored"))
    assert ("What changed" in page.text) == (change != "no findings")
    assert "How to read this" in page.text


def test_a_stored_report_without_verdicts_renders():
    report = stored(flips_report(40))
    result = report.results["versions.flips"]
    report.results["versions.flips"] = replace(result, verdicts=pl.DataFrame({"agreement": []}))
    assert "What changed" in Page(render(report)).text


def test_long_texts_stay_within_the_bound():
    n = 12
    items = questions(n)
    long = pl.Series([f"#### {i} " + "<&\"'>" * 8_000 for i in range(n)])
    relations = [Reworded(Answers("other", outputs(items, 0.5, i)), n_variants=8) for i in range(10)]
    text = render(check(Answers("m", long), items, relations, grade="number", progress=False))
    assert len(text.encode()) <= MAX_BYTES
    assert (
        "more characters; the run&#39;s table has them" in text
        or "more characters; the run's table has them" in text
    )


@pytest.mark.slow
def test_two_hundred_thousand_items_make_a_small_page():
    assert len(render(flips_report(200_000)).encode()) < 1_000_000


def test_save_writes_the_page(report, tmp_path):
    path = report.save(tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(StoreError, match="cannot be written to"):
        write(report, tmp_path)


def test_a_notebook_gets_the_fragment(report):
    text = report._repr_html_()
    page = Page(text)
    assert "script" not in page.tags
    assert page.text.count("versions.flips") >= 2
    for finding in report.findings:
        assert interval_text(finding) in page.text
    assert len(text) < 40_000


def test_the_title_is_escaped_once(report):
    assert html.unescape(re.search("<title>(.*)</title>", render(report))[1]) == report.title


def test_templates_are_all_used():
    named = {p.name for p in Path(TEMPLATES).iterdir()}
    sources = "".join(p.read_text(encoding="utf-8") for p in Path(TEMPLATES).iterdir())
    sources += "".join(p.read_text(encoding="utf-8") for p in Path(TEMPLATES).parent.glob("*.py"))
    assert {name for name in named if f'"{name}"' not in sources} == set()
