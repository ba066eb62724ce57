"""The original's stream: JSON objects, each followed by a zero byte, each with the whole text so far, prompt included.

Errors come in the same form. The original's words for all of them were the same; what really happened stands in a
field of its own, ``error``, which its clients do not look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, TypeAlias

from pumice.errors import ServerError

END = b"\0"
#: Bytes of one message. A context of 128 000 tokens, half of them escaped as JSON does it, is a quarter of this.
LONGEST = 8 << 20
#: The words that the original's clients show, and compare with.
TROUBLE = "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**"
TOO_LONG = "Exceeds max token length. Please start a new conversation, thanks."

#: 1: the worker failed; 2: no worker has the model; 3: the worker cannot be reached, or broke off.
Code: TypeAlias = Literal[1, 2, 3]


def message(text: str, error: Mapping[str, object] | None = None) -> bytes:
    """Everything so far, prompt included. error: why nothing follows, where the original told it as an answer."""
    return _line({"text": text, "error_code": 0} | ({"error": dict(error)} if error else {}))


def trouble(code: Code, error: Mapping[str, object]) -> bytes:
    """The last message of a stream that fails. error: what happened, in the shape of our own API."""
    return _line({"text": TROUBLE, "error_code": code, "error": dict(error)})


class Joiner:
    """Puts together the messages of a stream that comes in parts, however it was cut."""

    def __init__(self) -> None:
        self._held = b""

    def whole(self, part: bytes) -> bytes:
        """What is complete with ``part``: no, one or several messages, each with its end.

        Raises: ServerError for a message that does not end within bounds.
        """
        whole, end, self._held = (self._held + part).rpartition(END)
        if len(self._held) > LONGEST:
            raise ServerError("the worker sends a message without end")
        return whole + end

    def finish(self) -> None:
        """The stream has ended. Raises: ServerError if it did so in the middle of a message."""
        if self._held:
            raise ServerError("the worker broke off in the middle of a message")


def _line(value: Mapping[str, object]) -> bytes:
    # The default form escapes what is not ASCII, half of a character included: clients cut where they like.
    return json.dumps(value).encode("ascii") + END
