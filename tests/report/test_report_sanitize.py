from __future__ import annotations

import unicodedata
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.report.sanitize import clipped, cut, one_line, visible
from report.made_reports import HOSTILE_NAME

anything = st.text(st.characters(exclude_categories=()))  # with surrogates and controls
JOINERS = "\u200c\u200d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b", "a␀b"),
        ("\x07\x7f\x9b", "␇␡⟨U+009B⟩"),
        ("\u202eabc\u202c", "⟨U+202E⟩abc⟨U+202C⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\ufeff\u200b\u2028", "⟨U+FEFF⟩⟨U+200B⟩⟨U+2028⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo␍three\tfour"),
        ("plain – żółć 漢字 👩‍👧 नमस्ते", "plain – żółć 漢字 👩‍👧 नमस्ते"),
    ],
)
def test_signs(text, shown):
    assert visible(text) == shown


@given(anything)
def test_nothing_that_acts_is_left(text):
    for character in visible(text):
        category = unicodedata.category(character)
        assert category not in ("Cc", "Cs", "Zl", "Zp") or character in "\n\t"
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )


@given(anything)
def test_visible_text_is_stable_and_fits_utf8_and_xml(text):
    shown = visible(text)
    assert visible(shown) == shown
    shown.encode()
    assert ET.fromstring(f"<a>{escape(shown)}</a>").text == (shown or None)


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Mn", "Mc"))))
def test_ordinary_text_is_left_alone(text):
    assert visible(text) == text


@given(anything)
def test_one_line_is_one_line(text):
    assert len(one_line(text).splitlines()) <= 1
    assert "\t" not in one_line(text)


def test_a_hostile_name_fits_on_one_line():
    assert "\x1b" not in one_line(HOSTILE_NAME)
    assert "⟨U+202E⟩" in one_line(HOSTILE_NAME)


@given(st.text(), st.integers(1, 20))
def test_cut_and_clipped_keep_to_the_limit(text, limit):
    head, n_more = cut(text, limit)
    assert text.startswith(head)
    assert len(head) + n_more == len(text)
    assert len(clipped(text, limit)) == min(limit, len(text))
    assert (clipped(text, limit) == text) == (n_more == 0 or text == clipped(text, limit))
