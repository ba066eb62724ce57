"""The web page as an ASGI application, alone or beside the API on its port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

# Read once, when Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from fastapi import FastAPI

from pumice.serve.web.actions import Actions
from pumice.serve.web.answering import Pages
from pumice.serve.web.catalogue import Catalogue
from pumice.serve.web.examples import drawn_examples
from pumice.serve.web.gate import Gate
from pumice.serve.web.log import ConversationLog
from pumice.serve.web.page import build_page
from pumice.serve.web.pictures import PictureStore, private_folder
from pumice.serve.web.settings import WebSettings
from pumice.serve.web.theme import CSS, HEAD, theme
from pumice.serve.web.upstream import Upstream

_SWEEP_S = 3600.0


def create_web(settings: WebSettings) -> FastAPI:
    """The page at ``/``, and nothing else. Raises PumiceError if a part of the installation is missing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount_web(app, settings)
    return app


def mount_web(app: FastAPI, settings: WebSettings) -> Upstream:
    """Adds the page to an application whose own routes go before it; its start and end become part of the app's.

    Where ``settings.api`` is None the page waits until the result is told where its API is.
    """
    uploads, examples = settings.folder / "uploads", settings.folder / "examples"
    for folder in (settings.folder, uploads, examples):
        private_folder(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)  # the only way to tell Gradio
    store = PictureStore(settings.folder / "pictures", settings.upload_bytes).open()
    gr.set_static_paths([store.folder, examples])  # served as they are, not copied for every message
    server = Upstream(settings.api, settings.key)
    log = ConversationLog(settings.log_folder, store.pixels)
    actions = Actions(settings, server, Catalogue(server), store, log, Pages())
    page = build_page(actions, drawn_examples(examples))
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        inner, page, path="/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False,
        max_file_size=settings.upload_bytes, allowed_paths=[], enable_monitoring=False, mcp_server=False, theme=theme(),
        css=CSS, head=HEAD,
    )  # fmt: skip
    app.mount("/", Gate(inner, (uploads, store.folder, examples)))
    app.router.lifespan_context = _with_page(app.router.lifespan_context, inner, server, store, settings.keep_s)
    return server


def _with_page(outer: Any, inner: FastAPI, server: Upstream, store: PictureStore, keep_s: float) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        start: AbstractAsyncContextManager[Any] = outer(app)
        async with start as state, inner.router.lifespan_context(inner):
            sweeper = asyncio.create_task(_sweep(store, keep_s))
            try:
                yield state
            finally:
                sweeper.cancel()
                with suppress(asyncio.CancelledError):
                    await sweeper
                await server.close()

    return lifespan


async def _sweep(store: PictureStore, keep_s: float) -> None:
    while True:
        await asyncio.to_thread(store.sweep, keep_s)
        await asyncio.sleep(_SWEEP_S)
