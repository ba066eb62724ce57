"""JSON from strangers: bounded in depth before it is parsed, and without what two parsers read differently."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from typing import NoReturn

from starlette.requests import Request

from pumice.serve.guard.errors import ApiError, Failure

MOST_DEPTH = 64
# Bytes from which on parsing takes so long that it would hold up other requests.
_LARGE = 256 << 10
_MARKS = re.compile(rb'["\[\]{}]')


async def json_body(request: Request) -> object:
    """The request's body as ``parse_json`` reads it. Raises ApiError."""
    body = await request.body()
    return await asyncio.to_thread(parse_json, body) if len(body) > _LARGE else parse_json(body)


def parse_json(body: bytes) -> object:
    """JSON as the standard has it, and nothing more.

    Refused are: more than 64 levels, a name twice in one object, NaN and numbers too large for a float, text that is
    no UTF-8 or holds half of a character or a NUL.

    Raises:
        ApiError: 400, with what is wrong.
    """
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and _depth(body) > MOST_DEPTH:
        _refuse(f"the JSON is nested deeper than {MOST_DEPTH} levels")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_constant=lambda name: _refuse(f"{name} is no number in JSON"),
        )
    except UnicodeDecodeError:
        _refuse("the body is not valid UTF-8")
    except (ValueError, RecursionError):  # also a whole number of more digits than Python reads
        _refuse("the body is not valid JSON")
    for text in _texts(value):
        if "\0" in text or not _is_whole(text):
            _refuse("a text holds a NUL or half of a character (a lone surrogate)")
    return value


def _refuse(message: str) -> NoReturn:
    raise ApiError(Failure(400, "invalid_request", message))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("an object names a field twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse("a number is too large")
    return number


def _is_whole(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting.extend(each)
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _depth(body: bytes) -> int:
    """How deep brackets are nested outside of strings; counting ends above the limit. In time linear in the length."""
    depth = deepest = at = 0
    while deepest <= MOST_DEPTH and (mark := _MARKS.search(body, at)):
        at = mark.end()
        found = mark.group()
        if found == b'"':
            at = _behind_string(body, at)
        elif found in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _behind_string(body: bytes, at: int) -> int:
    """Where the string ends that begins at ``at``: behind the first quote with an even number of backslashes."""
    while (end := body.find(b'"', at)) >= 0:
        before = end
        while before > at and body[before - 1] == 0x5C:
            before -= 1
        at = end + 1
        if (end - before) % 2 == 0:
            return at
    return len(body)
