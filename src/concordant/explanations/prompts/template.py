"""Prompts with named fields, any of which can be taken away: the players of the game whose stake is a choice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING, Literal, get_args

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.prompts import LETTERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["informative", "noise"]
Absent = Literal["delete", "neutral"]
Ask = Literal["letter", "cloze"]

OPTIONS = "options"
"""The placeholder of the list of options."""

_DELETED = "\x00"
"""Stands for what was deleted until the white space around it is mended; no text may hold it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a prompt that may be there or not.

    Parameters
    ----------
    text
        What stands in its place when it is there.
    role
        "informative" for what should decide, "noise" for what should not: politeness, articles, fillers.
    neutral
        What stands there instead under the rule "neutral"; by default the filler of the template.
    """

    text: str
    role: Role = "informative"
    neutral: str | None = None


Question = tuple[str, tuple[str, ...]]
"""What a model is asked: a prompt, and the options in the order in which they are scored."""


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt with named fields, and the options that a model chooses from.

    Parameters
    ----------
    text
        The prompt, with ``{name}`` where a field stands; a brace itself is doubled.
    fields
        The fields by name, at least one; a text alone is an informative field.
    options
        What is chosen from, at least two: the answers, or a mapping from each answer to how the prompt describes it.
        Descriptions may have fields, too.
    ask
        "letter" (default): the descriptions follow the prompt as lettered lines and the letter is the answer.
        "cloze": the answer itself is; the descriptions stand, one a line, where the text has ``{options}``.
    neutral
        The filler that stands for an absent field under the rule "neutral".

    Raises
    ------
    ConfigError
        If a field stands nowhere, a placeholder is no field, or there are too few options.

    Examples
    --------
    >>> template = PromptTemplate(
    ...     "{please} Which trip?",
    ...     {"please": Field("Please tell me:", role="noise"), "price": "80"},
    ...     {"bus": "by bus for {price} euros", "train": "by train for 95 euros"},
    ... )
    >>> template.names, template.n_orders
    (('please', 'price'), 2)
    >>> template.questions([[True, True], [False, False]], absent="neutral")[1]
    ('... Which trip?', ('by bus for ... euros', 'by train for 95 euros'))
    """

    text: str
    fields: Mapping[str, Field | str]
    options: Mapping[str, str] | Sequence[str]
    ask: Ask = "letter"
    neutral: str = "..."
    _parts: list[list[str | int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.fields:
            message = "a template needs at least one field"
            raise ConfigError(message)
        made = {name: Field(f) if isinstance(f, str) else f for name, f in self.fields.items()}
        options = (
            dict(self.options)
            if isinstance(self.options, Mapping)
            else {str(o): str(o) for o in self.options}
        )
        object.__setattr__(self, "fields", made)
        object.__setattr__(self, "options", options)
        for what, value, allowed in (
            ("ask", self.ask, Ask),
            *(("role", f.role, Role) for f in made.values()),
        ):
            if value not in get_args(allowed):
                message = f"{what} must be {' or '.join(get_args(allowed))}, got {value!r}"
                raise ConfigError(message)
        if not 2 <= len(options) <= len(LETTERS) or not all(answer.strip() for answer in options):
            message = f"a template needs 2 to {len(LETTERS)} options that differ and are not empty, got {list(options)}"
            raise ConfigError(message)
        parts = [self._parsed(text) for text in (self.text, *options.values())]
        if any(-1 in part for part in parts[1:]) or (-1 in parts[0] and self.ask == "letter"):
            message = "{options} stands in the text, of a template with ask: cloze; letters follow the text"
            raise ConfigError(message)
        used = {part for text in parts for part in text}
        for i, name in enumerate(made):
            if i not in used:
                message = f"the field {name!r} stands nowhere: write {{{name}}} into the text or an option"
                raise ConfigError(message)
        object.__setattr__(self, "_parts", parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(self.fields)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role of each field."""
        return tuple(f.role for f in self._fields())

    @property
    def answers(self) -> tuple[str, ...]:
        """What the options are called."""
        return tuple(self.options)

    @property
    def n_orders(self) -> int:
        """In how many orders the options are shown: 2, or 1 where none is seen in the prompt."""
        return 2 if self.ask == "letter" or -1 in self._parts[0] else 1

    def filled(self, row: Mapping[str, str]) -> PromptTemplate:
        """Return the template with other texts in some fields.

        Parameters
        ----------
        row
            Texts by the name of a field.

        Raises
        ------
        DataError
            If there is no such field.
        """
        for name in row:
            if name not in self.fields:
                message = f"there is no field {name!r}; {nearest(name, self.names)}"
                raise DataError(message)
        kept = {
            name: Field(row.get(name, f.text), f.role, f.neutral)
            for name, f in zip(self.names, self._fields(), strict=True)
        }
        return PromptTemplate(self.text, kept, self.options, self.ask, self.neutral)

    def pieces(self) -> list[list[tuple[str, str | None]]]:
        """Return the prompt and the description of each option with all fields there, cut into pieces to be shown.

        Returns
        -------
        list of 1 + n_options lists of pairs
            A text, and the name of the field whose text it is, or None. The list of options is one piece: ``{options}``.

        Examples
        --------
        >>> PromptTemplate("Go {how}?", {"how": "fast"}, ["yes", "no"]).pieces()[0]
        [('Go ', None), ('fast', 'how'), ('?', None)]
        """
        texts = [f.text for f in self._fields()] + [f"{{{OPTIONS}}}"]
        names = (*self.names, None)
        return [
            [(part, None) if isinstance(part, str) else (texts[part], names[part]) for part in parts]
            for parts in self._parts
        ]

    def questions(
        self,
        present: NDArray[np.bool_] | Sequence[Sequence[bool]],
        *,
        absent: Absent = "delete",
        reverse: bool = False,
    ) -> list[Question]:
        """Write the prompt once for each set of fields that are there.

        Parameters
        ----------
        present
            Which fields are there, shape ``(n, n_fields)``.
        absent
            "delete": an absent field leaves nothing, and the white space around it is mended. "neutral": its filler.
        reverse
            Whether the options are shown in the reversed order.

        Returns
        -------
        list of n pairs
            The prompt, and the options as they are scored: the descriptions in the order shown where letters are asked
            for, or else the answers in the order of the template.

        Raises
        ------
        DataError
            If nothing is left of an option that a letter stands for.
        """
        if absent not in get_args(Absent):
            message = f"absent must be {' or '.join(get_args(Absent))}, got {absent!r}; {nearest(absent, get_args(Absent))}"
            raise ConfigError(message)
        fields = self._fields()
        there = [f.text for f in fields]
        gone = [
            _DELETED if absent == "delete" else self.neutral if f.neutral is None else f.neutral
            for f in fields
        ]
        written = []
        for row in present:
            texts = [yes if is_there else no for yes, no, is_there in zip(there, gone, row, strict=True)]
            shown = [_mended(_joined(parts, texts)) for parts in self._parts[1:]]
            if self.ask == "letter" and not all(shown):
                message = "an option is empty without its fields: give it a word that stays, or ask with absent='neutral'"
                raise DataError(message)
            if reverse:
                shown.reverse()
            texts.append("\n".join(shown))  # at -1, where {options} is
            prompt = _mended(_joined(self._parts[0], texts))
            written.append((prompt, tuple(shown) if self.ask == "letter" else self.answers))
        return written

    def _fields(self) -> list[Field]:
        return list(self.fields.values())  # type: ignore[arg-type]  # texts were made fields

    def _parsed(self, text: str) -> list[str | int]:
        """Return a text as literal pieces and positions of fields."""
        try:
            found = list(Formatter().parse(text))
        except ValueError as error:
            message = (
                f"{text!r} has a brace that is not closed or not opened; double those that are meant: {error}"
            )
            raise ConfigError(message) from None
        places = {**{name: i for i, name in enumerate(self.fields)}, OPTIONS: -1}
        if OPTIONS in self.fields:
            message = "a field cannot be called 'options', which stands for their list"
            raise ConfigError(message)
        parts: list[str | int] = []
        for literal, name, form, conversion in found:
            parts += [literal] if literal else []
            if name is None:
                continue
            if name not in places or form or conversion:
                message = f"{{{name}}} in {text!r} is no field; {nearest(name, self.names)}"
                raise ConfigError(message)
            parts.append(places[name])
        return parts


def _joined(parts: list[str | int], texts: list[str]) -> str:
    return "".join(part if isinstance(part, str) else texts[part] for part in parts)


def _mended(text: str) -> str:
    """Take out what was deleted with the white space that it leaves double, before a mark or at the end of a line."""
    if _DELETED not in text:
        return text
    run = rf"[ \t]*{_DELETED}(?:[ \t]*{_DELETED})*"
    text = re.sub(rf"{run}(?:(?=[ \t]*[.,;:!?)])|[ \t]*(?=\n|$))", "", text)
    text = re.sub(rf"{_DELETED}[ \t]*", "", text)
    return re.sub(r"^[ \t\n]+", "", text)
