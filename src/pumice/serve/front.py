"""What one port offers: the API, and as wished the page, a controller, and workers that are started with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from pumice.images.fetch import FetchPolicy
from pumice.serve.api.app import create_app
from pumice.serve.api.channel import Channel
from pumice.serve.api.gateway import NO_WORKER, Gateway
from pumice.serve.api.ledger import Ledger
from pumice.serve.api.pictures import Inliner
from pumice.serve.cluster.app import cluster_routes, original_routes
from pumice.serve.cluster.controller import Cluster, Controller
from pumice.serve.cluster.directory import Directory, LocalDirectory, RemoteDirectory
from pumice.serve.guard.errors import Failure
from pumice.serve.guard.keeping import here
from pumice.serve.guard.run import Drain
from pumice.serve.supervisor import Command, Crew, Supervisor

#: Longer than a child's own drain: it also has to say its last words and to let its model go.
_LAST_WORDS_S = 10.0


@dataclass(frozen=True)
class Own:
    """A controller of its own, and processes beside it. worker, bot: how they are started; ``{front}`` stands for this
    server's URL. host: where it listens. drain_s: how long they go on with what they are doing once they are to end."""

    cluster: Cluster
    worker: Command | None = None
    workers: int = 0
    bot: Command | None = None
    host: str = "127.0.0.1"
    drain_s: float = 30.0

    def crews(self, port: int) -> list[Crew]:
        """The processes beside a server that answers on ``port``."""
        front, patience_s = f"http://{here(self.host)}:{port}", self.drain_s + _LAST_WORDS_S
        wanted = ((self.worker, self.workers), (self.bot, 1))
        return [Crew(each.filled(front=front), count, patience_s) for each, count in wanted if each is not None]


class Front:
    """``app`` without its guards; tell it ``listening`` once it is."""

    def __init__(self, drain: Drain, token: str, cluster: Own | str, fetch: FetchPolicy | None) -> None:
        """token: the cluster's. cluster: its own, or the URL of a controller. fetch: where pictures may come from."""
        self._drain = drain
        self._own = cluster if isinstance(cluster, Own) else None
        self._controller = Controller(cluster.cluster) if isinstance(cluster, Own) else None
        self._remote = RemoteDirectory(cluster, token) if isinstance(cluster, str) else None
        self._channel, self._inliner = Channel(token), Inliner(fetch)
        self._supervisors: list[Supervisor] = []
        gateway = Gateway(self._directory(), self._channel, self._inliner, absence=self._absence)
        self.app: FastAPI = create_app(gateway, Ledger(lambda: gateway.gauges() | self._workers()), drain)
        self.app.router.lifespan_context = self._life
        if self._controller is not None:
            for router in (original_routes(self._controller), cluster_routes(self._controller)):
                self.app.include_router(router, include_in_schema=False)

    @property
    def failed(self) -> int:
        """The exit code of processes that could not be started; 0 if they could."""
        return next((each.failed for each in self._supervisors if each.failed), 0)

    def _workers(self) -> dict[str, float]:
        """How many there are, for monitoring, where the controller is here."""
        return {} if self._controller is None else {"workers": len(self._controller.workers())}

    def _directory(self) -> Directory:
        if self._remote is not None:
            return self._remote
        assert self._controller is not None, "it has a controller, or the URL of one"
        return LocalDirectory(self._controller)

    def _absence(self) -> Failure:
        """Why there is no worker."""
        if self._remote is not None and not self._remote.reachable:
            return Failure(503, "no_worker", "the controller does not answer", "is it running?", retry_after_s=2)
        if self._own is not None and self._own.workers and not self.failed:
            return Failure(503, "loading", "the model is being loaded", "wait a moment", retry_after_s=2)
        return NO_WORKER

    def listening(self, port: int) -> None:
        """Requests are answered on ``port`` from now on, so workers can register."""
        if self._own is None or self._controller is None:
            return
        controller = self._controller

        def known() -> set[str]:
            return {each.address for each in controller.workers()}

        self._supervisors += [Supervisor(crew, self._drain, known) for crew in self._own.crews(port)]
        for each in self._supervisors:
            each.start()

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        if self._remote is not None:
            await self._remote.start()
        try:
            yield
        finally:
            self._drain.begin()
            await asyncio.gather(*(each.stop() for each in self._supervisors))
            if self._remote is not None:
                await self._remote.stop()
            if self._controller is not None:
                await self._controller.calls.close()
            await self._channel.close()
            self._inliner.close()
