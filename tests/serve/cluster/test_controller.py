"""The controller over real sockets: the original's seven routes, and everybody who should not come in."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest

from pumice.serve.guard.keys import Keys
from serve.clusters import (
    STATUS,
    TOKEN,
    Clock,
    FakeService,
    controller_app,
    free_port,
    register,
    running,
    until,
    worker,
    worker_app,
    workers,
)
from serve.original_client import Client, post, text_of


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
    assert 0 <= found.pop("age") < 60
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


def test_nobody_has_the_model(empty: str) -> None:
    (message,) = Client(empty).stream(empty, "none", "hello")
    assert message["error_code"] == 2
    assert message["text"] == "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**"
    assert message["error"]["code"] == "no_worker"
    assert message["error"]["request_id"].startswith("req_")


@pytest.mark.parametrize("model", [None, 5, "x" * 300, ["a"]])
def test_a_payload_without_a_model(empty: str, model: object) -> None:
    (message,) = Client(empty).stream(empty, model, "hello")  # type: ignore[arg-type]
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


def test_a_client_of_the_original_refreshes_at_its_start_as_long_as_there_is_no_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with running(controller_app()[1], tmp_path) as controller:
        assert post(f"{controller}/refresh_all_workers") == (200, None)
        infer, admin = keys.create("anna"), keys.create("boss", "admin")
        assert [post(f"{controller}/refresh_all_workers", token=each)[0] for each in (None, infer)] == [401, 403]
        assert post(f"{controller}/refresh_all_workers", token=admin) == (200, None)


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
        with ThreadPoolExecutor(10) as pool:
            said = list(pool.map(lambda _: text_of(list(client.ask("llava-fake", "hello")), "hello"), range(10)))
        assert said == ["A red cup."] * 10
        assert len(one.calls) + len(two.calls) == 10
        assert abs(len(one.calls) - len(two.calls)) <= 6
    until(lambda: workers(controller) == [], 3)


def test_a_port_that_nobody_listens_on(empty: str) -> None:
    status, answer = register(empty, f"http://127.0.0.1:{free_port()}")
    assert (status, answer["error"]["message"]) == (502, "the worker does not answer at its address")
