"""Pictures from the web, fetched once by the server that was asked, so that workers need no network."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pumice.errors import BlockedUrlError, ImageError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.remote import data_uri
from pumice.serve.api.schema import ImagePart, Message

_FETCHERS = 8
#: Bytes of all that one request has fetched; as text, they still fit into the body that a worker takes.
MOST_FETCHED = 22 << 20


class Inliner:
    """Puts what a URL leads to in its place. fetch_from: None refuses all pictures from the web."""

    def __init__(self, fetch_from: FetchPolicy | None) -> None:
        self._policy = fetch_from
        self._pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="pumice-fetch")

    async def inlined(self, messages: list[Message]) -> list[Message]:
        """The same messages, every picture as a ``data:`` URI. Raises BlockedUrlError or ImageError."""
        parts = [part for message in messages for part in message.parts if isinstance(part, ImagePart)]
        wanted = {part.image_url.url for part in parts if part.image_url.url[:5].lower() != "data:"}
        if not wanted:
            return messages
        if self._policy is None:
            hint = "send the picture itself, as a data: URI"
            raise BlockedUrlError("this server fetches no pictures from the web", hint=hint)
        found = await self._fetched(sorted(wanted), self._policy)
        return [_replaced(message, found) for message in messages]

    async def _fetched(self, urls: list[str], policy: FetchPolicy) -> dict[str, str]:
        """Of each URL the ``data:`` URI. What goes wrong with one ends the fetching of all."""
        loop = asyncio.get_running_loop()
        held = 0

        async def one(url: str) -> str:
            nonlocal held
            data = await loop.run_in_executor(self._pool, partial(fetch, url, policy))
            held += len(data)
            if held > MOST_FETCHED:
                message = f"the pictures from the web have more than {MOST_FETCHED >> 20} MiB together"
                raise ImageError(message, hint="ask about fewer of them at a time")
            return await loop.run_in_executor(self._pool, data_uri, data)

        works = [asyncio.ensure_future(one(url)) for url in urls]
        try:
            return dict(zip(urls, await asyncio.gather(*works), strict=True))
        finally:
            for work in works:
                work.cancel()

    def close(self) -> None:
        """Ends the threads once they have nothing to fetch."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def first_picture(messages: list[Message]) -> str | None:
    """What requests about the same picture have in common."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, ImagePart):
                return hashlib.sha256(part.image_url.url.encode("utf-8", "replace")).hexdigest()
    return None


def _replaced(message: Message, found: dict[str, str]) -> Message:
    if isinstance(message.content, str):
        return message
    parts = [
        part.model_copy(update={"image_url": part.image_url.model_copy(update={"url": found[part.image_url.url]})})
        if isinstance(part, ImagePart) and part.image_url.url in found
        else part
        for part in message.content
    ]
    return message.model_copy(update={"content": parts})
