"""What happens to a request, as values, and as server-sent events on the wire."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pumice.serve.api.answers import AnswerMessage, ChatCompletion, Choice, Logprobs, TokenLogprob, Usage
from pumice.serve.guard.errors import ApiError, Failure

#: A waiting client hears at least this often that it is not forgotten.
BEAT_S = 2.0


@dataclass(frozen=True)
class Accepted:
    """Pictures and words are read and there is a place in the queue: from here on, it ends in exactly one way."""


@dataclass(frozen=True)
class Piece:
    """More text of one of the answers."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finish:
    """One of the answers is complete."""

    index: int
    reason: Literal["stop", "length"]


@dataclass(frozen=True)
class Used:
    """All answers are complete; this is what they took."""

    usage: Usage


Event: TypeAlias = Accepted | Piece | Finish | Used


@dataclass(frozen=True)
class Heading:
    """What every chunk of one answer says of it."""

    id: str
    model: str
    created: int

    @classmethod
    def of(cls, request_id: str, model: str) -> Heading:
        """Of an answer that begins now."""
        return cls(f"chatcmpl-{request_id}", model, int(time.time()))


def as_chunk(event: Event, heading: Heading, *, usage: bool) -> bytes | None:
    """The event on the wire, None if it has nothing to say there. usage: whether the client wants to know."""
    if isinstance(event, Piece):
        return _data(heading, [_choice(event.index, {"content": event.text}, None, event.logprobs)])
    if isinstance(event, Finish):
        return _data(heading, [_choice(event.index, {}, event.reason)])
    if isinstance(event, Used) and usage:
        return _data(heading, [], usage=event.usage.model_dump())
    return None


def opening(heading: Heading, choices: int) -> bytes:
    """Who speaks: each answer's first chunk."""
    first = [_choice(index, {"role": "assistant", "content": ""}, None) for index in range(choices)]
    return b"".join(_data(heading, [each]) for each in first)


DONE = b"data: [DONE]\n\n"
BEAT = b": still here\n\n"


def as_error(failure: Failure, request_id: str) -> bytes:
    """The last event of a stream that failed. No ``[DONE]`` follows: nobody may take it for a whole answer."""
    return b"data: " + _json(failure.body(request_id)) + b"\n\n"


async def whole(events: AsyncIterator[Event], heading: Heading, choices: int) -> ChatCompletion:
    """All events as one answer. Raises what they raise."""
    texts: list[list[str]] = [[] for _ in range(choices)]
    logprobs: list[list[TokenLogprob]] = [[] for _ in range(choices)]
    reasons: dict[int, Literal["stop", "length"]] = {}
    usage = None
    async for event in events:
        if isinstance(event, Piece):
            texts[event.index].append(event.text)
            logprobs[event.index] += event.logprobs
        elif isinstance(event, Finish):
            reasons[event.index] = event.reason
        elif isinstance(event, Used):
            usage = event.usage
    if usage is None or len(reasons) < choices:
        raise ApiError(Failure(502, "worker_failed", "the answer broke off", "try again"))
    found = [
        Choice(
            index=index,
            message=AnswerMessage(content="".join(texts[index])),
            finish_reason=reasons[index],
            logprobs=Logprobs(content=logprobs[index]) if logprobs[index] else None,
        )
        for index in range(choices)
    ]
    return ChatCompletion(id=heading.id, created=heading.created, model=heading.model, choices=found, usage=usage)


async def with_beats(chunks: AsyncGenerator[bytes], every_s: float = BEAT_S) -> AsyncGenerator[bytes]:
    """The chunks, and a comment whenever there was none for ``every_s``, so that silence means that something broke."""
    coming: asyncio.Future[bytes] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(chunks.__anext__())
            done, _ = await asyncio.wait({coming}, timeout=every_s)
            if not done:
                yield BEAT
                continue
            try:
                chunk = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield chunk
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await chunks.aclose()


def _choice(
    index: int, delta: dict[str, str], reason: str | None, logprobs: Sequence[TokenLogprob] = ()
) -> dict[str, Any]:
    made: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": reason}
    if logprobs:
        made["logprobs"] = {"content": [each.model_dump() for each in logprobs]}
    return made


def _data(heading: Heading, choices: list[dict[str, Any]], **more: object) -> bytes:
    chunk = {
        "id": heading.id,
        "object": "chat.completion.chunk",
        "created": heading.created,
        "model": heading.model,
        "choices": choices,
        **more,
    }
    return b"data: " + _json(chunk) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
