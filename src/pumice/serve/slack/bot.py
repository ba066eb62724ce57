"""Which messages are questions, in which order they are answered, and what else people may want of the bot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from pumice.serve.slack import words
from pumice.serve.slack.answering import Answerer, Job, Server
from pumice.serve.slack.downloads import Downloads
from pumice.serve.slack.events import Asked, Reaction
from pumice.serve.slack.memory import Locks, Memory
from pumice.serve.slack.notices import Notices
from pumice.serve.slack.reply import Manner
from pumice.serve.slack.rules import Limiter, Rules

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_STOP_EMOJI = {"octagonal_sign", "black_square_for_stop"}
_SWEEP_S, _AGAIN_S = 3600.0, 60.0
_LAST_WORDS_S = 5.0

log = logging.getLogger(__name__)


class Bot:
    """Everything between Slack's events and the server's answers. All methods belong to one event loop."""

    def __init__(
        self, client: AsyncWebClient, server: Server, memory: Memory, downloads: Downloads, rules: Rules
    ) -> None:
        self._memory = memory
        self._rules = rules
        self._notices = Notices(client)
        manner = Manner(edit_s=rules.edit_s, append_s=rules.append_s)
        self._answerer = Answerer(client, server, memory, downloads, rules, self._notices, manner)
        self._limiter = Limiter()
        self._locks, self._decisions = Locks(), Locks()
        self._jobs: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something in the background, but not unnoticed by ``drain``."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(complain)

    async def begin(self) -> None:
        """Says sorry in the threads where a crash has cut an answer off."""
        for place, ts in await self._memory.unfinished():
            await self._memory.end_reply(place, ts)
            await self._notices.broken(place, ts)

    async def housekeeping(self) -> None:
        """Forgets what is old, for ever."""
        pause = _AGAIN_S
        while True:
            try:
                await self._memory.sweep()
            except Exception:  # whatever it is: nobody would hear of a task that has ended
                log.exception("what is old could not be forgotten")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _SWEEP_S)
            else:
                pause = _AGAIN_S
                await asyncio.sleep(_SWEEP_S)

    async def drain(self, seconds: float) -> None:
        """Lets answers end by themselves; those that take longer are ended with a word about it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for job in self._jobs:
            job.end(words.RESTARTING)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_S)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def heard(self, asked: Asked, event_id: str, kind: str) -> None:
        """A message of a person. kind: ``app_mention`` or ``message``; a call of the bot comes as both."""
        if event_id and not await self._memory.claim(f"event {event_id}"):
            return
        if kind == "app_mention" and not asked.files:
            # Its twin may have the pictures that this one lacks; without a twin it counts itself.
            await asyncio.sleep(self._rules.twin_s)
        async with self._decisions.held(asked.place):  # what follows a call is judged after it
            if not await self._is_question(asked):
                return
            job = Job(asked)
            self._jobs.append(job)
        await self._answer(job)

    async def reacted(self, reaction: Reaction) -> None:
        """An emoji on a question or an answer."""
        if reaction.emoji in _STOP_EMOJI:
            self.stop(reaction.channel, reaction.ts, reaction.user)

    async def pressed(self, channel: str, ts: str, user: str) -> None:
        """The button below an answer."""
        if not self.stop(channel, ts, user) and any(ts in job.messages for job in self._jobs):
            await self._notices.whisper(channel, user, words.NOT_YOURS)

    def stop(self, channel: str, ts: str, user: str) -> bool:
        """Ends the answer that ``ts`` is a part of, or the question; for the one who asked."""
        found = [
            job
            for job in self._jobs
            if job.asked.place.channel == channel and job.asked.user == user and ts in (job.asked.ts, *job.messages)
        ]
        for job in found:
            job.end(words.STOPPED)
        return bool(found)

    async def commanded(self, team: str, channel: str, user: str, text: str) -> str:
        """A slash command; what to answer."""
        if text.strip().lower() != "reset":
            return words.HELP
        forgotten = await self._memory.forget_started(team, channel, user)
        return words.FORGOTTEN if forgotten else words.NOTHING_TO_FORGET

    async def _is_question(self, asked: Asked) -> bool:
        """Whether the message is to be answered. What else there is to say to it is said."""
        place = asked.place
        follows = await self._memory.knows(place) or any(job.asked.place == place for job in self._jobs)
        if not (asked.direct or asked.called or (follows and not asked.others)):
            return False
        if not await self._memory.claim(f"message {place.channel} {asked.ts}"):
            return False
        if not self._rules.allows(place.channel, asked.direct):
            if self._limiter.first_refusal(f"place {place.channel} {asked.user}", time.monotonic()):
                await self._notices.tell(asked, words.NOT_HERE)
            return False
        if not asked.files and await self._obeyed(asked):
            return False
        return not await self._refused(asked)

    async def _obeyed(self, asked: Asked) -> bool:
        """Whether the message was one of the few words that are no question."""
        word = asked.text.lower().strip(" .!")
        if word == "stop":
            for job in [each for each in self._jobs if each.asked.place == asked.place][:1]:
                self.stop(asked.place.channel, job.asked.ts, asked.user)
        elif word == "reset":
            forgotten = await self._memory.forget(asked.place)
            await self._notices.say(asked, words.FORGOTTEN if forgotten else words.NOTHING_TO_FORGET)
        elif word == "help":
            await self._notices.say(asked, words.HELP)
        else:
            return False
        return True

    async def _refused(self, asked: Asked) -> bool:
        """Whether this is one question too many."""
        user, channel = f"user {asked.place.team} {asked.user}", f"channel {asked.place.channel}"
        limits = [(user, self._rules.per_user), (channel, self._rules.per_channel)]
        now = time.monotonic()
        seconds = self._limiter.wait(limits, now)
        if seconds and self._limiter.first_refusal(user, now):
            await self._notices.tell(asked, words.too_many(seconds))
        return seconds > 0

    async def _answer(self, job: Job) -> None:
        try:
            async with self._locks.held(job.asked.place):
                if job.note is None:
                    await self._answerer.answer(job, lambda job, ts: job.messages.append(ts))
        finally:
            self._jobs.remove(job)


def complain(task: asyncio.Task[None]) -> None:
    """Says in the log why a task ended, if it should not have."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("something in the background failed", exc_info=error)
