"""A worker with the bundled model, and one whose answers are scripted, both on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2

from pumice.engine.engine import Engine
from pumice.images.fetch import FetchPolicy
from pumice.serve.api.answers import ModelCard, PromptDetails, TokenCount, Usage
from pumice.serve.api.app import create_app
from pumice.serve.api.events import Accepted, Event, Finish, Piece, Used
from pumice.serve.api.ledger import Ledger
from pumice.serve.api.schema import ChatRequest, TokenizeRequest
from pumice.serve.guard.errors import Failure
from pumice.serve.guard.run import Drain
from pumice.serve.worker.app import Worker
from pumice.serve.worker.service import EngineService, Limits
from serve.served import Running, doorkeeping, running

MODEL = "pumice-tiny"
TOKEN = "a-cluster-token-of-tests"
#: An answer that goes on for long: the bundled model's own are short.
LONG = {
    "type": "json_schema",
    "json_schema": {"name": "coins", "schema": {"type": "array", "minItems": 300, "items": {"type": "boolean"}}},
}


@lru_cache
def bundled() -> Engine:
    """Loaded once for all tests of a process."""
    return Engine.load()


@contextmanager
def real_worker(folder: Path, *, fetch: FetchPolicy | None = None, **limits: Any) -> Iterator[Running]:
    service = EngineService(bundled(), MODEL, Limits(**limits), fetch=fetch)
    drain = Drain()
    made = Worker(service, drain, TOKEN)
    with running(made.app, doorkeeping(folder), drain=drain) as server:
        server.service, server.worker = service, made  # type: ignore[attr-defined]
        yield server


@dataclass
class Scripted:
    """A backend that says what a test wants: texts, pauses in seconds, and errors."""

    script: Sequence[str | float | BaseException] = ("Two ", "dice.")
    asked: list[ChatRequest] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    refusal: BaseException | None = None
    failure: Failure | None = None

    async def chat(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Event]:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        how = "dropped"
        try:
            yield Accepted()
            for step in self.script:
                if isinstance(step, BaseException):
                    how = "failed"
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield Piece(0, step)
            yield Finish(0, "stop")
            yield Used(
                Usage(
                    prompt_tokens=9,
                    completion_tokens=2,
                    total_tokens=11,
                    prompt_tokens_details=PromptDetails(image_tokens=4),
                )
            )
            how = "whole"
        finally:
            self.ended.append(how)

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard(id=MODEL, input_modalities=["text", "image"], max_model_len=4096)]

    async def count(self, request: TokenizeRequest, request_id: str) -> TokenCount:
        return TokenCount(count=3, max_model_len=4096)

    async def unready(self) -> Failure | None:
        return self.failure


@contextmanager
def scripted(folder: Path, backend: Scripted, *, drain_s: float = 5, **changes: Any) -> Iterator[Running]:
    drain = Drain()
    ledger = Ledger()
    app = create_app(backend, ledger, drain)
    with running(app, doorkeeping(folder, **changes), drain=drain, drain_s=drain_s) as server:
        server.ledger = ledger  # type: ignore[attr-defined]
        yield server


def picture(project: Path, name: str = "dice.png") -> dict[str, Any]:
    data = base64.b64encode((project / "examples" / name).read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def body(*content: Any, **more: Any) -> dict[str, Any]:
    """A request about these parts, texts as they are."""
    parts = [{"type": "text", "text": each} if isinstance(each, str) else each for each in content]
    return {"model": MODEL, "messages": [{"role": "user", "content": parts}], **more}


def post(port: int, value: object, path: str = "/v1/chat/completions", **headers: str) -> httpx2.Response:
    return httpx2.post(f"http://127.0.0.1:{port}{path}", json=value, headers=headers, timeout=60, trust_env=False)


def events(response_text: str) -> list[Any]:
    """The data of a stream's events."""
    return [
        line[6:] if line[6:] == "[DONE]" else json.loads(line[6:])
        for line in response_text.split("\n")
        if line.startswith("data: ")
    ]


def figures(port: int) -> dict[str, float]:
    """What /metrics says of requests."""
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
    found = {}
    for line in text.splitlines():
        if line.startswith("pumice_requests"):
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("pumice_requests_").replace('total{outcome="', "").rstrip('"}')] = float(value)
    return found


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something that another thread or process is about to do."""
    import time

    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
