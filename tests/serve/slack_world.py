"""A running bot between a fake Slack and a fake API, all over real sockets, in one event loop."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pumice.serve.slack.app import Connections, serve
from pumice.serve.slack.rules import Rules
from serve.fake_slack import APP_TOKEN, BOT_TOKEN, FakeSlack
from serve.slack_api import FakeApi

QUICK = Rules(twin_s=0.15, edit_s=0.2, append_s=0.05, per_user=100, per_channel=1000, drain_s=5)


@dataclass
class World:
    """What a test looks at."""

    slack: FakeSlack
    api: FakeApi
    folder: Path
    ended: asyncio.Event
    task: asyncio.Task[None]


def picture(colour: str = "red", kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    """The bytes of a small picture."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


@asynccontextmanager
async def bot(folder: Path, slack: FakeSlack, api: FakeApi, **rules: object) -> AsyncIterator[World]:
    """A bot that is connected; it is told to end when the block is left."""
    ended, ready = asyncio.Event(), asyncio.Event()
    connections = Connections(BOT_TOKEN, APP_TOKEN, api.url, slack=slack.url)
    wanted = replace(QUICK, **rules)  # type: ignore[arg-type]
    task = asyncio.create_task(serve(connections, folder, wanted, lambda words: ready.set(), ended))
    await asyncio.wait({task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield World(slack, api, folder, ended, task)
    finally:
        ended.set()
        if not task.cancelled():
            await task


@asynccontextmanager
async def world(folder: Path, **rules: object) -> AsyncIterator[World]:
    """A Slack, an API and a bot."""
    slack, api = await FakeSlack().start(), await FakeApi().start()
    try:
        async with bot(folder, slack, api, **rules) as running:
            yield running
    finally:
        await slack.stop()
        await api.stop()
