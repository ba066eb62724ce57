"""The command as a process: streams, pipes, signals and terminals. The engine is scripted (``scripted.py``)."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image as Pillow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMAND = [sys.executable, str(HERE / "scripted.py")]


def _environment(script: str = "") -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT / "src"), str(HERE.parent)])
    # A terminal that understands nothing: the editor would wait for its answers (test_sessions.py has a real one).
    return {**os.environ, "PYTHONPATH": paths, "SCRIPT": script, "TERM": "dumb"}


def _run(*arguments: str, stdin: bytes | int | None = subprocess.DEVNULL) -> subprocess.CompletedProcess[bytes]:
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, env=_environment(), check=False, **given)


def _start(*arguments: str, script: str = "slow", **streams: int) -> subprocess.Popen[bytes]:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen([*COMMAND, *arguments], env=_environment(script), **streams)


def test_answer_and_exit_code() -> None:
    done = _run("ask", "How many?")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Two dice.\n", b"")


def test_piped_text_joins_the_question() -> None:
    with_text = _run("ask", "--json", "Sum up:", stdin="Würfel\n".encode())
    assert with_text.returncode == 0
    assert json.loads(with_text.stdout)["text"] == "Two dice."


@pytest.mark.parametrize(
    ("piped", "question"), [(b"notes\n", "Sum up:\n\nnotes"), (b"", "Sum up:"), (b" \n", "Sum up:")]
)
def test_what_is_asked_when_text_is_piped(piped: bytes, question: str) -> None:
    code = (
        "import sys; from fakes import ScriptedEngine; from pumice.cli.main import main\n"
        "engine = ScriptedEngine(); assert main(['ask', 'Sum up:', '-q'], engine) == 0\n"
        "print(repr(engine.asked[0].turns[0].text))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=piped, capture_output=True, env=_environment(), check=True
    )
    assert done.stdout.decode().splitlines()[-1] == repr(question)


@pytest.mark.parametrize("prompt", [[], ["-"]])
def test_piped_text_is_the_question(prompt: list[str]) -> None:
    assert _run("ask", *prompt, stdin=b"How many?").stdout == b"Two dice.\n"
    missing = _run("ask", *prompt)
    assert missing.returncode == 2 and missing.stderr.startswith(b"error: the question is ")


def test_binary_input_gets_advice() -> None:
    done = _run("ask", "q", stdin=b"\xff\xd8\xff\xe0")
    assert done.returncode == 2
    assert b"-i -" in done.stderr


def test_a_picture_from_stdin(tmp_path: Path) -> None:
    Pillow.new("RGB", (5, 3)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    done = _run("ask", "--json", "q", "-i", "-", stdin=data)
    assert done.returncode == 0
    facts = json.loads(done.stdout)["images"][0]
    assert (facts["source"], facts["width"], facts["height"], facts["format"]) == ("stdin", 5, 3, "png")


def test_no_picture_on_stdin() -> None:
    done = _run("ask", "q", "-i", "-", stdin=b"")
    assert done.returncode == 4
    assert done.stderr.startswith(b"error: stdin: cannot read")
    assert _run("ask", "q", "-i", "-", "-i", "-", stdin=b"").returncode == 2


def test_closed_streams_are_no_trouble() -> None:
    line = f"{COMMAND[0]} {COMMAND[1]} ask q"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(f"{line} {closed}", shell=True, env=_environment(), capture_output=True, check=False)
        assert done.returncode == 0, (closed, done.stderr)


def test_a_reader_that_leaves_is_no_error() -> None:
    process = _start("ask", "q")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(2) == b"0 "
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""


def test_pieces_arrive_as_they_are_made() -> None:
    process = _start("ask", "q")
    assert process.stdout is not None
    try:
        assert process.stdout.read(4) == b"0 1 "
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int) -> None:
    process = _start("ask", "q")
    assert process.stdout is not None
    process.stdout.read(2)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in err


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that the other side has closed
            break
        if not piece:
            break
        seen += piece
    return seen


def _on_terminal(*arguments: str, script: str) -> tuple[subprocess.Popen[bytes], int]:
    ours, theirs = pty.openpty()
    process = _start(*arguments, script=script, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    return process, ours


def test_a_terminal_is_not_steered() -> None:
    process, terminal = _on_terminal("ask", "q", "-q", script="steering")
    shown = _read_until(terminal, b"\n")
    assert process.wait(30) == 0
    os.close(terminal)
    assert shown.strip() == b"redend"


def test_a_dialogue_on_a_terminal() -> None:
    process, terminal = _on_terminal("chat", script="")
    assert _read_until(terminal, b"> ").endswith(b"> ")
    os.write(terminal, b"How many?\n")
    assert b"Two dice.\r\n" in _read_until(terminal, b"dice.\r\n> ")
    os.write(terminal, b"\n/exit\n")
    assert process.wait(30) == 0
    os.close(terminal)


def test_ctrl_c_twice_at_the_prompt_leaves() -> None:
    process, terminal = _on_terminal("chat", script="")
    _read_until(terminal, b"> ")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _read_until(terminal, b"leaves\r\n> ")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(terminal)


def test_a_waiting_stdin_says_what_it_waits_for() -> None:
    process = _start("ask", "q", script="", stdin=subprocess.PIPE)
    assert process.stderr is not None
    assert b"waiting for text from stdin" in process.stderr.readline()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and out == b"Two dice.\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["ask", "--help"], []])
def test_python_m_pumice(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pumice", *arguments], capture_output=True, env=_environment(), check=False
    )
    assert done.returncode == 0 and done.stdout.startswith((b"pumice 0", b"Usage: pumice")) and done.stderr == b""


def test_python_m_pumice_serve_cli() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pumice.serve.cli", "--image-file", "missing.png"],
        capture_output=True,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 4 and done.stderr.startswith(b"error: cannot read image 'missing.png'")
