"""An OpenAI-compatible server on loopback whose answers are scripted, for clients of the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

Script = Callable[[list[dict[str, Any]]], AsyncIterator[str]]


def words_of(message: dict[str, Any]) -> str:
    """The text of a message of a request."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def pictures_of(message: dict[str, Any]) -> list[str]:
    """The pictures of a message of a request, as data URIs."""
    content = message["content"]
    return [] if isinstance(content, str) else [part["image_url"]["url"] for part in content if "image_url" in part]


async def echo(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Says what it was asked, and how many pictures it was shown in all."""
    yield f"You asked: {words_of(messages[-1])}. "
    yield f"I see {sum(len(pictures_of(each)) for each in messages)} pictures in {len(messages)} messages."


class FakeApi:
    """``script`` makes the pieces of an answer; ``refusal``, if set, is the status and error of every request.

    ``refusals`` are those of the next ones.
    """

    def __init__(self) -> None:
        self.script: Script = echo
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        self.finish = "stop"
        self.running = 0
        self.most_running = 0
        self.cancelled = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> FakeApi:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        models = [
            {"id": "blind", "object": "model", "input_modalities": ["text"]},
            {"id": "tiny", "object": "model", "input_modalities": ["text", "image"]},
        ]
        return web.json_response({"object": "list", "data": models})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        refusal = self.refusals.pop(0) if self.refusals else self.refusal
        if refusal is not None:
            status, error = refusal
            return web.json_response({"error": error}, status=status, headers={"x-should-retry": "false"})
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-request-id": "req-7"})
        await answer.prepare(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async for piece in self.script(body["messages"]):
                if piece == "<break off>":
                    await answer.write(b'data: {"error": {"message": "worker died", "code": "worker_failed"}}\n\n')
                    return answer
                await answer.write(_event({"content": piece}))
            await answer.write(_event({}, self.finish) + b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return answer


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
