"""The workers as the API sees them: those of a controller in its own process, or those that one elsewhere lists."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx2

from pumice.errors import AuthError, PumiceError, ServerError
from pumice.serve.cluster.calls import whole
from pumice.serve.cluster.controller import Controller
from pumice.serve.cluster.status import read_status

_log = logging.getLogger(__name__)

POLL_S = 1.0
#: How long a worker that a reachable controller does not list is kept: after a restart, workers need time to return.
KEEP_S = 15.0
_MOST_BYTES = 32 << 20
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Entry:
    """A worker that can be called at ``address``.

    listed: False for one that the controller does not know (yet). heard: when it told its queue, in seconds of this
    process's ``time.monotonic``; before everything if nobody knows.
    """

    name: str
    address: str
    models: tuple[str, ...]
    speed: float
    queue: int
    info: Mapping[str, object] = field(default_factory=dict)
    listed: bool = True
    heard: float = field(default=-math.inf, compare=False)


class Directory(Protocol):
    """Tells which workers there are, at once and without network."""

    async def workers(self) -> list[Entry]: ...


class LocalDirectory:
    """The workers of a controller in this process."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def workers(self) -> list[Entry]:
        """See ``Directory``."""
        now = time.monotonic()
        return [
            Entry(each.name, each.address, each.models, each.speed, each.queue, each.info, heard=now - age)
            for each, age in self._controller.aged()
        ]


class Recollection:
    """What is remembered of a controller's list. Pure: ``now`` is any number of seconds that never goes back.

    A controller that is away changes nothing. A worker that a reachable one does not list is kept for a while, and
    dropped at once if it said goodbye.
    """

    def __init__(self, keep_s: float = KEEP_S) -> None:
        self._keep_s = keep_s
        self._entries: dict[str, Entry] = {}
        self._missed: dict[str, float] = {}
        self._heard: float | None = None

    @property
    def entries(self) -> list[Entry]:
        """Those that are listed come first."""
        return sorted(self._entries.values(), key=lambda each: not each.listed)

    def heard(self, listed: list[Entry], left: list[str], now: float) -> None:
        """Takes over what the controller said."""
        # Time in which the controller was away does not count.
        passed = 0.0 if self._heard is None else now - self._heard
        self._heard = now
        names = {each.name for each in listed}
        for name in [name for name in self._entries if name not in names]:
            self._missed[name] = self._missed.get(name, 0.0) + (passed if name in self._missed else 0.0)
            if name in left or self._missed[name] >= self._keep_s:
                del self._entries[name], self._missed[name]
            else:
                self._entries[name] = replace(self._entries[name], listed=False)
        for each in listed:
            self._missed.pop(each.name, None)
            self._entries[each.name] = each

    def away(self) -> None:
        """The controller could not be asked."""
        self._heard = None


class RemoteDirectory:
    """The workers that the controller at ``url`` lists, asked every second in the background.

    ``start`` and ``stop`` it in the event loop that uses it. reachable: whether the controller answered last.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        poll_s: float = POLL_S,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reachable = False
        self._url = url.rstrip("/")
        self._poll_s = poll_s
        self._clock = clock
        self._known = Recollection(keep_s)
        self._asked = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None
        self._client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
            timeout=3.0,
            follow_redirects=False,
            trust_env=False,
        )

    async def start(self) -> None:
        """Begins to ask; waits for the first answer, but no longer than a moment."""
        self._task = asyncio.create_task(self._poll())
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._asked.wait(), 2 * self._poll_s)

    async def stop(self) -> None:
        """Ends the asking."""
        if self._task is not None:
            self._ending = True  # before Python 3.12, wait_for may swallow a cancellation
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()

    async def workers(self) -> list[Entry]:
        """See ``Directory``."""
        return self._known.entries

    async def _poll(self) -> None:
        pause = self._poll_s
        while not self._ending:
            try:
                await self._look()
                pause = self._poll_s
            except Exception:  # whatever it is: nobody would hear of a task that has ended
                _log.exception("what the controller at %s says could not be taken over", self._url)
                self.reachable = False
                self._known.away()
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            self._asked.set()
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        """Asks once."""
        try:
            listed, left = await asyncio.wait_for(self._ask(), 3.0)
        except (PumiceError, httpx2.HTTPError, httpx2.InvalidURL, asyncio.TimeoutError) as error:
            if self.reachable or not self._asked.is_set():
                _log.warning("the controller at %s cannot be asked: %s", self._url, _why(error))
            self.reachable = False
            self._known.away()
            return
        if not self.reachable:
            _log.info("the controller at %s lists %d workers", self._url, len(listed))
        self.reachable = True
        self._known.heard(listed, left, self._clock())

    async def _ask(self) -> tuple[list[Entry], list[str]]:
        now = time.monotonic()
        async with self._client.stream("GET", f"{self._url}/cluster/workers") as answer:
            if answer.status_code in (401, 403):
                raise AuthError("it refuses this cluster token", hint="use the same PUMICE_CLUSTER_TOKEN everywhere")
            if answer.status_code != 200:
                raise ServerError(f"it answered with status {answer.status_code}")
            return _read(await whole(answer, _MOST_BYTES), now)


def _read(text: bytes, now: float) -> tuple[list[Entry], list[str]]:
    """Of an answer that was asked for at ``now``. Raises ServerError for one that is no list of workers."""
    try:
        body: dict[str, Any] = json.loads(text)
        return [_entry(each, now) for each in body["workers"]], [str(name) for name in body.get("left", [])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ServerError("what answers there is no controller") from None


def _entry(raw: dict[str, Any], now: float) -> Entry:
    told = {"model_names": raw["models"], "speed": raw["speed"], "queue_length": raw["queue"], "info": raw["info"]}
    status, heard = read_status(told), now - float(raw.get("age", math.inf))  # an older controller tells no age
    return Entry(
        str(raw["name"]), str(raw["address"]), status.models, status.speed, status.queue, status.info, heard=heard
    )


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
