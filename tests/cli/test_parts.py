"""Work in several processes: what they are given, how they fail, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from evaluate import parting
from fakes import python_path
from pumice.cli.parts import in_parts, visible_devices
from pumice.errors import ModelError, PumiceError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("devices", "given"), [("3,5", {"3 -", "5 -"}), ("3", {"3 -"}), ("", {" 2"})])
def test_each_part_is_done_once_on_a_device_of_its_own(
    devices: str, given: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    failures: list[int] = []
    in_parts(partial(parting.report, str(tmp_path)), 2, failures.append)
    assert len(failures) == 6
    assert failures == sorted(failures)
    assert failures[-1] == 2
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(name[0] for name in made) == ["0", "1"]
    assert len({name.split()[1] for name in made}) == 2
    assert set(made.values()) == given


def test_the_first_error_ends_the_others() -> None:
    with pytest.raises(ModelError, match="no model") as caught:
        in_parts(parting.refuse, 2, lambda failed: None)
    assert caught.value.hint == "look elsewhere"


def test_a_part_that_was_killed_is_noticed() -> None:
    with pytest.raises(PumiceError, match="ended without a word") as caught:
        in_parts(parting.die, 2, lambda failed: None)
    assert caught.value.hint is not None
    assert "goes on where it stopped" in caught.value.hint


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    with pytest.raises(RuntimeError, match="ForeignError: 500 at home"):
        in_parts(parting.fail_strangely, 2, lambda failed: None)


@pytest.mark.skipif(os.name == "nt", reason="sends Ctrl-C as a signal")
def test_an_interrupt_ends_all_without_a_traceback_from_any_part(tmp_path: Path) -> None:
    """As a terminal sends it: to all processes at once."""
    process, _ = _at_work(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
def test_parts_end_with_whom_they_work_for(tmp_path: Path) -> None:
    process, parts = _at_work(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while any(_runs(part) for part in parts):
        time.sleep(0.02)


def _at_work(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose two parts go on for ever, with the numbers of theirs."""
    script = folder / "main.py"
    script.write_text(f"""
from functools import partial
from evaluate import parting
from pumice.cli.parts import in_parts
if __name__ == "__main__":
    try:
        in_parts(partial(parting.go_on, {str(folder)!r}), 2, lambda failed: None)
    except KeyboardInterrupt:
        print("interrupted")
""")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), python_path(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while len(parts := [int(path.name) for path in folder.iterdir() if path.name.isdigit()]) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    return process, parts


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_gpus_there_are_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,,GPU-4a")
    assert visible_devices() == ["0", "GPU-4a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []
