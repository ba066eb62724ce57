"""Workers that find their controller, lose it and find it again: real processes, killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from pumice.serve.guard.run import Drain
from pumice.serve.worker.app import Membership, Worker
from pumice.serve.worker.registration import Contact, Delays, Registration
from serve.clusters import TOKEN, FakeService, controller_app, free_port, listed, process, running, until, worker
from serve.original_client import Client, text_of
from serve.served import doorkeeping
from serve.served import running as served
from serve.whole import Answerer

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


def test_a_worker_that_cannot_answer_is_not_listed(tmp_path: Path) -> None:
    """It comes back by itself."""
    service = FakeService()
    with running(controller_app()[1], tmp_path) as url, worker(service, tmp_path, url) as name:
        for _ in range(2):
            until(lambda: listed(url) == [name])
            service.well = False
            until(lambda: listed(url) == [])
            time.sleep(1.2)  # two signs of life
            assert listed(url) == []
            service.well = True
        until(lambda: listed(url) == [name])


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


def test_signs_of_life_are_few(tmp_path: Path) -> None:
    """Four a second of a queue that changes all the time, and none because of one more or less in a long one."""
    beats: list[int] = []
    controller, app = controller_app()

    async def run(url: str, name: str) -> None:
        service = FakeService()
        kept = Registration(Contact(url, name, TOKEN), service.status, service.able, beat_s=100)
        kept.start()
        try:
            for service.queue in range(200):
                await asyncio.sleep(0.01)
                beats.extend(each.queue for each in controller.workers() if each.queue not in beats)
            service.queue = 64
            await asyncio.sleep(0.6)
            service.queue = 71
            await asyncio.sleep(0.6)
            assert controller.workers()[0].queue == 64, "about as long as it was"
            service.queue = 0
            await asyncio.sleep(0.6)
            assert controller.workers()[0].queue == 0
        finally:
            await kept.leave()

    with running(app, tmp_path) as url, worker(FakeService(), tmp_path) as name:
        asyncio.run(run(url, name))
    assert 3 <= len(beats) <= 12, beats


def test_goodbye_in_the_moment_of_a_sign_of_life(tmp_path: Path) -> None:
    """Whatever becomes of a cancellation that meets a sign of life on its way: the goodbye must not be lost."""

    async def run(url: str, name: str) -> None:
        for number in range(20):
            service = FakeService()
            kept = Registration(Contact(url, name, TOKEN), service.status, service.able, beat_s=100)
            kept.start()
            while not kept.registered:
                await asyncio.sleep(0.005)
            service.queue = 1
            await asyncio.sleep(0.24 + number / 1000)  # about when it looks at its queue
            await asyncio.wait_for(kept.leave(), 5)

    with running(controller_app()[1], tmp_path) as url, worker(FakeService(), tmp_path) as name:
        asyncio.run(run(url, name))
        assert listed(url) == []


def test_a_goodbye_on_its_way_arrives(tmp_path: Path) -> None:
    """A worker that has nothing to do ends at once, but not in the middle of its goodbye."""
    heard: list[str] = []
    app = controller_app()[1]

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/cluster/leave":
            request = Request(scope, receive)
            said = await request.body()
            await asyncio.sleep(1.0)
            heard.append("cut off" if await request.is_disconnected() else json.loads(said)["worker_name"])
        else:
            await app(scope, receive, send)

    drain = Drain()
    with running(slow, tmp_path) as url:
        made = Worker(Answerer(), drain, TOKEN, Membership(url, "http://127.0.0.1:{port}", TOKEN))
        how = doorkeeping(tmp_path, scope="cluster", cluster_token=TOKEN)
        with served(made.app, how, drain=drain, listening=made.listening):
            until(lambda: listed(url))
            (name,) = listed(url)
        assert heard == [name]


def test_none_comes_that_is_about_to_go(tmp_path: Path) -> None:
    drain = Drain()
    drain.begin()
    with running(controller_app()[1], tmp_path) as url:
        made = Worker(Answerer(), drain, TOKEN, Membership(url, "http://127.0.0.1:{port}", TOKEN))
        how = doorkeeping(tmp_path, scope="cluster", cluster_token=TOKEN)
        with served(made.app, how, drain=drain, listening=made.listening):
            time.sleep(0.5)
        assert listed(url) == []
