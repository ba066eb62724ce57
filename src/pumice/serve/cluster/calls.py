"""Calls to workers: bounded in time and size, to one address, without redirects, proxies or anybody's API key."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import AsyncGenerator
from typing import Any

import httpx2

from pumice.errors import ServerError
from pumice.serve.cluster.status import Status, read_status
from pumice.serve.cluster.token import proof

LOOKUP_S = 5.0
#: Our workers say something every two seconds, so that longer silence means that one hangs.
SILENCE_S = 15.0
_MOST_BYTES = 256 << 10
_MOST_AT_ONCE = 32


class Calls:
    """Of one process, in one event loop. ``token`` is the cluster's."""

    def __init__(self, token: str, *, lookup_s: float = LOOKUP_S, silence_s: float = SILENCE_S) -> None:
        self._token = token
        self._lookup_s = lookup_s
        self._silence_s = silence_s
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(lookup_s, read=silence_s),
            limits=httpx2.Limits(max_connections=1000, keepalive_expiry=2),
        )

    async def status(self, address: str) -> Status:
        """What the worker at ``address`` says of itself, and proof that it knows the cluster's token.

        Raises: ServerError for no answer in time, no proof, or no status.
        """
        nonce = secrets.token_hex(32)
        async with self._turn:
            try:
                body = await asyncio.wait_for(
                    self._post(f"{address}/worker_get_status", {"nonce": nonce}), self._lookup_s
                )
            except (httpx2.HTTPError, asyncio.TimeoutError):
                raise ServerError("the worker does not answer at its address") from None
        shown = body.get("nonce") if isinstance(body, dict) else None
        if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), proof(self._token, nonce).encode()):
            raise ServerError("what answers at the worker's address is no worker of this cluster")
        return read_status(body)

    async def stream(self, address: str, payload: bytes) -> AsyncGenerator[bytes, None]:
        """The original's stream of the worker at ``address``, as it comes.

        Raises: ServerError if the worker cannot be reached, refuses, breaks off or falls silent.
        """
        try:
            async with self._client.stream(
                "POST",
                f"{address}/worker_generate_stream",
                content=payload,
                headers={"content-type": "application/json"},
            ) as answer:
                if answer.status_code != 200:
                    raise ServerError(f"the worker answered with status {answer.status_code}")
                async for part in answer.aiter_raw():
                    yield part
        except httpx2.TimeoutException:
            raise ServerError(f"the worker has been silent for {self._silence_s:g} seconds") from None
        except httpx2.HTTPError:
            raise ServerError("the worker cannot be reached, or broke off") from None

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.aclose()

    async def _post(self, url: str, value: object) -> Any:
        """The decoded answer. Raises ServerError for anything but a JSON text of bearable length."""
        async with self._client.stream("POST", url, json=value) as answer:
            if answer.status_code != 200:
                raise ServerError(f"the worker answered with status {answer.status_code}")
            text = await whole(answer, _MOST_BYTES)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ServerError("the worker's answer is not JSON") from None


async def whole(answer: httpx2.Response, most: int) -> bytes:
    """The body of an answer that is being received. Raises ServerError once it has more than ``most`` bytes."""
    text = b""
    async for part in answer.aiter_raw():
        text += part
        if len(text) > most:
            raise ServerError(f"the answer is too long: more than {most} bytes")
    return text
