"""Fields of annotations, read with the place in the message if one is not what it must be.

A place is whatever can be written as text; it is, only if there is something to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NoReturn, TypeGuard

from pumice.boxes import Box
from pumice.errors import UsageError

_LARGEST = 1e9  # pixels, or whatever a number says; NaN is not below it, either


def text_of(fields: Mapping[str, object], name: str, place: object) -> str:
    """A text. Raises: UsageError."""
    found = fields.get(name)
    return whole(found) if isinstance(found, str) else _wrong(fields, name, "a text", place)


def whole(text: str) -> str:
    """Without halves of characters, which JSON can hold and no file or database takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def id_of(fields: Mapping[str, object], name: str, place: object) -> str:
    """A number or a text that identifies something, as text. Raises: UsageError."""
    found = fields.get(name)
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        _wrong(fields, name, "a number or a text", place)
    return whole(str(found))


def size_of(fields: Mapping[str, object], name: str, place: object) -> int | None:
    """Pixels, None if the field is not there. Raises: UsageError."""
    found = fields.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < _LARGEST:
        _wrong(fields, name, "pixels", place)
    return round(found)


def numbers_of(fields: Mapping[str, object], names: tuple[str, ...], place: object) -> tuple[float, ...]:
    """Numbers of pixels or shares: of one field that lists four, or of a field each. Raises: UsageError."""
    listed = fields.get(names[0]) if len(names) == 1 else [fields.get(name) for name in names]
    if isinstance(listed, list) and (len(names) > 1 or len(listed) == 4):
        numbers = [float(each) for each in listed if _is_number(each)]
        if len(numbers) == len(listed):
            return tuple(numbers)
    _wrong(fields, names[0], "four numbers", place)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def clipped(box: Box) -> Box:
    """The part of the box that is in the picture, as shares of its sides."""
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in box)
    return left, top, right, bottom


def relative(name: str, place: object) -> str:
    """The name of a picture below the folder of pictures. Raises: UsageError if it leads out of there."""
    name = name.replace("\\", "/").strip()
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise UsageError(f"{place}: expected a picture's name below the folder of pictures, found {name!r}")
    return "/".join(parts)


def _wrong(fields: Mapping[str, object], name: str, expected: str, place: object) -> NoReturn:
    found = json.dumps(fields[name])[:60] if name in fields else f"none among {', '.join(fields) or 'no fields'}"
    raise UsageError(f"{place}: expected {expected} for {name!r}, found {found}")
