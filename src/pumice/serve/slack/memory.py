"""The store as the bot uses it: a slow disk holds nobody up, and a full or broken one costs no answer in hand."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from pumice.remote import Message, message
from pumice.serve.slack.events import Place
from pumice.serve.slack.store import Store, Turn

T = TypeVar("T")

_RECENT = 2000  # names of events
_WARN_S = 60.0

log = logging.getLogger(__name__)


class Memory:
    """Never raises for reasons of the disk: says so in the log, once a minute, and goes on without.

    The store has a thread of its own, in which everything happens in the order in which it was asked for.
    """

    def __init__(self, store: Store, thread: ThreadPoolExecutor) -> None:
        """thread: a single one, in which ``store`` was made."""
        self._store = store
        self._thread = thread
        self._closed = False
        self._clock = time.time
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._warned = float("-inf")

    @classmethod
    async def open(cls, folder: Path, *, keep_s: float) -> Memory:
        """What is remembered in ``folder``. Raises UsageError if it cannot be used."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="pumice-slack-store")
        try:
            make = partial(Store, folder, keep_s=keep_s)
            return cls(await asyncio.get_running_loop().run_in_executor(thread, make), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Waits for what is being written, and ends the use of the folder; what is asked for later is not done."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)

    async def claim(self, name: str) -> bool:
        """True for exactly one caller of each name."""
        if name in self._recent:
            return False
        self._recent[name] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return await self._done(lambda: self._store.claim(name, self._clock()), True)

    async def knows(self, place: Place) -> bool:
        """Whether the bot takes part in this thread."""
        return await self._done(lambda: self._store.knows(place), False)

    async def turns(self, place: Place) -> list[Turn]:
        """What was said there."""
        return await self._done(lambda: self._store.turns(place), [])

    async def add(self, place: Place, user: str, turns: list[Turn]) -> None:
        """Writes down what was said."""
        await self._done(lambda: self._store.add(place, user, turns, self._clock()), None)

    async def forget(self, place: Place) -> bool:
        """Forgets one conversation; False if there was none."""
        return await self._done(lambda: self._store.forget(place), False)

    async def forget_started(self, team: str, channel: str, user: str) -> bool:
        """Forgets the conversations that ``user`` has started in ``channel``; False if there was none."""
        return await self._done(lambda: self._store.forget_started(team, channel, user), False)

    async def let_wait(self, place: Place, user: str, pictures: tuple[str, ...]) -> None:
        """Keeps pictures for a question that comes later."""
        await self._done(lambda: self._store.let_wait(place, user, pictures, self._clock()), None)

    async def take_waiting(self, place: Place, user: str, within_s: float) -> tuple[str, ...]:
        """The pictures that wait for a question of ``user``."""
        return await self._done(lambda: self._store.take_waiting(place, user, self._clock() - within_s), ())

    async def put_picture(self, data: bytes) -> str:
        """Keeps a picture; its name."""
        return await self._done(lambda: self._store.put_picture(data), hashlib.sha256(data).hexdigest())

    async def conversation(
        self, turns: Sequence[Turn], fresh: Mapping[str, bytes], *, most_turns: int, most_pictures: int
    ) -> tuple[list[Message], bool]:
        """As the function of this name. fresh: pictures that need not be looked for, by their names."""

        def picture(name: str) -> bytes | None:
            return fresh.get(name) or self._tried(lambda: self._store.picture(name), None)

        how = partial(conversation, turns, picture, most_turns=most_turns, most_pictures=most_pictures)
        return await asyncio.get_running_loop().run_in_executor(self._thread, how)

    async def begin_reply(self, place: Place, ts: str) -> None:
        """Notes a message that is being written."""
        await self._done(lambda: self._store.begin_reply(place, ts), None)

    async def end_reply(self, place: Place, ts: str) -> None:
        """It is complete."""
        await self._done(lambda: self._store.end_reply(place, ts), None)

    async def unfinished(self) -> list[tuple[Place, str]]:
        """Messages that a crash has left as they were."""
        return await self._done(self._store.unfinished, [])

    async def sweep(self) -> None:
        """Forgets what is too old."""
        await self._done(lambda: self._store.sweep(self._clock()), None)

    async def _done(self, work: Callable[[], T], otherwise: T) -> T:
        if self._closed:
            return otherwise
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._tried, work, otherwise)

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
