"""The client of OpenAI-compatible servers, against sockets that say exactly what a test wants."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import AuthError, ImageError, ModelError, PumiceError, UsageError
from pumice.remote import Delta, End, FailedRequestError, Remote, data_uri, message
from pumice.serve.guard.keys import Keys
from serve.served import doorkeeping, running, sample_app
from sockets import answering

HEAD = "HTTP/1.1 {} X\r\ncontent-type: {}\r\nx-request-id: r-1\r\nconnection: close\r\n\r\n"
ASKED = [message("user", "What is this?")]


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of one that gives these answers, and what it was asked."""
    with answering(*answers) as (port, asked):
        yield f"http://127.0.0.1:{port}/v1", asked


def stream(*events: object) -> bytes:
    said = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return (HEAD.format(200, "text/event-stream") + "".join(f"data: {event}\n\n" for event in said)).encode()


def refusal(status: int, body: object) -> bytes:
    return (HEAD.format(status, "application/json") + json.dumps(body)).encode()


def chunk(text: str | None = None, reason: str | None = None, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def said(url: str, **parameters: Any) -> list[Delta | End]:
    async def run() -> list[Delta | End]:
        remote = Remote(url, key="k", retries=0)
        try:
            return [event async for event in remote.stream(ASKED, model="m", **parameters)]
        finally:
            await remote.close()

    return asyncio.run(run())


def test_pieces_then_the_end() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    whole = stream(
        chunk("A "), chunk(""), chunk("die."), chunk(None, "stop"), {**chunk(), "choices": [], "usage": usage}, "[DONE]"
    )
    with server(whole) as (url, asked):
        events = said(url, temperature=0, seed=3, top_k=5)
    assert events[:-1] == [Delta("A "), Delta("die.")]
    end = events[-1]
    assert isinstance(end, End) and end.finish_reason == "stop" and end.request_id == "r-1"
    assert end.usage["prompt_tokens"] == 9
    assert asked[0]["stream"] is True and asked[0]["seed"] == 3 and asked[0]["top_k"] == 5


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (stream(chunk("A ")), "broken_off"),
        (stream(chunk("A "), "[DONE]"), "broken_off"),
        (
            stream(chunk("A "), {"error": {"message": "the worker died", "code": "worker_failed", "hint": "h"}}),
            "worker_failed",
        ),
    ],
    ids=["cut", "done without a reason", "error"],
)
def test_half_an_answer_is_none(answer: bytes, code: str) -> None:
    with server(answer) as (url, _), pytest.raises(FailedRequestError) as caught:
        said(url)
    assert caught.value.code == code and caught.value.request_id == "r-1"
    if code == "worker_failed":
        assert str(caught.value) == "the worker died" and caught.value.hint == "h"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", UsageError),
        (400, "invalid_image", ImageError),
        (401, "invalid_api_key", AuthError),
        (404, "model_not_found", ModelError),
        (429, "queue_full", FailedRequestError),
        (500, "internal_error", FailedRequestError),
    ],
)
def test_refusals_keep_the_words_of_the_server(status: int, code: str, kind: type[PumiceError]) -> None:
    body = {"error": {"message": "no, because", "type": "t", "code": code, "hint": "try this", "request_id": "r-9"}}
    with server(refusal(status, body)) as (url, _), pytest.raises(kind) as caught:
        said(url)
    assert str(caught.value) == "no, because" and caught.value.hint == "try this" and caught.value.request_id == "r-9"


def test_without_a_key_none_is_sent_and_none_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would send one of its own variable's."""
    monkeypatch.setenv("OPENAI_API_KEY", "somebody's")
    Keys(tmp_path).create("other")

    async def run(url: str, key: str | None) -> None:
        remote = Remote(url, key=key, retries=0)
        try:
            await remote.models()
        finally:
            await remote.close()

    with running(sample_app(), doorkeeping(tmp_path)) as ours:
        for key, words, hint in (
            (None, "this server wants a key", "put it into PUMICE_API_KEY"),
            ("k", "this key is wrong, or was revoked", "send it as: Authorization: Bearer KEY"),
        ):
            with pytest.raises(AuthError) as caught:
                asyncio.run(run(f"http://127.0.0.1:{ours.port}/v1", key))
            assert (str(caught.value), caught.value.hint) == (words, hint)
    refused = b"HTTP/1.1 401 X\r\nconnection: close\r\n\r\n"
    with answering(refused, heads=(heads := [])) as (port, _), pytest.raises(AuthError):
        asyncio.run(run(f"http://127.0.0.1:{port}/v1", None))
    assert heads and b"authorization:" not in heads[0].lower()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FailedRequestError, match="cannot be reached") as caught:
        said(f"http://127.0.0.1:{port}/v1")
    assert caught.value.code == "unreachable"


def test_models_with_what_they_say_of_themselves() -> None:
    data = [
        {
            "id": "ours",
            "object": "model",
            "created": 1,
            "owned_by": "x",
            "input_modalities": ["text", "image"],
            "max_model_len": 7,
        },
        {"id": "theirs", "object": "model", "created": 1, "owned_by": "x"},
    ]
    with server(refusal(200, {"object": "list", "data": data})) as (url, _):
        models = asyncio.run(Remote(url).models())
    assert [(each.id, each.sees_images, each.max_model_len) for each in models] == [
        ("ours", True, 7),
        ("theirs", None, None),
    ]


@pytest.mark.parametrize("found", ["<html>", '["x"]', '{"data": [{"name": "x"}]}', '{"data": 3}', "{}"])
def test_what_is_no_server_of_models(found: str) -> None:
    answer = (HEAD.format(200, "text/html" if found[0] == "<" else "application/json") + found).encode()
    with server(answer) as (url, _), pytest.raises(FailedRequestError, match="no OpenAI-compatible server"):
        asyncio.run(Remote(url).models())


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, {"status": "ready"}, None),
        (503, {"error": {"message": "the model is being loaded", "code": "loading"}}, "the model is being loaded"),
        (503, "busy", None),
        (404, {"detail": "Not Found"}, None),
    ],
)
def test_why_a_server_is_not_ready(status: int, body: object, why: str | None) -> None:
    with server(refusal(status, body)) as (url, asked):
        assert asyncio.run(Remote(url).unready()) == why
    assert len(asked) == 1


def test_pictures_travel_inside() -> None:
    assert data_uri(b"\x89PNG1").startswith("data:image/png;base64,")
    made = message("user", "?", [b"\xff\xd8\xff", "https://a.example/b.png"])
    assert [part["type"] for part in made["content"]] == ["image_url", "image_url", "text"]
    assert made["content"][1]["image_url"]["url"] == "https://a.example/b.png"
