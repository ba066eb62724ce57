"""One question and its answer: pictures fetched, the server asked, the reply written, everything remembered."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from slack_sdk.errors import SlackApiError

from pumice.errors import ImageError, ModelError, PumiceError, ServerError, TooLongError, UsageError
from pumice.remote import Delta, End, Message, RemoteModel
from pumice.serve.slack import words
from pumice.serve.slack.downloads import Downloads
from pumice.serve.slack.events import Asked, earlier_files
from pumice.serve.slack.memory import Memory
from pumice.serve.slack.notices import Notices
from pumice.serve.slack.refusals import reason
from pumice.serve.slack.reply import Ledger, Manner, Reply
from pumice.serve.slack.rules import Rules
from pumice.serve.slack.store import Turn

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)


class Server(Protocol):
    """Who answers; ``pumice.remote.Remote`` is one."""

    async def models(self) -> list[RemoteModel]:
        """What there is to choose from."""

    def stream(self, messages: Sequence[Message], *, model: str, **parameters: Any) -> AsyncIterator[Delta | End]:
        """An answer piece by piece."""


@dataclass
class Job:
    """A question while it is being answered. note: why it was ended early, if it was."""

    asked: Asked
    note: str | None = None
    reader: asyncio.Task[End | None] | None = None
    messages: list[str] = field(default_factory=list)

    def end(self, note: str) -> None:
        """Ends the answer; what has come of it stays, with ``note`` behind it."""
        if self.note is None:
            self.note = note
            if self.reader is not None:
                self.reader.cancel()


@dataclass
class Answerer:
    """Answers one question after the other; the bot decides which, and holds the lock of the thread."""

    client: AsyncWebClient
    server: Server
    memory: Memory
    downloads: Downloads
    rules: Rules
    notices: Notices
    manner: Manner
    _model: str | None = None

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.rules.parallel)

    async def answer(self, job: Job, begun: Callable[[Job, str], None]) -> None:
        """begun: told the ``ts`` of each message of the reply. Tells the user of every failure; raises none."""
        asked = job.asked
        working = asyncio.create_task(self.notices.working(asked))
        try:
            await self._answer(job, begun)
        except PumiceError as error:
            log.info("question %s in %s refused: %s", asked.ts, asked.place.channel, type(error).__name__)
            await self.notices.tell(asked, words.explained(error))
        except Exception:
            number = secrets.token_hex(4)
            log.exception("%s: question %s in %s failed", number, asked.ts, asked.place.channel)
            await self.notices.tell(asked, words.unexpected(number))
        finally:
            with suppress(asyncio.CancelledError):
                await working
            await self.notices.done(asked)

    async def _answer(self, job: Job, begun: Callable[[Job, str], None]) -> None:
        asked, memory = job.asked, self.memory
        known = await memory.knows(asked.place)
        await memory.add(asked.place, asked.user, [])  # from now on it takes part in this thread
        pictures = await self._pictures(asked, known)
        names = tuple([await memory.put_picture(data) for data in pictures])
        if asked.direct and asked.starts_thread and asked.text and not names:
            names = await memory.take_waiting(asked.place, asked.user, self.rules.wait_s)
        if not asked.text:
            await self._without_question(asked, names)
            return
        fresh = dict(zip(names, pictures, strict=False))
        question = Turn("user", asked.text, names)
        history = await memory.turns(asked.place)

        most = {"most_turns": self.rules.most_turns, "most_pictures": self.rules.most_pictures}
        messages, left_out = await memory.conversation([*history, question], fresh, **most)
        reply = self._reply(job, begun)
        async with self._places:
            try:
                notes = [words.LEFT_OUT] if left_out else []
                await self._write(job, reply, messages, question, notes)
            except TooLongError:
                if not history:
                    raise
                seen = tuple(name for turn in history for name in turn.pictures) + names
                messages, _ = await memory.conversation([Turn("user", asked.text, seen)], fresh, **most)
                await self._write(job, reply, messages, question, [words.SHORTENED])

    async def _pictures(self, asked: Asked, known: bool) -> list[bytes]:
        """What came with the question. Those that cannot be had are explained; raises ImageError if none is left."""
        files = asked.files
        if not files and not asked.starts_thread and not known:
            files = await self._earlier(asked)
        files = files[-self.rules.most_pictures :]
        found = await asyncio.gather(*map(self.downloads.picture, files), return_exceptions=True)
        problems = [each for each in found if isinstance(each, BaseException)]
        for problem in problems:
            if not isinstance(problem, ImageError):
                raise problem
        pictures = [each for each in found if isinstance(each, bytes)]
        if problems and not pictures:
            raise problems[0]
        for problem in problems:
            assert isinstance(problem, ImageError)
            await self.notices.tell(asked, words.explained(problem))
        return pictures

    async def _earlier(self, asked: Asked) -> tuple[Any, ...]:
        """The pictures of a thread that the bot is called into; without the right to read it, none."""
        place = asked.place
        try:
            answer = await self.client.conversations_replies(channel=place.channel, ts=place.thread, limit=50)
        except SlackApiError as error:
            log.info("cannot read thread %s in %s: %s", place.thread, place.channel, reason(error))
            return ()
        return earlier_files(answer.get("messages") or [], asked.ts)

    async def _without_question(self, asked: Asked, names: tuple[str, ...]) -> None:
        if not names:
            await self.notices.say(asked, words.HELP)
            return
        await self.memory.add(asked.place, asked.user, [Turn("user", "", names)])
        if asked.direct and asked.starts_thread:
            await self.memory.let_wait(asked.place, asked.user, names)
        await self.notices.say(asked, words.ASK_AWAY if len(names) == 1 else words.ASK_AWAY_MANY)

    def _reply(self, job: Job, begun: Callable[[Job, str], None]) -> Reply:
        place = job.asked.place

        async def starts(ts: str) -> None:
            begun(job, ts)
            await self.memory.begin_reply(place, ts)

        return Reply(self.client, job.asked, self.manner, Ledger(starts, lambda ts: self.memory.end_reply(place, ts)))

    async def _write(self, job: Job, reply: Reply, messages: list[Message], question: Turn, notes: list[str]) -> None:
        """Streams the answer into the thread and writes both down. Raises PumiceError if there was no answer at all."""
        if job.note is not None:
            return
        start = time.monotonic()
        job.reader = asyncio.create_task(self._read(reply, messages))
        writer = asyncio.create_task(reply.run())
        try:
            await asyncio.wait({job.reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if not job.reader.done():  # Slack refuses the message: nobody would read on
                job.reader.cancel()
            await asyncio.wait({job.reader})
            end, error = _outcome(job.reader)
            said = reply.text
            if error is not None and not said:
                if not isinstance(error, ImageError | UsageError):  # those would spoil every later question
                    await self.memory.add(job.asked.place, job.asked.user, [question])
                raise error
            early = words.ended_early(end.finish_reason) if end else None
            reasons = (*notes, job.note, words.broken_off(error) if error else None, early)
            turns = [question, Turn("assistant", said)] if said else [question]
            await self.memory.add(job.asked.place, job.asked.user, turns)  # before anybody can ask on
            reply.close(". ".join(filter(None, reasons)))
            await self._written(writer)
            log.info(
                "question %s in %s answered in %.1f s: %s, request %s",
                job.asked.ts, job.asked.place.channel, time.monotonic() - start,
                end.finish_reason if end else "ended early", end.request_id if end else None,
            )  # fmt: skip
        finally:
            for task in (job.reader, writer):
                task.cancel()
            await asyncio.gather(job.reader, writer, return_exceptions=True)

    async def _written(self, writer: asyncio.Task[None]) -> None:
        try:
            await writer
        except SlackApiError as error:
            hint = "am I still in this channel, and may I write in it?"
            raise ServerError(f"Slack refused my answer ({reason(error)})", hint=hint) from None

    async def _read(self, reply: Reply, messages: list[Message]) -> End | None:
        model = self._model or await self._choice()
        try:
            async with aclosing(self.server.stream(messages, model=model)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, End):
                        return event
                    reply.add(event.text)
        except ModelError:  # it may have been replaced by another
            self._model = None
            raise
        return None

    async def _choice(self) -> str:
        """The model to ask: the chosen one, else the server's first that sees. Raises ModelError if there is none."""
        if self.rules.model is None:
            models = await self.server.models()
            fit = [each.id for each in models if each.sees_images is not False]
            if not fit:
                raise ModelError("there is no model to answer just now", hint="try again in a minute")
            self._model = fit[0]
        else:
            self._model = self.rules.model
        return self._model


def _outcome(reader: asyncio.Task[End | None]) -> tuple[End | None, PumiceError | None]:
    """How reading ended: complete, with an error, or cancelled (neither). Raises what is a bug."""
    if reader.cancelled():
        return None, None
    error = reader.exception()
    if error is None:
        return reader.result(), None
    if isinstance(error, PumiceError):
        return None, error
    raise error
