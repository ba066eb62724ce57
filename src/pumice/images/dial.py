"""The only way out to the network for pictures: every connection is made to an address that was just checked.

The check sits where the connection is made, not where the URL is read, so no redirect and no second DNS answer gets
around it. TLS still proves the name: only the address that is dialled is replaced.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

import httpcore2

from pumice.errors import BlockedUrlError
from pumice.images.policy import address_kind

Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

_MOST_ATTEMPTS = 4


class RefusedAddressError(BlockedUrlError):
    """An address or port outside the policy. The fetcher words all of them alike.

    ``can_be_allowed``: whether a policy with ``allow_private`` would have let it through.
    """

    can_be_allowed = True


class TlsError(httpcore2.ConnectError):
    """No secure connection: a certificate that is not trusted, not for this name, or no TLS at all."""


class GuardedDialler(httpcore2.NetworkBackend):
    """Looks a host up once, refuses unless all answers are allowed, and connects to those answers only.

    ``deadline`` is a ``time.monotonic`` moment that bounds look-up, connecting, TLS, and every read and write together.
    After a public server was reached no private one is: a stranger's redirect must not lead into one's own network.
    """

    def __init__(
        self, *, allow_private: bool, ports: tuple[int, ...], connect_s: float, deadline: float, resolve: Resolver
    ) -> None:
        self._allow_private = allow_private
        self._ports = ports
        self._connect_s = connect_s
        self._deadline = deadline
        self._resolve = resolve
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        if port not in self._ports and not self._allow_private:
            raise RefusedAddressError("port not allowed")
        addresses = self._checked(_in_time(self._resolve, host, port, self._deadline))
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses[:_MOST_ATTEMPTS]:
            try:
                seconds = min(self._connect_s, _seconds_left(self._deadline))
                stream = self._inner.connect_tcp(address, port, seconds, local_address, socket_options)
                return TimedStream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    def _checked(self, addresses: Sequence[str]) -> list[str]:
        kinds = {address_kind(address) for address in addresses}
        allowed = {"public", "private"} if self._allow_private else {"public"}
        if not kinds <= allowed:
            refusal = RefusedAddressError("address not allowed")
            refusal.can_be_allowed = "refused" not in kinds
            raise refusal
        if "public" in kinds:
            self._allow_private = False
        return list(addresses)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.NetworkStream:
        raise RefusedAddressError("sockets in the file system are not allowed")


class TimedStream(httpcore2.NetworkStream):
    """A stream whose operations share one deadline, so a server that sends a byte at a time cannot stretch it."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _seconds_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _seconds_left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            stream = self._inner.start_tls(ssl_context, server_hostname, _seconds_left(self._deadline))
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise TlsError("no TLS") from error
            raise
        return TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def system_resolver(host: str, port: int) -> list[str]:
    """The operating system's answers for ``host``, in its order of preference."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(cast(str, answer[4][0]) for answer in answers))


def _in_time(resolve: Resolver, host: str, port: int, deadline: float) -> Sequence[str]:
    """The look-up in a thread of its own: the system's resolver knows no time limit and cannot be interrupted."""
    answer: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(resolve(host, port))
        except Exception as error:  # raised again below, in the thread that waits
            answer.put(error)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=_seconds_left(deadline))
    except queue.Empty:
        raise httpcore2.ConnectTimeout("look-up took too long") from None
    if isinstance(found, OSError | UnicodeError):
        raise httpcore2.ConnectError("look-up failed") from found
    if isinstance(found, Exception):
        raise found
    return found


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("deadline passed")
    return left
