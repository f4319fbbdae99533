"""Small edits of many texts at once: slips of the keyboard, letter case, white space, punctuation.

Texts are laid end to end as one array of code points, in which an edit is a gather: a dropped letter is
repeated zero times, a doubled space twice, and two transposed letters change places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.variants.draws import item_keys, uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

CASES = ("upper", "lower", "title")
PUNCTUATION = {"drop": "${2}", "repeat": "${1}${1}${2}"}

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CODE_POINTS = 0x110000


def _neighbours() -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the keys beside each letter on a QWERTY keyboard, shape ``(128, 8)``, and how many they are."""
    places = {
        key: (column + row / 2, row) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)
    }
    table, count = np.zeros((128, 8), np.uint32), np.zeros(128, np.int64)
    for key, (x, y) in places.items():
        near = [k for k, (a, b) in places.items() if k != key and abs(a - x) <= 1 and abs(b - y) <= 1]
        for form in (str.lower, str.upper):
            table[ord(form(key)), : len(near)] = [ord(form(k)) for k in near]
            count[ord(form(key))] = len(near)
    return table, count


_BESIDE, _N_BESIDE = _neighbours()


def typos(texts: pl.Series, ids: pl.Series, rate: float, seed: int) -> pl.Series:
    """Make slips of the keyboard: a neighbouring key, two letters transposed, a letter dropped.

    Parameters
    ----------
    texts
        Texts, n of them.
    ids
        The ids of their items, by which the slips are drawn.
    rate
        Share of the letters that slip, in (0, 1], in one of the three ways each; a text with letters gets at
        least one slip. Digits stay as they are, because another digit is another question.
    seed
        Seed of the slips.

    Examples
    --------
    >>> typos(pl.Series(["What is the capital of Italy?"]), pl.Series(["a"]), 0.1, seed=0).to_list()
    ['What is the csputal ov Italy?']
    """
    codes, counts = _laid_out(texts)
    owner = np.repeat(np.arange(len(counts)), counts)
    chosen = _sites(_are_letters(codes), counts, owner, item_keys(ids, "typos", seed), rate)
    site = np.flatnonzero(chosen)
    kind, within = np.divmod(3.0 * uniforms(item_keys(ids, "slips", seed), counts)[site], 1.0)

    after = np.minimum(site + 1, len(codes) - 1)
    swappable = (after > site) & (owner[after] == owner[site]) & ~chosen[after]
    swappable &= _are_letters(codes[after]) & (codes[after] != codes[site])
    swap = (kind == 0) & swappable
    n_beside = np.where(codes[site] < 128, _N_BESIDE[codes[site] % 128], 0)
    drop = ~swap & ((kind == 1) | (n_beside == 0)) & (counts[owner[site]] > 1)
    near = ~swap & ~drop & (n_beside > 0)

    new = codes.copy()
    new[site[swap]], new[after[swap]] = codes[after[swap]], codes[site[swap]]
    new[site[near]] = _BESIDE[codes[site[near]], (within[near] * n_beside[near]).astype(np.int64)]
    times = np.ones(len(codes), np.int64)
    times[site[drop]] = 0
    return _cut_up(texts, new, times, counts, owner)


def wider_gaps(texts: pl.Series, ids: pl.Series, rate: float, seed: int) -> pl.Series:
    """Double a share of the spaces, at least one of a text that has any, and put one behind the text.

    Examples
    --------
    >>> wider_gaps(pl.Series(["a b c"]), pl.Series(["a"]), 1.0, seed=0).to_list()
    ['a  b  c ']
    """
    codes, counts = _laid_out(texts)
    owner = np.repeat(np.arange(len(counts)), counts)
    doubled = _sites(codes == ord(" "), counts, owner, item_keys(ids, "whitespace", seed), rate)
    return _cut_up(texts, codes, 1 + doubled.astype(np.int64), counts, owner) + " "


def recased(texts: pl.Series, case: str) -> pl.Series:
    """Bring texts to ``"upper"``, ``"lower"`` or ``"title"`` case."""
    return {
        "upper": texts.str.to_uppercase,
        "lower": texts.str.to_lowercase,
        "title": texts.str.to_titlecase,
    }[case]()


def repunctuated(texts: pl.Series, how: str) -> pl.Series:
    """Drop or repeat the marks that end a word; those within numbers and words stay.

    Examples
    --------
    >>> repunctuated(pl.Series(["Well, is 3.5 < 4?"]), "drop").to_list()
    ['Well is 3.5 < 4']
    """
    return texts.str.replace_all(r"([.,;:!?]+)(\s|$)", PUNCTUATION[how])


def _laid_out(texts: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the code points of all texts end to end, and how many each text has."""
    texts = texts.fill_null("")
    joined = "".join(texts.to_list()).encode("utf-32-le")
    counts = texts.str.len_chars().to_numpy().astype(np.int64)
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32), counts


def _cut_up(
    texts: pl.Series,
    codes: NDArray[np.uint32],
    times: NDArray[np.int64],
    counts: NDArray[np.int64],
    owner: NDArray[np.int64],
) -> pl.Series:
    """Return the texts again, each code point repeated `times`; null stays null."""
    joined = np.repeat(codes, times).astype("<u4").tobytes().decode("utf-32-le")
    ends = np.cumsum(np.bincount(owner, weights=times, minlength=len(counts)).astype(np.int64)).tolist()
    new = [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return pl.Series(texts.name, new, pl.String).set(texts.is_null(), None)


def _sites(
    allowed: NDArray[np.bool_],
    counts: NDArray[np.int64],
    owner: NDArray[np.int64],
    keys: NDArray[np.uint64],
    rate: float,
) -> NDArray[np.bool_]:
    """Choose a share of the allowed places, at least one in every text that has one."""
    drawn = np.where(allowed, uniforms(keys, counts), 1.0)
    least = np.ones(len(counts))
    some = counts > 0
    if some.any():
        least[some] = np.minimum.reduceat(drawn, (np.cumsum(counts) - counts)[some])
    return allowed & (drawn <= np.maximum(least, rate)[owner])


def _are_letters(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    is_letter = np.zeros(_CODE_POINTS, bool)
    for start, end in (("a", "z"), ("A", "Z")):
        is_letter[ord(start) : ord(end) + 1] = True
    for code in np.unique(codes[codes > 127]).tolist():
        is_letter[code] = chr(code).isalpha()
    return is_letter[codes]
