"""Text of models made inert: what would steer a terminal, hide, or turn a line around becomes visible instead."""

from __future__ import annotations

import re

# Control characters other than line feed and tab, lone surrogates and noncharacters (which no file can hold), line and
# paragraph separators, and format characters that are invisible or turn the direction of text. The zero-width joiner
# and non-joiner stay: emoji and several scripts are spelt with them, and alone they do nothing.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)


def visible(text: str) -> str:
    r"""Return `text` with every character that acts instead of showing replaced by a sign for it.

    Control characters become their control pictures (escape: ``␛``), direction marks, invisible characters and
    halves of surrogate pairs become their number (``⟨U+202E⟩``). Line feeds and tabs stay; a carriage return before
    a line feed goes.

    Parameters
    ----------
    text
        Any text, from anywhere.

    Examples
    --------
    >>> visible("\x1b[31mred\x00")
    '␛[31mred␀'
    >>> visible("a\u202eb")
    'a⟨U+202E⟩b'
    """
    return _UNSEEN.sub(_sign, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""Return `visible` text on one line: white space with a line feed becomes ``⏎``, a tab a space.

    Examples
    --------
    >>> one_line("a\n  b\tc")
    'a ⏎ b c'
    """
    return re.sub(r"\s*\n\s*", " ⏎ ", visible(text).strip()).replace("\t", " ")


def clipped(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, the last of them an ellipsis where something was left out.

    Examples
    --------
    >>> clipped("abcdef", 4), clipped("abc", 4)
    ('abc…', 'abc')
    """
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def brief(text: str, limit: int) -> str:
    r"""Return text on one line of at most `limit` characters; a text of any length costs no more than a short one.

    Examples
    --------
    >>> brief("first line\nsecond line", 14)
    'first line ⏎ …'
    """
    start = text[: 4 * limit]
    return clipped(one_line(start) + ("" if len(start) == len(text) else "…"), limit)


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return the first `limit` characters of `text`, and how many more there are.

    Parameters
    ----------
    text
        Any text.
    limit
        Characters to keep, at least 1.

    Examples
    --------
    >>> cut("abcdef", 4), cut("abc", 4)
    (('abcd', 2), ('abc', 0))
    """
    return text[:limit], max(0, len(text) - limit)


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
