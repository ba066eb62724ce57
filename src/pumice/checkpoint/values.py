"""Frozen dataclasses to JSON and back, strictly: an unknown, missing or ill-typed field is an error."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pumice.errors import ModelError, PumiceError
from pumice.near import did_you_mean, nearest

T = TypeVar("T")


def to_json(value: object) -> object:
    """Plain JSON values for a dataclass of numbers, texts, tuples and other dataclasses."""
    if is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], value: object, where: str) -> T:
    """The dataclass ``kind`` described by a JSON object. ``where`` names the place in messages.

    Raises:
        ModelError: a field is unknown, missing, of the wrong type, or its value is refused by the dataclass.
    """
    return cast(T, _read(kind, value, where))


def _read(kind: object, value: object, where: str) -> object:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_optional(arguments, value, where)
    if origin is Literal:
        if value in arguments:
            return value
        raise ModelError(f"{where} must be one of {', '.join(map(repr, arguments))}, found {value!r}")
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    return _read_plain(kind, value, where)


def _read_optional(kinds: tuple[object, ...], value: object, where: str) -> object:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (each for each in kinds if each is not type(None))
    return _read(kind, value, where)


def _read_tuple(kinds: tuple[object, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ModelError(f"{where} must be a list, found {value!r}")
    if kinds[-1:] == (Ellipsis,):
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ModelError(f"{where} must be a list of {len(kinds)}, found {len(value)} values")
    return tuple(
        _read(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _read_dataclass(kind: type, value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise ModelError(f"{where} must be an object, found {value!r}")
    known = {each.name: each for each in fields(kind)}
    for name in value:
        if name not in known:
            otherwise = "a newer version of Pumice may know it: upgrade"
            hint = did_you_mean(nearest(name, known), otherwise, shown=repr)
            raise ModelError(f"{where}: unknown field {name!r}", hint=hint)
    for name, each in known.items():
        if name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise ModelError(f"{where}: the field {name!r} is missing")
    hints = get_type_hints(kind)
    values = {name: _read(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**values)
    except PumiceError as error:
        raise ModelError(f"{where}: {error}", hint=error.hint) from error


def _read_plain(kind: object, value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    raise ModelError(f"{where} must be of type {name}, found {value!r}")
