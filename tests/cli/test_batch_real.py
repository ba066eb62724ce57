"""``pumice batch`` as a process with the bundled model: killed in the middle, taken up again, watched on a terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from images.pictures import encoded, noise, png
from pumice.cli.main import main

ROOT = Path(__file__).parent.parent.parent
COUNT, BROKEN = 500, 20
PATHS = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS, "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 pictures, of which 20 are broken in five ways."""
    path = tmp_path_factory.mktemp("batch") / "pictures"
    path.mkdir()
    whole = encoded(noise(12, 8), "PNG")
    spoilt = (whole[: len(whole) // 2], b"no picture at all", b"", png(60_000, 60_000, b"\x00" * 9), None)
    for index in range(COUNT):
        file = path / f"{index:03}.png"
        if index % (COUNT // BROKEN) != 7:
            file.write_bytes(encoded(noise(12, 8, index % 4), "PNG"))
        elif (content := spoilt[index // (COUNT // BROKEN) % len(spoilt)]) is not None:
            file.write_bytes(content)
        else:
            file.symlink_to(path / "missing")
    return path


def _start(folder: Path, out: Path, *flags: str, **streams: int) -> subprocess.Popen[bytes]:
    words = ["batch", str(folder), "Dice?", "-o", str(out), "--max-tokens", "4", *flags]
    return subprocess.Popen([sys.executable, "-m", "pumice", *words], env=ENVIRONMENT, **streams)


def _lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def _wait_for(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while _lines(out) < count:
        assert process.poll() is None, "ended too early"
        time.sleep(0.01)


def test_killed_and_resumed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    process = _start(folder, out, "-q")
    _wait_for(out, COUNT // 2, process)
    process.kill()
    process.wait()
    kept = out.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert _lines(out) < COUNT
    out.write_bytes(kept + b'{"id": "half a li')  # what a kill in the middle of a write would leave
    resumed = _start(folder, out, "--resume", stderr=subprocess.PIPE)
    _, told = resumed.communicate(timeout=240)
    assert resumed.returncode == 4
    assert told.decode().endswith(f"{COUNT} lines; answers: {COUNT - BROKEN}, errors: {BROKEN}\n")
    assert out.read_bytes().startswith(kept)
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [f"{index:03}.png" for index in range(COUNT)]
    errors = [line["error"]["message"] for line in lines if line["error"]]
    assert len(errors) == BROKEN
    for reason in ("truncated", "not a picture|text", "empty (0 bytes)", "60000 x 60000", "file not found"):
        assert any(any(word in message for word in reason.split("|")) for message in errors), (reason, errors)
    assert all(line["text"] and line["usage"]["image_tokens"] for line in lines if not line["error"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_whole_lines(folder: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    out = tmp_path / "out.jsonl"
    process = _start(folder, out, stderr=subprocess.PIPE)
    _wait_for(out, 10, process)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in told
    content = out.read_bytes()
    assert content.endswith(b"\n") and all(json.loads(line)["prompt"] == "Dice?" for line in content.splitlines())
    assert not (tmp_path / ".out.jsonl.lock").exists()


def test_a_bar_on_a_terminal(folder: Path, tmp_path: Path) -> None:
    few, out = tmp_path / "few", tmp_path / "out.jsonl"
    few.mkdir()
    for index in range(3):
        shutil.copy(folder / f"{index:03}.png", few)
    ours, theirs = pty.openpty()
    process = _start(few, out, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert process.wait(60) == 0
    os.close(ours)
    assert b"3/3" in shown and b"0 errors" in shown
    assert b"3 lines; answers: 3, errors: 0" in shown


def test_lines_say_what_ask_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Together or alone, from the one command or the other."""
    dice, out = ROOT / "examples" / "dice.png", tmp_path / "out.jsonl"
    questions = ["How many dice are there?", "Describe the picture.", "What do they add up to?"]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"image": str(dice), "prompt": each}) + "\n" for each in questions))
    sampling = ["--temperature", "1", "--seed", "4", "--max-tokens", "12"]
    assert main(["batch", str(source), "-o", str(out), *sampling]) == 0
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    capsys.readouterr()
    for line, question in zip(lines, questions, strict=True):
        assert main(["ask", "--json", "-i", str(dice), question, *sampling]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert [line[key] for key in ("text", "finish_reason", "seed")] == [
            alone[key] for key in ("text", "finish_reason", "seed")
        ]
