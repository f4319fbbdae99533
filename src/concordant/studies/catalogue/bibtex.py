"""Citing papers of the catalogue: BibTeX that old and new processors read."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from concordant.studies.catalogue.entries import ET_AL

if TYPE_CHECKING:
    from concordant.studies.catalogue.entries import Entry

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "ß": r"{\ss}",
    "æ": r"{\ae}",
    "Æ": r"{\AE}",
    "ø": r"{\o}",
    "Ø": r"{\O}",
    "ł": r"{\l}",
    "Ł": r"{\L}",
    "ı": r"{\i}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u ",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r ",
    "\u030b": "H ",
    "\u030c": "v ",
    "\u0327": "c ",
    "\u0328": "k ",
}


def bibtex(entry: Entry) -> str:
    r"""Return a paper as a BibTeX entry; its key is the slug, which does not change when an entry is corrected.

    Parameters
    ----------
    entry
        The paper.

    Examples
    --------
    >>> from concordant.studies.catalogue.entries import load
    >>> print(bibtex(load()["rlcm"]))
    @inproceedings{rlcm,
      title = {{RL for Consistency Models: Faster Reward Guided Text-to-Image Generation}},
      author = {Owen Oertell and Jonathan D. Chang and Yiyi Zhang and Kiant{\'e} Brantley and Wen Sun},
      year = {2024},
      booktitle = {Reinforcement Learning Conference},
      eprint = {2404.03673},
      archivePrefix = {arXiv},
    }
    """
    kind, home = ("article", "journal") if entry.journal else ("inproceedings", "booktitle")
    rows = {
        "title": f"{{{escaped(entry.title)}}}",  # doubled braces keep the capitals
        "author": " and ".join(map(_name, entry.authors)),
        "year": str(entry.year),
    }
    if entry.venue is not None:
        rows[home] = escaped(entry.venue)
    if entry.arxiv is not None:
        rows |= {"eprint": entry.arxiv, "archivePrefix": "arXiv"}
    if entry.note is not None:
        rows["note"] = escaped(entry.note)
    lines = [f"  {name} = {{{value}}}," for name, value in rows.items()]
    return "\n".join([f"@{kind if entry.venue is not None else 'misc'}{{{entry.slug},", *lines, "}"])


def escaped(text: str) -> str:
    r"""Return a text with what LaTeX would take for a command escaped, and accents as commands.

    Examples
    --------
    >>> print(escaped("100 % of R&D, naïve_Jérémy"))
    100 \% of R\&D, na{\"i}ve\_J{\'e}r{\'e}my
    """
    return "".join(map(_letter, unicodedata.normalize("NFC", text)))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if len(marks) == 1 and marks[0] in _ACCENTS:
        return f"{{\\{_ACCENTS[marks[0]]}{base}}}"
    return letter


def _name(author: str) -> str:
    if author == ET_AL:
        return "others"
    name = escaped(author)
    return f"{{{name}}}" if " and " in name or "," in name else name
