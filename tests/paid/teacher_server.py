"""An OpenAI-compatible teacher that really listens, keeps books of what it charges, and misbehaves as planned.

    with teaching(lambda messages: "Two dice.", faults={"error": 0.1, "drop": 0.05}) as teacher:
        ...  # ask teacher.url
        assert teacher.books.answered == ...

As a program it gives a fixed answer, for measurements; from the folder of tests: ``python -m paid.teacher_server``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from paid.teacher_batches import Batches, broken

Reply: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], str]

REFUSAL = "I'm sorry, but I can't help with that request."
NONSENSE = "florp ]] 17 ;; == the the the the the == quux {"
# Faults of the words: the same each time that the same is asked, and paid for.
OF_WORDS = ("refusal", "nonsense", "null", "long")
# Faults of the way: drawn anew for each sending, at most `most_faults` times for the same question.
OF_THE_WAY = ("limited", "error", "gateway", "hang", "drop", "cut", "html", "empty", "silent", "forbidden")


@dataclass
class Charges:
    """Tokens that were charged for."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def add(self, usage: Mapping[str, Any]) -> None:
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        self.cached_tokens += usage["prompt_tokens_details"]["cached_tokens"]

    def cost(self, price: Any) -> float:
        """USD at a ``pumice.paid.prices.Price``."""
        return float(price.cost(self.prompt_tokens, self.completion_tokens, self.cached_tokens))


@dataclass
class Books:
    """What a teacher was asked and charged for. Keys are hashes of whole requests."""

    asked: Counter[str] = field(default_factory=Counter)  # sendings that arrived, by request
    answered: Counter[str] = field(default_factory=Counter)  # whole answers that were sent, all charged
    faults: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)  # when each sending arrived
    whole: Charges = field(default_factory=Charges)  # of the answers
    spoilt: Charges = field(default_factory=Charges)  # of replies that said what they took, and had no answer
    lost: Charges = field(default_factory=Charges)  # of answers that were cut off
    in_flight: int = 0
    most_in_flight: int = 0
    authorization: set[str | None] = field(default_factory=set)


@dataclass
class Bucket:
    """A limit that the server enforces and tells in its headers: ``capacity`` requests, and ``per_s`` more a second."""

    capacity: int
    per_s: float

    def __post_init__(self) -> None:
        self._level, self._stamp = float(self.capacity), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._level = min(self.capacity, self._level + (now - self._stamp) * self.per_s)
        self._stamp = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def headers(self) -> dict[str, str]:
        reset_ms = (self.capacity - self._level) / self.per_s * 1000
        return {
            "x-ratelimit-limit-requests": str(self.capacity),
            "x-ratelimit-remaining-requests": str(int(self._level)),
            "x-ratelimit-reset-requests": f"{reset_ms:.0f}ms",
        }

    def wait(self) -> dict[str, str]:
        return {"retry-after-ms": f"{max((1 - self._level) / self.per_s * 1000, 1):.0f}"}


class Teacher:
    """The application and its books. Everything in it happens in the thread of its server."""

    def __init__(
        self,
        reply: Reply,
        *,
        faults: Mapping[str, float] | None = None,
        most_faults: int = 3,
        latency_s: float = 0.0,
        gather: int = 0,
        bucket: Bucket | None = None,
        seed: int = 0,
        key: str | None = None,
    ) -> None:
        """faults: how likely each kind is. key: what callers must send; None lets everybody in.

        gather: nobody is answered before so many have asked at the same time.
        """
        unknown = set(faults or {}) - {*OF_WORDS, *OF_THE_WAY}
        assert not unknown, f"no such faults: {unknown}"
        self.reply, self.faults, self.most_faults, self.latency_s = reply, dict(faults or {}), most_faults, latency_s
        self.gather, self.bucket, self.seed, self.key = gather, bucket, seed, key
        self.books = Books()
        self.batches = Batches(self._line)
        self.url = ""
        self.seen, self.stop, self.stopped = 0, -1, threading.Event()
        chat = Route("/v1/chat/completions", self._chat, methods=["POST"])
        self._app = Starlette(routes=[chat, *self.batches.routes()])

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything passes here. Who sends request number ``stop // 2`` never hears of it again, and ``stopped`` is
        set: before it is heeded if ``stop`` is even, and after that if it is odd."""
        if scope["type"] != "http" or self.seen != self.stop // 2:
            self.seen += scope["type"] == "http"
            return await self._app(scope, receive, send)
        self.seen += 1
        if self.stop % 2:
            await self._app(scope, receive, _unheard)
        self.stopped.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _chat(self, request: Request) -> Response:
        self.books.in_flight += 1
        self.books.most_in_flight = max(self.books.most_in_flight, self.books.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.books.in_flight -= 1

    async def _answer(self, request: Request) -> Response:
        self.books.authorization.add(request.headers.get("authorization"))
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        headers: dict[str, str] = {"x-request-id": f"r-{self.books.asked.total()}"}
        if self.bucket is not None:
            fine = self.bucket.take()
            headers.update(self.bucket.headers())
            if not fine:
                self.books.faults["bucket"] += 1
                return _error(429, "Rate limit reached for requests", "rate_limit_exceeded", self.bucket.wait())
        body = await request.json()
        key = key_of(body)
        self.books.asked[key] += 1
        self.books.times.append(time.monotonic())
        fault = self.fault_of(key, self.books.asked[key])
        self.books.faults[fault] += 1
        if fault in _STATUS:
            return _error(*_STATUS[fault], headers)
        if fault == "hang":
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response()
        while self.books.most_in_flight < self.gather:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.latency_s)
        return self._said(key, body, fault, headers)

    def _said(self, key: str, body: Mapping[str, Any], fault: str, headers: dict[str, str]) -> Response:
        """A reply that was worked for."""
        if fault == "html":
            return Response("<html><body><h1>502 Bad Gateway</h1></body></html>", media_type="text/html")
        found = self._completion(key, body)
        usage = found["usage"]
        if fault in ("drop", "cut", "empty"):
            if fault == "empty":
                self.books.spoilt.add(usage)
                return JSONResponse({**found, "choices": []}, headers=headers)
            self.books.lost.add(usage)
            data = json.dumps(found).encode()
            half = data[: len(data) // 2]
            if fault == "cut":
                return Response(half, media_type="application/json")
            return StreamingResponse(broken(half), headers={"content-length": str(len(data))})
        self._charge(key, usage)
        if fault == "silent":
            del found["usage"]
        return JSONResponse(found, headers=headers)

    def _line(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of one line of a batch."""
        key = key_of(body)
        self.books.asked[key] += 1
        fault = self.fault_of(key, self.books.asked[key])
        self.books.faults[fault] += 1
        if fault in _STATUS:
            status, text, code, _ = _STATUS[fault] if len(_STATUS[fault]) == 4 else (*_STATUS[fault], None)
            return status, {"error": {"message": text, "code": code}}
        found = self._completion(key, body)
        self._charge(key, found["usage"])
        return 200, found

    def _charge(self, key: str, usage: Mapping[str, Any]) -> None:
        self.books.answered[key] += 1
        self.books.whole.add(usage)
        kind = _drawn(self.faults, OF_WORDS, f"{self.seed} {key}")
        self.books.faults[kind] += kind != "none"

    def fault_of(self, key: str, number: int) -> str:
        """Which fault of the way a request has when it is sent for the ``number``-th time; tests may plan their own."""
        if number > self.most_faults:
            return "none"
        return _drawn(self.faults, OF_THE_WAY, f"{self.seed} {key} {number}")

    def _completion(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        kind = _drawn(self.faults, OF_WORDS, f"{self.seed} {key}")
        words = {"refusal": REFUSAL, "nonsense": NONSENSE, "null": ""}
        text = words[kind] if kind in words else self.reply(body["messages"])
        first, *rest = (tokens(str(message["content"])) for message in body["messages"])
        cached = first if rest else 0  # the system's words are always the same
        reason = "length" if kind == "long" else "content_filter" if kind == "null" else "stop"
        message = {"role": "assistant", "content": None if kind == "null" else text}
        return {
            "id": f"chatcmpl-{key[:12]}",
            "object": "chat.completion",
            "created": 1,
            "model": f"{body['model']}-2026",
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": {
                "prompt_tokens": first + sum(rest),
                "completion_tokens": tokens(text),
                "total_tokens": first + sum(rest) + tokens(text),
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        }


_STATUS: dict[str, tuple[Any, ...]] = {
    "limited": (429, "Rate limit reached for requests", "rate_limit_exceeded", {"retry-after": "0.2"}),
    "error": (500, "The server had an error while processing your request.", "server_error"),
    "gateway": (502, "Bad gateway", None),
    "forbidden": (400, "Your prompt was flagged.", "content_policy_violation"),
}


def key_of(body: Mapping[str, Any]) -> str:
    """Names a request by all that is in it."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def tokens(text: str) -> int:
    """As this server counts them."""
    return len(text) // 4 + 1


@contextmanager
def teaching(reply: Reply, **options: Any) -> Iterator[Teacher]:
    """A teacher that listens; see ``Teacher`` for the options."""
    teacher = Teacher(reply, **options)
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    how = uvicorn.Config(teacher.app, interface="asgi3", log_level="critical", timeout_graceful_shutdown=0)
    server = uvicorn.Server(how)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    teacher.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    try:
        yield teacher
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


def _drawn(faults: Mapping[str, float], kinds: Sequence[str], seed: str) -> str:
    dice = random.Random(seed).random()
    for kind in kinds:
        dice -= faults.get(kind, 0.0)
        if dice < 0:
            return kind
    return "none"


def _error(
    status: int, text: str, code: str | None, headers: dict[str, str] | None = None, more: dict[str, str] | None = None
) -> Response:
    body = {"error": {"message": text, "type": "error", "param": None, "code": code}}
    return JSONResponse(body, status, headers={**(headers or {}), **(more or {})})


async def _unheard(_: Message) -> None:
    """Where an answer goes whose caller is about to be killed."""


def main() -> None:
    """Serves a fixed answer until it is ended; says its address first."""
    words = argparse.ArgumentParser()
    words.add_argument("--latency", type=float, default=0.0)
    chosen = words.parse_args()
    answer = "Question:\nWhat is in the picture?\n===\nAnswer:\nTwo dice lie on a table.\n===\n"
    with teaching(lambda _: answer, latency_s=chosen.latency) as teacher:
        print(teacher.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
