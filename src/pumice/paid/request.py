"""One question to a paid model, as a value: whoever asks the same thing again gets the answer that was paid for.

Request("gpt-4o-mini", ({"role": "user", "content": "Two dice?"},), {"max_tokens": 200}).key   # "5f0c…"
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from pumice.errors import UsageError

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

# What would make one request several answers, or none that comes at once.
_REFUSED = ("model", "messages", "stream", "stream_options", "n")


@dataclass(frozen=True)
class Request:
    """What is asked of which model. Everything in it is JSON, as it stands in the body of the request.

    parameters: ``temperature``, ``max_tokens`` and whatever else the server knows.
    repeat: makes asking again a question of its own: the second of three verdicts is not the first.
    rank: whose turn it is when money does not suffice for all, the smallest first. It is no part of the question.
    """

    model: str
    messages: tuple[Mapping[str, JSON], ...]
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    repeat: int = 0
    rank: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be one question."""
        if not self.model:
            raise UsageError("a request needs the name of a model, found none")
        if not self.messages:
            raise UsageError("a request needs at least one message, found none")
        if refused := [name for name in _REFUSED if name in self.parameters]:
            raise UsageError(f"a request cannot have the parameter {refused[0]!r}: one question gets one whole answer")

    @property
    def body(self) -> dict[str, JSON]:
        """What is sent."""
        return {"model": self.model, "messages": self.messages, **self.parameters}

    @property
    def max_tokens(self) -> int | None:
        """The most tokens of an answer; None if nothing says so."""
        for name in ("max_completion_tokens", "max_tokens"):
            most = self.parameters.get(name)
            if isinstance(most, int) and not isinstance(most, bool):
                return most
        return None

    @cached_property
    def key(self) -> str:
        """SHA-256 of the question in hexadecimal: equal for equal questions, however their fields are ordered.

        Raises: UsageError if something in it is not JSON.
        """
        asked: JSON = [self.model, self.messages, self.parameters, self.repeat]
        try:
            text = json.dumps(_settled(asked), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"a request must be JSON: {error}") from None
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def _settled(value: JSON) -> JSON:
    """The same with 1.0 as 1: JSON knows one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _settled(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_settled(each) for each in value]
    return value
