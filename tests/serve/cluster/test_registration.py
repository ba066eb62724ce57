"""Workers that find their controller, lose it and find it again: real processes, killed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import pytest

from pumice.serve.worker.registration import Contact, Delays, Registration
from serve.clusters import TOKEN, FakeService, controller_app, free_port, listed, process, running, until, worker
from serve.original_client import Client, text_of

LONG = [f"word{number} " for number in range(5)]


def test_delays_are_short_first_and_never_long() -> None:
    for draw in (0.0, 0.5, 0.999):
        delays = Delays(lambda draw=draw: draw)  # type: ignore[misc]
        waits = [delays.next() for _ in range(40)]
        assert 0.1 <= waits[0] <= 0.2
        assert waits == sorted(waits)
        assert max(waits) <= 8.0
        delays.reset()
        assert delays.next() == waits[0]
    assert len({Delays().next() for _ in range(20)}) > 10, "all workers would come at the same moment"


def test_a_controller_is_killed_and_comes_back(tmp_path: Path) -> None:
    """No stream fails, and all workers are back within ten seconds; they were there before it, too."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    one, two = FakeService(words=LONG, gate=threading.Event()), FakeService(("other",))
    command = ("-m", "pumice", "controller", "--port", str(port))
    with worker(one, tmp_path, url) as first, worker(two, tmp_path, url) as second:
        assert listed(url) == []
        with process(tmp_path, *command) as running_one:
            until(lambda: sorted(listed(url)) == sorted([first, second]))
            client = Client(url)
            assert client.models() == ["llava-fake", "other"]
            stream = client.ask("llava-fake", "hello")
            messages = [next(stream)]
            running_one.kill()
            running_one.wait(10)
        time.sleep(1)
        with process(tmp_path, *command):
            took = until(lambda: sorted(listed(url)) == sorted([first, second]), 10)
            assert took < 10
            assert one.gate is not None
            one.gate.set()
            messages += stream
            assert text_of(messages, "hello") == "".join(LONG)
            assert text_of(list(client.ask("other", "hello")), "hello") == "A red cup."


def test_workers_restart_while_others_work(tmp_path: Path) -> None:
    with running(controller_app()[1], tmp_path) as url, worker(FakeService(), tmp_path, url) as stays:
        until(lambda: listed(url) == [stays])
        port = free_port()
        for _ in range(3):
            with worker(FakeService(), tmp_path, url, port=port) as comes:
                until(lambda comes=comes: listed(url) == [stays, comes])  # type: ignore[misc]
                assert text_of(list(Client(url).ask("llava-fake", "hello")), "hello") == "A red cup."
            assert until(lambda: listed(url) == [stays], 3) < 3  # it said goodbye


@pytest.mark.parametrize("controller_first", [True, False])
def test_any_order_of_start(tmp_path: Path, controller_first: bool) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        if controller_first:
            stack.enter_context(running(controller_app()[1], tmp_path, port=port))
            name = stack.enter_context(worker(FakeService(), tmp_path, url))
        else:
            name = stack.enter_context(worker(FakeService(), tmp_path, url))
            time.sleep(0.5)
            stack.enter_context(running(controller_app()[1], tmp_path, port=port))
        until(lambda: listed(url) == [name])


def test_a_wrong_token_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(controller_app()[1], tmp_path) as url:
        with worker(FakeService(), tmp_path, url, token="not-the-token-of-this-cluster"):
            until(lambda: "cluster token" in caplog.text)
            time.sleep(1.5)
        assert listed(url) == []
    told = [record for record in caplog.records if "cannot register" in record.getMessage()]
    assert len(told) == 1
    assert "PUMICE_CLUSTER_TOKEN" in told[0].getMessage()
    assert "not-the-token" not in caplog.text


def test_a_queue_that_changes_is_told_at_once(tmp_path: Path) -> None:
    service = FakeService(words=LONG, gate=threading.Event())
    controller, app = controller_app()

    def queue() -> int:
        return controller.workers()[0].queue

    with running(app, tmp_path) as url, worker(service, tmp_path, url, beat_s=100) as address:
        until(lambda: listed(url))
        streams = [Client(url).stream(address, "llava-fake", "hello") for _ in range(3)]
        for number, stream in enumerate(streams, 1):
            next(stream)
            until(lambda number=number: queue() == number, 3)  # type: ignore[misc]
        assert service.gate is not None
        service.gate.set()
        for stream in streams:
            list(stream)
        until(lambda: queue() == 0, 3)


def test_goodbye_in_the_moment_of_a_sign_of_life(tmp_path: Path) -> None:
    """Before Python 3.12, a cancellation that meets a wait just over is lost; the goodbye must not be."""

    async def run(url: str, name: str) -> None:
        for _ in range(20):
            kept = Registration(Contact(url, name, TOKEN), FakeService().status, beat_s=100)
            kept.start()
            while not kept.registered:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            kept.beat_now()
            await asyncio.wait_for(kept.leave(), 5)

    with running(controller_app()[1], tmp_path) as url, worker(FakeService(), tmp_path) as name:
        asyncio.run(run(url, name))
        assert listed(url) == []
