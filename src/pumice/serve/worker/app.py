"""A model worker over HTTP: an OpenAI-compatible server of one model, with the original's two routes beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from pumice.serve.api.app import Backend, create_app
from pumice.serve.api.ledger import Ledger
from pumice.serve.cluster.challenge import Challenge, answered
from pumice.serve.cluster.status import Status
from pumice.serve.guard.limits import StrictRoute
from pumice.serve.guard.run import Drain
from pumice.serve.original.worker_routes import Service, routes
from pumice.serve.worker.registration import Contact, Registration

_LOOK_S = 0.05


class Answerer(Backend, Protocol):
    """A backend that a worker can be made of."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def status(self) -> Status: ...
    def gauges(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Membership:
    """Which cluster a worker belongs to. address: its own URL as others reach it; ``{port}`` stands for its port."""

    controller: str
    address: str
    token: str


class Worker:
    """The application of one worker, and its place in a cluster, if it has one."""

    def __init__(self, answerer: Answerer, drain: Drain, token: str, membership: Membership | None = None) -> None:
        """token: the cluster's, which proves to a controller that this is no stranger."""
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
        if self._membership is not None:
            name = self._membership.address.replace("{port}", str(port))
            contact = Contact(self._membership.controller, name, self._membership.token)
            self._registration = Registration(contact, self._answerer.status)
            self._registration.start()

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        await self._answerer.start()
        leaving = asyncio.create_task(self._leave_when_draining())
        try:
            yield
        finally:
            leaving.cancel()
            await self._leave()
            await self._answerer.stop()

    async def _leave_when_draining(self) -> None:
        """Nobody is sent here any more while the last answers are finished."""
        while not self._drain.draining:
            await asyncio.sleep(_LOOK_S)
        await self._leave()

    async def _leave(self) -> None:
        registration, self._registration = self._registration, None
        if registration is not None:
            await registration.leave()

    def _status_route(self, token: str) -> Callable[..., object]:
        async def worker_get_status(request: Request, body: Challenge | None = None) -> dict[str, object]:
            return answered(self._answerer.status(), body, token, request.scope)

        return worker_get_status
