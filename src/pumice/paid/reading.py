"""Reads what an OpenAI-compatible server sent, in all the ways in which such servers deviate.

Whatever has a choice is an answer: it was paid for, and asking again would pay again. Missing counts are estimated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pumice.paid.answers import Usage
from pumice.paid.estimate import text_tokens
from pumice.paid.request import JSON

_MOST_TOKENS = 10**9  # beyond it, a count is a mistake
_SHOWN = 200


@dataclass(frozen=True)
class Reply:
    """What a server said, read."""

    text: str
    finish_reason: str
    usage: Usage
    request_id: str | None
    model: str


class UnreadableError(ValueError):
    """A reply without an answer in it. usage: what it charged all the same; None if it did not say."""

    def __init__(self, why: str, usage: Usage | None = None) -> None:
        super().__init__(why)
        self.usage = usage


def read(data: bytes, model: str, expected_tokens: int) -> Reply:
    """The answer in the body of a reply with status 200. Raises UnreadableError if there is none.

    model: the one that was asked. expected_tokens: of the prompt, for servers that do not count them.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise UnreadableError(f"expected JSON, found {shortened(data.decode('utf-8', 'replace'))!r}") from None
    return read_body(found, model, expected_tokens)


def read_body(found: JSON, model: str, expected_tokens: int) -> Reply:
    """The same, of JSON."""
    if not isinstance(found, Mapping):
        raise UnreadableError(f"expected a JSON object, found {shortened(str(found))!r}")
    usage = _usage(found.get("usage"))
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        error = found.get("error")
        said = error.get("message") if isinstance(error, Mapping) else error
        raise UnreadableError(shortened(str(said)) if said else "it has no choices", usage)
    message = choice.get("message")
    text, refused = _said(message if isinstance(message, Mapping) else {})
    reason = choice.get("finish_reason")
    request_id, answered_by = found.get("id"), found.get("model")
    return Reply(
        text=text,
        finish_reason="refusal" if refused else well_formed(reason) if isinstance(reason, str) else "unknown",
        usage=usage or Usage(expected_tokens, text_tokens(text), estimated=True),
        request_id=well_formed(request_id) if isinstance(request_id, str) else None,
        model=well_formed(answered_by) if isinstance(answered_by, str) else model,
    )


def shortened(text: str) -> str:
    """On one line, and no longer than a line: servers answer with whole pages of HTML."""
    line = " ".join(well_formed(text).split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


def well_formed(text: str) -> str:
    """Without the halves of characters that JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _said(message: Mapping[str, JSON]) -> tuple[str, bool]:
    """The words, and whether they are a refusal, for which there is a field of its own."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        content = "".join(part for part in parts if isinstance(part, str))
    text = content if isinstance(content, str) else ""
    refusal = message.get("refusal")
    refused = not text and isinstance(refusal, str) and bool(refusal)
    return well_formed(str(refusal) if refused else text), refused


def _usage(found: JSON) -> Usage | None:
    if not isinstance(found, Mapping):
        return None
    prompt, completion = _count(found.get("prompt_tokens")), _count(found.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = found.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return Usage(prompt, completion, min(cached or 0, prompt))


def _count(found: JSON) -> int | None:
    fine = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MOST_TOKENS
    return int(found) if fine and isinstance(found, int) else None
