"""The web page as an ASGI application, alone or beside the API on its port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from pumice.serve.guard.run import Drain
from pumice.serve.web.actions import Actions
from pumice.serve.web.answering import Pages
from pumice.serve.web.catalogue import Catalogue
from pumice.serve.web.examples import drawn_examples
from pumice.serve.web.gate import Gate, PageMount
from pumice.serve.web.log import ConversationLog
from pumice.serve.web.page import build_page
from pumice.serve.web.pictures import PictureStore, private_folder
from pumice.serve.web.probes import probes
from pumice.serve.web.settings import WebSettings
from pumice.serve.web.theme import CSS, HEAD, theme
from pumice.serve.web.upstream import Upstream

_SWEEP_S = 3600.0
_LOOK_S = 0.1

Chore: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


def create_web(settings: WebSettings, drain: Drain | None = None) -> FastAPI:
    """The page at ``/``, and whether it is well. Raises PumiceError if a part of the installation is missing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    server = mount_web(app, settings, drain)
    app.router.routes[:0] = probes(Catalogue(server), drain).routes
    return app


def mount_web(app: FastAPI, settings: WebSettings, drain: Drain | None = None) -> Upstream:
    """Adds the page to an application whose own routes go before it; its start and end become part of the app's.

    Where ``settings.api`` is None the page waits until the result is told where its API is. Once ``drain`` has begun,
    answers under way are finished, no new ones are begun, and open pages are let go.
    """
    uploads, examples = settings.folder / "uploads", settings.folder / "examples"
    for folder in (settings.folder, uploads, examples):
        private_folder(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)  # the only way to tell Gradio
    store = PictureStore(settings.folder / "pictures", settings.upload_bytes).open()
    gr.set_static_paths([store.folder, examples])  # served as they are, not copied for every message
    server = Upstream(settings.api, settings.key)
    log = ConversationLog(settings.log_folder, store.pixels)
    actions = Actions(settings, server, Catalogue(server), store, log, Pages(drain))
    page = build_page(actions, drawn_examples(examples))
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        inner, page, path="/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False,
        max_file_size=settings.upload_bytes, allowed_paths=[], enable_monitoring=False, mcp_server=False, theme=theme(),
        css=CSS, head=HEAD,
    )  # fmt: skip
    app.router.routes.append(PageMount(Gate(inner, (uploads, store.folder, examples))))
    chores = [partial(_sweep, store, settings.keep_s)]
    if drain is not None:
        chores.append(partial(_let_go, inner, drain, actions.pages))
    app.router.lifespan_context = _with_page(app.router.lifespan_context, inner, server, chores)
    return server


def _with_page(outer: Any, inner: FastAPI, server: Upstream, chores: Sequence[Chore]) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        start: AbstractAsyncContextManager[Any] = outer(app)
        async with start as state, inner.router.lifespan_context(inner):
            tasks = [asyncio.create_task(chore()) for chore in chores]
            try:
                yield state
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await server.close()

    return lifespan


async def _sweep(store: PictureStore, keep_s: float) -> None:
    while True:
        await asyncio.to_thread(store.sweep, keep_s)
        await asyncio.sleep(_SWEEP_S)


async def _let_go(inner: FastAPI, drain: Drain, pages: Pages) -> None:
    """Ends the streams that every open page holds, which a server waits for when it drains."""
    while not drain.draining or pages.running:
        await asyncio.sleep(_LOOK_S)
    for route in inner.routes:
        if isinstance(route, Mount) and isinstance(route.app, gr.routes.App):
            route.app.get_blocks()._queue.close()  # type: ignore[no-untyped-call]
            route.app.stop_event.set()
