"""Who keeps processes alive: what it hands them, how long it waits for them, and one that cannot be started."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from pumice.serve import supervisor
from pumice.serve.cluster.controller import Cluster
from pumice.serve.front import Own
from pumice.serve.guard.keeping import here
from pumice.serve.guard.run import Drain
from pumice.serve.supervisor import Command, Crew, Supervisor

SECRETS = {"PUMICE_CLUSTER_TOKEN": "t", "PUMICE_API_KEY": "k", "SLACK_BOT_TOKEN": "b", "HF_TOKEN": "h"}


def test_a_child_sees_the_secrets_of_its_role_alone() -> None:
    whole = {**SECRETS, "PATH": "/bin", "PUMICE_DATA_DIR": "d"}
    bot = Command("bot", (), ("SLACK_BOT_TOKEN",), {"PUMICE_API_KEY": "its own"})
    assert bot.environment(whole) == {
        "PATH": "/bin",
        "PUMICE_DATA_DIR": "d",
        "SLACK_BOT_TOKEN": "b",
        "PUMICE_API_KEY": "its own",
        "PUMICE_SUPERVISED": "1",
    }
    assert not set(Command("any", ()).environment(whole)) & set(SECRETS)
    assert "its own" not in repr(bot)


def test_what_stands_beside_a_server() -> None:
    """Children reach it where it listens, and may take as long as it takes itself, and for their last words longer."""
    worker = Command("worker", ("w", "--controller", "{front}", "--port", "{port}"))
    crews = Own(Cluster("t"), worker, 3, Command("bot", ("b", "{front}/v1")), "10.0.0.5", 120).crews(8000)
    assert [(each.command.role, each.count) for each in crews] == [("worker", 3), ("bot", 1)]
    assert crews[0].command.words == ["w", "--controller", "http://10.0.0.5:8000", "--port", "{port}"]
    assert crews[1].command.words == ["b", "http://10.0.0.5:8000/v1"]
    assert all(each.patience_s > 120 for each in crews)
    assert Own(Cluster("t")).crews(1) == []


@pytest.mark.parametrize(
    ("host", "name"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("10.0.0.5", "10.0.0.5"), ("box", "box")],
)
def test_how_this_machine_reaches_itself(host: str, name: str) -> None:
    assert here(host) == name


def test_what_cannot_be_started_ends_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.01)
    drain = Drain()

    async def run() -> Supervisor:
        kept = Supervisor(Crew(Command("bot", [str(tmp_path / "none")]), 1), drain, set)
        kept.start()
        while not drain.draining:
            await asyncio.sleep(0.01)
        await kept.stop()
        return kept

    kept = asyncio.run(asyncio.wait_for(run(), 20))
    assert kept.failed == 1
    assert "bot 1 cannot be started: " in caplog.text and "worker" not in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no signal that asks a process to end")
@pytest.mark.parametrize(("patience_s", "finishes"), [(30.0, True), (0.2, False)])
def test_a_child_has_its_time_to_end(tmp_path: Path, patience_s: float, finishes: bool) -> None:
    program = (
        "import pathlib, signal, sys, time\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "def end(*_):\n    time.sleep(1.5)\n    (here / 'ended').touch()\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "(here / 'ready').touch()\n"
        "time.sleep(60)\n"
    )
    drain = Drain()

    async def run() -> None:
        kept = Supervisor(
            Crew(Command("any", [sys.executable, "-c", program, str(tmp_path)]), 1, patience_s), drain, set
        )
        kept.start()
        end = time.monotonic() + 30
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < end, "it did not start"
            await asyncio.sleep(0.02)
        drain.begin()
        await kept.stop()

    asyncio.run(run())
    assert (tmp_path / "ended").exists() is finishes


def test_a_child_that_takes_its_time_to_die_is_killed_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "_HANGS_S", 0.05)
    monkeypatch.setattr(supervisor, "_LOOK_S", 0.05)
    known = {"http://x"}

    class Child:
        """As a process that hangs in the kernel: it is there for a while after the signal."""

        pid = 4711

        async def wait(self) -> int:
            await asyncio.sleep(0.15)
            known.clear()
            await asyncio.sleep(1)
            return -9

        def kill(self) -> None:
            pass

    async def run() -> int:
        kept = Supervisor(Crew(Command("any", ()), 1), Drain(), lambda: known)
        return await kept._watched(Child(), "http://x")  # type: ignore[arg-type]

    assert asyncio.run(run()) == -9
    assert caplog.text.count("is killed") == 1
