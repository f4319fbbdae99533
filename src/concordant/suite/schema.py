"""The JSON Schema of check files, so that editors complete and check them."""

from __future__ import annotations

from typing import Any

from concordant.core.registry import first_sentence, lookup, registered
from concordant.suite.document import CheckFile
from concordant.suite.options import options_of


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema of a check file: its keys, and the options of every registered relation."""
    schema = CheckFile.model_json_schema()
    common = schema["$defs"]["CheckEntry"]["properties"]
    entries = [_relation_schema(name, common) for name in sorted(registered("relations"))]
    own = {
        "type": "object",
        "properties": {**common, "relation": {"type": "string", "pattern": r"\.py:\w+$"}},
        "required": ["relation"],
        "additionalProperties": True,
    }
    schema["$defs"]["CheckEntry"] = {"oneOf": [*entries, own]}
    tidy: dict[str, Any] = _tidy(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **tidy,
        "title": "concordant check file",
    }


def _relation_schema(name: str, common: dict[str, Any]) -> dict[str, Any]:
    made = lookup("relations", name)
    options = options_of(made)
    known = {} if options is None else options
    return {
        "type": "object",
        "description": first_sentence(made),
        "properties": {
            **common,
            "relation": {"const": name},
            **{key: option.schema() for key, option in known.items()},
        },
        "required": ["relation", *(key for key, option in known.items() if option.required)],
        "additionalProperties": options is None,
    }


def _tidy(part: Any, inside: str = "") -> Any:
    """Leave out what pydantic adds and nobody reads: titles, and null beside what may be left out anyway."""
    if isinstance(part, list):
        return [_tidy(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    if inside != "properties":
        part = {
            key: value
            for key, value in part.items()
            if key != "title" and not (key == "default" and value in (None, []))
        }
        kinds = part.get("anyOf")
        if kinds is not None:
            kept = [kind for kind in kinds if kind != {"type": "null"}]
            rest = {key: value for key, value in part.items() if key != "anyOf"}
            part = {**rest, "anyOf": kept} if len(kept) > 1 else {**kept[0], **rest}
    return {key: _tidy(value, key) for key, value in part.items()}
