"""Responses that make their answer while somebody is there to read it, and stop once nobody is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pumice.serve.api.events import DONE, Accepted, Event, Heading, as_chunk, as_error, opening, whole, with_beats
from pumice.serve.guard.errors import ApiError, Failure, failure_of, request_id_of, response

_NO_TIME = Failure(503, "draining", "the server shut down before the answer was complete", "try again", retry_after_s=5)

#: Is told of every refusal and failure, with the request's id.
Told = Callable[[BaseException, str], None]


class Answering(Response):
    """The events of one request, streamed or as a whole."""

    def __init__(
        self, events: AsyncGenerator[Event], heading: Heading, choices: int, *, stream: bool, usage: bool, told: Told
    ) -> None:
        """usage: whether a stream ends with the count of tokens. told: is told what went wrong."""
        super().__init__()
        self._events = events
        self._heading = heading
        self._choices = choices
        self._streams = stream
        self._usage = usage
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        make = self._stream if self._streams else self._answer
        await _while_somebody_reads(make(scope, receive, send), receive)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._events) as events:
                done = await whole(events, self._heading, self._choices)
            found: Response = JSONResponse(done.model_dump(exclude_none=False))
            found.headers["x-request-id"] = request_id_of(scope)
        except Exception as error:
            found = self._refusal(error, scope)
        await found(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Errors before the request is accepted are plain answers; later ones are the stream's last event."""
        async with aclosing(self._events) as events:
            try:
                first = await anext(events)
                assert isinstance(first, Accepted)
            except Exception as error:
                await self._refusal(error, scope)(scope, receive, send)
                return
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
                (b"x-request-id", request_id_of(scope).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async with aclosing(with_beats(self._chunks(events, scope))) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, events: AsyncGenerator[Event], scope: Scope) -> AsyncGenerator[bytes]:
        yield opening(self._heading, self._choices)
        try:
            async for event in events:
                if chunk := as_chunk(event, self._heading, usage=self._usage):
                    yield chunk
            yield DONE
        except Exception as error:
            failure = failure_of(error)
            self._told(error, request_id_of(scope))
            yield as_error(failure, request_id_of(scope))

    def _refusal(self, error: Exception, scope: Scope) -> Response:
        self._told(error, request_id_of(scope))
        return response(failure_of(error), request_id_of(scope))


async def until_over(events: AsyncGenerator[Event], over: asyncio.Event) -> AsyncGenerator[Event]:
    """The same events. Raises ApiError once ``over`` is set: the server ends, and whoever waits is told."""
    ending = asyncio.ensure_future(over.wait())
    coming: asyncio.Future[Event] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(events.__anext__())
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise ApiError(_NO_TIME)
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        waited_for: list[asyncio.Future[Any]] = [ending] if coming is None else [ending, coming]
        for each in waited_for:
            each.cancel()
        await asyncio.gather(*waited_for, return_exceptions=True)
        await events.aclose()


async def _while_somebody_reads(work: Coroutine[Any, Any, None], receive: Callable[[], Awaitable[Any]]) -> None:
    """Runs ``work`` until it is done or the client has gone, which cancels it."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, gone):
            task.cancel()
        ended = (await asyncio.gather(working, gone, return_exceptions=True))[0]
    if isinstance(ended, Exception) and not isinstance(ended, OSError):  # OSError: the client has gone
        raise ended


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
