"""Many requests at a time, of any source, in bounded memory: as many are held as may be in flight, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

from pumice.errors import PumiceError
from pumice.paid.answers import Answer
from pumice.paid.request import Request

Outcome: TypeAlias = tuple[Request, Answer | PumiceError]


async def outcomes(
    requests: Iterable[Request] | AsyncIterable[Request], ask: Callable[[Request], Awaitable[Answer]], most: int
) -> AsyncGenerator[Outcome, None]:
    """What ``ask`` makes of each request, in the order in which it does. Whoever leaves early cancels the rest.

    most: how many are taken from ``requests`` before their outcomes are. Errors of the source, and bugs, are raised.
    """
    ready: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)
    running: set[asyncio.Task[Outcome]] = set()

    async def one(request: Request) -> Outcome:
        try:
            return request, await ask(request)
        except PumiceError as error:
            return request, error

    async def feed() -> None:
        try:
            source = _each(requests)
            while True:
                await room.acquire()
                request = await anext(source, None)
                if request is None:
                    break
                task = asyncio.create_task(one(request))
                running.add(task)
                task.add_done_callback(ready.put_nowait)
        finally:
            ready.put_nowait(None)

    feeding = asyncio.create_task(feed())
    try:
        fed = False
        while running or not fed:
            task = await ready.get()
            if task is None:
                fed = True
                await feeding
                continue
            running.discard(task)
            pair = task.result()
            room.release()
            yield pair
    finally:
        for each in (feeding, *running):
            each.cancel()
        for each in (feeding, *running):
            with suppress(asyncio.CancelledError, Exception):
                await each


async def _each(requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
            await asyncio.sleep(0)  # those in flight go on while many are found in the ledger
