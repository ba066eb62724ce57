"""Who may come in: the one rule, over real sockets and for every route."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import UsageError
from pumice.serve.guard.keeping import is_loopback
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import guarded
from serve.hostile import JSON, KNOCKS, Knock, assert_clean, routes_of
from serve.served import Running, ask, doorkeeping, get, json_request, request, running, sample_app

TOKEN = "pumice-cluster-" + "t" * 43


@pytest.mark.parametrize("knock", KNOCKS, ids=[knock.name for knock in KNOCKS])
def test_knocks(knock: Knock, locked: Running, api_key: str, key_folder: Path) -> None:
    keys = Keys(key_folder)
    other = keys.create("other")
    try:
        answer = get(locked.port, "/v1/models", *knock.headers(api_key, other))
    finally:
        keys.revoke("other")
    assert answer.status == (200 if knock.opens else 401)
    assert_clean(answer)
    if not knock.opens:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert json.loads(answer.body)["error"]["code"] == "invalid_api_key"


def test_a_key_in_the_query_is_none(locked: Running, api_key: str) -> None:
    assert get(locked.port, f"/v1/models?api_key={api_key}&key={api_key}").status == 401


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/echo", "/ready", "/metrics", "/nowhere", "/", "/docs", "/healthz", "/health/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_everything_else_is_closed(locked: Running, path: str, method: str) -> None:
    """Also what is not there: a stranger does not learn which addresses exist."""
    assert ask(locked.port, request(method, path)).status == 401


@pytest.mark.parametrize(("method", "path"), [each for each in routes_of(sample_app()) if each[1] != "/health"])
def test_every_route_is_closed(locked: Running, method: str, path: str) -> None:
    """A route that is added is behind the doors without anybody having thought of it."""
    answer = ask(locked.port, request(method, path, (JSON,)))
    assert answer.status == 401
    assert_clean(answer)


def test_health_is_open(locked: Running) -> None:
    assert get(locked.port, "/health").status == 200
    assert get(locked.port, "/health?x=1").status == 200
    assert get(locked.port, "/%68ealth").status == 200  # the same address in another spelling


def test_a_key_holds_from_its_creation_to_its_end(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        before = get(server.port, "/v1/models")
        assert (before.status, json.loads(before.body)["caller"]) == (200, "loopback")
        key = keys.create("phone")
        assert get(server.port, "/v1/models").status == 401
        with_key = get(server.port, "/v1/models", ("x-api-key", key))
        assert (with_key.status, json.loads(with_key.body)["caller"]) == (200, "phone")
        keys.revoke("phone")
        assert get(server.port, "/v1/models", ("x-api-key", key)).status == 401
        assert get(server.port, "/v1/models").status == 401  # what was locked stays locked


def test_a_damaged_or_missing_file_of_keys_opens_nothing(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key = keys.create("phone")
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        assert get(server.port, "/v1/models").status == 401
        keys.file.write_text("{", encoding="utf-8")
        assert get(server.port, "/v1/models").status == 401
        assert get(server.port, "/v1/models", ("x-api-key", key)).status == 200
        keys.file.unlink()
        assert get(server.port, "/v1/models").status == 401
        assert get(server.port, "/v1/models", ("x-api-key", key)).status == 401


def test_a_request_through_a_proxy_is_from_elsewhere(open_: Running) -> None:
    assert get(open_.port, "/v1/models").status == 200
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"):
        assert get(open_.port, "/v1/models", (name, "127.0.0.1")).status == 401


def test_the_cluster(tmp_path: Path) -> None:
    infer, admin = Keys(tmp_path).create("phone"), Keys(tmp_path).create("boss", "admin")
    how = doorkeeping(tmp_path, scope="cluster", cluster_token=TOKEN)
    with running(sample_app(), how) as server:

        def status(path: str, key: str) -> int:
            headers = (("Authorization", f"Bearer {key}"),)
            data = json_request(path, b"{}", *headers) if path == "/register_worker" else request("GET", path, headers)
            return ask(server.port, data).status

        assert status("/v1/models", TOKEN) == 200
        assert status("/v1/models", admin) == 200
        assert status("/v1/models", infer) == 403
        assert status("/v1/models", TOKEN[:-1]) == 401
        assert status("/register_worker", TOKEN) == 200
        assert status("/register_worker", admin) == 401  # no key stands in for the token
        assert get(server.port, "/v1/models").status == 401


def test_a_client_of_the_servers_own(tmp_path: Path) -> None:
    """It may ask as often as it likes, also where everybody else needs a key, and may do nothing else."""
    Keys(tmp_path).create("somebody")
    how = doorkeeping(tmp_path, cluster_token=TOKEN, clients={"slack": "its-own-key"}, per_minute=1)
    with running(sample_app(), how) as server:
        own = ("Authorization", "Bearer its-own-key")
        assert json.loads(get(server.port, "/v1/models", own).body)["caller"] == "slack"
        assert [ask(server.port, json_request("/v1/chat/completions", b"{}", own)).status for _ in range(4)] == [
            200
        ] * 4
        assert ask(server.port, json_request("/register_worker", b"{}", own)).status == 401
        assert get(server.port, "/v1/models", ("Authorization", "Bearer its-own-ke")).status == 401
    assert TOKEN not in repr(how) and "its-own-key" not in repr(how)


def test_the_cluster_without_keys(tmp_path: Path) -> None:
    """This machine may look; registering needs the token even from here."""
    with running(sample_app(), doorkeeping(tmp_path, scope="cluster", cluster_token=TOKEN)) as server:
        assert get(server.port, "/v1/models").status == 200
        refused = ask(server.port, json_request("/register_worker", b"{}"))
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (401, "invalid_api_key")
        token = ("Authorization", f"Bearer {TOKEN}")
        assert ask(server.port, json_request("/register_worker", b"{}", token)).status == 200
        assert json.loads(get(server.port, "/v1/models", token).body)["cluster"] is True


def test_the_token_opens_only_what_was_told_of_it(locked: Running, tmp_path: Path) -> None:
    """The one port of `pumice serve` is the workers' as well; an API by itself is not."""
    key = Keys(tmp_path).create("one")
    for token, status in ((None, 401), (TOKEN, 200)):
        with running(sample_app(), doorkeeping(tmp_path, cluster_token=token)) as server:
            assert get(server.port, "/v1/models", ("x-api-key", key)).status == 200
            assert get(server.port, "/v1/models", ("x-api-key", TOKEN)).status == status


def _called(
    app: Any, *, client: str, host: str, path: str = "/v1/models", headers: tuple[tuple[str, str], ...] = ()
) -> int:
    """The status for a caller from anywhere, without a network."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in headers)]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": raw, "client": (client, 1), "server": ("x", 1), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return int(sent[0]["status"])


def test_callers_from_elsewhere_always_need_something(tmp_path: Path) -> None:
    how = doorkeeping(tmp_path, host="0.0.0.0", scope="cluster", cluster_token=TOKEN)
    app = guarded(sample_app(), how)
    assert _called(app, client="10.0.0.9", host="box:21001") == 401
    assert _called(app, client="10.0.0.9", host="box:21001", path="/health") == 200
    assert _called(app, client="10.0.0.9", host="box:21001", headers=(("authorization", f"Bearer {TOKEN}"),)) == 200
    for here in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert _called(app, client=here, host="localhost:21001") == 200
        assert _called(app, client=here, host="evil.example") == 401  # a stranger's page in a browser on this machine
    for there in ("0.0.0.0", "::", "128.0.0.1", "::ffff:10.0.0.1", "", "localhost.evil"):
        assert _called(app, client=there, host="localhost:21001") == 401


def test_named_hosts(tmp_path: Path) -> None:
    key = Keys(tmp_path).create("one")
    app = guarded(sample_app(), doorkeeping(tmp_path, host="0.0.0.0", allowed_hosts=("Chat.Example",)))
    headers = (("x-api-key", key),)
    assert _called(app, client="10.0.0.9", host="chat.example:8000", headers=headers) == 200
    assert _called(app, client="10.0.0.9", host="chat.example.evil", headers=headers) == 400
    page = (*headers, ("origin", "https://chat.example"))
    assert _called(app, client="10.0.0.9", host="chat.example", headers=page) == 200
    stranger = (*headers, ("origin", "https://chat.example.evil"))
    assert _called(app, client="10.0.0.9", host="chat.example", headers=stranger) == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.local"])
def test_no_door_to_strangers_without_a_key(tmp_path: Path, host: str) -> None:
    for scope in ("api", "web"):
        with pytest.raises(UsageError) as caught:
            guarded(sample_app(), doorkeeping(tmp_path, host=host, scope=scope))
        assert "pumice keys create NAME" in str(caught.value.hint)
    Keys(tmp_path).create("one")
    guarded(sample_app(), doorkeeping(tmp_path, host=host))
    Keys(tmp_path).revoke("one")
    with pytest.raises(UsageError):
        guarded(sample_app(), doorkeeping(tmp_path, host=host))


def test_a_cluster_needs_its_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        guarded(sample_app(), doorkeeping(tmp_path, scope="cluster"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.1", "::1", "[::1]", "localhost", "x.localhost", "::ffff:127.0.0.1"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "0x7f.1", "2130706433", "localhost.x", "127.0.0.1.x", "127.1"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_websockets_are_refused(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/health", "headers": [], "client": ("127.0.0.1", 1)}
    asyncio.run(guarded(sample_app(), doorkeeping(tmp_path))(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_no_route_is_overlooked() -> None:
    found = routes_of(sample_app())
    assert {
        ("GET", "/health"),
        ("GET", "/cluster/workers/x"),
        ("POST", "/mounted"),
        ("POST", "/register_worker"),
    } <= set(found)
