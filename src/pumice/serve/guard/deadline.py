"""Deadlines for what clients send, which uvicorn does not have: a request arrives in time, or its connection is closed.

Counted from the start and not from the last byte, so that one byte a second buys nothing. Answers may take as long as
they like, as long as somebody reads them; between requests uvicorn's own limit on idle connections holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pumice.serve.guard.errors import Failure, Refused
from pumice.serve.guard.request_checks import long_headers


@dataclass(frozen=True)
class Deadlines:
    """Seconds.

    header_s: from the connection, or the first byte of a further request, to the end of the headers.
    body_s: from there to the end of the body.
    linger_s: how long the rest of a body is thrown away that was answered before it had arrived.
    reader_s: how long a client may let an answer wait without reading any of it.
    connections: most at a time.
    """

    header_s: float = 30
    body_s: float = 60
    linger_s: float = 5
    reader_s: float = 60
    connections: int = 900


def uncounted(method: str, address: str, failure: Failure) -> None:
    """Nobody counts what is refused."""


class DeadlineProtocol(H11Protocol):
    """uvicorn's protocol, with deadlines, and with answers in our shape where it answers by itself."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        deadlines: Deadlines,
        refused: Refused = uncounted,
    ) -> None:
        """refused: is told of what is refused here, without an address if none was read."""
        super().__init__(config, server_state, app_state, _loop)
        self._deadlines = deadlines
        self._refused = refused
        self._phase: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._any_byte = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._deadlines.connections:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        self._any_byte = True
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        self._any_byte = bool(self.conn.trailing_data[0])
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._reader_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader_timer = self.loop.call_later(self._deadlines.reader_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def send_400_response(self, msg: str) -> None:
        """Called where h11 gives up on what came in."""
        if getattr(sys.exc_info()[1], "error_status_hint", 400) == 431:
            self._refuse(long_headers())
        else:
            self._refuse(Failure(400, "invalid_request", "this is not a valid HTTP request"))

    def _now_in(self) -> str | None:
        """What the client still owes, if it is anything."""
        if self.transport.is_closing():
            return None
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:
            return "body" if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) else "linger"
        # Between requests uvicorn's own timer runs; the first byte of the next one stops it.
        return "header" if theirs is h11.IDLE and self.timeout_keep_alive_task is None else None

    def _watch(self) -> None:
        phase = self._now_in()
        if phase == self._phase:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._phase = phase
        if phase is not None:
            seconds = {
                "header": self._deadlines.header_s,
                "body": self._deadlines.body_s,
                "linger": self._deadlines.linger_s,
            }[phase]
            self._timer = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._phase == "linger" or not self._any_byte:
            self.transport.abort()
        else:
            self._refuse(Failure(408, "request_timeout", f"the request's {self._phase} did not arrive in time"))

    def _refuse(self, failure: Failure) -> None:
        """Answers, if no answer has begun, and closes; what the application still sends goes nowhere."""
        method = address = ""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            method, address = self.scope["method"], self.scope["path"]
            self.scope["state"]["counted"] = True
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self._answer_has_begun():
            self._refused(method, address, failure)
            body = json.dumps(failure.body("-")).encode("utf-8")
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=failure.status, headers=headers),
                h11.Data(body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self.loop.call_later(self._deadlines.linger_s, self.transport.abort)  # for a client that does not read

    def _answer_has_begun(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
