"""What differs between two texts, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# A word with the white space behind it; scripts without spaces are taken character by character.
_WORD = re.compile(r"(?:[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s])\s*|\s+")
LEAST_WORDS = 4
LEAST_SHARED = 0.6


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text that both have, that only the first has ("gone"), or that only the second has ("new")."""

    kind: Literal["same", "gone", "new"]
    text: str


def difference(before: str, after: str) -> list[Segment]:
    """Return `after` in segments that say what it keeps, drops and adds against `before`.

    Parameters
    ----------
    before, after
        Two texts of a few thousand characters at most.

    Returns
    -------
    list of Segment
        One segment "same" with all of `after` where a comparison would tell nothing: equal texts, a few words only, or texts
        that share less than three fifths of their words. Leaving out what is "gone" always gives `after` back.

    Examples
    --------
    >>> [(s.kind, s.text) for s in difference("the cat sat on mats", "the cat lay on mats")]
    [('same', 'the cat '), ('gone', 'sat'), ('new', 'lay'), ('same', ' '), ('same', 'on mats')]
    """
    whole = [Segment("same", after)] if after else []
    if before == after:
        return whole
    old, new = _WORD.findall(before), _WORD.findall(after)
    if min(len(old), len(new)) < LEAST_WORDS:
        return whole
    matcher = SequenceMatcher(None, [w.rstrip() for w in old], [w.rstrip() for w in new])
    operations = matcher.get_opcodes()
    kept = sum(j2 - j1 for tag, _, _, j1, j2 in operations if tag == "equal")
    if kept < LEAST_SHARED * max(len(old), len(new)):
        return whole
    segments = []
    for tag, i1, i2, j1, j2 in operations:
        if tag == "equal":
            segments.append(Segment("same", "".join(new[j1:j2])))
            continue
        gone, added = "".join(old[i1:i2]).rstrip(), "".join(new[j1:j2])
        marked = added.rstrip()  # white space behind a word is no part of the change
        parts = (Segment("gone", gone), Segment("new", marked), Segment("same", added[len(marked) :]))
        segments += [part for part in parts if part.text]
    return segments
