"""The store as the bot uses it: a full or broken disk costs memory of the past, never the answer in hand."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from pumice.remote import Message, message
from pumice.serve.slack.events import Place
from pumice.serve.slack.store import Store, Turn

T = TypeVar("T")

_RECENT = 2000  # names of events
_WARN_S = 60.0

log = logging.getLogger(__name__)


class Memory:
    """Never raises for reasons of the disk: says so in the log, once a minute, and goes on without."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._warned = float("-inf")

    def claim(self, name: str) -> bool:
        """True for exactly one caller of each name."""
        if name in self._recent:
            return False
        self._recent[name] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return self._tried(lambda: self._store.claim(name, self._clock()), True)

    def knows(self, place: Place) -> bool:
        """Whether the bot takes part in this thread."""
        return self._tried(lambda: self._store.knows(place), False)

    def turns(self, place: Place) -> list[Turn]:
        """What was said there."""
        return self._tried(lambda: self._store.turns(place), [])

    def add(self, place: Place, user: str, turns: list[Turn]) -> None:
        """Writes down what was said."""
        self._tried(lambda: self._store.add(place, user, turns, self._clock()), None)

    def forget(self, place: Place) -> bool:
        """Forgets one conversation; False if there was none."""
        return self._tried(lambda: self._store.forget(place), False)

    def forget_started(self, team: str, channel: str, user: str) -> bool:
        """Forgets the conversations that ``user`` has started in ``channel``; False if there was none."""
        return self._tried(lambda: self._store.forget_started(team, channel, user), False)

    def let_wait(self, place: Place, user: str, pictures: tuple[str, ...]) -> None:
        """Keeps pictures for a question that comes later."""
        self._tried(lambda: self._store.let_wait(place, user, pictures, self._clock()), None)

    def take_waiting(self, place: Place, user: str, within_s: float) -> tuple[str, ...]:
        """The pictures that wait for a question of ``user``."""
        return self._tried(lambda: self._store.take_waiting(place, user, self._clock() - within_s), ())

    def put_picture(self, data: bytes) -> str:
        """Keeps a picture; its name."""
        return self._tried(lambda: self._store.put_picture(data), hashlib.sha256(data).hexdigest())

    def picture(self, name: str) -> bytes | None:
        """The bytes of a picture, if they are still there."""
        return self._tried(lambda: self._store.picture(name), None)

    def begin_reply(self, place: Place, ts: str) -> None:
        """Notes a message that is being written."""
        self._tried(lambda: self._store.begin_reply(place, ts), None)

    def end_reply(self, place: Place, ts: str) -> None:
        """It is complete."""
        self._tried(lambda: self._store.end_reply(place, ts), None)

    def unfinished(self) -> list[tuple[Place, str]]:
        """Messages that a crash has left as they were."""
        return self._tried(self._store.unfinished, [])

    def sweep(self) -> None:
        """Forgets what is too old."""
        self._tried(lambda: self._store.sweep(self._clock()), None)

    def _tried(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except (OSError, sqlite3.Error) as error:
            if time.monotonic() > self._warned + _WARN_S:
                self._warned = time.monotonic()
                log.warning("cannot use the data folder (%s); the chat goes on, but may be forgotten", error)
            return otherwise


class Locks:
    """One lock for each thread, held only while somebody needs it."""

    def __init__(self) -> None:
        self._locks: dict[Place, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def held(self, place: Place) -> AsyncIterator[None]:
        """Waits for those who came before, in their order."""
        lock, users = self._locks.get(place, (asyncio.Lock(), 0))
        self._locks[place] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(place)
            if users > 1:
                self._locks[place] = (lock, users - 1)


def conversation(
    turns: Sequence[Turn], picture: Callable[[str], bytes | None], *, most_turns: int, most_pictures: int
) -> tuple[list[Message], bool]:
    """What the server is sent, ending in a user's question; and whether pictures had to be left out.

    Turns of one side that follow each other become one. The latest turns and the latest pictures count.
    """
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            before = merged.pop()
            text = "\n".join(filter(None, (before.text, turn.text)))
            turn = Turn(turn.role, text, before.pictures + turn.pictures)  # noqa: PLW2901
        merged.append(turn)
    merged = merged[-most_turns:]
    if merged and merged[0].role != "user":
        merged = merged[1:]
    room, left_out = most_pictures, False
    messages: list[Message] = []
    for turn in reversed(merged):
        names = turn.pictures[max(0, len(turn.pictures) - room) :] if room else ()
        left_out |= len(names) < len(turn.pictures)
        room -= len(names)
        found = [data for data in map(picture, names) if data is not None]
        messages.append(message(turn.role, turn.text, found))
    return messages[::-1], left_out
