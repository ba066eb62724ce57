"""What of Gradio's server a browser may reach: the handful of routes that the page needs, with paths of our own.

Gradio offers many more, some of which fetch what a request names. A file in a request must be one of ours, whatever
Gradio would make of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pumice.serve.guard.errors import ApiError, Failure, request_id_of, response
from pumice.serve.guard.limits import parse_json

_OPEN = {
    "GET": (
        "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/assets/", "/static/", "/svelte/",
        "/gradio_api/startup-events", "/gradio_api/queue/data", "/gradio_api/heartbeat/",
        "/gradio_api/upload_progress", "/gradio_api/file=", "/gradio_api/info",
    ),
    "POST": (
        "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/cancel", "/gradio_api/upload",
        "/gradio_api/reset",
    ),
}  # fmt: skip
_OPEN["HEAD"] = ("/gradio_api/file=",)
_UPLOAD = "/gradio_api/upload"
_MOST_JSON = 8 << 20
_MOST_COMMAS = 1 << 18  # a visitor's earlier conversations are sent along
# Scripts and styles stand inside Gradio's page; what counts is that nothing is loaded from, or sent, elsewhere.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Gate:
    """ASGI middleware around Gradio's application. folders: where files in requests may lie."""

    def __init__(self, app: ASGIApp, folders: Iterable[Path]) -> None:
        self._app = app
        self._folders = tuple(folder.resolve() for folder in folders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        asked, method = scope["path"][len(scope.get("root_path", "")) :] or "/", scope["method"]
        try:
            if not _is_open(method, asked):
                raise ApiError(Failure(404, "not_found", "there is nothing here"))
            if method == "POST" and asked != _UPLOAD:
                body = await _body(receive)
                self._require_ours(parse_json(body, most_commas=_MOST_COMMAS) if body else None)
                receive = _again(body, receive)
        except ApiError as error:
            await response(error.failure, request_id_of(scope))(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _require_ours(self, found: object) -> None:
        """Raises ApiError if a request names a file that is none of this page's."""
        if not all(self._is_ours(path) for path in _files(found)):
            raise ApiError(Failure(403, "forbidden", "a file of the request is none of this page's"))

    def _is_ours(self, named: Any) -> bool:
        if not isinstance(named, str):
            return False
        try:
            real = Path(named).resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(real.is_relative_to(folder) for folder in self._folders)


class PageMount(Mount):
    """The page at ``/``. It takes its own addresses alone, so that the API's own still know a wrong method as one."""

    def __init__(self, gate: Gate) -> None:
        super().__init__("/", gate)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        asked = scope.get("path", "")[len(scope.get("root_path", "")) :] or "/"
        if not any(_is_open(method, asked) for method in _OPEN):
            return Match.NONE, {}
        return super().matches(scope)


def _is_open(method: str, asked: str) -> bool:
    if asked == "/":
        return method in ("GET", "HEAD")
    return any(asked == door or (door[-1] in "/=" and asked.startswith(door)) for door in _OPEN.get(method, ()))


def _files(found: Any) -> Iterable[Any]:
    """The path of everything in a request that may be a file."""
    todo = [found]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            if "path" in each:
                yield each["path"]
            todo.extend(each.values())
        elif isinstance(each, list):
            todo.extend(each)


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises ApiError if it is too long."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(parts)
        parts += message.get("body", b"")
        if len(parts) > _MOST_JSON:
            raise ApiError(Failure(413, "request_too_large", f"expected at most {_MOST_JSON >> 20} MiB"))
        if not message.get("more_body"):
            return bytes(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands a body out that was read already, then goes on as before."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name for name, _ in message.get("headers", [])}
            extra = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in known]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return add
