"""Small clusters on this machine: a controller in a thread or a process, and workers that answer without a model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pumice.options import SamplingOptions
from pumice.serve.cluster.app import make_app
from pumice.serve.cluster.calls import Calls
from pumice.serve.cluster.controller import Cluster, Controller
from pumice.serve.cluster.status import Status
from pumice.serve.guard.errors import install
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve
from pumice.serve.original.worker_routes import Service, routes
from pumice.serve.worker.registration import Contact, Registration
from serve.original_client import post

STATUS = {"model_names": ["llava-fake"], "speed": 1, "queue_length": 0}
TOKEN = "a-cluster-token-for-tests"
SOURCES = Path(__file__).parents[2] / "src"


@contextlib.contextmanager
def running(
    app: ASGIApp, folder: Path, *, port: int = 0, on_ready: Callable[[int], None] | None = None, drain_s: float = 2
) -> Iterator[str]:
    """``app`` behind the guard on a real socket, in a thread; its URL."""
    how = Doorkeeping("127.0.0.1", Keys(folder), TOKEN, scope="cluster")
    drain, ready, ports = Drain(), threading.Event(), []

    def announce(bound: int) -> None:
        ports.append(bound)
        if on_ready is not None:
            on_ready(bound)
        ready.set()

    def run() -> None:
        serve(guarded(app, how), "127.0.0.1", port, drain=drain, on_ready=announce, drain_s=drain_s)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20), "the server does not start"
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        drain.begin()
        thread.join(20)
        assert not thread.is_alive(), "the server does not end"


@dataclass
class FakeService:
    """Answers every prompt with ``words``. gate: waits before the second word until it is set."""

    models: tuple[str, ...] = ("llava-fake",)
    words: Sequence[str] = ("A ", "red ", "cup.")
    speed: float = 1.0
    queue: int = 0
    error: Exception | None = None
    gate: threading.Event | None = None
    calls: list[tuple[str, tuple[bytes, ...], SamplingOptions]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left_early: int = 0
    well: bool = True

    async def able(self) -> bool:
        return self.well

    def status(self) -> Status:
        return Status(self.models, self.speed, self.queue, {"max_model_len": 128})

    async def generate_rendered(
        self, prompt: str, pictures: Sequence[bytes], options: SamplingOptions
    ) -> AsyncGenerator[str, None]:
        self.calls.append((prompt, tuple(pictures), options))
        self.queue += 1
        finished = False
        try:
            for number, word in enumerate(self.words):
                while number == 1 and self.gate is not None and not self.gate.is_set():
                    await asyncio.sleep(0.01)
                yield word
            if self.error is not None:
                raise self.error
            finished = True
        finally:
            self.queue -= 1
            self.left_early += not finished


def worker_app(service: Service, *, sign_s: float = 0.2) -> ASGIApp:
    """The original's two routes over ``service``, which notes the headers of every request."""
    app = FastAPI()
    install(app)
    app.include_router(routes(service, TOKEN, sign_s=sign_s))

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and isinstance(service, FakeService):
            service.headers.append(dict(Request(scope).headers))
        await app(scope, receive, send)

    return noting


@contextlib.contextmanager
def worker(
    service: FakeService,
    folder: Path,
    controller: str | None = None,
    *,
    port: int = 0,
    token: str = TOKEN,
    beat_s: float = 0.5,
) -> Iterator[str]:
    """A worker, registered with ``controller`` as long as it lives; its URL."""
    loops: list[asyncio.AbstractEventLoop] = []
    kept: list[Registration] = []

    def begin(bound: int) -> None:
        if controller is not None:
            contact = Contact(controller, f"http://127.0.0.1:{bound}", token)
            kept.append(Registration(contact, service.status, service.able, beat_s=beat_s))
            kept[0].start()
            loops.append(asyncio.get_running_loop())

    with running(worker_app(service), folder, port=port, on_ready=begin) as url:
        try:
            yield url
        finally:
            for each in kept:
                asyncio.run_coroutine_threadsafe(each.leave(), loops[0]).result(10)


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def controller_app(clock: Callable[[], float] = time.monotonic, **calls: float) -> tuple[Controller, FastAPI]:
    made = Controller(Cluster(TOKEN, clock=clock), calls=Calls(TOKEN, **calls))
    return made, make_app(made, Drain())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """For processes of our own: the cluster's token, and a folder for keys."""
    own = {"PUMICE_CLUSTER_TOKEN": TOKEN, "PUMICE_DATA_DIR": str(folder), "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own}


def _path() -> str:
    return os.pathsep.join(filter(None, [str(SOURCES), os.environ.get("PYTHONPATH")]))


@contextlib.contextmanager
def process(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``python *words``, once it says that it listens."""
    with subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment(folder)
    ) as started:
        try:
            assert started.stderr is not None
            said = ""
            for line in started.stderr:
                said += line
                if ": http://" in line:
                    break
            else:
                raise AssertionError(f"it ended with {started.wait()}: {said}")
            # What follows is read by nobody, but must not fill the pipe.
            threading.Thread(target=started.stderr.read, daemon=True).start()
            yield started
        finally:
            if started.poll() is None:
                started.kill()
            started.wait(20)


def until(true: Callable[[], object], seconds: float = 10.0) -> float:
    """Waits until something is true; how long that took. Fails after ``seconds``."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, "that did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - started


def register(controller: str, name: str, status: object = STATUS, *, beats: bool = True) -> tuple[int, Any]:
    body = {"worker_name": name, "check_heart_beat": beats, "worker_status": status}
    return post(f"{controller}/register_worker", body, token=TOKEN)


def workers(controller: str) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{controller}/cluster/workers", trust_env=False).json()
    assert sorted(answer) == ["epoch", "left", "workers"]
    found: list[dict[str, Any]] = answer["workers"]
    return found


def listed(controller: str) -> list[str]:
    """Names of the workers; none while there is no controller."""
    try:
        answer = httpx2.get(f"{controller}/cluster/workers", trust_env=False, timeout=5)
    except httpx2.HTTPError:
        return []
    return [each["name"] for each in answer.json()["workers"]]
