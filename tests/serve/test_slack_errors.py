"""What goes wrong around the Slack bot, and what people and the log are told about it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import AuthError, ServerError, UsageError
from pumice.serve.slack.app import Connections, serve
from pumice.serve.slack.events import Place
from pumice.serve.slack.logs import Discreet
from pumice.serve.slack.memory import Memory
from pumice.serve.slack.rules import Rules
from pumice.serve.slack.store import Store, Turn
from serve.fake_slack import APP_TOKEN, BOT, BOT_TOKEN, CHANNEL, FakeSlack
from serve.slack_api import pictures_of, words_of
from serve.slack_world import bot, picture, world

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("status", "error", "remembered"),
    [
        (503, {"message": "no worker <now>", "hint": "wait", "code": "no_worker", "request_id": "r1"}, True),
        (
            401,
            {
                "message": "this server wants a key",
                "hint": "put it into",
                "code": "invalid_api_key",
                "request_id": "r2",
            },
            True,
        ),
        (404, {"message": "no model tiny", "code": "model_not_found", "request_id": "r3"}, True),
        (400, {"message": "bad picture", "code": "invalid_image", "request_id": "r4"}, False),
    ],
)
async def test_what_the_api_refuses(tmp_path: Path, status: int, error: dict[str, Any], remembered: bool) -> None:
    async with world(tmp_path) as at:
        at.api.refusal = status, error
        ts = await at.slack.message(f"<@{BOT}> what?", CHANNEL, files=[at.slack.share("a.png", picture())])
        await at.slack.until(lambda: at.slack.made("reactions.remove"))
        (told,) = at.slack.messages.values()
        assert told.kind == "ephemeral"
        for words in (
            error["message"][1:].replace("<", "&lt;").replace(">", "&gt;"),
            f"Request `{error['request_id']}`",
        ):
            assert words in told.text
        assert error.get("hint", "")[1:] in told.text
        # Once it works again the picture need not be shared again, unless it was the picture.
        at.api.refusal = None
        await at.slack.message("try again", CHANNEL, thread_ts=ts)
        await at.slack.answer(ts)
        (message,) = at.api.requests[-1]["messages"]
        assert words_of(message) == ("what?\ntry again" if remembered else "try again")
        assert len(pictures_of(message)) == remembered


async def test_the_api_is_not_there(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await at.api.stop()
        ts = await at.slack.message("what?")
        answer = await at.slack.answer(ts)
        assert "cannot be reached" in answer.text
        assert "is it running" in answer.text.lower()
        await at.api.start()


async def test_a_stream_that_breaks_off(tmp_path: Path) -> None:
    async def script(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        yield "The dice show "
        await asyncio.sleep(0.2)
        yield "<break off>"

    async with world(tmp_path) as at:
        at.api.script = script
        ts = await at.slack.message("what?")
        answer = await at.slack.answer(ts)
        assert answer.text == "The dice show \n\n_The answer broke off: worker died (request req-7)_"


async def test_a_thread_that_grew_too_long(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message("first", files=[at.slack.share("a.png", picture())])
        await at.slack.answer(ts)
        error = {"message": "too many tokens", "code": "context_length_exceeded"}

        async def script(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
            yield f"{len(messages)} message, {len(pictures_of(messages[0]))} picture"

        at.api.refusals, at.api.script = [(400, error)], script
        await at.slack.message("second", thread_ts=ts)
        answer = await at.slack.answer(ts, 2)
        assert answer.text.startswith("1 message, 1 picture")
        assert "grown too long" in answer.text


async def test_slack_refuses_the_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.slack.refuse("chat.startStream", "is_archived")
        at.slack.refuse("chat.postMessage", "is_archived", ...)
        await at.slack.message(f"<@{BOT}> what?", CHANNEL)
        told = await at.slack.until(lambda: list(at.slack.messages.values()))
        assert "Slack refused my answer (is_archived)" in told[0].text


async def test_small_things_may_fail(tmp_path: Path) -> None:
    """No right to react, none to whisper: the answer comes all the same, and errors as messages."""
    async with world(tmp_path) as at:
        for method in ("reactions.add", "reactions.remove", "chat.postEphemeral"):
            at.slack.refuse(method, "missing_scope", ...)
        ts = await at.slack.message(f"<@{BOT}> what?", CHANNEL)
        assert (await at.slack.answer(ts)).text.startswith("You asked")
        await at.slack.message("and this?", CHANNEL, thread_ts=ts, files=[at.slack.share("a.png", b"")])
        assert "empty" in (await at.slack.answer(ts, 2)).text


async def test_a_bug_is_not_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    async with world(tmp_path) as at:
        monkeypatch.setattr("pumice.serve.slack.memory.conversation", lambda *_, **__: 1 / 0)
        await at.slack.message(f"<@{BOT}> what?", CHANNEL)
        told = await at.slack.until(lambda: list(at.slack.messages.values()))
        number = told[0].text.rpartition("`")[0].rpartition("`")[2]
        assert number in caplog.text
        assert "ZeroDivisionError" in caplog.text


async def test_a_full_disk_costs_memory_not_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def full_of_pictures(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    async with world(tmp_path) as at:
        for name in ("claim", "add", "begin_reply", "end_reply", "sweep"):
            monkeypatch.setattr(Store, name, full)
        monkeypatch.setattr(Store, "put_picture", full_of_pictures)
        ts = await at.slack.message("what?", files=[at.slack.share("a.png", picture())])
        await at.slack.message("what?", ts=ts)
        assert "1 pictures" in (await at.slack.answer(ts)).text
        assert len(at.api.requests) == 1
        assert [each.message for each in caplog.records if "data folder" in each.message] == [
            "cannot use the data folder (database or disk is full); the chat goes on, but may be forgotten"
        ]


@pytest.mark.parametrize(
    ("method", "reason", "kind", "words"),
    [
        ("auth.test", "invalid_auth", AuthError, "SLACK_BOT_TOKEN"),
        ("auth.test", "account_inactive", AuthError, "SLACK_BOT_TOKEN"),
        ("apps.connections.open", "not_allowed_token_type", AuthError, "SLACK_APP_TOKEN"),
        ("apps.connections.open", "missing_scope", AuthError, "SLACK_APP_TOKEN"),
        ("auth.test", "internal_error", ServerError, "internal_error"),
    ],
)
async def test_refused_at_the_door(tmp_path: Path, method: str, reason: str, kind: type, words: str) -> None:
    slack = await FakeSlack().start()
    try:
        slack.refuse(method, reason, ...)
        connections = Connections(BOT_TOKEN, APP_TOKEN, "http://x.test", None, slack.url)
        with pytest.raises(kind, match=words) as found:
            await serve(connections, tmp_path, Rules(), print, asyncio.Event())
        assert "secretsecret" not in f"{found.value} {found.value.hint} {connections!r}"
    finally:
        await slack.stop()


async def test_nobody_at_the_door(tmp_path: Path) -> None:
    slack = await FakeSlack().start()
    await slack.stop()
    connections = Connections("xoxb-1", "xapp-1", "http://127.0.0.1:9", None, slack.url)
    with pytest.raises(ServerError, match="cannot be reached"):
        await serve(connections, tmp_path, Rules(), print, asyncio.Event())


async def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be used"):
        Store(tmp_path / "file", keep_s=1)


async def test_missing_scopes_are_named_early(tmp_path: Path, caplog: Any) -> None:
    async with world(tmp_path) as at:
        at.ended.set()
        await at.task
        assert "lacks scopes" not in caplog.text
        at.slack.scopes = "chat:write,app_mentions:read"
        async with bot(tmp_path, at.slack, at.api):
            await at.slack.until(lambda: "lacks scopes: files:read, im:history" in caplog.text)


async def test_addresses_of_sockets_stay_out_of_the_log() -> None:
    address = "wss://wss-primary.slack.com/link/?ticket=12345678&app_id=1"
    try:
        raise ValueError(address)
    except ValueError as error:
        record = logging.LogRecord("slack_bolt", logging.ERROR, "", 0, "cannot open %s", (error,), sys.exc_info())
    assert Discreet().filter(record)
    assert logging.Formatter().format(record) == "cannot open wss://(an address)"


async def test_a_slow_disk_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was asked for first is done first."""
    add, ready = Store.add, threading.Event()

    def slow(*values: Any) -> None:
        assert ready.wait(60), "the loop waits for the disk"
        add(*values)

    monkeypatch.setattr(Store, "add", slow)
    memory, place = await Memory.open(tmp_path, keep_s=100), Place("T1", "C1", "1.1")
    said = [Turn("user", str(number)) for number in range(30)]
    writing = asyncio.gather(*(memory.add(place, "U1", [each]) for each in said))
    read = asyncio.create_task(memory.turns(place))
    await asyncio.sleep(0.05)
    assert not writing.done() and not read.done()
    ready.set()
    assert await read == said
    closing = memory.add(place, "U1", [Turn("user", "last")])
    await asyncio.gather(closing, memory.close())
    again = Store(tmp_path, keep_s=100)
    assert again.turns(place)[-1].text == "last", "what was asked for is done before the end"
    again.close()


async def test_housekeeping_goes_on_after_what_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    tries: list[float] = []

    def sweep(*_: Any) -> None:
        tries.append(time.monotonic())
        if len(tries) <= 3:
            raise KeyError("a bug")

    monkeypatch.setattr(Store, "sweep", sweep)
    monkeypatch.setattr("pumice.serve.slack.bot._AGAIN_S", 0.1)
    async with world(tmp_path) as at:
        await at.slack.until(lambda: len(tries) == 4)
    assert caplog.text.count("could not be forgotten") == 3 and "a bug" in caplog.text
    assert tries[3] - tries[2] >= 0.4, "each wait is longer than the one before"
