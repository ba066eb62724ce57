"""Everybody who should not come into a cluster: without the token, from elsewhere, under another's name."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import FastAPI

from pumice.serve.cluster.controller import Controller
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import Doorkeeping, guarded
from serve.clusters import (
    STATUS,
    TOKEN,
    register,
    workers,
)
from serve.hostile import routes_of
from serve.original_client import post

WITH_TOKEN = {
    "/register_worker": {"worker_name": "http://127.0.0.1:1", "check_heart_beat": True},
    "/receive_heart_beat": {"worker_name": "http://127.0.0.1:1", "queue_length": 0},
    "/cluster/leave": {"worker_name": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("path", WITH_TOKEN)
@pytest.mark.parametrize("token", [None, "wrong-token-of-some-length", TOKEN[:-1]])
def test_even_this_machine_registers_with_the_token_alone(empty: str, path: str, token: str | None) -> None:
    status, answer = post(f"{empty}{path}", WITH_TOKEN[path], token=token)
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert workers(empty) == []


def from_elsewhere(app: FastAPI, folder: Path, peer: str = "10.0.0.9", token: str | None = None) -> httpx2.AsyncClient:
    """A client whose requests come from the address ``peer``, through the guard."""
    how = Doorkeeping("0.0.0.0", Keys(folder), TOKEN, scope="cluster")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx2.ASGITransport(guarded(app, how), client=(peer, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://controller", headers=headers)


def test_every_route_is_behind_the_door(parts: tuple[Controller, FastAPI], tmp_path: Path) -> None:
    async def run() -> dict[str, int]:
        async with from_elsewhere(parts[1], tmp_path) as client:
            places = routes_of(parts[1])
            assert len(places) == 14
            return {path: (await client.request(method, path)).status_code for method, path in places}

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
def test_no_address_but_ones_own(empty: str, name: str) -> None:
    """Nothing is dialled: the network guard of the tests would fail otherwise."""
    status, answer = register(empty, name)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert workers(empty) == []


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(empty: str, name: str) -> None:
    status, answer = register(empty, name)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert workers(empty) == []


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


def test_a_machine_has_several_addresses(
    parts: tuple[Controller, FastAPI], controller: str, idle: str, tmp_path: Path
) -> None:
    """Whoever calls ``localhost`` may come from one loopback address now, and from the other next time."""
    register(controller, idle)

    async def beat() -> object:
        async with from_elsewhere(parts[1], tmp_path, "::1", TOKEN) as client:
            body = {"worker_name": idle, "queue_length": 4}
            return (await client.post("/receive_heart_beat", json=body)).json()

    assert asyncio.run(beat()) == {"exist": True}
    assert workers(controller)[0]["queue"] == 4


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
