"""Keeps worker processes alive: starts them, starts them again, and takes them along when the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pumice.serve.guard.run import Drain

_log = logging.getLogger(__name__)

#: Tells a child that it ends with whoever holds the other end of its standard input.
SUPERVISED = "PUMICE_SUPERVISED"
_SOON_S, _MOST_QUICK = 10.0, 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
#: A worker that was known to the controller and is no longer, though its process lives, hangs.
_HANGS_S = 10.0
_LOOK_S = 0.5
#: Exit codes that another try would give again: usage, model, memory, key.
_HOPELESS = (2, 3, 6, 7)


@dataclass(frozen=True)
class Crew:
    """How many workers, and how one is started. command: ``{port}`` in it stands for the worker's port."""

    command: Sequence[str]
    count: int
    drain_s: float = 30.0


class Supervisor:
    """Of one server. ``failed`` is the exit code of workers that cannot be started, once that is known."""

    def __init__(self, crew: Crew, drain: Drain, known: Callable[[], set[str]]) -> None:
        """known: addresses of the workers that the controller has heard from lately."""
        self.failed: int | None = None
        self._crew = crew
        self._drain = drain
        self._known = known
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Starts all workers; returns before they are ready."""
        self._tasks = [asyncio.create_task(self._keep(index)) for index in range(self._crew.count)]

    async def stop(self) -> None:
        """Waits for the workers to finish what they are doing; ends those that take too long."""
        await asyncio.gather(*self._tasks)

    async def _keep(self, index: int) -> None:
        """One worker, as long as the server runs."""
        quick, pause = 0, _FIRST_PAUSE_S
        while not self._drain.draining:
            began = time.monotonic()
            code = await self._run_once(index)
            if self._ending():
                return
            if code in _HOPELESS:
                self._give_up(code)
                return
            lived = time.monotonic() - began
            quick, pause = (quick + 1, pause * 2) if lived < _SOON_S else (0, _FIRST_PAUSE_S)
            _log.error("worker %d ended with %s after %.0f s", index + 1, _how(code), lived)
            if quick >= _MOST_QUICK:
                self._give_up(1)
                return
            await self._pause(min(pause, _LONGEST_PAUSE_S))

    async def _run_once(self, index: int) -> int:
        port = _free_port()
        words = [word.replace("{port}", str(port)) for word in self._crew.command]
        child = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, env={**os.environ, SUPERVISED: "1"}
        )
        _log.info("worker %d is process %d on port %d", index + 1, child.pid, port)
        try:
            return await self._watched(child, f"http://127.0.0.1:{port}")
        finally:
            if child.returncode is None:  # this task is being cancelled
                child.kill()

    async def _watched(self, child: asyncio.subprocess.Process, address: str) -> int:
        """Its exit code. A worker that hangs is killed."""
        ending = asyncio.ensure_future(child.wait())
        seen: float | None = None
        while True:
            done, _ = await asyncio.wait({ending}, timeout=_LOOK_S)
            if done:
                return ending.result()
            if self._drain.draining:
                return await self._ended(child, ending)
            now = time.monotonic()
            if address in self._known():
                seen = now
            elif seen is not None and now - seen > _HANGS_S:
                _log.error("process %d has not been heard of for %.0f s and is killed", child.pid, now - seen)
                child.kill()

    async def _ended(self, child: asyncio.subprocess.Process, ending: asyncio.Future[int]) -> int:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        done, _ = await asyncio.wait({ending}, timeout=self._crew.drain_s)
        if not done:
            _log.error("process %d did not end in time and is killed", child.pid)
            child.kill()
        return await ending

    def _ending(self) -> bool:
        return self._drain.draining

    def _give_up(self, code: int) -> None:
        _log.critical("workers cannot be kept running; the server ends")
        self.failed = code
        self._drain.begin()

    async def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._drain.draining:
            await asyncio.sleep(0.05)


def end_with_parent(drain: Drain) -> None:
    """In a child: drains once the parent is gone, however it went."""
    if os.environ.get(SUPERVISED) != "1":
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 1):
                pass
        drain.begin()

    threading.Thread(target=wait, name="pumice-parent", daemon=True).start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
