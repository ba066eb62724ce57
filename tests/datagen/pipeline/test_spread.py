"""Work on several processes: in order, whatever takes how long; errors come through, and nobody is left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from pumice.datagen import spread
from pumice.datagen.spread import chunks, in_order
from pumice.errors import ServerError, UsageError

ROOT = Path(__file__).resolve().parents[3]


def slow_square(number: int) -> int:
    time.sleep(0.02 * (number % 3 == 0))
    return number * number


def refuse_seven(number: int) -> int:
    if number == 7:
        raise UsageError("seven")
    return number


def die_at_seven(number: int) -> int:
    if number == 7:
        os._exit(9)
    return number


@pytest.mark.parametrize("where", [1, 2])
def test_results_come_in_order(where: int) -> None:
    assert list(in_order(slow_square, range(30), where)) == [number * number for number in range(30)]


def test_few_are_taken_before_they_are_needed() -> None:
    numbers = iter(range(1000))
    with closing(in_order(slow_square, numbers, 2)) as results:
        assert next(results) == 0
        assert next(numbers) <= 5


def test_errors_come_through() -> None:
    with pytest.raises(UsageError, match="seven"):
        list(in_order(refuse_seven, range(10), 2))


def test_a_process_that_dies_is_said() -> None:
    with pytest.raises(ServerError, match="ended by itself") as lost:
        list(in_order(die_at_seven, range(10), 2))
    assert "--workers" in str(lost.value.hint)


def test_a_ray_cluster_that_is_gone_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(spread, "_PATIENCE_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        with pytest.raises(ServerError, match="did not answer within 3 s") as gone:
            list(in_order(slow_square, range(3), "ray"))
    assert time.monotonic() - begin < 20 and "RAY_ADDRESS" in str(gone.value.hint)
    assert capfd.readouterr() == ("", "")


def test_what_ray_says_of_an_address_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "nobody")
    with pytest.raises(ServerError, match="nobody cannot be reached: ValueError: Invalid address"):
        list(in_order(slow_square, range(3), "ray"))


def test_chunks_are_all_of_it() -> None:
    assert list(chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import os, sys, time\n"
        "def work(number):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    from pumice.datagen.spread import in_order\n"
        "    list(in_order(work, range(2), 2))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    end = time.monotonic() + 20
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < end, "a worker outlived its parent"
        time.sleep(0.05)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
