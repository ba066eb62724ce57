"""An answer on its way into a thread: while the model writes, Slack shows what there is, page by page.

A page is one message. Slack's streaming is used where it works; where it does not, or stops working in the middle, the
message is edited instead. Text that arrives while Slack makes us wait is sent together, so nothing piles up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError

from pumice.serve.slack.events import Asked
from pumice.serve.slack.mrkdwn import boundary, closed_page, harmless, mrkdwn, reopening, settled
from pumice.serve.slack.refusals import reason

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

STOP_ACTION = "pumice_stop"
EDITED_LIMIT = 3000  # characters of Markdown; Slack refuses an edit of more than 4000 characters of its own
STREAMED_LIMIT = 10000  # Slack takes 12000 at a time
NEARLY_FULL = 7000
_MOST_SHOWN = 2900  # of a section block, while there is a button
_MOST_EDITED = 3900

# Nobody is called, nothing is fetched because of what an answer says.
QUIET: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False, "parse": "none", "link_names": False}
# The app or the workspace cannot stream, today and tomorrow; anything else concerns one thread.
_NEVER_STREAMS = {
    "unknown_method",
    "missing_scope",
    "not_allowed_token_type",
    "feature_not_enabled",
    "method_deprecated",
    "deprecated_endpoint",
}

_NETWORK = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
_LAST_TRIES_S = (1.0, 3.0, 9.0)

log = logging.getLogger(__name__)


@dataclass
class Manner:
    """How messages are written just now. streams: False once Slack has said that streaming does not work here."""

    edit_s: float
    append_s: float
    streams: bool = True


@dataclass(frozen=True)
class Ledger:
    """Who is told that a message has begun and that it is complete: functions of its ``ts``."""

    begun: Callable[[str], Awaitable[None]]
    complete: Callable[[str], Awaitable[None]]


class Page(Protocol):
    """One message that grows."""

    ts: str | None
    limit: int
    shown: int
    """Characters of the Markdown that can no longer be moved to another page."""

    async def show(self, text: str) -> None:
        """Shows ``text`` so far, which begins with what was shown before."""

    async def end(self, text: str) -> None:
        """Shows ``text``, which is the whole page. Raises SlackApiError."""


@dataclass
class EditedPage:
    """A message that is posted and then edited, with a button to stop it."""

    client: AsyncWebClient
    asked: Asked
    ts: str | None = None
    limit: int = EDITED_LIMIT
    shown: int = 0

    async def show(self, text: str) -> None:
        shown = _clipped(mrkdwn(text))
        await self._write(shown, [_section(shown), _stop_button(self.asked.ts)])

    async def end(self, text: str) -> None:
        await self._write(mrkdwn(text), [])

    async def _write(self, text: str, blocks: list[dict[str, Any]]) -> None:
        place = self.asked.place
        if self.ts is None:
            answer = await self.client.chat_postMessage(
                channel=place.channel, thread_ts=place.thread, text=text, blocks=blocks or None, **QUIET
            )
            self.ts = str(answer["ts"])
        else:
            await self.client.chat_update(
                channel=place.channel, ts=self.ts, text=text, blocks=blocks, parse="none", link_names=False
            )


@dataclass
class StreamedPage:
    """A message that Slack shows as a stream."""

    client: AsyncWebClient
    asked: Asked
    ts: str | None = None
    limit: int = STREAMED_LIMIT
    shown: int = 0

    async def show(self, text: str) -> None:
        upto = settled(text)
        piece = self._unsent(text[:upto])
        if piece:
            await self._send(piece)
        self.shown = upto

    async def end(self, text: str) -> None:
        piece = self._unsent(text)
        if self.ts is None:
            await self._send(piece)
            piece = ""
        place = self.asked.place
        await self.client.chat_stopStream(channel=place.channel, ts=str(self.ts), markdown_text=piece or None)

    def _unsent(self, text: str) -> str:
        return harmless(text)[len(harmless(text[: self.shown])) :]

    async def _send(self, piece: str) -> None:
        place = self.asked.place
        if self.ts is not None:
            await self.client.chat_appendStream(channel=place.channel, ts=self.ts, markdown_text=piece)
            return
        answer = await self.client.chat_startStream(
            channel=place.channel,
            thread_ts=place.thread,
            markdown_text=piece,
            recipient_team_id=self.asked.user_team,
            recipient_user_id=self.asked.user,
        )
        self.ts = str(answer["ts"])


@dataclass
class Reply:
    """The answer to one question. ``add`` text, ``close`` it, and let ``run`` do the rest at Slack's pace."""

    client: AsyncWebClient
    asked: Asked
    manner: Manner
    ledger: Ledger
    text: str = ""
    _page: Page | None = None
    _start: int = 0
    _prefix: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, piece: str) -> None:
        """More of the answer."""
        self.text += piece if self.text else piece.lstrip()
        self._news.set()

    def close(self, note: str = "") -> None:
        """The answer is complete; ``note`` follows it in a paragraph of its own, in italics."""
        if note:
            self.text = f"{self.text}\n\n_{note}_" if self.text else f"_{note}_"
        self.text = self.text or "_(an empty answer)_"
        self._closed.set()
        self._news.set()

    async def run(self) -> None:
        """Writes until everything is shown. Raises SlackApiError if Slack refuses the message altogether."""
        while not self._closed.is_set():
            await self._news.wait()
            self._news.clear()
            if self.text and not self._closed.is_set():
                with suppress(*_NETWORK):  # what could not be sent is sent with what follows
                    await self._flush(last=False)
                await self._pause()
        for seconds in _LAST_TRIES_S:
            with suppress(*_NETWORK):
                return await self._flush(last=True)
            await asyncio.sleep(seconds)
        await self._flush(last=True)

    async def _pause(self) -> None:
        """Until the next message may be sent. The end of a stream need not wait: it is a call of another kind."""
        if isinstance(self._page, StreamedPage):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self.manner.append_s)
        else:
            await asyncio.sleep(self.manner.edit_s)

    async def _flush(self, *, last: bool) -> None:
        while True:
            page = self._page = self._page or self._new_page()
            text = self._prefix + self.text[self._start :]
            end = _end(text, page)
            whole = end == len(text)
            if not await self._put(page, text if whole else closed_page(text[:end]), last or not whole):
                continue  # the same text again, on a page of another kind
            if whole:
                return
            rest = text[end:].lstrip("\n")
            self._start += len(text) - len(rest) - len(self._prefix)  # more may have been added meanwhile
            self._prefix = reopening(text[:end])
            self._page = None

    def _new_page(self) -> Page:
        kind = StreamedPage if self.manner.streams else EditedPage
        return kind(self.client, self.asked)

    async def _put(self, page: Page, text: str, last: bool) -> bool:
        """Shows ``text``; False if the page turns out not to work and another has taken its place."""
        known = page.ts
        try:
            await (page.end(text) if last else page.show(text))
        except SlackApiError as error:
            if not isinstance(page, StreamedPage):
                raise
            why = reason(error)
            log.info("streaming does not work (%s); the message is edited instead", why)
            if page.ts is None and why in _NEVER_STREAMS:
                self.manner.streams = False
            self._page = EditedPage(self.client, self.asked, ts=page.ts)
            return False
        finally:
            if page.ts is not None and page.ts != known:
                await self.ledger.begun(page.ts)
        if last and page.ts is not None:
            await self.ledger.complete(page.ts)
        return True


def _fits(text: str, page: Page) -> bool:
    return isinstance(page, StreamedPage) or len(mrkdwn(text)) <= _MOST_EDITED


def _end(text: str, page: Page) -> int:
    """Where a page ends: behind what cannot be moved, at a paragraph if possible, and short enough once escaped."""
    if len(text) <= page.limit and _fits(text, page):
        # What was streamed stays, so a page that is nearly full ends with its next paragraph.
        at = text.find("\n\n", max(page.shown, NEARLY_FULL))
        return at + 2 if at >= 0 and text[at:].strip() else len(text)
    high = min(len(text), page.limit)
    while not _fits(text[:high], page):
        high = high * 2 // 3
    return boundary(text, min(max(page.shown, high // 4), high - 1), high)


def _clipped(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else "…" + text[-_MOST_SHOWN:]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _stop_button(question: str) -> dict[str, Any]:
    button = {"type": "button", "action_id": STOP_ACTION, "value": question}
    return {"type": "actions", "elements": [{**button, "text": {"type": "plain_text", "text": "Stop"}}]}
