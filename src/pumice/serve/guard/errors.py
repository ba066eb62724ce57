"""What a server says when it refuses or fails: one shape, OpenAI's, with a code, a hint and the request's id.

Handlers raise ``ApiError``; everything else that is raised becomes a ``Failure`` here. What is not ours says nothing
about the server: no path, no address, no traceback.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pumice.errors import (
    AuthError,
    BlockedUrlError,
    ImageError,
    MemoryLimitError,
    ModelError,
    NoVisionError,
    PumiceError,
    ServerError,
    TooLongError,
    UsageError,
    lacks_memory,
)

_log = logging.getLogger(__name__)

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# The code of a status that a framework chose.
_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit",
    431: "request_too_large",
    502: "worker_failed",
    503: "no_worker",
    504: "deadline_exceeded",
}
# A second try would end the same way; clients that try again by themselves are told so.
_HOPELESS = {"internal_error", "deadline_exceeded"}

#: Every code that we give. Upstream servers have their own.
CODES = frozenset(_CODES.values()) | {
    *("invalid_request", "unsupported_parameter", "invalid_image", "context_length_exceeded"),
    *("model_does_not_support_images", "model_not_found", "url_not_allowed", "queue_full"),
    *("internal_error", "draining", "loading", "out_of_memory", "stalled"),
}

_PATH = re.compile(r"""(?<![\w/:.])(?:/[^\s/'":]+){2,}/?|\b[A-Za-z]:\\[^\s'"]+""")
_MEMORY_ADDRESS = re.compile(r"(?: (?:object )?at )?0x[0-9a-fA-F]{6,}")
_PLACE_IN_NETWORK = re.compile(r"""https?://[^\s'"]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b""")


@dataclass(frozen=True)
class Failure:
    """One refusal or failure, as the client is told.

    code: what a program looks at. param: the field that is wrong. retry_after_s: when another try makes sense.
    """

    status: int
    code: str
    message: str
    hint: str | None = None
    param: str | None = None
    retry_after_s: float | None = None

    @property
    def kind(self) -> str:
        """OpenAI's ``type``."""
        return _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")

    def body(self, request_id: str) -> dict[str, dict[str, str | None]]:
        """The JSON object that is sent."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code, "hint": self.hint}
        return {"error": {name: _encodable(value) for name, value in error.items()} | {"request_id": request_id}}


class ApiError(PumiceError):
    """Raised in a handler: the answer is this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """What the client is told of any exception."""
    if isinstance(error, ApiError):
        return error.failure
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, MemoryLimitError) or lacks_memory(error):
        return Failure(503, "out_of_memory", "not enough memory for this request", "ask for less", retry_after_s=5)
    if isinstance(error, ModelError):  # its words are about files on the server
        hint = "GET /v1/models lists those that are there"
        return Failure(404, "model_not_found", "this model is not available on the server", hint)
    if isinstance(error, AuthError):  # the client's own key was checked at the door
        return Failure(502, "worker_failed", "a worker refused this server's token")
    for kind, status, code in (
        (TooLongError, 400, "context_length_exceeded"),
        (NoVisionError, 400, "model_does_not_support_images"),
        (BlockedUrlError, 403, "url_not_allowed"),
        (ImageError, 400, "invalid_image"),
        (UsageError, 400, "invalid_request"),
    ):
        if isinstance(error, kind):
            return Failure(status, code, _discreet(str(error)), error.hint and _discreet(error.hint))
    if isinstance(error, ServerError):
        words = _PLACE_IN_NETWORK.sub("(an address)", _discreet(str(error)))
        return Failure(502, "worker_failed", words, "try again")
    return Failure(500, "internal_error", "something went wrong on the server", "the server's log knows the request id")


#: Is told the method, the address and the reason of what was refused.
Refused: TypeAlias = Callable[[str, str, Failure], None]


class _Refusal(JSONResponse):
    """Leaves what it says in the scope, for those who count."""

    def __init__(self, failure: Failure, request_id: str, headers: dict[str, str]) -> None:
        super().__init__(failure.body(request_id), failure.status, headers)
        self._failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["failure"] = self._failure
        await super().__call__(scope, receive, send)


def response(failure: Failure, request_id: str) -> JSONResponse:
    """The answer on the wire, with what clients need to know for another try."""
    headers = {"x-request-id": request_id}
    if failure.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(failure.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(failure.retry_after_s * 1000))
    if failure.code in _HOPELESS:
        headers["x-should-retry"] = "false"
    if failure.status == 401:
        headers["www-authenticate"] = "Bearer"
    return _Refusal(failure, request_id, headers)


def request_id_of(scope: Scope) -> str:
    """The id that ``guarded`` has given to the request; a dash outside of it."""
    return str(scope.get("state", {}).get("request_id", "-"))


def install(app: FastAPI) -> None:
    """Makes every error of ``app`` come in this shape."""
    for kind in (ApiError, PumiceError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    failure, request_id = failure_of(error), request_id_of(request.scope)
    if isinstance(error, PumiceError) and not isinstance(error, ApiError) and failure.status >= 500:
        _log.error("request %s failed: %s", request_id, error)
    answer = response(failure, request_id)
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})
    return answer


def _of_http(error: HTTPException) -> Failure:
    status = error.status_code
    code = _CODES.get(status, "internal_error" if status >= 500 else "invalid_request")
    words = {
        404: "there is nothing at this address",
        405: "this address does not know that method",
        413: "the request's body is too large",
    }
    return Failure(status, code, words.get(status) or _discreet(str(error.detail)))


def _of_validation(error: RequestValidationError) -> Failure:
    """The first field that is wrong. What was found there is not repeated: it may be a picture."""
    wrong = error.errors()
    first = wrong[0]
    if first["type"] == "json_invalid":
        return Failure(400, "invalid_request", "the body is not valid JSON")
    if first["type"] in _OTHER_KIND:  # of a choice between kinds, what is wrong with the one that was sent
        first = next((each for each in wrong if each["loc"][:2] == first["loc"][:2] and _tells_more(each)), first)
    place = _place(first, error.body)
    if not place and first["type"] in ("missing", *_OTHER_KIND):
        return Failure(400, "invalid_request", "expected a JSON object")
    if first["type"] in ("unsupported_parameter", "extra_forbidden"):
        return Failure(400, "unsupported_parameter", f"{place} is not supported by this server", param=place or None)
    words = _words(first)
    return Failure(400, "invalid_request", f"{place}: {words}" if place else words, param=place or None)


_OTHER_KIND = ("string_type", "list_type", "model_type", "dict_type", "model_attributes_type")


def _tells_more(wrong: Mapping[str, Any]) -> bool:
    return wrong["type"] not in _OTHER_KIND


def _words(wrong: Mapping[str, Any]) -> str:
    if wrong["type"] == "union_tag_invalid":
        return f"expected a type that is one of {wrong['ctx']['expected_tags']}"
    if wrong["type"] == "union_tag_not_found":
        return "expected an object with a type"
    words = str(wrong["msg"]).removeprefix("Value error, ")
    return words[:1].lower() + words[1:]


def _place(wrong: Mapping[str, Any], body: object) -> str:
    """Where it is, by names that stand in the request: pydantic also tells the branches of its choices."""
    where = list(wrong["loc"])
    if where[:1] != ["body"]:
        return ".".join(map(str, where))
    found: list[str] = []
    value: Any = body
    for index, each in enumerate(where[1:], 2):
        if (isinstance(value, dict) and each in value) or (isinstance(value, list) and each in range(len(value))):
            value = value[each]
        elif wrong["type"] != "missing" or index < len(where):
            continue
        found.append(str(each))
    return ".".join(found)


def _discreet(text: str) -> str:
    """Without the server's own paths and addresses in memory."""
    return _MEMORY_ADDRESS.sub("", _PATH.sub("(a file)", text))


def _encodable(text: str | None) -> str | None:
    """Half of a character, which a client may have sent, has no bytes to be answered with."""
    return text if text is None else text.encode("utf-8", "replace").decode("utf-8")
