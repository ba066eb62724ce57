"""Many questions to a paid teacher at once, and what was made of the answers in the order of the scenes.

Its answers are in the ledger before anything is made of them, so whatever comes between, nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from pumice.annotations.scene import Scene
from pumice.datagen.keeping import Keeper
from pumice.datagen.run import StoppedError, Work, unless_stopped
from pumice.datagen.teacher import Asks, PaidTeacher
from pumice.errors import PumiceError
from pumice.paid.answers import HOPELESS, Answer, GaveUpError, OutageError
from pumice.paid.request import Request

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Scenes under way for every request in flight, so that one that is slow does not hold the others up.
AHEAD = 4
_IN_VAIN = 3  # times that one question is given up while no other is answered


async def by_teacher(
    scenes: Iterable[Scene], work: Work, keeper: Keeper, teacher: PaidTeacher, window: int, stop: Callable[[], bool]
) -> None:
    """All ``scenes`` by a paid teacher, ``window`` of them under way at a time.

    Raises: StoppedError after ``stop``; one of ``paid.answers.HOPELESS``. Requests in flight are waited for first.
    """
    door = Door(teacher.asks, stop)
    careful = replace(teacher, asks=door)
    try:
        wanted = unless_stopped(scenes, stop)
        async with aclosing(in_turn(wanted, lambda scene: work.of(scene, careful), window)) as results:
            async for made in results:
                keeper.take(made)
    except StoppedError:
        if door.error is not None:
            raise door.error from None
        raise
    keeper.finish()


class Door:
    """Lets no more questions out once the end is wanted, or one has failed as all others will."""

    def __init__(self, asks: Asks, stop: Callable[[], bool]) -> None:
        self._asks = asks
        self._stop = stop
        self._answered = 0
        self.error: PumiceError | None = None

    async def ask(self, request: Request) -> Answer:
        """Gives up a question only if others were answered meanwhile: else the server is at fault."""
        before = self._answered
        for _ in range(_IN_VAIN):
            if self.error is not None or self._stop():
                raise StoppedError
            try:
                answer = await self._asks.ask(request)
            except HOPELESS as error:
                self.error = self.error or error
                raise StoppedError from error
            except GaveUpError as error:
                if self._answered > before:
                    raise
                last = error
            else:
                self._answered += not answer.from_ledger
                return answer
        self.error = self.error or OutageError(f"the teacher answers nothing any more: {last}", hint=last.hint)
        raise StoppedError


async def in_turn(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], window: int
) -> AsyncGenerator[Result, None]:
    """The results of all items in their order, ``window`` items under way at a time.

    Raises what ``work`` raises for the first item that fails, once all that are under way have ended.
    """
    under_way: deque[asyncio.Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(asyncio.ensure_future(work(item)))
            while under_way and (len(under_way) >= window or under_way[0].done()):
                yield await asyncio.shield(under_way[0])
                under_way.popleft()
        while under_way:
            yield await asyncio.shield(under_way[0])
            under_way.popleft()
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)
