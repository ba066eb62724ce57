"""Hostile HTTP over real sockets: every case is refused in our shape, and the server goes on."""

from __future__ import annotations

import json
import re

import pytest

from serve.hostile import BAD_IDS, EVIL, Hostile, assert_clean, http_cases
from serve.served import Running, answers, ask, exchange, get, json_request, request

CASES = http_cases("/v1/echo", ("Authorization", "Bearer KEY"))


def _with_key(case: Hostile, key: str) -> bytes:
    return case.data.replace(b"Bearer KEY", f"Bearer {key}".encode())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_requests(case: Hostile, locked: Running, api_key: str) -> None:
    data = _with_key(case, api_key)
    found = answers(exchange(locked.port, data), data.partition(b" ")[0].decode("latin-1"))
    assert len(found) == 1, found
    assert found[0].status in case.statuses, found
    assert_clean(found[0])
    assert get(locked.port, "/health").status == 200


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_requests_without_a_key(case: Hostile, locked: Running) -> None:
    """Whoever has no key learns nothing and gets nowhere, however the request looks."""
    found = answers(exchange(locked.port, case.data), case.data.partition(b" ")[0].decode("latin-1"))
    assert [each.status // 100 for each in found] == [4], found
    assert_clean(found[0])


def test_a_good_request(locked: Running, api_key: str) -> None:
    answer = ask(locked.port, json_request("/v1/echo", b'{"a": [1, 2.5, "\xc3\xbc"]}', ("x-api-key", api_key)))
    assert (answer.status, json.loads(answer.body)) == (200, {"body": {"a": [1, 2.5, "ü"]}})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_a_page_of_our_own(open_: Running) -> None:
    host = f"127.0.0.1:{open_.port}"
    same = (("Host", host), ("Origin", f"http://{host}"))
    assert ask(open_.port, json_request("/v1/echo", b"{}", *same)).status == 200


def test_no_word_of_cors_to_anybody(open_: Running) -> None:
    answer = get(open_.port, "/v1/models", ("Origin", EVIL))
    assert answer.status == 403
    assert_clean(answer)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:80", "127.3.2.1", "a.localhost"])
def test_our_own_names(open_: Running, host: str) -> None:
    assert get(open_.port, "/v1/models", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0", "[::]", "", "%31", "::1"],
)
def test_names_that_are_not_ours(open_: Running, host: str) -> None:
    answer = get(open_.port, "/v1/models", host=host)
    assert answer.status == 400
    assert_clean(answer)


@pytest.mark.parametrize("named", BAD_IDS)
def test_request_ids_that_could_do_harm_are_replaced(open_: Running, named: str) -> None:
    answer = get(open_.port, "/v1/models", ("X-Request-Id", named))
    assert re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["x-request-id"])
    assert json.loads(answer.body)["id"] == answer.headers["x-request-id"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("raw", [b"a\r\nSet-Cookie: x=y", b"a\rSet-Cookie: x=y", b"a\nSet-Cookie: x=y", b"a\0b"])
def test_line_breaks_in_a_request_id(open_: Running, raw: bytes) -> None:
    found = answers(exchange(open_.port, request("GET", "/v1/models", (("X-Request-Id", raw),))))
    assert len(found) == 1
    assert found[0].headers.keys().isdisjoint({"set-cookie"})


def test_a_request_id_of_the_client_comes_back(open_: Running) -> None:
    assert get(open_.port, "/v1/models", ("X-Request-Id", "Chat-7.b_1")).headers["x-request-id"] == "Chat-7.b_1"
    twice = get(open_.port, "/v1/models", ("X-Request-Id", "a"), ("X-Request-Id", "b"))
    assert twice.headers["x-request-id"].startswith("req_")
    assert get(open_.port, "/nowhere", ("X-Request-Id", "lost")).headers["x-request-id"] == "lost"
    assert json.loads(get(open_.port, "/nowhere", ("X-Request-Id", "lost")).body)["error"]["request_id"] == "lost"


def test_pipelined_requests_are_answered_in_order(open_: Running) -> None:
    kept = (("Connection", "keep-alive"),)
    burst = request("GET", "/health", kept) * 5 + request("GET", "/nowhere", kept) + request("GET", "/v1/models")
    assert [each.status for each in answers(exchange(open_.port, burst))] == [200] * 5 + [404, 200]


def test_a_smuggled_request_is_not_served(locked: Running, api_key: str) -> None:
    """What hides in the body of a request whose end is unclear is thrown away with the connection."""
    inner = request("GET", "/v1/models", (("x-api-key", api_key),))
    outer = request(
        "POST",
        "/v1/echo",
        (
            ("Connection", "keep-alive"),
            ("Content-Type", "application/json"),
            ("Content-Length", "4"),
            ("Transfer-Encoding", "chunked"),
        ),
        b"0\r\n\r\n" + inner,
    )
    assert [each.status for each in answers(exchange(locked.port, outer))] == [400]


def test_a_body_that_is_refused_early_leaves_no_request_behind(locked: Running) -> None:
    """The unread body must not be taken for the next request."""
    inner = request("GET", "/health")
    headers = (("Connection", "keep-alive"), ("Content-Type", "text/plain"))
    found = answers(exchange(locked.port, request("POST", "/v1/echo", headers, inner) + request("GET", "/nowhere")))
    assert [each.status for each in found] == [415, 401]


def test_other_faults_in_our_shape(open_: Running) -> None:
    answer = ask(open_.port, request("DELETE", "/v1/models"))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"
    assert json.loads(get(open_.port, "/nowhere").body)["error"]["code"] == "not_found"
    assert json.loads(get(open_.port, "/v1/stream").body)["error"]["param"] == "query.pieces"
    assert get(open_.port, "/v1/stream?pieces=x&pause_s=0").status == 400
