"""Words for what was found in a line of JSON, and in place of pydantic's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pumice.errors import UsageError
from pumice.near import did_you_mean, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_LONGEST = 60
_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_LENGTHS = {"string_too_short": "a text that is not empty", "string_too_long": "a shorter text"}


def found(value: object) -> str:
    """A value of JSON as its writer knows it; what may be long by its kind."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def refusal(kind: type[BaseModel], error: ValidationError, hint: str) -> UsageError:
    """The first thing that keeps a line from being a ``kind``, whose fields are plain values and lists of models."""
    first = error.errors(include_url=False)[0]
    *outer, last = (str(each) for each in first["loc"])
    if first["type"] == "extra_forbidden":
        inside = kind if not outer else _held_in(kind, outer[0])
        known = [field.alias or name for name, field in inside.model_fields.items()]
        where = f"{'.'.join(outer)}: " if outer else ""
        return UsageError(f"{where}unknown field {last!r}", hint=did_you_mean(nearest(last, known), hint))
    field = kind.model_fields.get(str(first["loc"][0]))
    if field is not None and field.description is not None:  # a choice of kinds: pydantic complains of each by itself
        place, expected = str(first["loc"][0]), _LENGTHS.get(first["type"], field.description)
    else:
        place, expected = ".".join([*outer, last]), _expected(first)
    if first["type"] == "missing":
        return UsageError(f"{place} is missing", hint=hint)
    return UsageError(f"{place}: expected {expected}, found {found(first['input'])}", hint=hint)


def _held_in(kind: type[BaseModel], name: str) -> type[BaseModel]:
    """The model in the list ``name`` of ``kind``."""
    held: type[BaseModel] = kind.model_fields[name].annotation.__args__[0]  # type: ignore[union-attr]
    return held


def _expected(first: Any) -> str:
    if first["type"] == "literal_error":
        return str(first["ctx"]["expected"]).replace("'", '"')
    return _EXPECTED.get(first["type"], "something else")
