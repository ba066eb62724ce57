"""The API as clients see it: what it lets through, what it refuses, and how every request ends in exactly one way."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pumice.serve.api.ledger import Ledger
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.guard.keys import Keys
from serve.apis import MODEL, Scripted, body, events, figures, post, scripted, until
from serve.served import Running, ask, get, json_request, request


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with scripted(tmp_path_factory.mktemp("keys"), Scripted()) as running:
        yield running


def adds_up(port: int) -> bool:
    found = figures(port)
    return found["accepted_total"] == sum(found[name] for name in ("completed", "cancelled", "failed", "in_flight"))


def test_an_answer(server: Running) -> None:
    answer = post(server.port, body("?"))
    found = answer.json()
    assert answer.status_code == 200 and answer.headers["x-request-id"]
    assert found["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Two dice.", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "image_tokens": 4}
    assert found["object"] == "chat.completion" and found["model"] == MODEL


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream(server: Running, usage: bool) -> None:
    answer = post(server.port, body("?", stream=True, **({"stream_options": {"include_usage": True}} if usage else {})))
    said = events(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert said[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (
        "".join(each["choices"][0]["delta"].get("content", "") for each in said[:-1] if each["choices"]) == "Two dice."
    )
    assert [each["choices"][0]["finish_reason"] for each in said[:-1] if each["choices"]] == [None, None, None, "stop"]
    assert said[-1] == "[DONE]" and len({each["id"] for each in said[:-1]}) == 1
    assert ([each["usage"]["total_tokens"] for each in said[:-1] if "usage" in each] == [11]) is usage


def told(content: object, role: str = "user") -> dict[str, Any]:
    """A change of a request: this is all that was said."""
    return {"messages": [{"role": role, "content": content}]}


def shown(url: str, **more: str | None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


LARGE = {"name": "n", "schema": {"enum": ["x" * 70_000]}}
#: What is refused, and the field that the refusal names.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"frequency_penalty": 0.1}, "frequency_penalty"),
    ({"presence_penalty": False}, "presence_penalty"),
    ({"logit_bias": {"1": 5}}, "logit_bias"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"store": True}, "store"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"unheard_of": 1}, "unheard_of"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 10**10}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 10**6}, "n"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["x"] * 100}, "stop"),
    ({"stop": "x" * 300}, "stop"),
    ({"logprobs": 5}, "logprobs"),
    ({"top_logprobs": 5}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 10**6}, "top_logprobs"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": LARGE}}, "response_format"),
    ({"model": ""}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": "?"}] * 600}, "messages"),
    (told("!", "assistant"), "messages"),
    (told("be brief", "system"), "messages"),
    ({"messages": [{"role": "assistant", "content": "!"}, {"role": "user", "content": "?"}]}, "messages"),
    (told("?", "tool"), "messages"),
    (told("  "), "messages"),
    (told("\0"), ""),
    (told(None), "messages"),
    (told([{"type": "input_audio", "input_audio": {}}]), "messages"),
    (told([{"type": "text", "text": "data:image/png;base64," + "A" * 300}]), "messages"),
    (told([shown("file:///etc/passwd")]), "messages"),
    (told([shown("/etc/passwd")]), "messages"),
    (told([shown("data:,", detail="ultra")]), "messages"),
    (told([shown("data:,")], "system"), "messages"),
    (told([shown("data:,")] * 20), "messages"),
]


@pytest.mark.parametrize(("change", "param"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_is_refused_is_named(server: Running, change: dict[str, Any], param: str) -> None:
    answer = post(server.port, {**body("?"), **change})
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "invalid_request_error" and error["message"]
    assert (error["param"] or "").startswith(param), error
    assert error["request_id"] == answer.headers["x-request-id"]


NEUTRAL: list[dict[str, Any]] = [
    {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "tools": [], "tool_choice": "none"},
    {"modalities": ["text"], "service_tier": "auto", "store": False, "metadata": {}, "parallel_tool_calls": True},
    {"temperature": None, "stop": None, "n": None, "response_format": None, "user": "somebody", "audio": None},
    {"response_format": {"type": "text"}, "n": 1, "max_completion_tokens": 5, "max_tokens": 5},
    {"messages": [{"role": "user", "content": "?", "name": "me"}], "top_logprobs": 0},
    told([shown("data:,", detail=None)]),
]


@pytest.mark.parametrize("change", NEUTRAL)
def test_what_asks_for_nothing_passes(server: Running, change: dict[str, Any]) -> None:
    assert post(server.port, {**body("?"), **change}).status_code == 200


def test_an_answer_of_the_client_s_own_library_goes_back_in(server: Running) -> None:
    said = post(server.port, body("?")).json()["choices"][0]["message"]
    said |= {"tool_calls": None, "annotations": [], "audio": None, "function_call": None}
    turns = [{"role": "user", "content": "?"}, said, {"role": "user", "content": "And now?"}]
    assert post(server.port, {"model": MODEL, "messages": turns}).status_code == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model": NaN}', 400),
        (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b"\xff\xfe", 400),
        (b"", 400),
    ],
)
def test_bodies_that_are_no_request(server: Running, raw: bytes, status: int) -> None:
    url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
    answer = httpx2.post(url, content=raw, headers={"content-type": "application/json"}, trust_env=False)
    assert answer.status_code == status and answer.json()["error"]["code"] == "invalid_request"


def test_a_stream_that_fails_ends_with_an_error_and_without_done(tmp_path: Path) -> None:
    failing = Scripted(("Two ", ApiError(Failure(502, "worker_failed", "the worker died", "try again"))))
    with scripted(tmp_path, failing) as server:
        said = events(post(server.port, body("?", stream=True)).text)
        assert said[-1]["error"]["code"] == "worker_failed" and said[-1]["error"]["hint"] == "try again"
        assert "[DONE]" not in said
        whole = post(server.port, body("?"))
        assert whole.status_code == 502 and whole.json()["error"]["message"] == "the worker died"
        assert figures(server.port)["failed"] == 2 and adds_up(server.port)


def test_a_bug_tells_nothing(tmp_path: Path) -> None:
    with scripted(tmp_path, Scripted(("Two ", ValueError("/etc/shadow at 0x7f3c2a1b")))) as server:
        text = post(server.port, body("?", stream=True)).text
        assert events(text)[-1]["error"]["code"] == "internal_error" and "shadow" not in text


def test_a_refusal_before_it_begins_is_a_plain_answer(tmp_path: Path) -> None:
    full = Scripted(refusal=ApiError(Failure(429, "queue_full", "64 wait", "try again", retry_after_s=1.5)))
    with scripted(tmp_path, full) as server:
        for stream in (True, False):
            answer = post(server.port, body("?", stream=stream))
            assert answer.status_code == 429 and answer.headers["retry-after"] == "2"
            assert answer.headers["retry-after-ms"] == "1500" and answer.json()["error"]["type"] == "rate_limit_error"
        found = figures(server.port)
        assert found["rejected"] == 2 and found["accepted_total"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_whoever_leaves_is_not_worked_for(tmp_path: Path, stream: bool) -> None:
    backend = Scripted(("Two ", 60.0))
    with scripted(tmp_path, backend) as server:
        data = json.dumps(body("?", stream=stream)).encode()
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(json_request("/v1/chat/completions", data))
            until(lambda: figures(server.port)["in_flight"] == 1)
        until(lambda: backend.ended == ["dropped"], 1.0 + 4.0)
        until(lambda: figures(server.port)["cancelled"] == 1)
        assert adds_up(server.port)


def test_a_slow_answer_gives_signs_of_life(tmp_path: Path) -> None:
    with scripted(tmp_path, Scripted((2.5, "Two."))) as server:
        text = post(server.port, body("?", stream=True)).text
    assert text.index(": ") < text.index("Two.") and ": still here" in text


def test_state_and_models(server: Running, tmp_path: Path) -> None:
    def get(path: str, port: int = server.port) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)

    assert get("/health").json() == {"status": "ok"} and get("/ready").json() == {"status": "ready"}
    assert [each["id"] for each in get("/v1/models").json()["data"]] == [MODEL]
    assert get(f"/v1/models/{MODEL}").json()["input_modalities"] == ["text", "image"]
    missing = get("/v1/models/other")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"
    assert MODEL in missing.json()["error"]["hint"]
    assert get("/v1/nothing").status_code == 404 and get("/v1/chat/completions").status_code == 405
    assert set(get("/version").json()) == {"version"}
    loading = Scripted(failure=Failure(503, "no_worker", "no worker is there yet", retry_after_s=2))
    with scripted(tmp_path, loading) as other:
        answer = get("/ready", other.port)
        assert answer.status_code == 503 and answer.headers["retry-after"] == "2"


def test_a_draining_server_finishes_and_refuses(tmp_path: Path) -> None:
    with scripted(tmp_path, Scripted(("Two ", 1.0, "dice."))) as server:
        url = f"http://127.0.0.1:{server.port}"
        with httpx2.stream(
            "POST", f"{url}/v1/chat/completions", json=body("?", stream=True), trust_env=False
        ) as answer:
            lines = answer.iter_lines()
            while "Two" not in next(lines):
                pass
            server.drain.begin()
            assert httpx2.get(f"{url}/ready", trust_env=False).status_code == 503
            refused = post(server.port, body("?"))
            assert refused.status_code == 503 and refused.json()["error"]["code"] == "draining"
            assert "data: [DONE]" in list(lines)


def test_who_is_not_answered_in_time_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the drain is over, streams end with an error, others hear one, and the books are closed."""
    backend = Scripted(("Two ", 60.0, "dice."))
    with scripted(tmp_path, backend, drain_s=0.2) as server, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(post, server.port, body("?", stream=stream)) for stream in (True, False)]
        until(lambda: len(backend.asked) == 2 and figures(server.port)["in_flight"] == 2)
        ledger: Ledger = server.ledger  # type: ignore[attr-defined]
        server.stop()
        streamed, waited = (each.result(20) for each in asked)
    assert events(streamed.text)[-1]["error"]["code"] == "draining" and "[DONE]" not in streamed.text
    assert waited.status_code == 503 and waited.json()["error"]["code"] == "draining"
    assert waited.headers["retry-after"] == "5"
    assert (ledger.accepted, ledger.in_flight, ledger.ended["failed"]) == (2, 0, 2)
    assert backend.ended == ["dropped", "dropped"]
    assert "Traceback" not in caplog.text and not [each for each in caplog.records if each.levelname == "ERROR"]


def test_every_refusal_is_counted_wherever_it_was_made(tmp_path: Path) -> None:
    """At the door, by its checks, by the fields' own, by the protocol, and by what answers; a page's 404 as well."""
    keys = Keys(tmp_path)
    key, other = (("x-api-key", keys.create(name, "admin")) for name in ("one", "two"))
    busy = Scripted(refusal=ApiError(Failure(429, "queue_full", "64 wait")))
    with scripted(tmp_path, busy, per_minute=8, body_s=0.5, max_body=1000) as server:
        chat, good = "/v1/chat/completions", json.dumps(body("?")).encode()
        asked = [
            json_request(chat, good),
            json_request(chat, good, key, ("Origin", "http://evil.example")),
            json_request(chat, b" " * 2000, key),
            request("POST", chat, (key, ("Content-Type", "text/plain")), good),
            json_request(chat, good, key, *((f"X-{n}", "1") for n in range(250))),
            json_request(chat, b"{", key),
            json_request(chat, good, key),
            json_request(chat, good, key),
            request("GET", "/nowhere", (other,)),
            request("DELETE", "/v1/models", (other,)),
            json_request(chat, good, other, ("Content-Length", "900")),
        ]
        statuses = [ask(server.port, each).status for each in asked]
        assert statuses == [401, 403, 413, 415, 431, 400, 429, 429, 404, 405, 408]
        text = get(server.port, "/metrics", other).body.decode()
    counted = dict(re.findall(r'^pumice_failures_total\{code="(\w+)"\} (\S+)$', text, re.MULTILINE))
    assert counted == {
        "invalid_api_key": "1.0",
        "forbidden": "1.0",
        "request_too_large": "2.0",
        "unsupported_media_type": "1.0",
        "invalid_request": "1.0",
        "queue_full": "1.0",
        "rate_limit": "1.0",
        "not_found": "1.0",
        "method_not_allowed": "1.0",
        "request_timeout": "1.0",
    }
    assert 'pumice_requests_total{outcome="rejected"} 9.0' in text
    assert "# TYPE pumice_requests_total counter" in text and "# TYPE pumice_requests_accepted_total counter" in text


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Failure(502, "worker_failed", "it broke"), "failed"),
        (Failure(504, "deadline_exceeded", "too long"), "failed"),
        (Failure(503, "no_worker", "none"), "rejected"),
        (Failure(404, "model_not_found", "none"), "rejected"),
    ],
)
def test_what_a_worker_failed_upon_was_no_refusal(tmp_path: Path, failure: Failure, outcome: str) -> None:
    """Even if the worker never said that it had begun."""
    with scripted(tmp_path, Scripted(refusal=ApiError(failure))) as server:
        for stream in (False, True):
            assert post(server.port, body("?", stream=stream)).status_code == failure.status
        found = figures(server.port)
        assert found[outcome] == 2 and adds_up(server.port)
        text = get(server.port, "/metrics").body.decode()
        assert f'pumice_failures_total{{code="{failure.code}"}} 2.0' in text


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"stop": ["x"] * 100}, "stop", "at most 16"),
        ({"stop": ["ok", "x" * 300]}, "stop.1", "at most 256"),
        (told([shown("file:///x")]), "messages.0.content.0.image_url.url", "url: expected an http(s) URL"),
        (told([{"type": "text"}]), "messages.0.content.0.text", "required"),
        (told([{"type": "text", "text": 5}]), "messages.0.content.0.text", "valid string"),
        (told([{"type": "video"}]), "messages.0.content.0", "one of 'text', 'image_url'"),
        (told([{}]), "messages.0.content.0", "with a type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
    ],
)
def test_errors_name_what_stands_in_the_request(
    server: Running, change: dict[str, Any], param: str, words: str
) -> None:
    error = post(server.port, {**body("?"), **change}).json()["error"]
    assert error["param"] == param and error["message"].startswith(f"{param}: "), error
    assert words in error["message"] and "alue error" not in error["message"]


@pytest.mark.parametrize("raw", [b"", b"[]", b'"x"', b"5", b"null"])
def test_a_body_that_is_no_object(server: Running, raw: bytes) -> None:
    error = json.loads(ask(server.port, json_request("/v1/chat/completions", raw)).body)["error"]
    assert (error["message"], error["param"]) == ("expected a JSON object", None)


def test_kinds_of_bodies(server: Running) -> None:
    zipped = ask(server.port, json_request("/v1/chat/completions", b"{}", ("Content-Encoding", "gzip")))
    assert zipped.status == 415 and b"Content-Encoding" in zipped.body
    assert b"has no Content-Type" in ask(server.port, request("POST", "/v1/chat/completions", (), b"{}")).body


def test_models_were_there_when_the_server_began(server: Running) -> None:
    created = json.loads(get(server.port, "/v1/models").body)["data"][0]["created"]
    assert time.time() - 600 < created <= time.time()
    assert json.loads(get(server.port, f"/v1/models/{MODEL}").body)["created"] == created
