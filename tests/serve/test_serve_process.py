"""``pumice serve`` as real processes: a worker that is killed, a server that is asked to end, one that is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fakes import python_path
from serve.apis import LONG, MODEL, body, figures, post, until

pytestmark = pytest.mark.slow


class Server:
    """The process, and the worker processes below it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: any("pumice server: " in line for line in self.log), 60)
        line = next(line for line in self.log if "pumice server: " in line)
        self.port = int(line.rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def ready(self) -> bool:
        return httpx2.get(f"http://127.0.0.1:{self.port}/ready", trust_env=False).status_code == 200

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
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=90)


@contextmanager
def serving(folder: Path, project: Path, *words: str) -> Iterator[Server]:
    environment = {
        **os.environ,
        "PUMICE_DATA_DIR": str(folder),
        "PYTHONPATH": python_path(project),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pumice", "serve", "--port", "0", *words]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def long_stream(client: openai.OpenAI) -> Iterator[Any]:
    asked = body("Coins!", response_format=LONG, max_tokens=650, temperature=1, seed=2, stream=True)
    return iter(client.chat.completions.create(**asked))


def test_a_life(tmp_path: Path, project: Path) -> None:
    """A worker killed in mid-stream, the next request answered by another, SIGTERM, and nobody left behind."""
    with serving(tmp_path, project) as server:
        until(server.ready, 90)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
        stream = long_stream(client)
        while not next(stream).choices[0].delta.content:  # once it has spoken, nobody else may go on for it
            pass
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="broke off"):
            for _ in stream:
                pass
        assert post(server.port, body("Hello?", max_tokens=3)).status_code == 200, "it waits for the worker's return"
        (second,) = server.workers()
        assert second != worker
        found = figures(server.port)
        assert (found["completed"], found["failed"], found["in_flight"]) == (1, 1, 0)

        stream = long_stream(client)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx2.get(f"http://127.0.0.1:{server.port}/ready", trust_env=False).status_code == 503)
        assert post(server.port, body("Hello?")).json()["error"]["code"] == "draining"
        reasons = [choice.finish_reason for chunk in stream for choice in chunk.choices]
        assert reasons[-1] in ("stop", "length"), "what runs is finished"
        assert server.process.wait(60) == 0
        until(lambda: not alive(second))
        assert "SIGKILL" in "".join(server.log) and "Traceback" not in "".join(server.log)


def test_workers_end_with_the_server(tmp_path: Path, project: Path) -> None:
    with serving(tmp_path, project) as server:
        until(lambda: bool(server.workers()), 60)
        (worker,) = server.workers()
        server.process.kill()
        until(lambda: not alive(worker), 60)


def test_a_model_that_is_not_there_ends_it_at_once(tmp_path: Path, project: Path) -> None:
    with serving(tmp_path, project, "-m", str(tmp_path / "none"), "--offline") as server:
        assert server.process.wait(90) == 3
        text = "".join(server.log)
        assert "error: " in text and "Traceback" not in text and MODEL not in text


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
