"""A server that says, byte for byte, what a test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def answering(*answers: bytes, heads: list[bytes] | None = None) -> Iterator[tuple[int, list[Any]]]:
    """Gives one answer to each request and hangs up, the last one for ever; its port, and the JSON that came in.

    heads: where the requests' first lines and headers are put.
    """
    asked: list[Any] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                caller = listening.accept()[0]
            except OSError:
                return
            with caller, suppress(ConnectionError):
                head, body = _read(caller)
                if heads is not None:
                    heads.append(head)
                asked.append(json.loads(body) if body else {})
                caller.sendall(answers[min(len(asked), len(answers)) - 1])

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        listening.close()


def _read(caller: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one request, read to its end: an answer to less would look like a broken connection."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _more(caller)
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line[:15] == b"content-length:"), 0)
    while len(body) < length:
        body += _more(caller)
    return head, body


def _more(caller: socket.socket) -> bytes:
    found = caller.recv(1 << 16)
    if not found:
        raise ConnectionResetError("the client left in the middle of its request")
    return found
