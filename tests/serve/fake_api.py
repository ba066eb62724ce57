"""An OpenAI-compatible server on a real socket that says what a test scripted, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

IMAGES = {
    "mode": "pad",
    "tile_size": 336,
    "tokens": 576,
    "patch_size": 14,
    "merge": "flat",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
}


@dataclass(frozen=True)
class Script:
    """One answer: pieces of text, ``delay`` seconds apart, then how it ends.

    refusal: status, error and headers instead of an answer. error: an event in the stream instead of an end.
    cut: the connection is closed without a word after the pieces.
    """

    pieces: tuple[str, ...] = ("A ", "short ", "answer.")
    delay: float = 0.0
    finish: str = "stop"
    refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None
    error: dict[str, Any] | None = None
    cut: bool = False


@dataclass
class FakeApi:
    """Use as a context manager. The scripts are used up one by one; without one, the default answer is given.

    open: streams under way. closed_by_client: streams that were left before their end, and when.
    """

    models: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    scripts: deque[Script] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    open: int = 0
    closed_by_client: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def will(self, *scripts: Script) -> None:
        """What comes next."""
        self.scripts.extend(scripts)

    def reset(self) -> None:
        self.scripts.clear()
        self.requests.clear()
        self.closed_by_client.clear()

    def __enter__(self) -> FakeApi:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _models(self, request: Request) -> Response:
        self.keys.append(request.headers.get("authorization"))
        return JSONResponse({"object": "list", "data": self.models})

    async def _chat(self, request: Request) -> Response:
        self.requests.append(await request.json())
        number = f"req-{len(self.requests)}"
        script = self.scripts.popleft() if self.scripts else Script()
        if script.refusal is not None:
            status, error, headers = script.refusal
            return JSONResponse({"error": {**error, "request_id": number}}, status, {**headers, "x-request-id": number})
        return StreamingResponse(
            self._stream(script, number), media_type="text/event-stream", headers={"x-request-id": number}
        )

    async def _stream(self, script: Script, number: str) -> AsyncIterator[str]:
        self.open += 1
        ended = False
        try:
            for piece in script.pieces:
                yield _event({"index": 0, "delta": {"content": piece}, "finish_reason": None})
                await asyncio.sleep(script.delay)
            ended = True
            if script.cut:
                raise asyncio.CancelledError  # closes the connection, and nobody writes about it
            if script.error is not None:
                yield f"data: {json.dumps({'error': {**script.error, 'request_id': number}})}\n\n"
                return
            yield _event({"index": 0, "delta": {}, "finish_reason": script.finish})
            yield "data: [DONE]\n\n"
        finally:
            self.open -= 1
            if not ended:
                self.closed_by_client.append(time.monotonic())


def model(name: str, **facts: Any) -> dict[str, Any]:
    """An entry of the list of models, of one that sees pictures."""
    known = {"input_modalities": ["text", "image"], "max_model_len": 2048, "images": IMAGES}
    return {"id": name, "object": "model", "created": 0, "owned_by": "tests", **known, **facts}


def pictures_in(messages: Iterable[dict[str, Any]]) -> list[str]:
    """The URLs of all pictures in a request."""
    return [
        part["image_url"]["url"]
        for each in messages
        if isinstance(each["content"], list)
        for part in each["content"]
        if part["type"] == "image_url"
    ]


def wait_until(true: Any, seconds: float = 10.0) -> None:
    """Returns once ``true()`` holds; fails the test if it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def _event(choice: dict[str, Any]) -> str:
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"
