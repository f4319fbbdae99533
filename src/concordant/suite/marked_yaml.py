"""YAML with line numbers: plain data, and for every part of it the line on which it stands.

Read as YAML 1.2 has it: ``no``, ``on`` and ``2026-01-01`` are texts, ``1e-3`` is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from concordant.core.errors import ConfigError

Place = tuple[str | int, ...]
"""Keys and positions from the top of the document to a part of it: ``("checks", 0, "relation")``."""


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data read from a text, and where its parts stand.

    Parameters
    ----------
    name
        Name of the file, for messages.
    data
        Mappings, lists and plain values.
    lines
        Line of each part, from 1; a key's own line for what it holds.
    """

    name: str
    data: Any
    lines: dict[Place, int]

    def where(self, place: Place) -> str:
        """Return ``FILE, line N`` of a part, or of the nearest part around it."""
        around = (place[:depth] for depth in range(len(place), -1, -1))
        known = next((part for part in around if part in self.lines), ())
        return f"{self.name}, line {self.lines.get(known, 1)}"

    def error(self, place: Place, message: str) -> ConfigError:
        """Make the error that says on which line something is wrong."""
        return ConfigError(f"{self.where(place)}: {message}")


def read_marked(text: str, name: str) -> Document:
    r"""Read one YAML document (JSON is YAML, too).

    Parameters
    ----------
    text
        The document.
    name
        Name of the file, for messages.

    Raises
    ------
    ConfigError
        If it does not parse, a key comes twice, or a key is not a text; the message names the line.

    Examples
    --------
    >>> document = read_marked("seed: 1\nchecks:\n  - relation: versions.flips\n", "check.yaml")
    >>> document.data
    {'seed': 1, 'checks': [{'relation': 'versions.flips'}]}
    >>> document.where(("checks", 0, "relation"))
    'check.yaml, line 3'
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Place, int] = {(): 1}
        data = None if node is None else _build(loader, node, (), lines, name, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"{name}, line {line}: malformed YAML: {error.problem}"
        raise ConfigError(message) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"{name}, line {line}: the character {chr(int(error.character))!r} is not allowed in YAML"
        raise ConfigError(message) from None
    finally:
        if loader is not None:
            loader.dispose()
    return Document(name, data, lines)


class _Loader(yaml.SafeLoader):
    """The safe loader with the plain scalars of YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the form PyYAML asks for
        letter: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rsplit(":", 1)[1] not in ("bool", "int", "float", "timestamp", "merge", "value")
        ]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_DECIMAL = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"^(?:{_DECIMAL}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+.0123456789"),
)


_COLLECTIONS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


def _build(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    place: Place,
    lines: dict[Place, int],
    name: str,
    within: tuple[int, ...],
) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in within:
        message = f"{name}, line {node.start_mark.line + 1}: an alias stands inside what it names"
        raise ConfigError(message)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
        where = f"{name}, line {node.start_mark.line + 1}"
        message = f"{where}: malformed YAML: the tag {node.tag!r} is not known"
        raise ConfigError(message)
    within = (*within, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, part, (*place, i), lines, name, within) for i, part in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = loader.construct_object(key_node), key_node.start_mark.line + 1
        if not isinstance(key, str):
            message = f"{name}, line {line}: a key must be a text, got {key!r}; put it in quotes"
            raise ConfigError(message)
        if key in built:
            before = lines[(*place, key)]
            message = f"{name}, line {line}: the key {key!r} comes twice, first on line {before}"
            raise ConfigError(message)
        lines[(*place, key)] = line
        built[key] = _build(loader, value_node, (*place, key), lines, name, within)
    return built
