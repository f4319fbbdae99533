"""The checks of a check file, resolved: relations, options and gates, before any model is loaded."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from concordant.core.code import from_file, is_code
from concordant.core.episode import Episode
from concordant.core.errors import ConcordantError, ConfigError, nearest
from concordant.core.gate import Gate, check_gate
from concordant.core.registry import lookup, registered
from concordant.core.relation import Relation
from concordant.core.turns import EpisodeRelation
from concordant.suite.absent import Absent
from concordant.suite.options import Option, checked, options_of, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from concordant.core.model import Model
    from concordant.suite.document import CheckEntry
    from concordant.suite.marked_yaml import Document, Place

OWN_KEYS = ("relation", "name", "gate", "gates")
ANY_OPTION = Option("", Any, required=False, takes_model=True, takes_function=True)


@dataclass(frozen=True, slots=True)
class ModelName:
    """The name of a model in the place where the model will stand."""

    name: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One check of a check file.

    Parameters
    ----------
    place
        Where it stands in the document.
    made
        What makes the relation: its class, a function, or the finished relation or episode itself.
    options
        Its keyword options; models are still `ModelName`.
    gates
        Its gates by the place where they stand.
    name
        Another name in the report, or None.
    """

    place: Place
    made: Callable[..., Any] | Relation | Episode
    options: dict[str, Any] = field(default_factory=dict)
    gates: dict[Place, Gate] = field(default_factory=dict)
    name: str | None = None

    @property
    def models(self) -> list[str]:
        """Names of the models that it needs besides the one under test."""
        return [
            part.name
            for value in self.options.values()
            for part in _parts(value)
            if isinstance(part, ModelName)
        ]

    def make(self, models: Mapping[str, Model], document: Document) -> Relation:
        """Make the relation.

        Raises
        ------
        ConfigError
            If it refuses its options; the message names the line.
        """
        made: Any = self.made
        if isinstance(made, Relation):
            made = copy.copy(made)  # the same one may be checked twice, under two names
        elif not isinstance(made, Episode):
            try:
                made = made(**{name: _filled(value, models) for name, value in self.options.items()})
            except (ConcordantError, TypeError, ValueError) as error:
                raise document.error(self.place, str(error)) from None
        relation = EpisodeRelation(made) if isinstance(made, Episode) else made
        if not isinstance(relation, Relation):
            got = type(made).__name__
            raise document.error((*self.place, "relation"), f"it makes a {got}, not a relation")
        if self.name is not None:
            relation.name = self.name
        for place, gate in self.gates.items():
            try:
                check_gate(gate, relation.name, relation.measures)
            except ConfigError as error:
                raise document.error(place, str(error)) from None
        return relation


def plan(
    entry: CheckEntry,
    place: Place,
    document: Document,
    models: Mapping[str, Any],
    base: Path,
    *,
    trust_code: bool,
) -> Planned:
    """Resolve one check.

    Parameters
    ----------
    entry, place, document
        The check, where it stands, and the document around it.
    models
        The models of the file by name.
    base
        The folder that relative paths start from.
    trust_code
        Whether relations and functions may be taken from Python files.

    Raises
    ------
    ConfigError
        If relation, option, model or gate cannot be understood; the message names line and nearest name.
    """
    made = _relation(entry.relation, (*place, "relation"), document, base, trust_code=trust_code)
    given = entry.options
    known: Mapping[str, Option] | None = {} if isinstance(made, Relation | Episode) else options_of(made)
    if misspelt := unknown(given, known):
        name, _ = misspelt
        hint = nearest(name, [*(known or ()), *OWN_KEYS])
        raise document.error((*place, name), f"{entry.relation} has no option {name!r}; {hint}")
    options: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:  # as if it was not there
            continue
        option = ANY_OPTION if known is None else known[name]
        options[name] = _value(option, value, (*place, name), document, models, base, trust_code=trust_code)
    missing = next((o for o in (known or {}).values() if o.required and o.name not in options), None)
    if missing is not None:
        hint = f", the name of a model ({', '.join(models)})" if missing.takes_model else ""
        raise document.error(place, f"{entry.relation} needs the option {missing.name!r}{hint}")
    gates = {}
    for below, text in entry.bounds.items():
        try:
            gates[(*place, *below)] = Gate.parse(text)
        except ConfigError as error:
            raise document.error((*place, *below), str(error)) from None
    planned = Planned(place, made, options, gates, entry.name)
    if not (planned.models and is_code(entry.relation)):  # what it refuses is said before models are loaded
        planned.make({name: Absent(name) for name in planned.models}, document)
    return planned


def _relation(text: str, place: Place, document: Document, base: Path, *, trust_code: bool) -> Any:
    if is_code(text):
        found = _from_code(text, place, document, base, trust_code=trust_code)
        makes_one = callable(found) and not inspect.iscoroutinefunction(found)
        if not (makes_one or isinstance(found, Relation | Episode)):
            got = type(found).__name__
            raise document.error(place, f"{text} is {got}; allowed is a relation or an episode")
        return found
    try:
        return lookup("relations", text)
    except ConfigError:
        hint = nearest(text, registered("relations"))
        raise document.error(place, f"there is no relation {text!r}; {hint}") from None


def _value(
    option: Option,
    value: Any,
    place: Place,
    document: Document,
    models: Mapping[str, Any],
    base: Path,
    *,
    trust_code: bool,
) -> Any:
    if option.takes_model and isinstance(value, str) and value in models:
        return ModelName(value)
    if option.takes_models and isinstance(value, list) and all(isinstance(v, str) for v in value):
        for i, name in enumerate(value):
            if name not in models:
                message = f"{option.name} should hold names of models, got {name!r}; {nearest(name, models)}"
                raise document.error((*place, i), message)
        return [ModelName(name) for name in value]
    if option.takes_function and isinstance(value, str) and is_code(value):
        return _from_code(value, place, document, base, trust_code=trust_code)
    try:
        return checked(option, value)
    except ValueError as error:
        hint = f"; {nearest(value, models)}" if option.takes_model and isinstance(value, str) else ""
        shown = f", got {value!r}" if isinstance(value, str | int | float | None) else ""
        raise document.error(place, f"{option.name} {error}{shown}{hint}") from None


def _from_code(text: str, place: Place, document: Document, base: Path, *, trust_code: bool) -> Any:
    try:
        return from_file(text, base, trust_code=trust_code)
    except ConfigError as error:
        raise document.error(place, str(error)) from error.__cause__


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    else:
        yield value


def _filled(value: Any, models: Mapping[str, Model]) -> Any:
    if isinstance(value, list):
        return [_filled(part, models) for part in value]
    return models[value.name] if isinstance(value, ModelName) else value
