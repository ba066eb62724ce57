"""What the API knows of the workers, with its controller there, away, and born again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pumice.serve.cluster import directory
from pumice.serve.cluster.directory import KEEP_S, Entry, LocalDirectory, Recollection, RemoteDirectory
from pumice.serve.cluster.status import Status
from pumice.serve.guard.keys import Keys
from serve.clusters import TOKEN, FakeService, controller_app, free_port, running, worker

A, B = Entry("a", "http://a", ("m",), 1.0, 0), Entry("b", "http://b", ("m",), 1.0, 0)


def names(known: Recollection) -> list[str]:
    return [each.name + ("" if each.listed else "?") for each in known.entries]


def test_a_controller_that_is_away_changes_nothing() -> None:
    known = Recollection()
    known.heard([A, B], [], 0.0)
    for _ in range(1000):
        known.away()
    assert names(known) == ["a", "b"]


def test_who_is_not_listed_is_kept_for_a_while() -> None:
    known = Recollection()
    known.heard([A, B], [], 0.0)
    for second in range(1, 16):
        known.heard([B], [], float(second))
        assert names(known) == ["b", "a?"], second
    known.heard([B], [], 1 + KEEP_S)
    assert names(known) == ["b"]


def test_time_without_a_controller_does_not_count() -> None:
    known = Recollection()
    known.heard([A], [], 0.0)
    known.heard([], [], 1.0)
    known.away()
    known.heard([], [], 1000.0)
    assert names(known) == ["a?"]
    known.heard([], [], 1000.0 + KEEP_S - 0.1)
    assert names(known) == ["a?"]
    known.heard([replace(A, queue=3)], [], 1000.0 + KEEP_S)
    assert names(known) == ["a"]
    assert known.entries[0].queue == 3


def test_a_goodbye_counts_at_once() -> None:
    known = Recollection()
    known.heard([A, B], [], 0.0)
    known.heard([B], ["a"], 1.0)
    assert names(known) == ["b"]


def test_both_kinds_tell_the_same(tmp_path: Path) -> None:
    controller, app = controller_app()
    with running(app, tmp_path) as url, worker(FakeService(), tmp_path, url) as address:

        async def ask() -> tuple[list[Entry], list[Entry]]:
            remote = RemoteDirectory(url, TOKEN, poll_s=0.1)
            await remote.start()
            while not await remote.workers():
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            found = await LocalDirectory(controller).workers(), await remote.workers()
            await remote.stop()
            return found

        local, remote = asyncio.run(asyncio.wait_for(ask(), 20))
    assert 0 <= time.monotonic() - local[0].heard < 20, "a sign of life comes every three seconds"
    assert abs(local[0].heard - remote[0].heard) < 10, "told elsewhere, it is as old"
    assert local == remote == [Entry(address, address, ("llava-fake",), 1.0, 0, {"max_model_len": 128})]


def test_the_list_outlives_the_controller(tmp_path: Path) -> None:
    """It begins before the controller does, keeps the list while that is away, and drops at once who says goodbye."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    async def run() -> None:
        remote = RemoteDirectory(url + "/", TOKEN, poll_s=0.1, keep_s=20)
        await remote.start()
        assert (remote.reachable, await remote.workers()) == (False, [])
        with worker(FakeService(), tmp_path, url):
            with running(controller_app()[1], tmp_path, port=port):
                await _until(remote, 1)
                assert remote.reachable
            await asyncio.sleep(0.5)
            assert not remote.reachable
            await _until(remote, 1)
            after = contextlib.ExitStack()
            after.enter_context(running(controller_app()[1], tmp_path, port=port))
            for _ in range(100):
                (entry,) = await remote.workers()
                if remote.reachable and entry.listed:
                    break
                await asyncio.sleep(0.1)
            assert entry.listed, "the worker has not come back"
        await _until(remote, 0)
        after.close()
        await remote.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_is_no_controller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(url: str, token: str) -> list[Entry]:
        remote = RemoteDirectory(url, token, poll_s=0.1)
        await remote.start()
        found = await remote.workers()
        await remote.stop()
        return found

    with worker(FakeService(), tmp_path) as not_a_controller:
        assert asyncio.run(ask(not_a_controller, TOKEN)) == []
    assert "status 404" in caplog.text
    with running(controller_app()[1], tmp_path) as url:
        Keys(tmp_path).create("anna")
        assert asyncio.run(ask(url, "not-the-token-of-this-cluster")) == []
    assert "refuses this cluster token" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.asyncio
async def test_a_list_without_end_is_not_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(directory, "_MOST_BYTES", 1 << 20)

    async def talk(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not out.is_closing():
                out.write(b" " * (1 << 16))
                await out.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    remote = RemoteDirectory(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", TOKEN)
    await remote.start()
    for _ in range(100):
        if caplog.records:
            break
        await asyncio.sleep(0.1)
    await remote.stop()
    server.close()
    assert "too long" in caplog.text


@pytest.mark.asyncio
async def test_what_nobody_foresaw_does_not_end_the_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right, tries = Recollection.heard, []

    def wrong_at_first(self: Recollection, listed: list[Entry], left: list[str], now: float) -> None:
        tries.append(now)
        if len(tries) <= 3:
            raise KeyError("a bug")
        right(self, listed, left, now)

    monkeypatch.setattr(Recollection, "heard", wrong_at_first)
    controller, app = controller_app()
    controller.registry.register("w", "http://127.0.0.1:1", Status(("m",)), controller.now(), peer="", beats=False)
    with running(app, tmp_path) as url:
        remote = RemoteDirectory(url, TOKEN, poll_s=0.05)
        await remote.start()
        await _until(remote, 1)
        assert remote.reachable
        await remote.stop()
    assert caplog.text.count("could not be taken over") == 3 and "a bug" in caplog.text
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses[0] >= 0.1 and pauses[2] >= 0.4, "each longer than the one before"


async def _until(remote: RemoteDirectory, count: int) -> None:
    for _ in range(200):
        if len(await remote.workers()) == count:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"expected {count} workers, found {await remote.workers()}")
