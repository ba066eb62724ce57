"""The server's side of OpenAI's Batch API: files up, batches begun once, results down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from pumice.errors import ModelError, ServerError
from pumice.paid.answers import RefusedForGoodError
from pumice.paid.reading import shortened
from pumice.paid.sending import refused
from pumice.remote import FailedRequestError, openai_client, our_error

_FINAL = {"completed", "expired", "cancelled", "failed"}
_TIMES = 4  # that the beginning of a batch is tried
_NO_BATCHES = "has this server a Batch API? ask without it, or name another server"


@dataclass(frozen=True)
class BatchState:
    """How far the server is with a batch. status: in its own words. files: its results, once it is over.

    problem: what it says went wrong with all of it.
    """

    remote: str
    status: str
    done: int
    failed: int
    total: int
    files: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _FINAL


class BatchServer:
    """One server. Everything raises FailedRequestError for what may pass, and other kinds for what does not."""

    def __init__(self, url: str, key: str | None, *, poll_s: float) -> None:
        """poll_s: the longest wait before something that may have passed is tried again."""
        self._url, self._has_key, self._poll_s = url.rstrip("/"), bool(key), poll_s
        self._client = openai_client(self._url, key, timeout_s=600, retries=4)

    async def upload(self, mark: str, file: IO[bytes]) -> str:
        """Sends a file of requests; its number there."""
        with self._ours():
            return (await self._client.files.create(file=(_name(mark), file), purpose="batch")).id

    async def uploaded(self, mark: str) -> str | None:
        """The number of a file that was sent before, if it was."""
        with self._ours():
            async for each in self._client.files.list(purpose="batch"):
                if each.filename == _name(mark):
                    return each.id
        return None

    async def begin(self, mark: str, file: str) -> str:
        """Has the server begin a batch, never twice with the same mark; its number there."""
        import openai

        once = self._client.with_options(max_retries=0)
        unsure = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)
        with self._ours():
            for times in range(1, _TIMES + 1):
                try:
                    begun = await once.batches.create(
                        input_file_id=file,
                        endpoint="/v1/chat/completions",
                        completion_window="24h",
                        metadata={"pumice": mark},
                    )
                    return begun.id
                except unsure:
                    if made := await self.begun(mark):
                        return made
                    if times == _TIMES:
                        raise
                await asyncio.sleep(min(self._poll_s, 2.0**times))
        raise AssertionError

    async def begun(self, mark: str) -> str | None:
        """The number of a batch that was begun before, if it was."""
        with self._ours():
            async for each in self._client.batches.list(limit=100):
                if (each.metadata or {}).get("pumice") == mark:
                    return each.id
        return None

    async def look(self, remote: str) -> BatchState:
        """How far it is."""
        with self._ours():
            found = await self._client.batches.retrieve(remote)
        counts = found.request_counts
        done, failed, total = (counts.completed, counts.failed, counts.total) if counts else (0, 0, 0)
        errors = (found.errors.data if found.errors else None) or []
        problem = shortened("; ".join(str(each.message) for each in errors)) or None
        files = tuple(file for file in (found.output_file_id, found.error_file_id) if file)
        return BatchState(remote, found.status, done, failed, total, files, problem)

    async def lines(self, file: str) -> AsyncIterator[str]:
        """A file of results, line by line: it may be larger than memory."""
        with self._ours():
            async with self._client.files.with_streaming_response.content(file) as response:
                rest = b""
                async for piece in response.iter_bytes():
                    # Not the library's own lines: those end at U+2028 and the like as well, which answers may hold.
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        yield line.decode("utf-8", "replace")
                yield rest.decode("utf-8", "replace")

    async def close(self) -> None:
        """Gives the connections back."""
        await self._client.close()

    @contextmanager
    def _ours(self) -> Iterator[None]:
        import httpx2
        import openai

        try:
            yield
        except httpx2.TransportError as error:  # the library does not translate what breaks within a stream
            text = f"the connection to the server at {self._url} broke: {error or type(error).__name__}"
            raise FailedRequestError(text, hint="go on later; nothing is lost", code="unreachable") from None
        except openai.APIStatusError as error:
            ours = refused(error, self._url, has_key=self._has_key).error
            if isinstance(ours, ModelError | RefusedForGoodError):
                raise ServerError(str(ours), hint=_NO_BATCHES) from None
            raise ours from None
        except openai.APIError as error:
            raise our_error(error, self._url, has_key=self._has_key) from None


def _name(mark: str) -> str:
    return f"pumice-{mark}.jsonl"
