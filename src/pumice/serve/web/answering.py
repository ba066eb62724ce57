"""Answers as they are written: from the API's stream to conversations that grow, which a visitor can stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from pumice.errors import PumiceError, ServerError, UsageError
from pumice.remote import Delta, End, Message
from pumice.serve.guard.run import Drain
from pumice.serve.web.conversation import Conversation, Ending

_PAUSE_S = 0.05  # between two pictures of the page; words that come faster are shown together
_UNKNOWN_FAILURE = "The page failed to ask the server."

_Piece: TypeAlias = tuple[str, End | None]
Step: TypeAlias = tuple[Conversation, "PumiceError | None"]


class Streams(Protocol):
    """What is needed of ``upstream.Upstream``."""

    def stream(self, messages: list[Message], *, model: str, **parameters: Any) -> AsyncIterator[Delta | End]: ...


@dataclass
class Running:
    """An answer that is being written for one open page.

    stop: set when it shall end. abandoned: whether the page shows something else by now.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False


class Pages:
    """Which open pages have an answer under way: at most one each."""

    def __init__(self, drain: Drain | None = None) -> None:
        """drain: once it has begun there are no new answers."""
        self._running: dict[str, Running] = {}
        self._drain = drain

    @property
    def running(self) -> int:
        """How many answers are under way."""
        return len(self._running)

    def begin(self, page: str) -> Running:
        """Raises PumiceError if an answer is under way already, or the server ends."""
        if self._drain is not None and self._drain.draining:
            raise ServerError("this server is about to end", hint="try again in a moment")
        if page in self._running:
            raise UsageError("an answer is being written", hint="stop it first, or wait for its end")
        self._running[page] = Running()
        return self._running[page]

    def find(self, page: str) -> Running | None:
        return self._running.get(page)

    def stop(self, page: str) -> None:
        """Ends the page's answer, if there is one; what was written stays."""
        if page in self._running:
            self._running[page].stop.set()

    def abandon(self, page: str) -> None:
        """Ends the page's answer, which must not be shown any more."""
        running = self._running.pop(page, None)
        if running is not None:
            running.abandoned = True
            running.stop.set()

    def end(self, page: str, running: Running | None) -> None:
        """Forgets the answer, if it is still the page's."""
        if running is not None and self._running.get(page) is running:
            del self._running[page]


async def answered(
    conversation: Conversation,
    server: Streams,
    *,
    model: str,
    parameters: Mapping[str, Any],
    read: Callable[[str], bytes],
    stop: asyncio.Event,
) -> AsyncGenerator[Step, None]:
    """The conversation again and again while its last answer grows; the last step has an ending that is not waiting.

    With a failure, its error comes beside the conversation, which keeps what was written until then. Closing the
    iterator, or setting ``stop``, closes the API's stream at once.
    """
    conversation = conversation.with_last(model=model)
    if stop.is_set():
        yield _stopped(conversation), None
        return
    try:
        messages = await asyncio.to_thread(conversation.messages, read)
        events = server.stream(messages, model=model, **parameters)
        async with aclosing(events), aclosing(_gathered(events, stop)) as pieces:  # type: ignore[type-var]
            async for text, end in pieces:
                conversation = conversation.with_last(answer=conversation.exchanges[-1].answer + text)
                if end is not None:
                    yield _ended(conversation, end, parameters), None
                    return
                yield conversation, None
        yield _stopped(conversation), None
    except PumiceError as error:
        yield conversation.with_last(ending="failed", note=words_of(error)), error


def words_of(error: PumiceError) -> str:
    """Cause, hint and the request's number, in one line."""
    sentences = [f"{words[:1].upper()}{words[1:].rstrip('.')}." for words in (str(error), error.hint) if words]
    return " ".join([*sentences, *([f"(request {error.request_id})"] if error.request_id else [])])


def unfinished(conversation: Conversation) -> Conversation:
    """The conversation with an ending for an answer that never got one."""
    if conversation.waiting is None:
        return conversation
    return conversation.with_last(ending="failed", note=_UNKNOWN_FAILURE)


async def _gathered(
    events: AsyncIterator[Delta | End], stop: asyncio.Event
) -> AsyncGenerator[tuple[str, End | None], None]:
    """Pieces of text, no faster than a page can show them, then the end; or nothing more once ``stop`` is set."""
    text, shown = "", 0.0
    stopped = asyncio.ensure_future(stop.wait())
    step: asyncio.Future[Delta | End] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(_next(events))
            patience = max(shown + _PAUSE_S - time.monotonic(), 0) if text else None
            await asyncio.wait((step, stopped), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                yield text, None
                return
            if step.done():
                if text and step.exception() is not None:
                    yield text, None
                event, step = step.result(), None
                if isinstance(event, End):
                    yield text, event
                    return
                text += event.text
            if text and time.monotonic() - shown >= _PAUSE_S:
                yield text, None
                text, shown = "", time.monotonic()
    finally:
        stopped.cancel()
        if step is not None:
            step.cancel()
            with suppress(asyncio.CancelledError, PumiceError, StopAsyncIteration):
                await step


def _next(events: AsyncIterator[Delta | End]) -> Coroutine[Any, Any, Delta | End]:
    async def take() -> Delta | End:
        return await anext(events)

    return take()


def _stopped(conversation: Conversation) -> Conversation:
    return conversation.with_last(ending="stopped", note="Stopped.")


def _ended(conversation: Conversation, end: End, parameters: Mapping[str, Any]) -> Conversation:
    ending: Ending = "length" if end.finish_reason == "length" else "complete"
    note = ""
    if ending == "length":
        note = f"Cut off at {parameters.get('max_tokens')} tokens. Raise “Max output tokens” for longer answers."
    elif end.finish_reason != "stop":
        note = f"Ended by the server: {end.finish_reason}."
    return conversation.with_last(ending=ending, note=note)
