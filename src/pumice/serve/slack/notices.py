"""Everything the bot shows besides answers: that it is at work, what went wrong, and words of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackClientError

from pumice.serve.slack import words
from pumice.serve.slack.events import Asked, Place
from pumice.serve.slack.refusals import reason
from pumice.serve.slack.reply import QUIET

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_EYES = "eyes"

log = logging.getLogger(__name__)


class Notices:
    """Signs of life. None of them is worth an error: what Slack refuses is logged and left out."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._has_status = True

    async def working(self, asked: Asked) -> None:
        """Shows that the question has been seen."""
        await self._tried("reactions_add", channel=asked.place.channel, timestamp=asked.ts, name=_EYES)
        await self._status(asked.place, words.STATUS)

    async def done(self, asked: Asked) -> None:
        """Takes it back."""
        await self._status(asked.place, "")
        await self._tried("reactions_remove", channel=asked.place.channel, timestamp=asked.ts, name=_EYES)

    async def say(self, asked: Asked, text: str) -> None:
        """A message in the thread, for everybody."""
        await self.post(asked.place, text)

    async def post(self, place: Place, text: str) -> None:
        """A message in a thread."""
        await self._tried("chat_postMessage", channel=place.channel, thread_ts=place.thread, text=text, **QUIET)

    async def tell(self, asked: Asked, text: str) -> None:
        """Help for the one who asked: for their eyes alone in a channel, as a message where nobody else reads."""
        place = asked.place
        if not asked.direct:
            thread = None if asked.starts_thread else place.thread
            about = {"channel": place.channel, "user": asked.user, "thread_ts": thread, "text": text}
            if await self._tried("chat_postEphemeral", parse="none", link_names=False, **about):
                return
        await self.say(asked, text)

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """A message for one user's eyes, in the channel."""
        await self._tried("chat_postEphemeral", channel=channel, user=user, text=text)

    async def broken(self, place: Place, ts: str) -> None:
        """Ends a message that a crash has left open."""
        await self._tried("chat_stopStream", channel=place.channel, ts=ts)
        await self.post(place, words.RESTARTED)

    async def _status(self, place: Place, status: str) -> None:
        if self._has_status:
            self._has_status = await self._tried(
                "assistant_threads_setStatus", channel_id=place.channel, thread_ts=place.thread, status=status
            )

    async def _tried(self, method: str, **values: Any) -> bool:
        try:
            await getattr(self._client, method)(**values)
        except SlackClientError as error:
            log.info("%s refused: %s", method, reason(error))
            return False
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            log.info("%s failed: %s", method, type(error).__name__)
            return False
        return True
