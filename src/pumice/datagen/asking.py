"""Many questions to a paid teacher at once, and what was made of the answers in the order of the scenes.

Its answers are in the ledger before anything is made of them, so whatever comes between, nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from pumice.annotations.scene import Scene
from pumice.datagen.keeping import Keeper
from pumice.datagen.pipeline import Made, fill_order
from pumice.datagen.run import StoppedError, Work, unless_stopped
from pumice.datagen.teacher import Asks, PaidTeacher
from pumice.datagen.unfit import ENOUGH, unfit
from pumice.errors import PumiceError, UsageError
from pumice.paid.answers import HOPELESS, Answer, BudgetError, EndedError, GaveUpError, OutageError, RefusedForGoodError
from pumice.paid.budget import Rank
from pumice.paid.request import Request

Item = TypeVar("Item")
Result = TypeVar("Result")

# Scenes under way for every request in flight, so that one that is slow does not hold the others up.
_AHEAD = 4
_FOR_ALL: tuple[type[PumiceError], ...] = (*HOPELESS, UsageError)  # errors that every question would have
_IN_VAIN = 3  # times that one question is given up while no other is answered


async def by_teacher(scenes: Iterable[Scene], work: Work, keeper: Keeper, teacher: PaidTeacher, door: Door) -> None:
    """All ``scenes`` by a paid teacher, whose questions go through the ``door``.

    Raises: StoppedError if it is to stop; one of ``paid.answers.HOPELESS``; UnfitError. What is in flight is waited
    for first.
    """

    async def make(numbered: tuple[int, Scene]) -> Made:
        number, scene = numbered
        ranked = (
            (order, replace(teacher, asks=_Ranked(door, (number, place))))
            for place, order in enumerate(work.orders(scene))
        )
        return work.made(scene, await together(fill_order(scene, order, work.plan, asks) for order, asks in ranked))

    try:
        wanted = enumerate(unless_stopped(scenes, door.stop))
        async with aclosing(in_turn(wanted, make, max(_AHEAD * door.most, ENOUGH))) as results:
            async for made in results:
                keeper.take(made)
    except StoppedError:
        if door.error is not None:
            raise door.error from None
        raise
    keeper.finish()


class Door:
    """Lets questions out, the earlier scenes' first, and no more once the end is wanted or all would fail alike.

    Were the scenes that began first not finished first, a run that stops would have paid for much that it cannot show.
    So once a question cannot be paid, those before it still may, and none after it.
    """

    def __init__(self, asks: Asks, most: int, stop: Callable[[], bool], proven: bool) -> None:
        """proven: the server has answered before; if not, its first refusals are held back until it does."""
        self._asks = asks
        self.stop = stop
        self.most = self._free = most
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._tickets = count()
        self._inside = self._answered = 0
        self._failed: list[int] = []  # the scenes of questions that were given up
        self._refused: list[RefusedForGoodError] = []
        self._proven, self._judged = proven, asyncio.Event()
        self._unpaid: Rank | None = None
        self.error: PumiceError | None = None

    async def ask(self, request: Request, rank: Rank) -> Answer:
        """Gives up a question only if others are answered, or none is left: else the server is at fault."""
        self._inside += 1
        try:
            return await self._insist(request, rank)
        except RefusedForGoodError as error:
            await self._require_proof(error)
            raise
        finally:
            self._inside -= 1
            self._judge()

    async def _insist(self, request: Request, rank: Rank) -> Answer:
        answered, failed = self._answered, len(self._failed)
        for times in range(1, _IN_VAIN + 1):
            try:
                return await self._once(request, rank)
            except EndedError:
                raise StoppedError from None
            except BudgetError as error:
                self._end(error, rank)
                raise StoppedError from error
            except _FOR_ALL as error:
                self._end(error)
                raise StoppedError from error
            except GaveUpError as error:
                self._failed.append(rank[0])
                alone = times == _IN_VAIN and set(self._failed[failed:]) == {rank[0]}
                if self._answered > answered or (alone and self._proven):
                    raise
                last = error
        self._end(OutageError(f"the teacher answers nothing any more: {last}", hint=last.hint))
        raise StoppedError

    async def _once(self, request: Request, rank: Rank) -> Answer:
        await self._enter(rank)
        try:
            if self.stop() or (self._unpaid is not None and rank >= self._unpaid):
                raise StoppedError
            answer = await self._asks.ask(replace(request, rank=rank))
        finally:
            self._leave()
        self._answered += not answer.from_ledger
        self._proven = True
        self._judge()
        return answer

    def _end(self, error: PumiceError, rank: Rank = ()) -> None:
        """Nothing of ``rank`` is asked any more, nor what ranks after it."""
        self.error = self.error or error
        self._unpaid = rank if self._unpaid is None else min(rank, self._unpaid)

    async def _require_proof(self, error: RefusedForGoodError) -> None:
        """Returns once it is known to be this question's fault. Raises StoppedError if that will not be known."""
        self._refused.append(error)
        self._judge()
        await self._judged.wait()
        if not self._proven:
            raise StoppedError

    def _judge(self) -> None:
        """Whether the questions that were refused are at fault, as soon as that can be said."""
        if self._judged.is_set() or not self._refused:
            return
        if not self._proven:
            all_there_are = len(self._refused) == self._inside
            if len(self._refused) < ENOUGH and not all_there_are:
                return
            if self.error is None and not self.stop():
                error = unfit(self._refused)
                self._proven = error is None  # it has seen differences between them
                if error is not None:
                    self._end(error)
        self._judged.set()

    async def _enter(self, rank: Rank) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._tickets), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


@dataclass(frozen=True)
class _Ranked:
    """The door for one scene."""

    door: Door
    rank: Rank

    async def ask(self, request: Request) -> Answer:
        return await self.door.ask(request, self.rank)


async def together(works: Iterable[Awaitable[Result]]) -> tuple[Result, ...]:
    """All results. Raises the first error, once none is under way any more."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return tuple(each for each in results if not isinstance(each, BaseException))


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
