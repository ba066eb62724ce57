"""A cluster of real processes for ``serve_chaos.py``: started, asked, killed, started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

MODEL = "pumice-tiny"
#: An answer that goes on for a while: the bundled model's own are short.
COINS = {"type": "array", "minItems": 60, "items": {"type": "boolean"}}
LONG: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Throw coins."}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "coins", "schema": COINS}},
    "max_tokens": 250,
    "temperature": 1,
    "stream": True,
}
SHORT: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What do you see?"}],
    "max_tokens": 16,
    "stream": True,
}


@dataclass
class Heard:
    """What came of one request. outcome: done, error, refused, cut (no end at all)."""

    outcome: str = "cut"
    code: str = ""
    text: str = ""
    first_s: float | None = None
    pieces: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    retry_after: str = ""


class Cluster:
    """Controller, workers and API, each a process with a port of its own; everything they keep is in ``folder``."""

    def __init__(self, folder: Path, *, workers: int, slots: int = 8, queue: int = 64, log_folder: Path | None = None):
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: _free_port() for name in ["controller", "api", *(f"worker{n}" for n in range(workers))]}
        self._slots, self._queue = slots, queue
        self._log = ["--log-folder", str(log_folder)] if log_folder else []
        self.url = f"http://127.0.0.1:{self.ports['api']}"

    @property
    def workers(self) -> list[str]:
        return [name for name in self.ports if name.startswith("worker")]

    def start(self, name: str) -> None:
        """One role; does not wait for it."""
        controller = f"http://127.0.0.1:{self.ports['controller']}"
        words = {
            "controller": ["controller"],
            "api": ["api", "--controller", controller, *self._log],
        }.get(name, ["worker", "--controller", controller, "--slots", str(self._slots), "--queue", str(self._queue)])
        environment = {**os.environ, "PUMICE_DATA_DIR": str(self.folder), "OMP_NUM_THREADS": "1"}
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "pumice", *words, "--port", str(self.ports[name])]
        self.processes[name] = subprocess.Popen(command, env=environment, stderr=log, stdin=subprocess.DEVNULL)

    async def up(self) -> None:
        """Everything started, and every worker registered."""
        for name in self.ports:
            self.start(name)
        await self.until(lambda: self.listed() == len(self.workers), 120)

    def listed(self) -> int:
        """Workers that the API can be asked through the controller's list."""
        token = (self.folder / "cluster-token").read_text().strip() if (self.folder / "cluster-token").exists() else ""
        url = f"http://127.0.0.1:{self.ports['controller']}/cluster/workers"
        try:
            found = httpx2.get(url, headers={"authorization": f"Bearer {token}"}, timeout=2, trust_env=False)
            return len(found.json()["workers"]) if found.status_code == 200 else 0
        except httpx2.HTTPError:
            return 0

    async def until(self, true: Any, seconds: float) -> float:
        """Seconds until something came true. Raises TimeoutError."""
        began = time.monotonic()
        while not await asyncio.to_thread(true):
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"not within {seconds} s")
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.processes[name].pid, how)
        if how in (signal.SIGKILL, signal.SIGTERM):
            self.processes[name].wait(60)

    def down(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()

    def memory(self) -> dict[str, float]:
        """Resident memory of each role in MiB."""
        return {name: _resident(process.pid) for name, process in self.processes.items()}


async def ask(
    client: httpx2.AsyncClient,
    url: str,
    body: dict[str, Any],
    *,
    leave_after: int | None = None,
    heard: Heard | None = None,
) -> Heard:
    """One request, read to its end. leave_after: goes away after so many pieces. heard: is filled as it comes."""
    heard = heard or Heard()
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                heard.outcome, heard.code = "refused", answer.json()["error"]["code"]
                heard.retry_after = answer.headers.get("retry-after", "")
                return heard
            async for event in httpx2.EventSource(answer):
                if event.data == "[DONE]":
                    heard.outcome = "done"
                    break
                data = event.json()
                if "error" in data:
                    heard.outcome, heard.code = "error", data["error"]["code"]
                    break
                for choice in data["choices"]:
                    if choice["delta"].get("content"):
                        heard.first_s = heard.first_s or time.monotonic() - heard.began
                        heard.text += choice["delta"]["content"]
                        heard.pieces += 1
                if leave_after is not None and heard.pieces >= leave_after:
                    heard.outcome = "left"
                    break
    except httpx2.HTTPError as error:
        heard.code = type(error).__name__
    finally:
        heard.ended = time.monotonic()
    return heard


async def speaking(
    client: httpx2.AsyncClient, url: str, count: int, *, of: int
) -> tuple[list[asyncio.Task[Heard]], list[Heard]]:
    """``of`` long streams, once ``count`` of them have begun to speak."""
    heard = [Heard() for _ in range(of)]
    tasks = [
        asyncio.create_task(ask(client, url, {**LONG, "seed": number}, heard=each)) for number, each in enumerate(heard)
    ]
    while sum(each.pieces > 0 for each in heard) < count and not all(task.done() for task in tasks):
        await asyncio.sleep(0.02)
    return tasks, heard


def caller() -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx2.AsyncClient(timeout=120, limits=limits, trust_env=False)


class Auditor:
    """Asks the API's books every tenth of a second whether they add up."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.looks = self.wrong = 0
        self.last: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Auditor:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await asyncio.sleep(0.3)
        self._task.cancel()

    async def _run(self) -> None:
        async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
            while True:
                self.last = figures((await client.get(f"{self._url}/metrics")).text)
                self.looks += 1
                ended = sum(self.last[name] for name in ("completed", "cancelled", "failed", "in_flight"))
                self.wrong += self.last["accepted_total"] != ended
                await asyncio.sleep(0.1)


def figures(text: str) -> dict[str, float]:
    """Of ``/metrics``, what it says of requests."""
    found = {}
    for line in text.splitlines():
        if line.startswith("pumice_requests"):
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("pumice_requests_").replace('total{outcome="', "").rstrip('"}')] = float(value)
    return found


def temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="pumice-chaos-"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _resident(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
