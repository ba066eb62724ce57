"""A model worker over HTTP: an OpenAI-compatible server of one model, with the original's two routes beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from pumice.serve.api.app import create_app
from pumice.serve.api.ledger import Ledger
from pumice.serve.guard.run import Drain
from pumice.serve.worker.service import EngineService


def create_worker(
    service: EngineService, drain: Drain, *, beside: Callable[[], AbstractAsyncContextManager[object]] | None = None
) -> FastAPI:
    """The application, without its guards. beside: what runs as long as it does, such as the registration."""
    app = create_app(service, Ledger(service.gauges), drain, title="Pumice worker")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            async with AsyncExitStack() as stack:
                if beside is not None:
                    await stack.enter_async_context(beside())
                yield
        finally:
            await service.stop()

    app.router.lifespan_context = lifespan
    return app
