"""``/copy``: through stand-ins for desktops' programs, started as real ones are, and through a real terminal (tmux)."""

from __future__ import annotations

import base64
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes import ScriptedEngine, python_path
from pumice.cli.clipboard import copy_text
from pumice.cli.main import main
from pumice.errors import UsageError
from terminal import Terminal, terminal

TEXT = "Zwei Würfel 🎲🎲:\n  \"3\" & '4' $HOME \\ \x1b[31m"
VARIABLES = ("WAYLAND_DISPLAY", "DISPLAY", "TMUX", "SSH_CONNECTION", "SSH_TTY")
CHAT = (
    "import sys; from fakes import ScriptedEngine; from pumice.cli.main import main; "
    "sys.exit(main(['chat'], ScriptedEngine(answers=[['3 dice']])))"
)
POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts of a shell")


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, empty at first, in place of the desktop's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def install(desktop: Path, name: str, script: str = "") -> Path:
    """A program ``name``, which keeps what it is given in the file that is returned; its words in one beside that."""
    kept, program = desktop / f"{name}.copied", desktop / name
    default = f"echo \"$*\" > '{kept}.words'; exec /bin/cat > '{kept}'"
    program.write_text(f"#!/bin/sh\n{script or default}\n", encoding="utf-8")
    program.chmod(0o755)
    return kept


@POSIX
@pytest.mark.parametrize(
    ("name", "variables", "words", "encoding"),
    [
        ("pbcopy", (), "", "utf-8"),
        ("clip.exe", (), "", "utf-16-le"),
        ("wl-copy", ("WAYLAND_DISPLAY",), "--type text/plain", "utf-8"),
        ("xclip", ("DISPLAY",), "-selection clipboard", "utf-8"),
        ("xclip", ("DISPLAY", "SSH_CONNECTION"), "-selection clipboard", "utf-8"),
        ("tmux", ("TMUX", "SSH_TTY"), "load-buffer -w -", "utf-8"),
    ],
)
def test_programs(
    desktop: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    variables: tuple[str, ...],
    words: str,
    encoding: str,
) -> None:
    kept = install(desktop, name)
    for each in variables:
        monkeypatch.setenv(each, "there")
    assert copy_text(TEXT) == name
    assert kept.read_bytes().decode(encoding) == TEXT
    assert kept.with_name(f"{kept.name}.words").read_text(encoding="utf-8").strip() == words


@POSIX
@pytest.mark.parametrize(
    ("name", "variables"),
    [("pbcopy", ("SSH_CONNECTION",)), ("clip.exe", ("SSH_TTY",)), ("wl-copy", ()), ("xclip", ()), ("tmux", ())],
)
def test_a_program_for_another_place_is_left_alone(
    desktop: Path, monkeypatch: pytest.MonkeyPatch, name: str, variables: tuple[str, ...]
) -> None:
    kept = install(desktop, name)
    for each in variables:
        monkeypatch.setenv(each, "there")
    with pytest.raises(UsageError, match="no program for it was found, and there is no terminal") as caught:
        copy_text(TEXT)
    assert not kept.exists()
    assert caught.value.hint is not None and "/export FILE.md" in caught.value.hint


@POSIX
def test_the_next_one_is_asked_where_one_fails(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(desktop, "wl-copy", "exit 1")
    (desktop / "xclip").write_bytes(b"\x7fELF of another machine")
    (desktop / "xclip").chmod(0o755)
    for each in ("WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.setenv(each, "there")
    with pytest.raises(UsageError, match="wl-copy and xclip failed"):
        copy_text(TEXT)
    monkeypatch.setenv("TMUX", "there")
    kept = install(desktop, "tmux")
    assert (copy_text(TEXT), kept.read_text(encoding="utf-8")) == ("tmux", TEXT)


@POSIX
def test_a_program_that_stays_is_not_waited_for(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """xclip hands the text out from the background, with its streams still open, and is no part of our group."""
    monkeypatch.setenv("DISPLAY", ":0")
    kept = install(desktop, "xclip", f"/bin/cat >/dev/null; /bin/sleep 60 & echo $! > '{desktop / 'xclip.copied'}'")
    began = time.monotonic()
    assert copy_text(TEXT) == "xclip"
    assert time.monotonic() - began < 5
    stayed = int(kept.read_text())
    try:
        assert os.getpgid(stayed) != os.getpgid(0)
    finally:
        os.kill(stayed, signal.SIGKILL)


@POSIX
def test_one_that_never_ends_is_given_up(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", "far:0")
    monkeypatch.setattr("pumice.cli.clipboard._PATIENCE_S", 0.2)
    install(desktop, "xclip", "exec /bin/sleep 60")
    with pytest.raises(UsageError, match="xclip failed"):
        copy_text(TEXT)


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["stderr", "stdout"])
def test_the_terminal_is_asked(desktop: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    screen = Screen()
    monkeypatch.setattr(f"sys.{name}", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert copy_text(TEXT) == "the terminal (OSC 52), if it allows that"
    assert screen.getvalue() == f"\x1b]52;c;{base64.b64encode(TEXT.encode()).decode()}\x07"
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(UsageError):
        copy_text(TEXT)


@POSIX
def test_the_last_answer_is_copied(
    desktop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the dialogue as it is now: what was taken back is not, what was loaded is."""
    kept = install(desktop, "pbcopy")
    monkeypatch.chdir(desktop)

    def talk(*lines: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = main(["chat", "-q"], ScriptedEngine(answers=[["first"], ["the", " second"]]))
        return code, capsys.readouterr().err

    assert talk("one", "two", "/copy") == (0, "copied the last answer, 10 characters, by pbcopy\n")
    assert kept.read_text() == "the second"
    talk("one", "two", "/undo", "/save talk.json", "/copy")
    assert kept.read_text() == "first"
    kept.unlink()
    assert talk("/load talk.json", "/copy")[0] == 0
    assert kept.read_text() == "first"
    kept.unlink()
    assert talk("/copy") == (2, "error: nothing has been said yet\n")
    assert not kept.exists()


def _chats(screen: Terminal, *, without: tuple[str, ...]) -> None:
    """Starts a chat with a scripted engine in a terminal, asks it something and copies the answer."""
    hidden = " ".join(f"-u {name}" for name in without)
    screen.type(f'clear; env {hidden} {sys.executable} -c "{CHAT}"<Enter>')
    screen.wait_for("...\n>")
    screen.type("How many?<Enter>")
    screen.wait_for("...\n3 dice\n>")
    screen.type("/cop<Tab>")
    screen.wait_for("...\n> /copy")
    screen.type("<Enter>")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize(("inside", "by"), [(True, "tmux"), (False, "the terminal (OSC 52), if it allows that")])
def test_in_a_real_terminal(tmp_path: Path, project: Path, inside: bool, by: str) -> None:
    """tmux is both: a program to be asked, and a terminal that keeps what OSC 52 gives it."""
    path = os.pathsep.join([str(project / "tests"), python_path(project)])
    without = ("DISPLAY", "WAYLAND_DISPLAY", *(() if inside else ("TMUX",)))
    with terminal(tmp_path, HOME=str(tmp_path), PYTHONPATH=path, LANG="C.UTF-8", SSH_TTY="far") as screen:
        screen.wait_for("$")
        screen.type("tmux set -g set-clipboard on<Enter>")
        _chats(screen, without=without)
        screen.wait_for(f"...\n> /copy\ncopied the last answer, 6 characters, by {by}\n>")
        screen.type("<C-d>")
        screen.wait_for("...\n$")
        screen.type("clear; tmux show-buffer; echo<Enter>")
        screen.wait_for("...\n3 dice\n$")


@pytest.mark.skipif(os.name == "nt", reason="a closed terminal is a thing of POSIX")
def test_a_pipe_without_a_clipboard_says_so(desktop: Path, project: Path) -> None:
    path = os.pathsep.join([str(project / "tests"), python_path(project)])
    done = subprocess.run(
        [sys.executable, "-c", CHAT],
        input="How many?\n/copy\n",
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "3 dice\n")
    assert done.stderr.startswith("error: the clipboard cannot be written: no program for it was found")
