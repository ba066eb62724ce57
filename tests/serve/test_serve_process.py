"""``pumice serve`` as real processes: a worker that is killed, a server that is asked to end, one that is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fakes import python_path
from pumice.serve.api import gateway
from serve.apis import LONG, body, figures, post, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: How long anything may take on a machine that is busy with something else; nothing waits longer than it must.
PATIENCE_S = 180.0


class Server:
    """The process, and the worker processes below it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: any("pumice server: " in line for line in self.log), PATIENCE_S)
        line = next(line for line in self.log if "pumice server: " in line)
        self.port = int(line.rpartition(":")[2])

    @classmethod
    def started(cls, command: list[str], environment: dict[str, str]) -> Server:
        return cls(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def ready(self) -> bool:
        return self.status() == 200

    def status(self) -> int:
        """Of its readiness."""
        url = f"http://127.0.0.1:{self.port}/ready"
        return httpx2.get(url, trust_env=False, timeout=PATIENCE_S).status_code

    def workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def environment(folder: Path, project: Path) -> dict[str, str]:
    own = {"PUMICE_DATA_DIR": str(folder), "PYTHONPATH": python_path(project), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own}


def refused(folder: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A start that ends by itself."""
    command = [sys.executable, "-m", "pumice", "serve", "--workers", "0", *words]
    own = environment(folder, project)
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


@contextmanager
def serving(folder: Path, project: Path, *words: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "pumice", "serve", "--port", "0", *words]
    server = Server.started(command, environment(folder, project))
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(PATIENCE_S)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def long_stream(client: openai.OpenAI) -> Iterator[Any]:
    asked = body("Coins!", response_format=LONG, max_tokens=650, temperature=1, seed=2, stream=True)
    return iter(client.chat.completions.create(**asked))


def answered(port: int) -> bool:
    """Whether the worker returned while a request waited for it, which is what each must do for long."""
    began = time.monotonic()
    answer = post(port, body("Hello?", max_tokens=3))
    assert answer.status_code == 200 or time.monotonic() - began > 0.9 * gateway.PATIENCE_S, answer.text
    return answer.status_code == 200


def test_a_life(tmp_path: Path, project: Path) -> None:
    """A worker killed in mid-stream, the next request answered by another, SIGTERM, and nobody left behind."""
    with serving(tmp_path, project, "--drain", str(PATIENCE_S)) as server:
        until(server.ready, PATIENCE_S)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
        stream = long_stream(client)
        while not next(stream).choices[0].delta.content:  # once it has spoken, nobody else may go on for it
            pass
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="broke off"):
            for _ in stream:
                pass
        until(lambda: answered(server.port), PATIENCE_S)
        (second,) = server.workers()
        assert second != worker
        ended = {"completed": 1, "failed": 1, "in_flight": 0}
        until(lambda: figures(server.port).items() >= ended.items(), PATIENCE_S)

        stream = long_stream(client)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.status() == 503, PATIENCE_S)
        assert post(server.port, body("Hello?")).json()["error"]["code"] == "draining"
        reasons = [choice.finish_reason for chunk in stream for choice in chunk.choices]
        assert reasons[-1] in ("stop", "length"), "what runs is finished"
        assert server.process.wait(PATIENCE_S) == 0
        until(lambda: not alive(second), PATIENCE_S)
        assert "SIGKILL" in "".join(server.log) and "Traceback" not in "".join(server.log)


def test_workers_end_with_the_server(tmp_path: Path, project: Path) -> None:
    with serving(tmp_path, project) as server:
        until(lambda: bool(server.workers()), PATIENCE_S)
        (worker,) = server.workers()
        server.process.kill()
        until(lambda: not alive(worker), PATIENCE_S)


def test_a_model_that_is_not_there_ends_it_at_once(tmp_path: Path, project: Path) -> None:
    done = refused(tmp_path, project, "--workers", "1", "--port", "0", "-m", str(tmp_path / "none"), "--offline")
    assert done.returncode == 3 and "error: " in done.stderr
    assert "Traceback" not in done.stderr and "pumice server: " not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = refused(tmp_path, project, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1 and "hint: " in done.stderr and "Traceback" not in done.stderr


def test_strangers_are_not_served_without_a_key(tmp_path: Path, project: Path) -> None:
    done = refused(tmp_path, project, "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 2 and "pumice keys create" in done.stderr


def test_what_a_server_does_not_do_ends_it_at_once(tmp_path: Path, project: Path) -> None:
    done = refused(tmp_path, project, "--text-in-images", "warn")
    assert done.returncode == 2 and "hide" in done.stderr and "Traceback" not in done.stderr
