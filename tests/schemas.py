"""Schemas that are hard to answer in time, and what checks an answer."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

NODE = {
    "type": "object",
    "properties": {"value": {"enum": ["a", "bb", "a long one"]}, "children": {"items": {"$ref": "#/$defs/node"}}},
    "required": ["value", "children"],
    "additionalProperties": False,
}
NODE["properties"]["children"]["type"] = "array"  # type: ignore[index]
BRANCH = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "minItems": 2}},
    "required": ["a"],
    "additionalProperties": False,
}
LEAF = {"type": "object", "properties": {"leaf": {"type": "string"}}, "required": ["leaf"]}
PAIR = {"type": "array", "items": {"type": "number"}, "minItems": 2}

HARD: dict[str, Any] = {
    "anything": {},
    "an object": {"type": "object"},
    "unbounded strings": {"type": "array", "items": {"type": "string"}},
    "nested arrays": {"type": "array", "items": {"type": "array", "items": PAIR, "minItems": 2}, "minItems": 1},
    "recursion": {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
    # Whoever always takes the first way goes down here for ever.
    "a trap": {"$defs": {"tree": {"anyOf": [BRANCH, LEAF]}}, "$ref": "#/$defs/tree"},
    "a pattern": {"type": "string", "pattern": "^[a-z]{2,}@[a-z]+\\.(com|org)$"},
    "another pattern": {"type": "string", "pattern": "^([ab]c){4}z+$"},
    "part of a string": {"type": "string", "pattern": "needle"},
    "a long string": {"type": "string", "minLength": 40},
    "bounded": {"type": "array", "items": {"type": "string", "minLength": 2, "maxLength": 3}, "maxItems": 3},
    "a date": {"type": "string", "format": "date-time"},
    "an identity": {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}, "required": ["id"]},
    "a multiple": {"type": "integer", "multipleOf": 7, "minimum": 1000},
    "a narrow number": {"type": "number", "exclusiveMinimum": 0.5, "maximum": 0.75},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    "choices": {"enum": ["ü", "日本", 'a"b\\', None, 1.5, {"x": [1]}]},
    "a constant": {"const": {"name": "Würfel\n", "list": [1, "x"]}},
    "free names": {"type": "object", "additionalProperties": {"type": "integer"}},
    "names by pattern": {
        "type": "object",
        "patternProperties": {"^x_": {"type": "null"}},
        "additionalProperties": False,
    },
    "one of": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "a type or none": {"type": ["string", "null"]},
    "many fields": {
        "type": "object",
        "properties": {f"field_{i}": {"type": ("string", "number", "array")[i % 3]} for i in range(12)},
        "required": [f"field_{i}" for i in range(12)],
        "additionalProperties": False,
    },
    "unicode names": {
        "type": "object",
        "properties": {"größe": {"type": "number"}, "名": {"type": "string"}},
        "required": ["größe", "名"],
    },
}


def is_valid(text: str, schema: Any) -> bool:
    """Whether ``text`` is JSON, and nothing else, that another library finds valid."""
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True
