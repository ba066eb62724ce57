"""The kinds of values that a setting can have: what they are called, and how each is read.

Reading is Pydantic's core alone: 40 ms, and only for those who set something. All of pydantic-settings takes 240.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


def expected(kind: Any) -> str:
    """A type in words."""
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", Path: "a path"}
    kind = _present(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return "a list of texts" if get_origin(kind) is list else words[kind]


def read_text(kind: Any, text: str) -> object:
    """What a variable of the environment says. A list is JSON, or its only entry. Raises ValueError."""
    from pydantic_core import SchemaValidator

    reader = SchemaValidator(_schema(kind))
    if get_origin(_present(kind)) is list:
        return reader.validate_json(text) if text.startswith("[") else [text]
    return reader.validate_strings(cast(Any, text))  # typed as if only objects had fields to read


def read_toml(kind: Any, value: object) -> object:
    """What a file says; a text is not taken for a number. Raises ValueError."""
    from pydantic_core import SchemaValidator

    return SchemaValidator(_schema(kind)).validate_json(json.dumps(value, default=_nothing_known), strict=True)


def _nothing_known(_: object) -> object:
    """In place of TOML's dates, which no setting is."""
    return {}


def _present(kind: Any) -> Any:
    """``X`` of ``X | None``."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    (one,) = (each for each in get_args(kind) if each is not NoneType)
    return one


def _schema(kind: Any) -> CoreSchema:
    from pydantic_core import core_schema as make

    plain: dict[Any, Callable[[], CoreSchema]] = {
        float: make.float_schema,
        int: make.int_schema,
        bool: make.bool_schema,
        str: make.str_schema,
        Path: lambda: make.no_info_after_validator_function(Path, make.str_schema()),
    }
    kind = _present(kind)
    if get_origin(kind) is Literal:
        return make.literal_schema(list(get_args(kind)))
    return make.list_schema(make.str_schema()) if get_origin(kind) is list else plain[kind]()
