"""JSON from strangers: bounded before it is parsed, and without what two parsers read differently."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pumice.serve.guard.errors import ApiError, Failure

MOST_DEPTH = 64
#: Commas outside of texts. A long conversation has some thousands; a million would take seconds to look through.
MOST_COMMAS = 1 << 15
# Bytes from which on parsing takes so long that it would hold up other requests.
_LARGE = 256 << 10
_MARKS = re.compile(rb'["\[\]{},]')


class StrictRequest(Request):
    """A request whose JSON is read by ``parse_json``. Raises ApiError."""

    async def json(self) -> Any:
        return await json_body(self)


class StrictRoute(APIRoute):
    """A route of FastAPI's whose body is read that way."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except HTTPException as error:  # FastAPI has put it around whatever the reading raised
                if isinstance(error.__cause__, ApiError):
                    raise error.__cause__ from None
                raise

        return handler


async def json_body(request: Request) -> object:
    """The request's body as ``parse_json`` reads it. Raises ApiError."""
    body = await request.body()
    return await asyncio.to_thread(parse_json, body) if len(body) > _LARGE else parse_json(body)


def parse_json(body: bytes, *, most_commas: int = MOST_COMMAS) -> object:
    """JSON as the standard has it, and nothing more.

    Refused are: more than 64 levels, more than ``most_commas`` commas outside of texts, a name twice in one object, NaN
    and numbers too large for a float, text that is no UTF-8 or holds half of a character or a NUL.

    Raises:
        ApiError: 400, with what is wrong.
    """
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH or body.count(b",") > most_commas:
        _refuse_too_much(body, most_commas)
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


def _refuse_too_much(body: bytes, most_commas: int) -> None:
    """Looks at brackets and commas outside of texts, up to the limits. In time linear in the length."""
    depth = commas = at = 0
    while mark := _MARKS.search(body, at):
        at = mark.end()
        found = mark.group()
        if found == b'"':
            at = _behind_string(body, at)
        elif found == b",":
            commas += 1
            if commas > most_commas:
                _refuse(f"the JSON holds more than {most_commas} values")
        elif found in b"[{":
            depth += 1
            if depth > MOST_DEPTH:
                _refuse(f"the JSON is nested deeper than {MOST_DEPTH} levels")
        else:
            depth -= 1


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
