"""A client of the original LLaVA, written from the description of its protocol alone: standard library, no token known.

Controller and worker speak JSON over POST; a worker's answer is a stream of JSON objects, each followed by a zero byte,
each with the prompt and all of the answer so far.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


def post(url: str, body: object = None, *, token: str | None = None, timeout: float = 20) -> tuple[int, Any]:
    """Status and decoded answer. Without a body nothing is said about its type either, as ``requests`` does it."""
    connection, path = _connect(url, timeout)
    try:
        connection.request("POST", path, *_told(body, token))
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


class Client:
    """What the original's web page does. token: for everything but what the original's clients could do without."""

    def __init__(self, controller: str, token: str | None = None) -> None:
        self.controller = controller
        self.token = token

    def models(self) -> list[str]:
        status, answer = post(f"{self.controller}/list_models", token=self.token)
        assert status == 200
        assert list(answer) == ["models"]
        return list(answer["models"])

    def worker(self, model: str) -> str:
        status, answer = post(f"{self.controller}/get_worker_address", {"model": model}, token=self.token)
        assert status == 200
        assert list(answer) == ["address"]
        return str(answer["address"])

    def ask(self, model: str, prompt: str, images: Sequence[bytes] = (), **more: Any) -> Iterator[dict[str, Any]]:
        """The messages of an answer, as they come, from a worker that the controller chose."""
        worker = self.worker(model)
        assert worker, f"no worker has {model}"
        yield from self.stream(worker, model, prompt, images, **more)

    def stream(
        self, server: str, model: str, prompt: str, images: Sequence[bytes] = (), **more: Any
    ) -> Iterator[dict[str, Any]]:
        payload = {
            "model": model,
            "prompt": prompt,
            "temperature": 0.0,
            "top_p": 0.7,
            "max_new_tokens": 64,
            "stop": "</s>",
            "images": [base64.b64encode(each).decode() for each in images],
            **more,
        }
        connection, path = _connect(f"{server}/worker_generate_stream", 20)
        try:
            connection.request("POST", path, *_told(payload, self.token))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            held = b""
            while part := answer.read1():
                *whole, held = (held + part).split(b"\0")
                for each in whole:
                    yield json.loads(each)
            assert not held, "the stream ends within a message"
        finally:
            connection.close()


def text_of(messages: Sequence[dict[str, Any]], prompt: str) -> str:
    """The answer in the last message, after a check that every one is longer than the one before."""
    assert messages
    before = prompt
    for message in messages:
        assert message["error_code"] == 0, message
        assert message["text"].startswith(before)
        before = message["text"]
    return str(before[len(prompt) :])


def _connect(url: str, timeout: float) -> tuple[HTTPConnection, str]:
    parts = urlsplit(url)
    assert parts.hostname
    return HTTPConnection(parts.hostname, parts.port, timeout=timeout), parts.path


def _told(body: object, token: str | None) -> tuple[bytes | None, dict[str, str]]:
    headers = {"User-Agent": "LLaVA Client"} | ({"Authorization": f"Bearer {token}"} if token else {})
    if body is None:
        return None, headers
    return json.dumps(body).encode(), headers | {"Content-Type": "application/json"}
