"""Which models the API offers just now. Asked for by every open page, and passed on from a short memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from pumice.errors import PumiceError
from pumice.remote import RemoteModel


class Lists(Protocol):
    """What is needed of ``upstream.Upstream``."""

    @property
    def url(self) -> str: ...

    async def models(self) -> list[RemoteModel]: ...

    async def unready(self) -> str | None: ...


@dataclass(frozen=True)
class Offer:
    """models: those that see pictures first, then by name. trouble: why there is none to ask, in words, or empty."""

    models: tuple[RemoteModel, ...] = ()
    trouble: str = ""

    @property
    def names(self) -> list[str]:
        return [each.id for each in self.models]

    def find(self, name: str | None) -> RemoteModel | None:
        return next((each for each in self.models if each.id == name), None)

    def choose(self, *wanted: str | None) -> str | None:
        """The first of ``wanted`` that is offered, else the first that is."""
        names = self.names
        return next((name for name in wanted if name in names), names[0] if names else None)


class Catalogue:
    """Remembers the server's answer for ``fresh_s`` seconds, so that many pages ask it no more often than one."""

    def __init__(self, server: Lists, *, fresh_s: float = 2.0) -> None:
        self._server = server
        self._fresh_s = fresh_s
        self._offer = Offer(trouble=f"Looking for a model at {server.url} …")
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    @property
    def last(self) -> Offer:
        """What was offered when it was last asked."""
        return self._offer

    async def offer(self) -> Offer:
        """What is offered now."""
        async with self._lock:
            if self._asked is None or time.monotonic() - self._asked > self._fresh_s:
                self._offer = await self._ask()
                self._asked = time.monotonic()
        return self._offer

    async def _ask(self) -> Offer:
        try:
            found = await self._server.models()
            why = None if found else await self._server.unready()
        except PumiceError as error:
            words = str(error)
            return Offer(trouble=words[:1].upper() + words[1:])
        if not found:
            words = f"The server at {self._server.url} has no model ready yet"
            return Offer(trouble=f"{words}: {why}" if why else words)
        # Those that see come first: the first is chosen for a page that just opened.
        return Offer(tuple(sorted(found, key=lambda each: (each.sees_images is False, each.id))))
