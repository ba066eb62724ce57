"""Hostile HTTP against the gateway and the worker as they are started, and every door that they have."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from serve.apis import TOKEN, body
from serve.hostile import (
    BAD_IDS,
    BAD_JSON,
    KNOCKS,
    Hostile,
    Knock,
    assert_clean,
    http_cases,
    routes_of,
)
from serve.served import Answer, answers, ask, exchange, get, json_request, request
from serve.whole import Whole, whole

ROLES = ("gateway", "worker")
CHAT = "/v1/chat/completions"
CASES = http_cases(CHAT, ("Authorization", "Bearer KEY"))
#: Every other route that reads JSON.
READERS = [
    *(("gateway", path) for path in ("/tokenize", "/register_worker", "/receive_heart_beat", "/get_worker_address")),
    *(("gateway", path) for path in ("/cluster/leave", "/worker_get_status", "/worker_generate_stream")),
    *(("worker", path) for path in ("/tokenize", "/worker_get_status", "/worker_generate_stream")),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("whole")) as found:
        yield found


def told(port: int, data: bytes) -> list[Answer]:
    return answers(exchange(port, data), data.partition(b" ")[0].decode("latin-1"))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_requests(servers: Whole, case: Hostile, role: str) -> None:
    """With a key that opens everything, and without."""
    port = servers.port(role)
    found = told(port, case.data.replace(b"Bearer KEY", f"Bearer {servers.key}".encode()))
    assert [each.status in case.statuses for each in found] == [True], found
    assert_clean(found[0])
    found = told(port, case.data)
    assert [each.status // 100 for each in found] == [4], found
    assert_clean(found[0])
    assert get(port, "/health").status == 200


@pytest.mark.parametrize(("role", "path"), READERS)
@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_everywhere(servers: Whole, role: str, path: str, name: str) -> None:
    if name == "nothing" and path == "/worker_get_status":
        return  # the original's clients send no body there
    answer = ask(servers.port(role), json_request(path, BAD_JSON[name], ("x-api-key", TOKEN)))
    if path == "/worker_generate_stream":  # its errors are messages of the stream
        assert json.loads(answer.body.rstrip(b"\0"))["error_code"] != 0
        assert json.loads(answer.body.rstrip(b"\0"))["error"]["code"] == "invalid_request"
    else:
        assert answer.status == 400
        assert_clean(answer)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("knock", KNOCKS, ids=[each.name for each in KNOCKS])
def test_knocks(servers: Whole, knock: Knock, role: str) -> None:
    other = next((each for each in servers.keys.all() if each.name == "other"), None)
    key = servers.keys.create("other", "admin") if other is None else "pumice-" + "B" * 43
    answer = get(servers.port(role), "/v1/models", *knock.headers(servers.key, key))
    assert answer.status == (200 if knock.opens else 401)
    assert_clean(answer)


ROUTES = {  # all there are: whoever adds one says here that the door was thought of
    "gateway": 21,
    "worker": 14,
}


@pytest.mark.parametrize("role", ROLES)
def test_every_route_is_closed(servers: Whole, role: str) -> None:
    """Only /health answers without a key, and a key that was revoked is none."""
    revoked = servers.keys.create(f"gone-{role}", "admin")
    servers.keys.revoke(f"gone-{role}")
    routes = routes_of(servers.apps[role])
    assert len(routes) == ROUTES[role], routes
    for method, path in routes:
        for headers in ((), (("x-api-key", revoked),), (("Cookie", "pumice_session=x"),)):
            sent = (*headers, ("Content-Type", "application/json"))
            answer = ask(servers.port(role), request(method, path, sent, b"{}" if method == "POST" else b""))
            assert answer.status == (200 if path == "/health" else 401), (method, path)


def test_a_key_without_the_scope_admin_opens_the_api_alone(servers: Whole) -> None:
    key = servers.keys.create("plain")
    asked = json_request(CHAT, json.dumps(body("?")).encode(), ("x-api-key", key))
    assert ask(servers.front.port, asked).status == 200
    assert ask(servers.worker.port, asked).status == 403
    for path in ("/register_worker", "/receive_heart_beat", "/cluster/leave"):
        value = {"worker_name": "http://127.0.0.1:1", "check_heart_beat": True, "queue_length": 0}
        for secret in (key, servers.key):  # not even admin stands in for the token
            answer = ask(servers.front.port, json_request(path, json.dumps(value).encode(), ("x-api-key", secret)))
            assert answer.status == 401 and b"cluster token" in answer.body
    for path in ("/list_models", "/get_worker_address", "/worker_get_status", "/worker_generate_stream"):
        for value in (b'{"model": "pumice-tiny"}', b"{"):
            answer = ask(servers.front.port, json_request(path, value, ("x-api-key", key)))
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "forbidden"), path
    assert get(servers.front.port, "/cluster/workers", ("x-api-key", key)).status == 403
    for path in ("/register_worker", "/receive_heart_beat", "/cluster/leave"):  # who asks comes before what is asked
        assert ask(servers.front.port, json_request(path, b"{", ("x-api-key", servers.key))).status == 401
    servers.keys.revoke("plain")
    assert ask(servers.front.port, asked).status == 401


def test_whether_it_is_alive_without_a_word(servers: Whole) -> None:
    for role in ROLES:
        for path in ("/health", "/ready"):
            answer = ask(servers.port(role), request("HEAD", path, (("x-api-key", servers.key),)))
            assert (answer.status, answer.body) == (200, b""), (role, path)


BREAKS = ["a\r\nSet-Cookie: a=b", "a\nX-Evil: 1", "\x1b[2J", "<script>alert(1)</script>", "\u2028", "a" * 300]


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize("where", ["model", "user", "messages"])
def test_nothing_that_is_said_gets_into_headers(
    servers: Whole, text: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = body("?")
    if where == "messages":
        asked = body(text)
    else:
        asked[where] = text
    answer = servers.post(asked)
    assert answer.status_code in (200, 400, 404)
    assert not {"set-cookie", "x-evil"} & set(answer.headers)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for record in caplog.records:
        assert "Set-Cookie" not in record.getMessage() and "\x1b" not in record.getMessage()


@pytest.mark.parametrize("given", BAD_IDS)
def test_ids_that_are_none(servers: Whole, given: str) -> None:
    answer = get(servers.front.port, "/v1/models", ("x-api-key", servers.key), ("X-Request-Id", given.encode()))
    assert answer.status == 200
    assert answer.headers["x-request-id"].startswith("req_")


def test_requests_one_behind_the_other(servers: Whole) -> None:
    """Pipelined: each is answered for itself, in order, and its door is looked at again."""
    open_, closed = (
        request("GET", "/v1/models", (*key, ("Connection", "keep-alive")))
        for key in ((("x-api-key", servers.key),), ())
    )
    last = request("GET", "/health")
    found = answers(exchange(servers.front.port, open_ + closed + open_ + last))
    assert [each.status for each in found] == [200, 401, 200, 200]


def test_another_server_is_not_reached_through_this_one(servers: Whole) -> None:
    """A worker by itself is told by nobody where to go; the gateway knows its workers from the controller alone."""
    value = {**body("?"), "worker": "http://169.254.169.254", "base_url": "http://169.254.169.254"}
    for role in ROLES:
        answer = servers.post(value, role)
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported_parameter"


def test_both_still_work(servers: Whole) -> None:
    for role in ROLES:
        answer = servers.post(body("?"), role)
        assert answer.json()["choices"][0]["message"]["content"] == "Two dice."
