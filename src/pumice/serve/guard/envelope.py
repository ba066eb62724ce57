"""Around a request: its id, the headers of every answer, the line in the log, and an answer to what nobody caught."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pumice.serve.guard.doors import Caller
from pumice.serve.guard.errors import Refused, failure_of, response
from pumice.serve.guard.keeping import Doorkeeping
from pumice.serve.guard.request_checks import METHODS, objection

_log = logging.getLogger(__name__)
_access = logging.getLogger("pumice.access")

_CLIENTS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked every second by machines; what comes of it is logged where it matters.
_QUIET = ("/health", "/ready", "/metrics", "/cluster/workers", "/receive_heart_beat")


class Envelope:
    """ASGI middleware, the outermost one.

    What is refused is told to ``refused``, unless ``scope["state"]["counted"]`` says that somebody else has done it.
    """

    def __init__(self, app: ASGIApp, how: Doorkeeping, refused: Refused) -> None:
        self._app = app
        self._how = how
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no role speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        scope.setdefault("state", {})["request_id"] = request_id = _request_id(Headers(scope=scope))
        answer = _Answer(send, request_id, is_page=self._how.scope == "web")
        started = time.monotonic()
        try:
            refusal = objection(scope, self._how)
            if refusal is None:
                await self._app(scope, receive, answer)
            else:
                refused = response(refusal, request_id)
                if refusal.status in (400, 413, 431):  # where this request ends may be unclear
                    refused.headers["connection"] = "close"
                if refusal.status == 405:
                    refused.headers["allow"] = ", ".join(sorted(METHODS))
                await refused(scope, receive, answer)
        except ClientDisconnect:  # in the middle of its body; nobody is there to be answered
            pass
        except Exception as error:
            _log.exception("request %s failed", request_id)
            if not answer.status:
                await response(failure_of(error), request_id)(scope, receive, answer)
            elif not answer.complete:
                raise  # nothing honest can follow: the connection is cut
        finally:
            failure = scope["state"].get("failure")
            if failure is not None and not scope["state"].get("counted"):
                self._refused(scope["method"], scope["path"], failure)
            _note(scope, answer.status, time.monotonic() - started)


class _Answer:
    """Passes an answer on, with the headers that every answer has, and remembers how far it came."""

    def __init__(self, send: Send, request_id: str, *, is_page: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._is_page = is_page
        self.status = 0
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "same-origin")  # with no-referrer, browsers hide a form's origin
            if not self._is_page:
                headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
                headers.setdefault("cache-control", "no-store")
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)


def _request_id(headers: Headers) -> str:
    """The client's own, if there is nothing in it that could hurt a log or an answer."""
    named = headers.getlist("x-request-id")
    return named[0] if len(named) == 1 and _CLIENTS_ID.fullmatch(named[0]) else f"req_{secrets.token_hex(12)}"


def _note(scope: Scope, status: int, seconds: float) -> None:
    """One line. Neither the query nor the sender's address: the one may hold a secret, the other is a person's."""
    state = scope["state"]
    caller = state.get("caller")
    _access.log(
        logging.DEBUG if scope["path"] in _QUIET else logging.INFO,
        "%s %s %s %.0f ms caller=%s id=%s",
        scope["method"],
        scope["path"][:200],
        status or "cut",
        seconds * 1000,
        caller.name if isinstance(caller, Caller) else "-",
        state["request_id"],
    )
