"""Slow and silent clients over real sockets, and that those who are merely slow to be answered are left alone."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pumice.serve.guard.deadline import Deadlines
from serve.served import (
    Running,
    answers,
    ask_and_keep,
    doorkeeping,
    get,
    json_request,
    request,
    rest,
    running,
    sample_app,
)

HEAD = b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = HEAD.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that waits for headers and bodies for a second."""
    with running(sample_app(), doorkeeping(tmp_path_factory.mktemp("none"), header_s=1, body_s=1)) as server:
        yield server


def _connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def _drip(
    connections: list[socket.socket], start: bytes, piece: bytes, *, at_most_s: float
) -> dict[socket.socket, bytes]:
    """Sends ``start``, then ``piece`` ten times a second, until the server has closed every one. Returns what came."""
    came = dict.fromkeys(connections, b"")
    selector = selectors.DefaultSelector()
    for each in connections:
        each.sendall(start)
        each.setblocking(False)
        selector.register(each, selectors.EVENT_READ)
    end = time.monotonic() + at_most_s
    while selector.get_map():
        assert time.monotonic() < end, f"{len(selector.get_map())} connections are still open"
        for key, _ in selector.select(0.1):
            each = key.fileobj
            assert isinstance(each, socket.socket)
            try:
                data = each.recv(65536)
            except ConnectionError:
                data = b""
            came[each] += data
            if not data:
                selector.unregister(each)
        for key in list(selector.get_map().values()):
            with suppress(BlockingIOError, ConnectionError):
                key.fileobj.send(piece)  # type: ignore[union-attr]
    return came


@pytest.mark.parametrize(
    ("start", "piece", "phase"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", "header"),
        (b"G", b"E", "header"),
        (HEAD + b'{"a": "', b"a", "body"),
        (CHUNKED, b"1\r\na\r\n", "body"),
        (CHUNKED, b"1", "body"),
    ],
    ids=["header", "method", "body", "chunks", "size of a chunk"],
)
def test_dripping_clients_are_cut(strict: Running, start: bytes, piece: bytes, phase: str) -> None:
    with _connect(strict) as connection:
        raw = _drip([connection], start, piece, at_most_s=15)[connection]
    found = answers(raw)
    assert [each.status for each in found] in (
        [408],
        [400],
        [],
    )  # a size or method that is too long is found out earlier
    for each in found:
        error = json.loads(each.body)["error"]
        assert error["code"] in ("request_timeout", "invalid_request")
        assert error["code"] != "request_timeout" or phase in error["message"]


def test_silent_sockets_are_closed_without_a_word(strict: Running) -> None:
    with _connect(strict) as connection:
        assert rest(connection) == b""


def test_two_hundred_of_them_hurt_nobody(strict: Running) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(_connect(strict)) for _ in range(200)]
        for number, each in enumerate(slow):
            each.sendall([b"GET / HTTP/1.1\r\nX-Slow: a", HEAD + b"{", b"", b"G"][number % 4])
        worst = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert get(strict.port, "/health").status == 200
            worst = max(worst, time.monotonic() - began)
        assert worst < 2
        _drip(slow, b"", b"a", at_most_s=20)
    assert get(strict.port, "/health").status == 200


def test_chunks_without_end(strict: Running) -> None:
    """As fast as the line allows: refused by size, and then not listened to for long."""
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with _connect(strict) as connection:
        connection.sendall(CHUNKED)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 30:
                connection.sendall(chunk)


def test_the_rest_of_a_refused_body_is_not_awaited(strict: Running) -> None:
    with _connect(strict) as connection:
        raw = _drip([connection], HEAD.replace(b"/v1/echo", b"/nowhere"), b"a", at_most_s=20)[connection]
    assert [each.status for each in answers(raw)] == [404]


def test_a_stream_outlives_the_deadlines(strict: Running) -> None:
    began = time.monotonic()
    answer = get(strict.port, "/v1/stream?pieces=25&pause_s=0.1")
    assert time.monotonic() - began > 2 * 1
    assert answer.body.count(b"data: ") == 26
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_a_stream_after_a_body_outlives_them_too(strict: Running) -> None:
    """The deadline of the first request's body must not cut the second one's answer."""
    kept = (("Connection", "keep-alive"), ("Content-Type", "application/json"))
    with _connect(strict) as connection:
        connection.sendall(request("POST", "/v1/echo", kept, b"{}"))
        time.sleep(0.3)
        connection.sendall(request("GET", "/v1/stream?pieces=20&pause_s=0.1"))
        found = answers(rest(connection))
    assert [each.status for each in found] == [200, 200]
    assert found[1].body.endswith(b"data: [DONE]\n\n")


def test_a_connection_is_kept_between_requests(strict: Running) -> None:
    """Longer than the deadline of a header: that counts from the next request's first byte."""
    with _connect(strict) as connection:
        for _ in range(3):
            assert ask_and_keep(connection, "/health").status == 200
            time.sleep(1.3)
        connection.sendall(request("GET", "/health"))
        assert [each.status for each in answers(rest(connection))] == [200]


def test_the_next_request_has_a_deadline_as_well(strict: Running) -> None:
    with _connect(strict) as connection:
        assert ask_and_keep(connection, "/health").status == 200
        raw = _drip([connection], b"GET / HTTP/1.1\r\nX-Slow: ", b"a", at_most_s=15)[connection]
    assert [each.status for each in answers(raw)] == [408]


def test_half_a_request_behind_a_whole_one(strict: Running) -> None:
    with _connect(strict) as connection:
        connection.sendall(
            request("GET", "/health", (("Connection", "keep-alive"),)) + b"GET /v1/models HTTP/1.1\r\nX-"
        )
        assert [each.status for each in answers(rest(connection))][:1] == [200]


def test_a_body_that_comes_in_time_in_pieces(strict: Running) -> None:
    data = json_request("/v1/echo", b'{"text": "' + b"a" * 1000 + b'"}')
    with _connect(strict) as connection:
        for start in range(0, len(data), 150):
            connection.sendall(data[start : start + 150])
            time.sleep(0.03)
        assert [each.status for each in answers(rest(connection))] == [200]


def test_expect_100_continue(strict: Running) -> None:
    headers = (("Content-Type", "application/json"), ("Expect", "100-continue"))
    with _connect(strict) as connection:
        head, _, body = request("POST", "/v1/echo", headers, b"{}").partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert b"HTTP/1.1 200" in rest(connection)


def test_who_does_not_read_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer waits for its reader, but not for ever."""
    monkeypatch.setattr("pumice.serve.guard.run.Deadlines", lambda **given: Deadlines(**given, reader_s=1))
    with running(sample_app(), doorkeeping(tmp_path)) as server, _connect(server) as connection:
        connection.sendall(request("GET", "/flood"))
        time.sleep(3)
        assert len(rest(connection)) < 64 << 20  # what the two kernels held; without an end it would go on for ever


def test_too_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.serve.guard.run.Deadlines", lambda **given: Deadlines(**given, connections=5))
    with running(sample_app(), doorkeeping(tmp_path)) as server, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(_connect(server))
        time.sleep(0.3)
        with _connect(server) as connection:
            assert rest(connection) == b""
        stack.pop_all().close()
        time.sleep(0.3)
        assert get(server.port, "/health").status == 200
