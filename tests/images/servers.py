"""Servers that do what a script says, and the shortest way to fetch from them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence

import pytest

from images.pictures import encoded, noise
from pumice.errors import BlockedUrlError, ImageError
from pumice.images.fetch import FetchPolicy, fetch

PICTURE = encoded(noise(), "PNG")
LOCAL = FetchPolicy(allow_private=True, deadline_s=10)
GUARDED = FetchPolicy()
Script = Callable[[socket.socket, bytes], None]


class Server:
    """A server that hands every connection, once its request has come, to a script."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/cat.png"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                more = connection.recv(65536)
                if not more:
                    return
                request += more
            self.requests.append(request)
            self._script(connection, request)
        except OSError:
            pass  # the client hung up, as it may
        finally:
            connection.close()

    def close(self) -> None:
        self._socket.close()


def reply(status: str = "200 OK", body: bytes = PICTURE, headers: Sequence[str] = (), sized: bool = True) -> Script:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    if sized:
        lines.append(f"Content-Length: {len(body)}")
    message = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda connection, _: connection.sendall(message)


def redirect(location: str, status: str = "302 Found") -> Script:
    return reply(status, b"", [f"Location: {location}"])


def answering(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


def no_lookup(host: str, port: int) -> list[str]:
    raise AssertionError(f"looked up {host}")


def refused(url: str, policy: FetchPolicy = GUARDED, **options: object) -> BlockedUrlError:
    with pytest.raises(BlockedUrlError) as caught:
        fetch(url, policy, **options)  # type: ignore[arg-type]
    return caught.value


def failed(url: str, policy: FetchPolicy = LOCAL) -> str:
    with pytest.raises(ImageError) as caught:
        fetch(url, policy)
    assert not isinstance(caught.value, BlockedUrlError)
    assert "127.0.0.1:" not in str(caught.value)
    return str(caught.value)
