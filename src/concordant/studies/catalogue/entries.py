"""The entries of the catalogue, read from its YAML files and checked when they are first asked for."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from concordant.core.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Counterpart = Literal["versions", "variants", "explanations", "rewards", "worlds", "people", "oversight"]
"""What behaviour must agree with."""

State = Literal["not run", "holds", "fails", "undecided"]
"""What running a claim has shown."""

NOT_YET = "not yet"
"""The place of a method that is not built."""

ET_AL = "et al."
"""The last author where the list is not complete."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_MODULE = re.compile(r"concordant(\.[a-z_]+)+")
_FIRST_YEAR, _LAST_YEAR = 1950, 2100


@dataclass(frozen=True, slots=True)
class EntryClaim:
    """One claim of a paper.

    Parameters
    ----------
    id
        Its name within the paper: lower-case words joined by hyphens.
    text
        One sentence that names what is compared and in which direction.
    state
        What running it has shown; it comes from the recorded results, never from the catalogue's files.
    """

    id: str
    text: str
    state: State = "not run"

    def __post_init__(self) -> None:
        _expect(_SLUG.fullmatch(self.id), f"id {self.id!r}", "lower-case words joined by hyphens")
        _expect(self.text.strip(), f"text {self.text!r}", "one sentence")
        _expect(
            self.state in get_args(State), f"state {self.state!r}", f"one of {', '.join(get_args(State))}"
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper.

    Parameters
    ----------
    slug
        Its name in the catalogue: lower-case words joined by hyphens.
    title, authors, year
        As published; the last author is "et al." where the list is not complete.
    counterpart
        What behaviour must agree with, in this paper.
    summary
        Two sentences of our own: what it does, and what it found.
    place
        The module of the method, or "not yet".
    claims
        What it claims, as sentences that can be run.
    limits
        One sentence: what cannot be shown on two cores.
    venue
        Conference or journal, without the year; None for a preprint.
    journal
        Whether the venue is a journal.
    arxiv
        Number of the preprint, such as "2407.09435".
    also
        Further counterparts.
    part
        Which part of the method is at its place.
    note
        Another title or version under which it is known.
    """

    slug: str
    title: str
    authors: tuple[str, ...]
    year: int
    counterpart: Counterpart
    summary: str
    place: str
    claims: tuple[EntryClaim, ...]
    limits: str
    venue: str | None = None
    journal: bool = False
    arxiv: str | None = None
    also: tuple[Counterpart, ...] = ()
    part: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        counterparts = get_args(Counterpart)
        _expect(_SLUG.fullmatch(self.slug), f"slug {self.slug!r}", "lower-case words joined by hyphens")
        for name in ("title", "summary", "limits"):
            _expect(getattr(self, name).strip(), f"{name} {getattr(self, name)!r}", "a text")
        _expect(self.authors and self.authors[0] != ET_AL, f"authors {self.authors!r}", "at least one name")
        _expect(ET_AL not in self.authors[:-1], f"authors {self.authors!r}", f"{ET_AL!r} as the last only")
        _expect(_FIRST_YEAR <= self.year <= _LAST_YEAR, f"year {self.year!r}", "a year")
        _expect(
            self.arxiv is None or _ARXIV.fullmatch(self.arxiv),
            f"arxiv {self.arxiv!r}",
            "a number like 2407.09435",
        )
        for name in (self.counterpart, *self.also):
            _expect(name in counterparts, f"counterpart {name!r}", f"one of {', '.join(counterparts)}")
        _expect(
            self.counterpart not in self.also, f"also {self.counterpart!r}", "counterparts other than its own"
        )
        _expect(
            self.place == NOT_YET or _MODULE.fullmatch(self.place),
            f"place {self.place!r}",
            "a module or 'not yet'",
        )
        _expect(
            (self.place == NOT_YET) == (self.part is None),
            f"part {self.part!r}",
            "one where there is a place",
        )
        _expect(not self.journal or self.venue, "no venue", "the name of the journal")
        ids = [claim.id for claim in self.claims]
        _expect(
            ids and len(set(ids)) == len(ids), f"claims {ids!r}", "at least one, each with an id of its own"
        )

    @property
    def counterparts(self) -> tuple[Counterpart, ...]:
        """All counterparts, the main one first."""
        return (self.counterpart, *self.also)


@cache
def load() -> Mapping[str, Entry]:
    """Return all entries by slug, grouped by counterpart.

    Raises
    ------
    DataError
        If a file of the catalogue is not as it should be.

    Examples
    --------
    >>> load()["muscle"].year
    2024
    """
    from importlib.resources import files

    from concordant.studies.evidence.records import states_of

    folder = files("concordant.studies.catalogue")
    found: dict[str, Entry] = {}
    for counterpart in get_args(Counterpart):
        for unrun in read((folder / f"{counterpart}.yaml").read_text(encoding="utf-8"), counterpart):
            entry = with_states(unrun, states_of(unrun.slug))
            if entry.slug in found:
                message = (
                    f"the paper {entry.slug!r} is in the catalogue twice, under {found[entry.slug].counterpart} "
                    f"and under {counterpart}"
                )
                raise DataError(message)
            found[entry.slug] = entry
    return MappingProxyType(found)


def read(text: str, counterpart: Counterpart) -> list[Entry]:
    """Read the entries of one counterpart.

    Parameters
    ----------
    text
        YAML: a list of mappings with the keys of `Entry` but its counterpart.
    counterpart
        That of all these papers.

    Raises
    ------
    DataError
        For the first thing that is wrong: the entry, what is allowed, and what was got.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
    try:
        rows = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        message = f"the catalogue of {counterpart} is not YAML: {' '.join(str(error).split())}"
        raise DataError(message) from None
    if not isinstance(rows, list):
        message = f"the catalogue of {counterpart} must be a list of entries, got {type(rows).__name__}"
        raise DataError(message)
    return [_entry(row, counterpart, number) for number, row in enumerate(rows, 1)]


def with_states(entry: Entry, states: Mapping[str, str]) -> Entry:
    """Return an entry whose claims are in the given states; a claim without one stays as it is.

    Parameters
    ----------
    entry
        The entry.
    states
        States by id of the claim; see `concordant.studies.evidence.records.states_of`.

    Raises
    ------
    DataError
        If a state is none, or is that of a claim the entry does not have: results and catalogue must fit together.
    """
    claims = {claim.id: claim for claim in entry.claims}
    for id, state in states.items():
        if id not in claims:
            message = f"there are results of the claim {id!r} of {entry.slug!r}; {nearest(id, claims)}"
            raise DataError(message)
        try:
            claims[id] = replace(claims[id], state=state)  # type: ignore[arg-type]
        except ValueError as error:
            message = f"results of the claim {id!r} of {entry.slug!r}: {error}"
            raise DataError(message) from None
    return replace(entry, claims=tuple(claims.values())) if states else entry


def _entry(row: Any, counterpart: Counterpart, number: int) -> Entry:
    slug = row.get("slug", number) if isinstance(row, dict) else number
    try:
        values = _values(row, Entry, without=("counterpart",))
        values["claims"] = tuple(
            EntryClaim(**_values(claim, EntryClaim, without=("state",))) for claim in values["claims"]
        )
        return Entry(counterpart=counterpart, **values)
    except ValueError as error:
        message = f"entry {slug} in the catalogue of {counterpart}: {error}"
        raise DataError(message) from None


def _values(row: Any, kind: type[Entry | EntryClaim], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the values of one mapping by field, lists as tuples; all keys known, all types as declared."""
    if not isinstance(row, dict):
        message = f"a mapping is expected, got {row!r}"
        raise ValueError(message)
    known = {field.name: field for field in fields(kind) if field.name not in without}
    for name in row:
        if name not in known:
            message = f"there is no key {name!r}; {nearest(str(name), known)}"
            raise ValueError(message)
    for name, field in known.items():
        if name not in row and field.default is MISSING:
            message = f"the key {name!r} is missing"
            raise ValueError(message)
    return {name: _typed(name, value, str(known[name].type)) for name, value in row.items()}


def _typed(name: str, value: Any, declared: str) -> Any:
    if declared.startswith("tuple"):
        texts = not declared.startswith("tuple[EntryClaim")
        _expect(isinstance(value, list), f"{name} {value!r}", "a list")
        _expect(
            not texts or all(isinstance(part, str) for part in value), f"{name} {value!r}", "a list of texts"
        )
        return tuple(value)
    kind = {"int": int, "bool": bool}.get(declared, str)
    _expect(
        type(value) is kind,
        f"{name} {value!r}",
        {int: "an integer", bool: "true or false"}.get(kind, "a text"),
    )
    return value.strip() if isinstance(value, str) else value


def _expect(holds: object, got: str, allowed: str) -> None:
    if not holds:
        message = f"got {got}, expected {allowed}"
        raise ValueError(message)
