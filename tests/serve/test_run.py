"""Servers as processes: they start, say where, drain on a signal and free their port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from fastapi import FastAPI

from pumice.errors import PumiceError, ServerError, UsageError
from pumice.serve.guard.run import Drain, Guarded, guarded, serve
from serve.served import answers, ask, ask_and_keep, doorkeeping, get, json_request, request, rest, running, sample_app

TESTS = Path(__file__).parent.parent
PROGRAM = """
import sys
from pathlib import Path
from pumice.serve.guard.run import Drain, guarded, serve
from serve.served import doorkeeping, sample_app
drain = Drain()
app = guarded(sample_app(drain), doorkeeping(Path(sys.argv[1])))
sys.exit(serve(app, "127.0.0.1", int(sys.argv[2]), drain=drain, drain_s=float(sys.argv[3]), role="api"))
"""


@contextmanager
def _process(folder: Path, *, port: int = 0, drain_s: float = 20) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of its own, and its port as it says itself."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(port), str(drain_s)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("pumice api: http://127.0.0.1:"), line + process.stderr.read()
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def _stream(port: int, pieces: int) -> socket.socket:
    """A connection on which a stream has begun."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(request("GET", f"/v1/stream?pieces={pieces}&pause_s=0.1"))
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(tmp_path: Path, number: signal.Signals) -> None:
    """What runs is finished, newcomers hear why not, the process ends with 0, the port is free."""
    with _process(tmp_path) as (process, port):
        with _stream(port, 20) as connection:
            process.send_signal(number)
            _until(lambda: get(port, "/ready").status == 503)
            refused = ask(port, json_request("/v1/echo", b"{}"))
            assert (refused.status, json.loads(refused.body)["error"]["code"]) == (503, "draining")
            assert refused.headers["retry-after"] == "1"
            assert get(port, "/health").status == 200
            assert b"data: [DONE]" in rest(connection)
        assert process.wait(20) == 0
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        with _process(tmp_path, port=port) as (again, same):
            assert same == port
            again.send_signal(number)
            assert again.wait(20) == 0


def test_an_idle_server_ends_at_once(tmp_path: Path) -> None:
    with _process(tmp_path) as (process, port), socket.create_connection(("127.0.0.1", port)) as kept:
        assert ask_and_keep(kept, "/health").status == 200
        began = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 5
        assert rest(kept) == b""


def test_patience_ends(tmp_path: Path) -> None:
    """A stream that takes longer than the drain may is cut, visibly: without the end of its chunks."""
    with _process(tmp_path, drain_s=0.5) as (process, port), _stream(port, 10_000) as connection:
        process.terminate()
        raw = rest(connection)
        assert process.wait(20) == 0
        assert not raw.endswith(b"0\r\n\r\n")


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    with _process(tmp_path, drain_s=60) as (process, port), _stream(port, 10_000):
        process.send_signal(signal.SIGINT)
        _until(lambda: get(port, "/ready").status == 503)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_drain_by_program(tmp_path: Path) -> None:
    drain = Drain()
    with running(sample_app(drain), doorkeeping(tmp_path), drain=drain) as server:
        with _stream(server.port, 10) as connection:
            drain.begin()
            assert b"data: [DONE]" in rest(connection)
        server.stop()
        assert server.code == 0


def test_localhost_is_both_addresses(tmp_path: Path) -> None:
    with running(sample_app(), doorkeeping(tmp_path, host="localhost"), host="localhost") as server:
        assert get(server.port, "/health").status == 200
        if _has_ipv6():
            with socket.create_connection(("::1", server.port), timeout=10) as connection:
                connection.sendall(request("GET", "/v1/models", host=f"[::1]:{server.port}"))
                assert [each.status for each in answers(rest(connection))] == [200]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    app = guarded(sample_app(), doorkeeping(tmp_path))
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(PumiceError, match=f"port {server.port} on {host} is in use") as caught:
                serve(app, host, server.port, drain=Drain())
            assert "--port" in str(caught.value.hint)
        assert get(server.port, "/health").status == 200


def test_addresses_that_are_not_ours(tmp_path: Path) -> None:
    app = guarded(sample_app(), doorkeeping(tmp_path))
    with pytest.raises(PumiceError, match="cannot listen on"):
        serve(app, "192.0.2.1", 0, drain=Drain())
    with pytest.raises(UsageError, match="cannot listen on"):
        serve(app, "no.such.host.invalid", 0, drain=Drain())


def test_an_application_that_does_not_start(tmp_path: Path) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        await receive()  # type: ignore[operator]
        await send({"type": "lifespan.startup.failed", "message": "no model"})  # type: ignore[operator]

    with pytest.raises(PumiceError, match="could not start"):
        serve(Guarded(broken, doorkeeping(tmp_path)), "127.0.0.1", 0, drain=Drain())


def test_one_that_says_why_it_does_not_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such as a worker whose upstream is not there: in our words and with our exit code, not as a traceback."""

    def life(app: FastAPI) -> AbstractAsyncContextManager[None]:
        raise ServerError("nobody is there", hint="start it")

    app = guarded(FastAPI(lifespan=life), doorkeeping(tmp_path))
    with pytest.raises(ServerError, match="nobody is there"):
        serve(app, "127.0.0.1", 0, drain=Drain())
    assert "Traceback" not in caplog.text


def test_signals_are_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    drain = Drain()
    drain.begin()
    assert serve(guarded(sample_app(), doorkeeping(tmp_path)), "127.0.0.1", 0, drain=drain) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_many_at_once(tmp_path: Path) -> None:
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        streams = [_stream(server.port, 5) for _ in range(64)]
        ends = [rest(each) for each in streams]
        for each in streams:
            each.close()
        assert all(b"data: [DONE]" in each for each in ends)


def _until(done: object) -> None:
    end = time.monotonic() + 20
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False
