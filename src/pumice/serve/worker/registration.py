"""How a worker stays known to its controller: registers, sends signs of life, comes back, says goodbye.

Everything waits without holding up the worker's other work. A controller that is away, restarted, or not there yet
changes nothing for requests that run.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from pumice.serve.cluster.status import Status

_log = logging.getLogger(__name__)

BEAT_S = 3.0
_LOOK_S = 0.25  # so that a queue that changes all the time makes four signs of life a second, and no more
_FIRST_S, _LONGEST_S = 0.2, 8.0  # so that all are back within ten seconds of a controller's return
_ANSWER_S = 10.0  # while it registers, the controller calls the worker back


@dataclass(frozen=True)
class Contact:
    """controller: its URL. name: the worker's own URL, under which others call it. token: the cluster's."""

    controller: str
    name: str
    token: str = field(repr=False)


class Delays:
    """Times to wait between tries that fail: short at first, then longer and longer, never quite alike.

    draw: a number in [0, 1).
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._next = _FIRST_S

    def next(self) -> float:
        """Seconds until the next try."""
        wait = self._next
        self._next = min(_LONGEST_S, self._next * 1.5)
        return wait * (0.5 + 0.5 * self._draw())

    def reset(self) -> None:
        """The last try succeeded."""
        self._next = _FIRST_S


class Registration:
    """Keeps one worker registered from ``start`` to ``leave``.

    status: what to tell, asked anew every time. able: whether it can answer questions now; while it cannot, it is not
    registered. beat_s: between two signs of life, as long as the queue stays about as long as it was.
    """

    def __init__(
        self,
        contact: Contact,
        status: Callable[[], Status],
        able: Callable[[], Awaitable[bool]],
        *,
        beat_s: float = BEAT_S,
    ) -> None:
        self.registered = False
        self._contact = contact
        self._status = status
        self._ask_able = able
        self._able = True  # as it was when last asked; it started
        self._beat_s = beat_s
        self._tasks: list[asyncio.Task[None]] = []
        self._queue = 0  # as the controller was told
        self._leaving = False
        self._complaint = ""
        self._client = httpx2.AsyncClient(
            base_url=contact.controller,
            headers={"authorization": f"Bearer {contact.token}"},
            timeout=_ANSWER_S,
            follow_redirects=False,
            trust_env=False,
        )

    def start(self) -> None:
        """Begins. The worker must be answering requests already: the controller calls back."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._watch())]

    async def leave(self) -> None:
        """Says goodbye, so that nobody is sent here any more, and ends. A controller that is away is not waited for."""
        if self._tasks:
            self._leaving = True  # whatever a library below does with the cancellation
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.registered = False
            with suppress(httpx2.HTTPError, httpx2.InvalidURL, ValueError, asyncio.TimeoutError):
                await asyncio.wait_for(self._goodbye(), 2.0)
        await self._client.aclose()

    async def _watch(self) -> None:
        """Beside the signs of life: a server that is asked and hangs must not hold them up."""
        while not self._leaving:
            try:
                able = await self._ask_able()
            except Exception:  # whatever it is: nobody would hear of a task that has ended
                _log.exception("whether questions can be answered is not known")
                able = False
            if able != self._able:
                _log.warning("questions can be answered again" if able else "no question can be answered now")
            self._able = able
            await asyncio.sleep(self._beat_s)

    async def _run(self) -> None:
        delays = Delays()
        while not self._leaving:
            try:
                if self.registered and not self._able:
                    await self._goodbye()
                    self.registered = False
                elif self.registered:
                    self.registered = await self._beat()
                if not self.registered and self._able:
                    await self._register()
            except Exception as error:  # whatever it is: nobody would hear of a task that has ended
                self._complain(error)
                # Whoever is silent for long is forgotten; a beat says whether that happened.
                await asyncio.sleep(delays.next())
                continue
            delays.reset()
            await self._rest()

    async def _rest(self) -> None:
        """Until the next sign of life is due: once the queue is another one, so that requests go where there is room,
        or it can answer again or no more. Of a long queue, the coming and going of single requests is no news.
        """
        end = time.monotonic() + self._beat_s
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(_LOOK_S, left))
            if self._able != self.registered or abs(self._status().queue - self._queue) > self._queue // 8:
                return

    async def _register(self) -> None:
        status = self._status()
        told = {"worker_name": self._contact.name, "check_heart_beat": True, "worker_status": status.as_json()}
        await self._post("/register_worker", told)
        self.registered, self._queue = True, status.queue
        self._complaint = ""
        _log.info("registered with the controller at %s as %s", self._contact.controller, self._contact.name)

    async def _beat(self) -> bool:
        queue = self._status().queue
        known = await self._post("/receive_heart_beat", {"worker_name": self._contact.name, "queue_length": queue})
        self._queue = queue
        return isinstance(known, dict) and known.get("exist") is True

    async def _goodbye(self) -> None:
        await self._post("/cluster/leave", {"worker_name": self._contact.name})

    async def _post(self, path: str, value: object) -> Any:
        """The decoded answer. Raises httpx2.HTTPError, or ValueError with the words of a refusal."""
        answer = await self._client.post(path, json=value)
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}: {_words(answer)}")
        return answer.json()

    def _complain(self, error: Exception) -> None:
        """Once for each reason, not for each try."""
        complaint = str(error) or type(error).__name__
        if complaint != self._complaint:
            self._complaint = complaint
            _log.warning("cannot register with the controller at %s: %s", self._contact.controller, complaint)


def _words(answer: httpx2.Response) -> str:
    """What the controller says of a refusal, at most a line of it."""
    try:
        error = answer.json()["error"]
        words = "; ".join(str(error[key]) for key in ("message", "hint") if error.get(key))
    except (ValueError, KeyError, TypeError, AttributeError):
        words = "what answers there is no controller"
    return " ".join(words.split())[:300]
