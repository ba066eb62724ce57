"""How short a JSON text that is valid under a schema can be at the least: told from the schema alone, in no time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: Schemas within schemas that are looked into.
DEEPEST = 24
_REPEATS = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_DIGITS = 12  # of a number that is looked at: more of them are too many anyway


def least_bytes(schema: Any, depth: int = 0) -> int:
    """A bound that holds for every valid text; there need not be one so short. What is not understood counts as 1."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return 1
    bounds = [_value(schema["const"])] if "const" in schema else []
    for name, of_many in (("anyOf", min), ("oneOf", min), ("allOf", max)):
        if isinstance(schema.get(name), list) and schema[name]:
            bounds.append(of_many(least_bytes(each, depth + 1) for each in schema[name]))
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        bounds.append(min(map(_value, schema["enum"])))
    if schema.get("type") == "string":
        bounds.append(2 + _count(schema, "minLength"))
    elif schema.get("type") == "array":
        bounds.append(_array(schema, depth))
    elif schema.get("type") == "object":
        bounds.append(_object(schema, depth))
    return max(bounds, default=1)


def longest_repeat(patterns: Iterable[str]) -> int:
    """The largest number of repetitions that regular expressions name, as in ``a{1000}`` or ``a{1,1000}``."""
    bounds = (bound for pattern in patterns for both in _REPEATS.findall(pattern) for bound in both)
    return max((int(bound.lstrip("0")[:_DIGITS] or 0) for bound in bounds), default=0)


def _array(schema: dict[str, Any], depth: int) -> int:
    many = _count(schema, "minItems")
    each = 1 if "prefixItems" in schema else least_bytes(schema.get("items"), depth + 1)
    return 2 + many * each + max(0, many - 1)


def _object(schema: dict[str, Any], depth: int) -> int:
    known, required = schema.get("properties"), schema.get("required")
    properties = known if isinstance(known, dict) else {}
    names = [each for each in required if isinstance(each, str)] if isinstance(required, list) else []
    members = sum(len(name) + 3 + least_bytes(properties.get(name), depth + 1) for name in names)
    return 2 + members + max(0, len(names) - 1)


def _value(value: Any) -> int:
    """A text has its characters and quotes; what else there is may be written in several ways."""
    return 2 + len(value) if isinstance(value, str) else 1


def _count(schema: dict[str, Any], name: str) -> int:
    found = schema.get(name)
    return found if isinstance(found, int) and found > 0 else 0
