"""The two routes that a worker of the original has, over any service that can answer a rendered prompt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Protocol, runtime_checkable

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from pumice.options import SamplingOptions
from pumice.serve.cluster.challenge import Challenge, answered
from pumice.serve.cluster.status import Status
from pumice.serve.cluster.stream import TOO_LONG, message, trouble
from pumice.serve.guard.errors import Failure, failure_of, request_id_of
from pumice.serve.guard.limits import StrictRoute, json_body
from pumice.serve.original.payload import read_call

_log = logging.getLogger(__name__)

#: Seconds of silence after which the text so far is sent again: whoever hears nothing may think that all is lost.
SIGN_S = 2.0
_NO_ROOM = Failure(400, "context_length_exceeded", "there is no room for an answer", "ask for one token or more")


@runtime_checkable
class Service(Protocol):
    """What answers. ``generate_rendered`` gives the answer's pieces, without the prompt."""

    def status(self) -> Status: ...

    def generate_rendered(
        self, prompt: str, pictures: Sequence[bytes], options: SamplingOptions
    ) -> AsyncGenerator[str, None]: ...


def routes(service: Service, token: str, *, sign_s: float = SIGN_S) -> APIRouter:
    """``/worker_generate_stream`` and ``/worker_get_status``. token: the cluster's."""
    router = APIRouter(route_class=StrictRoute)

    @router.post("/worker_generate_stream")
    async def worker_generate_stream(request: Request) -> Response:
        await request.body()  # once the answer has begun, what is received counts as leaving
        return StreamingResponse(_messages(service, request, sign_s))

    @router.post("/worker_get_status")
    async def worker_get_status(request: Request, body: Challenge | None = None) -> dict[str, object]:
        return answered(service.status(), body, token, request.scope)

    return router


async def _messages(service: Service, request: Request, sign_s: float) -> AsyncIterator[bytes]:
    """The stream; whatever goes wrong is its last message."""
    request_id = request_id_of(request.scope)
    text = ""
    try:
        raw = await json_body(request)
        call = await asyncio.to_thread(read_call, raw)
        text = call.prompt
        if call.options is None:
            yield message(text + TOO_LONG, _NO_ROOM.body(request_id)["error"])
            return
        said = False
        async with aclosing(service.generate_rendered(call.prompt, call.pictures, call.options)) as pieces:
            async for piece in _with_signs(pieces, sign_s):
                text += piece
                said = True
                yield message(text)
        if not said:
            yield message(text)
    except Exception as error:
        failure = failure_of(error)
        if failure.code == "context_length_exceeded":
            yield message(text + TOO_LONG, failure.body(request_id)["error"])
            return
        if failure.status >= 500:
            _log.exception("request %s failed", request_id)
        yield trouble(1, failure.body(request_id)["error"])


async def _with_signs(pieces: AsyncIterator[str], sign_s: float) -> AsyncGenerator[str, None]:
    """The pieces, and an empty one wherever none came for a while."""

    async def next_piece() -> str | None:
        return await anext(pieces, None)

    pending = asyncio.create_task(next_piece())
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=sign_s)
            if not done:
                yield ""
                continue
            piece = pending.result()
            if piece is None:
                return
            yield piece
            pending = asyncio.create_task(next_piece())
    finally:
        pending.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pending
