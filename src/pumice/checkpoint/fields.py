"""Typed access to a foreign JSON object, with messages that say where and what."""

from __future__ import annotations

from collections.abc import Mapping

from pumice.errors import ModelError


class Fields:
    """A JSON object whose fields are read one by one; a field set to null counts as absent.

    Every reader takes a default; without one the field must be there. Raises ModelError for a wrong type.
    """

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self.values = values
        self.where = where

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._get(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._wrong(name, "a whole number", value)

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        value = self._get(name, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise self._wrong(name, "a number", value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._get(name, default)
        if isinstance(value, bool):
            return value
        raise self._wrong(name, "true or false", value)

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        value = self._get(name, default)
        if isinstance(value, str):
            return value
        raise self._wrong(name, "a text", value)

    def inner(self, name: str) -> Fields:
        """An object inside this one; empty if it is absent."""
        value = self.values.get(name)
        if value is None:
            return Fields({}, f"{self.where}: {name}")
        if isinstance(value, dict):
            return Fields(value, f"{self.where}: {name}")
        raise self._wrong(name, "an object", value)

    def items(self, name: str) -> list[object]:
        """A list; empty if it is absent."""
        value = self._get(name, [])
        if isinstance(value, (list, tuple)):
            return list(value)
        raise self._wrong(name, "a list", value)

    def refuse(self, name: str, *harmless: object) -> None:
        """Raises ModelError if the field is set to anything but null, false, or a ``harmless`` value."""
        value = self.values.get(name)
        if value not in (None, False, *harmless):
            raise ModelError(f"{self.where}: {name} = {_brief(value)} is not supported")

    def _get(self, name: str, default: object) -> object:
        value = self.values.get(name)
        if value is not None:
            return value
        if default is None:
            raise ModelError(f"{self.where}: the field {name!r} is missing")
        return default

    def _wrong(self, name: str, expected: str, value: object) -> ModelError:
        return ModelError(f"{self.where}: {name} must be {expected}, found {_brief(value)}")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
