"""What a client reads of the server on the other side: of our worker, or of one that somebody else made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pumice.serve.api.channel import Channel
from pumice.serve.guard.errors import ApiError
from pumice.serve.worker.upstream import OTHER
from sockets import answering

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LENGTH = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
ANSWERS = {
    "broken": HEAD,
    "nonsense": HEAD + b"data: nonsense\n\n",
    "refused": LENGTH % b"401 Unauthorized",
    "failed": LENGTH % b"500 Internal Server Error",
    "long": HEAD.replace(b"200 OK", b"500 Bad") + b"x" * 2_000_000,
}


@contextmanager
def place(kind: str) -> Iterator[int]:
    """The port of a server that fails in a certain way."""
    if kind in ANSWERS:
        with answering(ANSWERS[kind]) as (port, _):
            yield port
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if kind == "gone":
            silent.close()
        yield port


def told(channel: Channel, port: int) -> str:
    """The words of the error."""

    async def run() -> str:
        try:
            with pytest.raises(ApiError) as raised:
                async for _ in channel.chat(f"http://127.0.0.1:{port}/v1", {}, "-"):
                    pass
        finally:
            await channel.close()
        return str(raised.value)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", [*ANSWERS, "gone", "silent"])
def test_errors_name_who_failed(kind: str) -> None:
    with place(kind) as port:
        ours = told(Channel("k", silence_s=1.0), port)
        theirs = told(Channel("k", silence_s=1.0, other=OTHER), port)
    assert ours.startswith("the worker ")
    assert theirs == ours.replace("the worker", OTHER)
