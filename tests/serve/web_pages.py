"""The page in a real browser: a server on a thread, Chromium, and the parts of the page by their roles."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from starlette.types import ASGIApp

from pumice.serve.guard.run import Doorkeeping, guarded
from pumice.serve.web.app import create_web
from pumice.serve.web.settings import WebSettings
from serve.fake_api import FakeApi, wait_until

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@contextmanager
def served(settings: WebSettings, how: Doorkeeping | None = None) -> Iterator[str]:
    """The page on a port of its own; its address. how: whom it lets in; None for anybody."""
    app: ASGIApp = create_web(settings)
    app = app if how is None else guarded(app, how)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, 60)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield found
        finally:
            found.close()


expect.set_options(timeout=15_000)


class Visit:
    """One visitor with an open page; remembers every request and every complaint of the console."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.url = url
        self.page = self.open(url)

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(f"{error} {error.stack}"))
        page.goto(url)
        page.get_by_test_id("textbox").wait_for()
        return page

    @property
    def box(self) -> Locator:
        return self.page.locator("#box textarea")

    @property
    def answers(self) -> Locator:
        return self.page.locator("#chat [data-testid=bot]")

    @property
    def questions(self) -> Locator:
        return self.page.locator("#chat [data-testid=user]")

    @property
    def toasts(self) -> Locator:
        return self.page.locator("[data-testid='toast-body']")

    @property
    def outside(self) -> list[str]:
        """Requests that went anywhere but to the page's own server."""
        return [each for each in self.requests if not each.startswith((self.url, "data:", "blob:"))]

    @property
    def thumbnails(self) -> Locator:
        """Pictures that wait in the box."""
        return self.page.locator("#box img")

    def new_conversation(self) -> None:
        """By the button in the sidebar, which is opened for it and closed again."""
        self.box.fill("gone once the server has answered")
        toggle = self.page.get_by_role("button", name="Toggle Sidebar")
        toggle.click()
        self.page.get_by_role("button", name="New conversation").click()
        toggle.click()
        expect(self.questions).to_have_count(0)
        expect(self.box).to_have_value("")

    def choose_model(self, name: str) -> None:
        self.page.get_by_label("Model").click()
        self.page.get_by_role("option", name=name).click()

    def ask(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def choose(self, *paths: Path) -> None:
        """By the file chooser; returns once all are uploaded."""
        before = self.thumbnails.count()
        self.page.locator("#box input[type=file]").set_input_files([str(path) for path in paths])
        expect(self.thumbnails).to_have_count(before + len(paths))

    def close(self) -> None:
        self.context.close()


def settings_for(api: FakeApi, folder: Path, **changes: Any) -> WebSettings:
    return WebSettings(api=api.url, folder=folder / "web", poll_s=0.5, **changes)
