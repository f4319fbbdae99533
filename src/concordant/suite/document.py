"""What a check file may say: its keys, their types and their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from concordant.core.errors import nearest
from concordant.core.model import Request

if TYPE_CHECKING:
    from pydantic_core import CoreSchema, ErrorDetails

    from concordant.suite.marked_yaml import Document, Place

Count = Annotated[int, Field(ge=1)]
Texts = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Several texts; one may stand without a list."""


class Entry(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


T = TypeVar("T", bound=Entry)


class ShortEntry(Entry):
    """A mapping that may be written as one text instead: the value of its key `short`."""

    short: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {cls.short: value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say in the JSON Schema that a text is allowed, too."""
        full = handler.resolve_ref_schema(handler(core))
        text = {"type": "string", "description": full["properties"][cls.short].get("description", "")}
        return {"anyOf": [text, full], "description": full.get("description", "")}


class ModelEntry(ShortEntry):
    """A model: its specification, alone or with the options of its loader."""

    model_config = ConfigDict(extra="allow")
    short = "spec"

    spec: str = Field(
        min_length=1, description="SCHEME:REST, such as hf:models/new, openai:NAME, log:answers.jsonl#MODEL"
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of the loader."""
        return dict(self.model_extra or {})


class ItemsEntry(ShortEntry):
    """The items: a file or hub data set, alone or with what its columns are."""

    short = "source"

    source: str = Field(
        min_length=1, description="a jsonl, json, csv, tsv or parquet file, or hf-dataset:NAME"
    )
    limit: Count | None = Field(default=None, description="the first so many items only")
    id: str | None = Field(default=None, description="the column of ids")
    input: str | None = Field(default=None, description="the column of inputs")
    reference: str | None = Field(default=None, description="the column of right answers")
    choices: str | None = Field(default=None, description="the column of options to choose from")
    group: str | None = Field(default=None, description="the column that says which items belong together")

    @property
    def columns(self) -> dict[str, str]:
        """The columns by their role, where they are given."""
        roles = {role: getattr(self, role) for role in ("id", "input", "reference", "choices", "group")}
        return {role: column for role, column in roles.items() if column is not None}


class RequestEntry(Entry):
    """How models are asked, where a relation does not say otherwise."""

    n: Count = Field(default=1, description="samples for each item")
    temperature: float = Field(default=0.0, ge=0, description="sampling temperature; 0 is greedy")
    max_tokens: Count = Field(default=256, description="bound on the length of an answer, in tokens")
    seed: int | None = Field(default=None, description="seed of the sampling; by default the seed of the run")
    stop: Texts = Field(default=[], description="texts that end an answer")
    batch_size: Count | None = Field(default=None, description="rows in a call of a local model")

    def request(self, seed: int) -> Request:
        """Make the request."""
        return Request(
            n=self.n,
            temperature=float(self.temperature),
            max_tokens=self.max_tokens,
            seed=seed if self.seed is None else self.seed,
            stop=tuple(self.stop),
            batch_size=self.batch_size,
        )


class CheckEntry(Entry):
    """One relation to check: its name, its own options beside it, and its gates."""

    model_config = ConfigDict(extra="allow")

    relation: str = Field(min_length=1, description="a registered relation, or FILE.py:NAME")
    name: str | None = Field(default=None, min_length=1, description="another name in the report")
    gate: Texts = Field(
        default=[], description="a bound on a finding: negative_flip_rate <= 0.02; or several"
    )
    gates: Texts = Field(default=[], description="the same")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the relation."""
        return dict(self.model_extra or {})

    @property
    def bounds(self) -> dict[Place, str]:
        """The gates by their place below this entry."""
        return {(key, i): text for key in ("gate", "gates") for i, text in enumerate(getattr(self, key))}


class CheckFile(Entry):
    """A check: models, items, and the relations that must hold."""

    title: str | None = Field(default=None, description="a line for the report")
    models: dict[str, ModelEntry] = Field(
        min_length=1, description="the models by the names that the checks use"
    )
    subject: str | None = Field(
        default=None,
        description="the model under test; by default `new`, or the only one that no check names",
    )
    items: ItemsEntry | None = Field(
        default=None, description="what the models are asked; by default what a recorded subject was"
    )
    slices: Texts | None = Field(
        default=None, description="columns to look into; by default all of few values"
    )
    grade: str | None = Field(
        default=None,
        description="the grader that finds outputs right or wrong, or FILE.py:NAME; by default the one that suits",
    )
    request: RequestEntry = Field(default_factory=RequestEntry)
    level: float = Field(default=0.95, gt=0, lt=1, description="level of the intervals")
    seed: int = Field(default=0, description="seed of sampling and resampling")
    checks: list[CheckEntry] = Field(min_length=1)
    output: Texts = Field(default=[], description="report files to write; the suffix says how")


def validated(document: Document) -> CheckFile:
    """Read a document as a check file; see `validated_as`."""
    return validated_as(document, CheckFile, "a check file is a mapping with models, items and checks")


def validated_as(document: Document, kind: type[T], what: str) -> T:
    """Read a document as a kind of file.

    Parameters
    ----------
    document
        The document.
    kind
        What it may say.
    what
        A sentence about that, for a document that is no mapping.

    Raises
    ------
    ConfigError
        For the first thing that is wrong: its line, what is allowed, what was got, the nearest key.
    """
    data = document.data
    if not isinstance(data, dict):
        got = "nothing" if data is None else type(data).__name__
        raise document.error((), f"{what}, got {got}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: document.lines.get(e["loc"], len(document.lines)))
        raise document.error(first["loc"], _sentence(first, kind)) from None


def _sentence(error: ErrorDetails, kind: type[Entry]) -> str:
    place = error["loc"]
    name = ".".join(str(part) for part in place) or "the file"
    if error["type"] == "extra_forbidden":
        return f"there is no key {place[-1]!r}; {nearest(str(place[-1]), _keys(kind, place[:-1]))}"
    if error["type"] == "missing":
        around = ".".join(str(part) for part in place[:-1])
        return f"the key {place[-1]!r} is missing" + (f" in {around}" if around else "")
    message = error["msg"].removeprefix("Input ").removeprefix("Value ")
    got = error["input"]
    return f"{name}: {message}" + (f", got {got!r}" if isinstance(got, str | int | float | None) else "")


def _keys(kind: type[Entry], place: Place) -> list[str]:
    """Return the keys that a kind of file may have at a place."""
    for part in place:
        known = kind.model_fields.get(str(part))
        kind = kind if known is None else _entry_in(known.annotation) or kind
    return list(kind.model_fields)


def _entry_in(annotation: Any) -> type[Entry] | None:
    """Return the kind of mapping that an annotation holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return annotation
    return next((found for part in get_args(annotation) if (found := _entry_in(part))), None)
