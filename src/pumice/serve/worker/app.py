"""A model worker over HTTP: an OpenAI-compatible server of one model, with the original's two routes beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from pumice.serve.api.app import Backend, create_app
from pumice.serve.api.ledger import Ledger
from pumice.serve.cluster.challenge import Challenge, answered
from pumice.serve.cluster.status import Status
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.guard.limits import StrictRoute
from pumice.serve.guard.run import Drain
from pumice.serve.original.worker_routes import Service, routes
from pumice.serve.worker.registration import Contact, Registration

_log = logging.getLogger(__name__)

_LOOK_S = 0.05


class Answerer(Backend, Protocol):
    """A backend that a worker can be made of."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def status(self) -> Status: ...
    def gauges(self) -> Mapping[str, float]: ...

    def broken(self) -> Failure | None:
        """Why it will never answer again; None as long as it may."""


@dataclass(frozen=True)
class Membership:
    """Which cluster a worker belongs to. address: its own URL as others reach it; ``{port}`` stands for its port."""

    controller: str
    address: str
    token: str = field(repr=False)


class Worker:
    """The application of one worker, and its place in a cluster, if it has one.

    ``failed`` is the process's exit code: 1 once the worker has ended itself because it is broken, so that whoever
    keeps it starts it anew.
    """

    def __init__(self, answerer: Answerer, drain: Drain, token: str, membership: Membership | None = None) -> None:
        """token: the cluster's, which proves to a controller that this is no stranger."""
        self.failed = 0
        self._answerer = answerer
        self._drain = drain
        self._membership = membership
        self._registration: Registration | None = None
        self.app = create_app(answerer, Ledger(answerer.gauges), drain, title="Pumice worker")
        self.app.router.lifespan_context = self._life
        if isinstance(answerer, Service):
            self.app.include_router(routes(answerer, token), include_in_schema=False)
        else:
            router = APIRouter(route_class=StrictRoute)
            router.add_api_route("/worker_get_status", self._status_route(token), methods=["POST"])
            self.app.include_router(router, include_in_schema=False)

    def listening(self, port: int) -> None:
        """Requests are answered on ``port`` from now on, so the controller may call back."""
        if self._membership is not None and not self._drain.draining:
            name = self._membership.address.replace("{port}", str(port))
            contact = Contact(self._membership.controller, name, self._membership.token)
            self._registration = Registration(contact, self._answerer.status, self._able)
            self._registration.start()

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        await self._answerer.start()
        watching = asyncio.create_task(self._leave_in_time())
        try:
            yield
        finally:
            self._drain.begin()
            try:
                await watching  # a goodbye on its way arrives
            finally:
                await self._answerer.stop()

    async def _leave_in_time(self) -> None:
        """Nobody is sent here any more while the last answers are finished, or once there will be none."""
        while not self._drain.draining:
            await asyncio.sleep(_LOOK_S)
            if (failure := self._answerer.broken()) is not None:
                _log.critical("the worker ends, to be started anew: %s", failure.message)
                self.failed = 1
                self._drain.begin()
        if self._registration is not None:
            await self._registration.leave()

    async def _able(self) -> bool:
        try:
            return await self._answerer.unready() is None
        except ApiError:  # such as of a server that refuses its key by now
            return False

    def _status_route(self, token: str) -> Callable[..., object]:
        async def worker_get_status(request: Request, body: Challenge | None = None) -> dict[str, object]:
            return answered(self._answerer.status(), body, token, request.scope)

        return worker_get_status
