"""What Tab offers, and where typed lines are kept. The editor itself is seen to in test_sessions.py."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from pumice.cli.line_reader import PlainReader, TerminalReader, complete, history_file, open_reader, unquoted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("my photo.jpg", "mine.png", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "ä b.webp").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def offered(text: str) -> list[str]:
    """The lines that Tab can make of ``text``."""
    return [text[: len(text) + each.start_position] + each.text for each in complete(text)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("/im", ["/image", "/images"]),
        ("/nothing", []),
        ("/image mi", ["/image mine.png"]),
        ("/image my", ["/image my\\ photo.jpg"]),
        ("/image my\\ ph", ["/image my\\ photo.jpg"]),
        ("/image 'my ph", ["/image 'my photo.jpg"]),
        ("/image mine.png pic", [f"/image mine.png pictures{os.sep}"]),
        ("/image pictures/", ["/image pictures/ä\\ b.webp"]),
        ("/image .h", ["/image .hidden.png"]),
        ("/image nowhere/x", []),
        ("/set temp", []),
        ("what is in mi", ["what is in mine.png"]),
        ("what is ", []),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths with spaces are quoted there")
def test_completion(folder: Path, text: str, lines: list[str]) -> None:
    assert offered(text) == lines


def test_the_home_folder_is_completed_as_it_was_typed(folder: Path) -> None:
    assert offered("/image ~/mi") == ["/image ~/mine.png"]


@pytest.mark.parametrize(
    ("text", "inside"),
    [('"""a\nb"""', "a\nb"), ('"""\na\n"""', "a"), ('"""', ""), ('"""a', "a"), (' """a b""" ', "a b")],
)
def test_triple_quotes(text: str, inside: str) -> None:
    assert unquoted(text) == inside


def test_typed_lines_are_kept_for_nobody_else(folder: Path) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        reader = TerminalReader()
        keys.send_text("first\r")
        assert reader.read("> ") == "first"
        keys.send_text("two\x1b\rlines\r")
        assert reader.read("> ") == "two\nlines"
        keys.send_text('"""a\rb"""\r')
        assert reader.read("> ") == "a\nb"
        keys.send_text(" more\r")
        assert reader.read("> ", default="once") == "once more"
        keys.send_text("\x1b[A\x1b[A\r")  # up, up
        assert reader.read("> ") == "a\nb"
        keys.send_text("\x03")
        with pytest.raises(KeyboardInterrupt):
            reader.read("> ")
        keys.send_text("\x04")
        assert reader.read("> ") is None
    assert "+first" in history_file().read_text("utf-8")
    if os.name != "nt":
        assert stat.S_IMODE(history_file().stat().st_mode) == 0o600


def test_a_disk_that_refuses_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "state").write_text("a file where a folder should be", encoding="utf-8")
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        reader = TerminalReader()
        keys.send_text("still works\r")
        assert reader.read("> ") == "still works"


@pytest.mark.parametrize(("terminal", "kind"), [("dumb", PlainReader), ("xterm", TerminalReader)])
def test_which_reader(folder: Path, monkeypatch: pytest.MonkeyPatch, terminal: str, kind: type) -> None:
    monkeypatch.setenv("TERM", terminal)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        assert isinstance(open_reader(), kind)
        assert isinstance(open_reader(prompt_is_data=True), PlainReader)
