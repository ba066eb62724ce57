"""How every role's application is guarded and run: one wrapper, one server, one way to end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pumice.errors import PumiceError, UsageError
from pumice.serve.guard.deadline import DeadlineProtocol, Deadlines, uncounted
from pumice.serve.guard.doors import Doors
from pumice.serve.guard.envelope import Envelope
from pumice.serve.guard.errors import Refused
from pumice.serve.guard.keeping import Doorkeeping, is_loopback
from pumice.serve.guard.request_checks import MOST_HEADER_BYTES

__all__ = ["Doorkeeping", "Drain", "Guarded", "guarded", "require_keys", "serve"]

_IN_USE = (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE))


class Drain:
    """Says that the server is about to end: no new work, what runs is finished. Safe to use from any thread.

    over: set on the server's loop once there is no more time for what runs: who still answers says so, and ends.
    """

    def __init__(self) -> None:
        self._begun = threading.Event()
        self.over = asyncio.Event()

    @property
    def draining(self) -> bool:
        return self._begun.is_set()

    def begin(self) -> None:
        self._begun.set()


class Guarded:
    """An application behind the guard. ``guarded`` makes it. refusal: why it does not start, if it says so itself.

    An application that counts what is refused has a ``Refused`` as ``app.state.refused``.
    """

    def __init__(self, app: ASGIApp, how: Doorkeeping) -> None:
        self.how = how
        self.refusal: PumiceError | None = None
        self.refused: Refused = getattr(getattr(app, "state", None), "refused", uncounted)
        self._app = Envelope(RequestBodyLimitMiddleware(_http_only(app, how), how.max_body), how, self.refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            """Takes out the traceback of what is no bug: the one place that prints errors will say it."""
            if message["type"] == "lifespan.startup.failed" and isinstance(error := sys.exc_info()[1], PumiceError):
                self.refusal, message = error, {"type": "lifespan.startup.failed"}
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "lifespan" else send)


def _http_only(app: ASGIApp, how: Doorkeeping) -> ASGIApp:
    """The doors know requests; starting and stopping an application passes by them."""
    doors = Doors(app, how)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        await (doors if scope["type"] == "http" else app)(scope, receive, send)

    return choose


def guarded(app: ASGIApp, how: Doorkeeping) -> Guarded:
    """``app`` behind: request id, headers of every answer, checks of the request, limit of the body, doors.

    ``scope["state"]`` then holds ``request_id`` and ``caller`` (``doors.Caller``).

    Raises:
        UsageError: as ``require_keys``.
    """
    require_keys(how)
    return Guarded(app, how)


def require_keys(how: Doorkeeping) -> None:
    """Raises UsageError if a server would be open to strangers: another address than this machine's, and no key.

    Also if the file of keys is damaged, whatever the address: who may come in must be known before anybody asks.

    ``guarded`` asks as well; whoever has much to build before may ask first.
    """
    usable = how.keys.usable
    if how.scope != "cluster" and not is_loopback(how.host) and not usable:
        raise UsageError(
            f"without an API key only this machine may be served, and {how.host} is open to others",
            hint="make a key with `pumice keys create NAME`, or listen on 127.0.0.1",
        )
    if how.scope == "cluster" and not how.cluster_token:
        raise UsageError("a controller or worker needs a cluster token", hint="set PUMICE_CLUSTER_TOKEN")


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    drain: Drain,
    on_ready: Callable[[int], None] | None = None,
    drain_s: float = 30,
    role: str = "server",
) -> int:
    """Serves ``app`` until SIGTERM, SIGINT or ``drain.begin()``; then finishes what runs, and returns 0.

    While it drains it goes on listening, so that newcomers hear a reason; whether a request is new work is the
    application's to say. A second SIGINT ends at once.

    port: 0 for any. on_ready: called with the port once requests are answered. drain_s: longest wait for what runs.
    role: what to call the server in the line on stderr.

    Raises:
        PumiceError: the address cannot be listened on, or the application does not start; its own, if it raises one.
    """
    listeners = _listen(host, port)
    bound = int(listeners[0].getsockname()[1])
    deadlines, refused = Deadlines(), cast(Refused, uncounted)
    if isinstance(app, Guarded):
        deadlines, refused = Deadlines(header_s=app.how.header_s, body_s=app.how.body_s), app.refused
    config = uvicorn.Config(
        app,
        http=cast(Any, partial(DeadlineProtocol, deadlines=deadlines, refused=refused)),
        ws="none",
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # anybody can write them
        server_header=False,
        timeout_graceful_shutdown=2,
        backlog=512,
    )

    def announce() -> None:
        name = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"pumice {role}: http://{name}:{bound}\n")
        sys.stderr.flush()
        if on_ready is not None:
            on_ready(bound)

    try:
        _Server(config, drain, drain_s, announce).run(listeners)
    except SystemExit as stop:  # uvicorn's way to say that the application did not start
        if isinstance(app, Guarded) and app.refusal is not None:
            raise app.refusal from None
        raise PumiceError("the server could not start", hint="the lines above say why") from stop
    finally:
        for each in listeners:
            each.close()
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server, which ends by draining instead of by the signal itself."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_s: float, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_s = drain_s
        self._announce = announce
        self._ending: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ending = asyncio.create_task(self._end_when_drained())
            self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self._on_signal) for each in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._drain.draining and number == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._drain.begin()

    async def _end_when_drained(self) -> None:
        while not self._drain.draining:
            await asyncio.sleep(0.05)
        running = set(self.server_state.tasks)  # what comes later is refused by the application
        if running:
            await asyncio.wait(running, timeout=self._drain_s)
        self._drain.over.set()
        self.should_exit = True


def _listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address that ``host`` has here, all with the same port. Raises PumiceError."""
    try:
        found = [
            each
            for name in (("127.0.0.1", "::1") if host == "localhost" else (host,))  # whatever a resolver says of it
            for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ]
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}: {error.strerror or error}", hint="name an address of this machine"
        ) from None
    listeners: list[socket.socket] = []
    reason: OSError | None = None
    for family, kind, protocol, _, address in found:
        number = listeners[0].getsockname()[1] if listeners else port
        try:
            listeners.append(_bound(family, kind, protocol, (address[0], number, *address[2:])))
        except OSError as error:  # such as an address of IPv6 where there is none
            reason = reason if reason is not None and reason.errno in _IN_USE else error
    if reason is not None and (not listeners or (port and reason.errno in _IN_USE)):
        for each in listeners:
            each.close()
        if reason.errno in _IN_USE:
            hint = "stop the other program, or choose another one with --port (0 takes any that is free)"
            raise PumiceError(f"port {port} on {host} is in use", hint=hint)
        raise PumiceError(
            f"cannot listen on {host}:{port}: {reason.strerror or reason}", hint="choose another --host or --port"
        )
    return listeners


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(512)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
