"""What one port offers: the API, and as wished the page, a controller, and workers that are started with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from pumice.images.fetch import FetchPolicy
from pumice.serve.api.app import create_app
from pumice.serve.api.channel import Channel
from pumice.serve.api.gateway import Gateway
from pumice.serve.api.ledger import Ledger
from pumice.serve.api.pictures import Inliner
from pumice.serve.cluster.app import cluster_routes, original_routes
from pumice.serve.cluster.controller import Cluster, Controller
from pumice.serve.cluster.directory import LocalDirectory, RemoteDirectory
from pumice.serve.guard.run import Drain
from pumice.serve.supervisor import Crew, Supervisor


@dataclass(frozen=True)
class Own:
    """A controller of its own, and workers. worker: the command that starts one; ``{port}`` and ``{front}`` stand for
    its port and for this server's URL. bot: the command of a client that runs beside them, if there is one."""

    cluster: Cluster
    worker: Sequence[str] = ()
    workers: int = 0
    bot: Sequence[str] = ()


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
        self._starting: asyncio.Future[list[None]] | None = None
        directory = self._remote or LocalDirectory(self._controller)  # type: ignore[arg-type]
        gateway = Gateway(directory, self._channel, self._inliner)
        self.app: FastAPI = create_app(gateway, Ledger(gateway.gauges), drain)
        self.app.router.lifespan_context = self._life
        if self._controller is not None:
            for router in (original_routes(self._controller), cluster_routes(self._controller)):
                self.app.include_router(router, include_in_schema=False)

    @property
    def failed(self) -> int:
        """The exit code of processes that could not be started; 0 if they could."""
        return next((each.failed for each in self._supervisors if each.failed), 0)

    def listening(self, port: int) -> None:
        """Requests are answered on ``port`` from now on, so workers can register."""
        if self._own is None or self._controller is None:
            return
        controller, front = self._controller, f"http://127.0.0.1:{port}"

        def known() -> set[str]:
            return {each.address for each in controller.workers()}

        for command, count in ((self._own.worker, self._own.workers), (self._own.bot, int(bool(self._own.bot)))):
            crew = Crew([word.replace("{front}", front) for word in command], count)
            self._supervisors.append(Supervisor(crew, self._drain, known))
        self._starting = asyncio.gather(*(each.start() for each in self._supervisors))

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
