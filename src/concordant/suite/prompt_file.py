"""The file of a prompt whose choice is explained: its wordings, fields, options and rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from concordant.core.errors import ConcordantError, nearest
from concordant.core.tables import read_text
from concordant.explanations.prompts import Field as PromptField
from concordant.explanations.prompts import PromptTemplate
from concordant.suite.document import Entry, ShortEntry, Texts, validated_as
from concordant.suite.marked_yaml import Document, read_marked


def _as_text(value: Any) -> Any:
    """Return a number as the text that it is in a prompt."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_mapping(value: Any) -> Any:
    """Return a list of options as a mapping of each to itself, which is how the prompt describes it."""
    if isinstance(value, list) and all(isinstance(_as_text(option), str) for option in value):
        return {_as_text(option): _as_text(option) for option in value}
    return value


Text = Annotated[str, BeforeValidator(_as_text)]


class FieldEntry(ShortEntry):
    """A field: its text, alone or with what it is."""

    short = "text"

    text: Text = Field(description="what stands in its place")
    role: Literal["informative", "noise"] = Field(
        default="informative", description="whether it should decide"
    )
    neutral: Text | None = Field(default=None, description="what stands there under the rule neutral")


class PromptFile(Entry):
    """A prompt with named fields."""

    text: Texts = Field(
        min_length=1, description="the prompt, with {name} for fields; or several that say the same"
    )
    fields: dict[str, Annotated[FieldEntry, BeforeValidator(_as_text)]] = Field(min_length=1)
    options: Annotated[dict[str, Text], BeforeValidator(_as_mapping)] = Field(
        description="the answers, or how the prompt describes each"
    )
    ask: Literal["letter", "cloze"] = Field(default="letter", description="what is scored of an option")
    neutral: Text = Field(default="...", description="the filler that stands for an absent field")
    target: Text | None = Field(
        default=None, description="the option that is explained; the first by default"
    )
    rows: list[dict[str, Text]] | None = Field(
        default=None, min_length=1, description="texts of fields, for one prompt each"
    )


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a file of prompts asks for.

    Parameters
    ----------
    templates
        One a wording.
    rows
        Texts of fields for each prompt, or None for one prompt.
    target
        The option that is explained.
    """

    templates: tuple[PromptTemplate, ...]
    rows: list[dict[str, str]] | None
    target: str


def read_prompts(path: str | Path) -> Prompts:
    """Read a file of prompts.

    Raises
    ------
    ConcordantError
        If it cannot be read or understood; the message names the line.
    """
    return parse_prompts(read_text(Path(path)), name=str(path))


def parse_prompts(text: str, *, name: str = "template.yaml") -> Prompts:
    r"""Read a file of prompts from its text; see `read_prompts`.

    Examples
    --------
    >>> prompts = parse_prompts("text: '{please} which?'\nfields: {please: Pray,}\noptions: [bus, train]")
    >>> prompts.templates[0].names, prompts.target
    (('please',), 'bus')
    """
    document = read_marked(text, name)
    file = validated_as(document, PromptFile, "a file of prompts is a mapping with text, fields and options")
    fields = {name: PromptField(entry.text, entry.role, entry.neutral) for name, entry in file.fields.items()}
    try:
        templates = tuple(
            PromptTemplate(wording, fields, file.options, file.ask, file.neutral) for wording in file.text
        )
    except ConcordantError as error:
        raise document.error(("text",), str(error)) from None
    for i, row in enumerate(file.rows or []):
        for field in row:
            if field not in fields:
                raise document.error(
                    ("rows", i, field), f"there is no field {field!r}; {nearest(field, fields)}"
                )
    return Prompts(templates, file.rows, _target(file, templates[0], document))


def _target(file: PromptFile, template: PromptTemplate, document: Document) -> str:
    if file.target is None:
        return template.answers[0]
    if file.target not in template.answers:
        hint = nearest(file.target, template.answers)
        raise document.error(("target",), f"there is no option {file.target!r}; {hint}")
    return file.target
