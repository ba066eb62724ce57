"""Keeps processes alive: starts them, starts them again, and takes them along when the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pumice.serve.cluster.token import VARIABLE
from pumice.serve.guard.parent import SUPERVISED
from pumice.serve.guard.run import Drain

_log = logging.getLogger(__name__)

#: Variables with secrets. A child has those of them that its role needs; the rest of the environment is for all.
_SECRETS = frozenset(
    {
        *(VARIABLE, "PUMICE_API_KEY", "PUMICE_UPSTREAM_KEY", "OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        *("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_CLIENT_SECRET"),
    }
)
_SOON_S, _MOST_QUICK = 10.0, 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
#: A worker that was known to the controller and is no longer, though its process lives, hangs.
_HANGS_S = 10.0
_LOOK_S = 0.5
#: Exit codes that another try would give again: usage, model, memory, key.
_HOPELESS = (2, 3, 6, 7)


@dataclass(frozen=True)
class Command:
    """How a process is started.

    role: what the log calls it. words: ``{port}`` and ``{number}`` stand for a free port and for which of the crew it
    is. secrets: variables that it is handed on, of those that hold secrets. given: variables of its own.
    """

    role: str
    words: Sequence[str]
    secrets: Collection[str] = ()
    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    def filled(self, **places: object) -> Command:
        """With what stands in braces replaced."""
        words = self.words
        for name, value in places.items():
            words = [word.replace(f"{{{name}}}", str(value)) for word in words]
        return replace(self, words=words)

    def environment(self, whole: Mapping[str, str]) -> dict[str, str]:
        """What the process sees of the environment ``whole``."""
        hidden = _SECRETS - set(self.secrets)
        return {**{name: value for name, value in whole.items() if name not in hidden}, **self.given, SUPERVISED: "1"}


@dataclass(frozen=True)
class Crew:
    """How many processes of one kind, how one is started, and how long each may take to end when it is told to."""

    command: Command
    count: int
    patience_s: float = 40.0


class Supervisor:
    """Of one server. ``failed`` is the exit code of processes that cannot be kept running, once that is known."""

    def __init__(self, crew: Crew, drain: Drain, known: Callable[[], set[str]]) -> None:
        """known: addresses of the workers that the controller has heard from lately."""
        self.failed: int | None = None
        self._crew = crew
        self._drain = drain
        self._known = known
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts all of them; returns before they are ready."""
        self._tasks = [asyncio.create_task(self._keep(index)) for index in range(self._crew.count)]

    async def stop(self) -> None:
        """Waits for them to finish what they are doing; ends those that take too long."""
        await asyncio.gather(*self._tasks)

    async def _keep(self, index: int) -> None:
        """One process after the other, as long as the server runs."""
        name = f"{self._crew.command.role} {index + 1}"
        quick, pause = 0, _FIRST_PAUSE_S
        while not self._drain.draining:
            began = time.monotonic()
            code = await self._run_once(name, index + 1)
            if self._ending():
                return
            if code in _HOPELESS:
                self._give_up(code)
                return
            lived = time.monotonic() - began
            quick, pause = (quick + 1, pause * 2) if lived < _SOON_S else (0, _FIRST_PAUSE_S)
            _log.error("%s ended with %s after %.0f s", name, _how(code), lived)
            if quick >= _MOST_QUICK:
                self._give_up(1)
                return
            await self._pause(min(pause, _LONGEST_PAUSE_S))

    async def _run_once(self, name: str, number: int) -> int:
        port = _free_port()
        command = self._crew.command.filled(port=port, number=number)
        try:
            child = await asyncio.create_subprocess_exec(
                *command.words, stdin=asyncio.subprocess.PIPE, env=command.environment(os.environ)
            )
        except OSError as error:  # such as no memory for one more process, which may pass
            _log.error("%s cannot be started: %s", name, error.strerror or error)
            return 1
        _log.info("%s is process %d on port %d", name, child.pid, port)
        try:
            return await self._watched(child, f"http://127.0.0.1:{port}")
        finally:
            if child.returncode is None:  # this task is being cancelled
                child.kill()

    async def _watched(self, child: asyncio.subprocess.Process, address: str) -> int:
        """Its exit code. One that hangs is killed."""
        ending = asyncio.ensure_future(child.wait())
        seen: float | None = None
        killed = False
        while True:
            done, _ = await asyncio.wait({ending}, timeout=_LOOK_S)
            if done:
                return ending.result()
            if self._drain.draining:
                return await self._ended(child, ending)
            now = time.monotonic()
            if address in self._known():
                seen = now
            elif seen is not None and now - seen > _HANGS_S and not killed:  # the kernel may take its time
                killed = True
                _log.error("process %d has not been heard of for %.0f s and is killed", child.pid, now - seen)
                child.kill()

    async def _ended(self, child: asyncio.subprocess.Process, ending: asyncio.Future[int]) -> int:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        done, _ = await asyncio.wait({ending}, timeout=self._crew.patience_s)
        if not done:
            _log.error("process %d did not end in time and is killed", child.pid)
            child.kill()
        return await ending

    def _ending(self) -> bool:
        return self._drain.draining

    def _give_up(self, code: int) -> None:
        _log.critical("no %s can be kept running; the server ends", self._crew.command.role)
        self.failed = code
        self._drain.begin()

    async def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._drain.draining:
            await asyncio.sleep(0.05)


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
