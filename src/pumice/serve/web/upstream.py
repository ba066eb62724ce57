"""The API that the page asks: a server elsewhere, or the very one that serves the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pumice.errors import ServerError
from pumice.remote import Delta, End, Message, Remote, RemoteModel
from pumice.serve.guard.keeping import here


class Upstream:
    """As ``Remote``, but its address may become known only once the page's own server listens."""

    def __init__(self, url: str | None, key: str | None) -> None:
        self._key = key
        self._remote = Remote(url, key=key) if url is not None else None

    @property
    def url(self) -> str:
        return self._remote.url if self._remote is not None else "this server"

    def listening(self, host: str, port: int) -> None:
        """The API is on the page's own server, which answers from now on."""
        self._remote = Remote(f"http://{here(host)}:{port}/v1", key=self._key)

    async def models(self) -> list[RemoteModel]:
        return await self._known().models()

    async def unready(self) -> str | None:
        return await self._known().unready()

    async def stream(self, messages: list[Message], *, model: str, **parameters: Any) -> AsyncIterator[Delta | End]:
        """As ``Remote.stream``."""
        async with aclosing(self._known().stream(messages, model=model, **parameters)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def close(self) -> None:
        if self._remote is not None:
            await self._remote.close()

    def _known(self) -> Remote:
        if self._remote is None:
            raise ServerError("the server is starting", hint="wait a moment")
        return self._remote
