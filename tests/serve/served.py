"""A server that really listens, an application to put behind the guard, and bytes sent as they are."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from pumice.errors import BlockedUrlError, ImageError, ModelError, ServerError, UsageError
from pumice.serve.guard import errors
from pumice.serve.guard.doors import caller_of, require_cluster
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.limits import json_body
from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve

FAULTS: dict[str, BaseException] = {
    "image": ImageError("cannot read image: it is <_io.BytesIO object at 0x7f3c2a1b>"),
    "url": BlockedUrlError("cannot fetch image from 'https://example.com/a/b.png': its address is not allowed"),
    "usage": UsageError("/home/someone/secret/model.bin cannot be read", hint="look into /var/lib/pumice/x"),
    "model": ModelError("/srv/models/llava has no config.json"),
    "worker": ServerError("cannot reach http://10.1.2.3:21002/v1: refused by 10.1.2.3:21002"),
    "memory": MemoryError(),
    "bug": ValueError("the password is in /etc/shadow"),
    "ours": ApiError(Failure(429, "queue_full", "64 requests wait", "try later", retry_after_s=1.5)),
}


def sample_app(drain: Drain | None = None) -> FastAPI:
    """One route of every kind that the guard has to do with."""
    app = FastAPI(openapi_url=None)
    errors.install(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> Response:
        draining = drain is not None and drain.draining
        return JSONResponse({"status": "draining" if draining else "ready"}, 503 if draining else 200)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, object]:
        caller = caller_of(request.scope)
        return {"caller": caller.name, "id": request.scope["state"]["request_id"], "cluster": caller.cluster}

    @app.post("/v1/chat/completions")
    @app.post("/v1/echo")
    async def echo(request: Request) -> dict[str, Any]:
        if drain is not None and drain.draining:
            raise ApiError(Failure(503, "draining", "this server is about to end", "try again", retry_after_s=1))
        return {"body": await json_body(request)}

    @app.get("/v1/stream")
    async def stream(pieces: int, pause_s: float) -> Response:
        async def tell() -> AsyncIterator[bytes]:
            for number in range(pieces):
                yield b"data: %d\n\n" % number
                await asyncio.sleep(pause_s)
            yield b"data: [DONE]\n\n"

        return StreamingResponse(tell(), media_type="text/event-stream")

    @app.get("/flood")
    async def flood() -> Response:
        async def tell() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(tell())

    @app.get("/fault/{name}")
    async def fault(name: str) -> None:
        raise FAULTS[name]

    inner = APIRouter()

    @inner.get("/workers/{name:path}")
    async def worker(name: str) -> dict[str, str]:
        return {"name": name}

    app.include_router(inner, prefix="/cluster")
    app.mount("/mounted", FastAPI())

    @app.post("/register_worker")
    async def register(request: Request) -> dict[str, bool]:
        require_cluster(request.scope)
        return {"registered": True}

    return app


class Running:
    """An application, served on a port of its own by a thread."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        drain: Drain | None = None,
        drain_s: float = 5,
        listening: Callable[[int], None] | None = None,
    ) -> None:
        self.drain = drain or Drain()
        self.port = 0
        self.code: int | None = None
        ready = threading.Event()

        def on_ready(port: int) -> None:
            self.port = port
            if listening is not None:
                listening(port)
            ready.set()

        def run() -> None:
            self.code = serve(app, host, 0, drain=self.drain, on_ready=on_ready, drain_s=drain_s, role="test")

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(20), "the server did not start"

    def stop(self) -> None:
        self.drain.begin()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not end"


@contextmanager
def running(app: ASGIApp, how: Doorkeeping, **options: Any) -> Iterator[Running]:
    server = Running(guarded(app, how), **options)
    try:
        yield server
    finally:
        server.stop()


def doorkeeping(folder: Path, **changes: Any) -> Doorkeeping:
    settings: dict[str, Any] = {"host": "127.0.0.1", "keys": Keys(folder), "cluster_token": None, **changes}
    return Doorkeeping(**settings)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def request(
    method: str,
    path: str,
    headers: tuple[tuple[str, bytes | str], ...] = (),
    body: bytes = b"",
    *,
    host: str = "127.0.0.1",
) -> bytes:
    """A whole request as it goes over the wire; the connection is to be closed behind it."""
    named = {name.lower() for name, _ in headers}
    own: list[tuple[str, bytes | str]] = [("Host", host)] if "host" not in named else []
    if "connection" not in named:
        own.append(("Connection", "close"))
    if method == "POST" and not {"content-length", "transfer-encoding"} & named:
        own.append(("Content-Length", str(len(body))))
    lines = [
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        for name, value in (*own, *headers)
    ]
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"\r\n".join(lines) + b"\r\n\r\n" + body


def json_request(path: str, body: bytes, *headers: tuple[str, bytes | str]) -> bytes:
    return request("POST", path, (("Content-Type", "application/json"), *headers), body)


def exchange(port: int, data: bytes, *, timeout_s: float = 20) -> bytes:
    """Sends bytes and reads until the server closes. A server that does not close makes the test fail."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        with suppress(ConnectionError):  # it may answer, and close, before it has read everything
            connection.sendall(data)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """What still comes until the connection is closed."""
    found = b""
    with suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            found += piece
    return found


def ask_and_keep(connection: socket.socket, path: str) -> Answer:
    """One request with a short answer on a connection that stays open."""
    connection.sendall(request("GET", path, (("Connection", "keep-alive"),)))
    found = b""
    while not (parsed := answers(found)):
        piece = connection.recv(1 << 16)
        assert piece, "the server hung up"
        found += piece
    return parsed[0]


class _Recorded:
    def __init__(self, data: bytes) -> None:
        self._file = _Unclosed(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self._file


class _Unclosed(io.BytesIO):
    """The parser closes its file behind each answer, where the next one begins."""

    def close(self) -> None:
        pass


def answers(raw: bytes, method: str = "GET") -> list[Answer]:
    """The answers in what a server sent, one behind the other."""
    recorded, found = _Recorded(raw), []
    while True:
        parser = HTTPResponse(cast(socket.socket, recorded), method=method)
        try:
            parser.begin()
            body = parser.read()
        except HTTPException:  # nothing more, or not yet
            return found
        found.append(Answer(parser.status, {name.lower(): value for name, value in parser.getheaders()}, body))


def ask(port: int, data: bytes) -> Answer:
    """The one answer to one request."""
    found = answers(exchange(port, data), data.partition(b" ")[0].decode("latin-1"))
    assert len(found) == 1, found
    return found[0]


def get(port: int, path: str, *headers: tuple[str, bytes | str], host: str = "127.0.0.1") -> Answer:
    return ask(port, request("GET", path, headers, host=host))
