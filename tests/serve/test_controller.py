"""The controller over real sockets: the original's seven routes, and everybody who should not come in."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import FastAPI

from pumice.serve.cluster.controller import Controller
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import Doorkeeping, guarded
from serve.clusters import TOKEN, Clock, FakeService, controller_app, free_port, running, until, worker, worker_app
from serve.original_client import Client, post, text_of

STATUS = {"model_names": ["llava-fake"], "speed": 1, "queue_length": 0}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parts(clock: Clock) -> tuple[Controller, FastAPI]:
    return controller_app(clock, lookup_s=1.0, silence_s=1.0)


@pytest.fixture
def controller(parts: tuple[Controller, FastAPI], tmp_path: Path) -> Iterator[str]:
    with running(parts[1], tmp_path) as url:
        yield url


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def idle(service: FakeService, tmp_path: Path) -> Iterator[str]:
    """A worker that does not register itself."""
    with running(worker_app(service), tmp_path) as url:
        yield url


def register(controller: str, name: str, status: object = STATUS, *, beats: bool = True) -> tuple[int, Any]:
    body = {"worker_name": name, "check_heart_beat": beats, "worker_status": status}
    return post(f"{controller}/register_worker", body, token=TOKEN)


def workers(controller: str) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{controller}/cluster/workers", trust_env=False).json()
    assert sorted(answer) == ["epoch", "left", "workers"]
    found: list[dict[str, Any]] = answer["workers"]
    return found


def test_the_seven_routes_as_the_original_has_them(controller: str, idle: str) -> None:
    client = Client(controller)
    assert client.models() == []
    assert client.worker("llava-fake") == ""
    assert register(controller, idle) == (200, None)
    assert client.models() == ["llava-fake"]
    assert client.worker("llava-fake") == idle
    assert client.worker("another") == ""
    beat = {"worker_name": idle, "queue_length": 3}
    assert post(f"{controller}/receive_heart_beat", beat, token=TOKEN) == (200, {"exist": True})
    beat = {"worker_name": "http://127.0.0.1:1", "queue_length": 3}
    assert post(f"{controller}/receive_heart_beat", beat, token=TOKEN) == (200, {"exist": False})
    assert workers(controller)[0]["queue"] == 3
    assert post(f"{controller}/refresh_all_workers", token=TOKEN) == (200, None)
    assert workers(controller)[0]["queue"] == 0
    expected = {"model_names": ["llava-fake"], "speed": 1.0, "queue_length": 0}
    assert post(f"{controller}/worker_get_status") == (200, expected)
    messages = list(client.stream(controller, "llava-fake", "USER: hello ASSISTANT:"))
    assert text_of(messages, "USER: hello ASSISTANT:") == "A red cup."
    assert [sorted(each) for each in messages] == [["error_code", "text"]] * 3


def test_a_status_that_is_missing_is_asked_for(controller: str, idle: str) -> None:
    assert register(controller, idle, None) == (200, None)
    (found,) = workers(controller)
    assert found == {
        "name": idle,
        "address": idle,
        "models": ["llava-fake"],
        "queue": 0,
        "speed": 1.0,
        "info": {"max_model_len": 128},
    }


def test_silence_refresh_and_goodbye(controller: str, idle: str, clock: Clock) -> None:
    register(controller, idle)
    clock.now += 9.9
    assert len(workers(controller)) == 1
    clock.now += 0.2
    assert workers(controller) == []
    register(controller, idle, beats=False)
    clock.now += 1e6
    assert len(workers(controller)) == 1
    assert post(f"{controller}/cluster/leave", {"worker_name": idle}, token=TOKEN) == (200, {"left": True})
    assert workers(controller) == []
    assert httpx2.get(f"{controller}/cluster/workers", trust_env=False).json()["left"] == [idle]


def test_a_refresh_drops_the_dead(controller: str, tmp_path: Path) -> None:
    with running(worker_app(FakeService()), tmp_path) as gone:
        register(controller, gone, beats=False)
    assert len(workers(controller)) == 1
    assert post(f"{controller}/refresh_all_workers", token=TOKEN) == (200, None)
    assert workers(controller) == []


def test_health_ready_and_metrics(controller: str, idle: str) -> None:
    register(controller, idle)
    get = httpx2.Client(base_url=controller, trust_env=False).get
    assert get("/health").json() == {"status": "ok"}
    assert get("/ready").json() == {"status": "ready", "workers": 1}
    shown = get("/metrics").text
    assert "pumice_workers 1.0" in shown
    assert "pumice_queue_length 0.0" in shown


# Who may come in


WITH_TOKEN = {
    "/register_worker": {"worker_name": "http://127.0.0.1:1", "check_heart_beat": True},
    "/receive_heart_beat": {"worker_name": "http://127.0.0.1:1", "queue_length": 0},
    "/refresh_all_workers": None,
    "/cluster/leave": {"worker_name": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("path", WITH_TOKEN)
@pytest.mark.parametrize("token", [None, "wrong-token-of-some-length", TOKEN[:-1]])
def test_even_this_machine_registers_with_the_token_alone(controller: str, path: str, token: str | None) -> None:
    status, answer = post(f"{controller}{path}", WITH_TOKEN[path], token=token)
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert workers(controller) == []


def from_elsewhere(app: FastAPI, folder: Path, peer: str = "10.0.0.9", token: str | None = None) -> httpx2.AsyncClient:
    """A client whose requests come from the address ``peer``, through the guard."""
    how = Doorkeeping("0.0.0.0", Keys(folder), TOKEN, scope="cluster")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx2.ASGITransport(guarded(app, how), client=(peer, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://controller", headers=headers)


def test_every_route_is_behind_the_door(parts: tuple[Controller, FastAPI], tmp_path: Path) -> None:
    async def run() -> dict[str, int]:
        async with from_elsewhere(parts[1], tmp_path) as client:
            routers = [each.original_router for each in parts[1].routes]  # type: ignore[attr-defined]
            places = [(route.path, method) for router in routers for route in router.routes for method in route.methods]
            assert len(places) == 12
            return {path: (await client.request(method, path)).status_code for path, method in places}

    found = asyncio.run(run())
    assert found.pop("/health") == 200
    assert set(found.values()) == {401}, found


HOSTILE = [
    "http://169.254.169.254",
    "http://169.254.169.254:80/",
    "http://100.100.100.200:21002",
    "http://10.0.0.9:21002",
    "http://192.168.0.1:21002",
    "http://8.8.8.8:21002",
    "http://0.0.0.0:21002",
    "http://[::]:21002",
    "http://224.0.0.1:21002",
    "http://[ff02::1]:21002",
    "http://[fd00::1]:21002",
    "http://[64:ff9b::a9fe:a9fe]:21002",
    "http://0xa9fea9fe:21002",
    "http://2852039166:21002",
    "http://metadata.test:21002",
]
NO_NAMES = [
    "",
    "worker",
    "127.0.0.1:21002",
    "ftp://127.0.0.1:21002",
    "file:///etc/passwd",
    "gopher://127.0.0.1:21002",
    "unix:/tmp/socket",
    "http://",
    "http:///x",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:0",
    "http://127.0.0.1:21002/path",
    "http://127.0.0.1:21002?x=y",
    "http://127.0.0.1:21002#x",
    "http://user@127.0.0.1:21002",
    "http://a\\@127.0.0.1:21002",
    "http://127.0.0.1:21002\r\nX: y",
    "http://127.0.0.1:21002\x00",
    "http://①②⑦.0.0.1:21002",
    "http://127。0。0。1:21002",
    "http://%31%32%37.0.0.1:21002",
    "http://[::1:21002",
    "http://" + "a" * 200,
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_address_but_ones_own(parts: tuple[Controller, FastAPI], controller: str, name: str) -> None:
    """Nothing is dialled: the network guard of the tests would fail otherwise."""
    status, answer = register(controller, name)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert parts[0].workers() == ()


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(parts: tuple[Controller, FastAPI], controller: str, name: str) -> None:
    status, answer = register(controller, name)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert parts[0].workers() == ()


@pytest.mark.parametrize("raw", [{"model_names": []}, {**STATUS, "speed": -1}, {**STATUS, "queue_length": 10**9}])
def test_a_status_that_lies(controller: str, idle: str, raw: object) -> None:
    status, answer = register(controller, idle, raw)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert "worker_status" in answer["error"]["message"]


def test_a_name_cannot_be_taken_over(
    parts: tuple[Controller, FastAPI], controller: str, idle: str, tmp_path: Path
) -> None:
    register(controller, idle)

    async def attack() -> list[int]:
        async with from_elsewhere(parts[1], tmp_path, "10.0.0.66", TOKEN) as client:
            posts = [
                ("/register_worker", {"worker_name": idle, "check_heart_beat": False, "worker_status": STATUS}),
                ("/receive_heart_beat", {"worker_name": idle, "queue_length": 999}),
                ("/cluster/leave", {"worker_name": idle}),
            ]
            return [(await client.post(path, json=body)).status_code for path, body in posts]

    assert asyncio.run(attack()) == [403, 403, 403]
    assert [(each["name"], each["queue"]) for each in workers(controller)] == [(idle, 0)]


class _Impostor(BaseHTTPRequestHandler):
    """Answers as a worker would, but for the proof; or sends the caller elsewhere."""

    answer: ClassVar[tuple[int, dict[str, str], bytes]]
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b'{"model_names": ["m"], "speed": 1, "queue_length": 0}'),
        (200, {}, b'{"model_names": ["m"], "speed": 1, "queue_length": 0, "nonce": "00"}'),
        (200, {}, b'{"model_names": ["m"], "speed": 1, "queue_length": 0, "nonce": 5}'),
        (200, {}, b"[]"),
        (200, {}, b"\x80\x04\x95pickle"),
        (200, {}, b"x" * (1 << 20)),
        (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"),
        (302, {"Location": "http://127.0.0.1:PORT/stolen"}, b""),
        (307, {"Location": "http://127.0.0.1:PORT/stolen"}, b""),
        (500, {}, b"{}"),
    ],
)
def test_who_cannot_prove_itself(controller: str, status: int, headers: dict[str, str], body: bytes) -> None:
    handler = type("Handler", (_Impostor,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        port = str(server.server_address[1])
        handler.answer = (status, {name: text.replace("PORT", port) for name, text in headers.items()}, body)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        found, answer = register(controller, f"http://127.0.0.1:{port}")
        server.shutdown()
    assert (found, answer["error"]["code"]) == (502, "worker_failed")
    assert handler.asked == ["/worker_get_status"], "a redirect was followed"
    assert workers(controller) == []


def test_many_spellings_of_one_address_are_one_worker(controller: str, idle: str) -> None:
    port = idle.rpartition(":")[2]
    hosts = ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"]
    taken = [register(controller, f"http://{host}:{port}")[0] for host in hosts]
    assert taken[:3] == [200, 200, 200]
    assert set(taken) <= {200, 403}  # what the rest means is the system's to say
    assert [each["address"] for each in workers(controller)] == [idle]


def test_a_worker_that_never_answers_holds_nobody_up(controller: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"http://127.0.0.1:{silent.getsockname()[1]}"
        outcomes: list[int] = []
        tries = [threading.Thread(target=lambda: outcomes.append(register(controller, name)[0])) for _ in range(8)]
        started = time.monotonic()
        for each in tries:
            each.start()
        slowest = 0.0
        while any(each.is_alive() for each in tries):
            before = time.monotonic()
            assert httpx2.get(f"{controller}/health", trust_env=False).status_code == 200
            slowest = max(slowest, time.monotonic() - before)
        assert outcomes == [502] * 8
        assert time.monotonic() - started < 10
        assert slowest < 1.0


# The stream through the controller


def test_nobody_has_the_model(controller: str) -> None:
    (message,) = Client(controller).stream(controller, "none", "hello")
    assert message["error_code"] == 2
    assert message["text"] == "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**"
    assert message["error"]["code"] == "no_worker"
    assert message["error"]["request_id"].startswith("req_")


@pytest.mark.parametrize("model", [None, 5, "x" * 300, ["a"]])
def test_a_payload_without_a_model(controller: str, model: object) -> None:
    (message,) = Client(controller).stream(controller, model, "hello")  # type: ignore[arg-type]
    assert (message["error_code"], message["error"]["code"]) == (1, "invalid_request")


def test_a_worker_that_is_gone(controller: str, tmp_path: Path) -> None:
    with running(worker_app(FakeService()), tmp_path) as gone:
        register(controller, gone)
    (message,) = Client(controller).stream(controller, "llava-fake", "hello")
    assert (message["error_code"], message["error"]["code"]) == (3, "worker_failed")
    assert "127.0.0.1" not in str(message)


class _BreaksOff(BaseHTTPRequestHandler):
    """A worker that dies in the middle of its second message, or falls silent there."""

    hangs: ClassVar[bool]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/worker_get_status":
            from json import dumps, loads

            from pumice.serve.cluster.token import proof

            body = dumps({**STATUS, "nonce": proof(TOKEN, loads(raw)["nonce"])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b'{"text": "hello you", "error_code": 0}\0', b'{"text": "hello you the'):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.flush()
        if self.hangs:
            time.sleep(3)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("hangs", [False, True], ids=["dies", "hangs"])
def test_a_worker_that_breaks_off(controller: str, hangs: bool) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_BreaksOff,), {"hangs": hangs})) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert register(controller, f"http://127.0.0.1:{server.server_address[1]}") == (200, None)
        started = time.monotonic()
        first, last = Client(controller).stream(controller, "llava-fake", "hello")
        assert time.monotonic() - started < 2.5
        server.shutdown()
    assert first == {"text": "hello you", "error_code": 0}
    assert (last["error_code"], last["error"]["code"]) == (3, "worker_failed")


def test_whoever_leaves_stops_the_worker_too(controller: str, service: FakeService, idle: str) -> None:
    service.gate = threading.Event()
    register(controller, idle)
    stream = Client(controller).stream(controller, "llava-fake", "hello")
    assert next(stream)["text"] == "helloA "
    stream.close()  # type: ignore[attr-defined]
    until(lambda: service.left_early == 1, 3)


def test_nobodys_key_is_passed_on(tmp_path: Path, service: FakeService, idle: str) -> None:
    keys = Keys(tmp_path / "keys")
    secret = keys.create("anna", "admin")
    _, app = controller_app()
    with running(app, tmp_path / "keys") as controller:
        register(controller, idle)
        service.headers.clear()
        refused = post(f"{controller}/list_models")
        assert refused[0] == 401
        messages = list(Client(controller, token=secret).stream(controller, "llava-fake", "hello"))
        assert text_of(messages, "hello") == "A red cup."
    assert service.headers
    assert secret not in str(service.headers)
    assert service.headers[-1]["authorization"] == f"Bearer {TOKEN}"


def test_controllers_can_stand_on_one_another(controller: str, idle: str, tmp_path: Path) -> None:
    """The original's hierarchy: a controller is a worker to the one above."""
    register(controller, idle)
    _, above = controller_app()
    with running(above, tmp_path) as top:
        assert register(top, controller, None, beats=False) == (200, None)
        client = Client(top)
        assert client.models() == ["llava-fake"]
        assert text_of(list(client.stream(top, "llava-fake", "hello")), "hello") == "A red cup."


def test_workers_share_the_work(controller: str, tmp_path: Path) -> None:
    one, two = FakeService(), FakeService()
    with worker(one, tmp_path, controller), worker(two, tmp_path, controller):
        until(lambda: len(workers(controller)) == 2)
        client = Client(controller)
        for _ in range(10):
            assert text_of(list(client.ask("llava-fake", "hello")), "hello") == "A red cup."
        assert len(one.calls) + len(two.calls) == 10
        assert abs(len(one.calls) - len(two.calls)) <= 6
    until(lambda: workers(controller) == [], 3)


def test_a_port_that_nobody_listens_on(controller: str) -> None:
    status, answer = register(controller, f"http://127.0.0.1:{free_port()}")
    assert (status, answer["error"]["message"]) == (502, "the worker does not answer at its address")
