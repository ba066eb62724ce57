"""``pumice chat`` in this process: lines in, a conversation kept."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow

from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.errors import UsageError


def _types(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Pillow.new("RGB", (6, 4), "red").save(tmp_path / "my one.png")
    return str(tmp_path / "my one.png")


def test_a_conversation_grows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], picture: str
) -> None:
    _types(monkeypatch, "What is it?", "And its colour?")
    engine = ScriptedEngine(answers=[["A square."], ["Red."]])
    assert main(["chat", "-i", picture], engine) == 0
    captured = capsys.readouterr()
    assert captured.out == "A square.\nRed.\n"
    assert captured.err == f"+ {picture} (6x4 png); seen whole, padded to 28x28, 4 tokens\n"
    assert [turn.text for turn in engine.asked[1].turns] == ["What is it?", "A square.", "And its colour?"]
    assert len(list(engine.asked[0].images())) == len(list(engine.asked[1].images())) == 1


def test_the_prompt_is_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, "second")
    engine = ScriptedEngine()
    assert main(["chat", "first"], engine) == 0
    assert [one.turns[-1].text for one in engine.asked] == ["first", "second"]


@pytest.mark.parametrize(("command", "end"), [("chat", "/exit"), ("llava-chat", "")])
def test_leaving(monkeypatch: pytest.MonkeyPatch, command: str, end: str) -> None:
    """The original left at an empty line."""
    _types(monkeypatch, "first", end, "never asked")
    engine = ScriptedEngine()
    assert main([command], engine) == 0
    assert len(engine.asked) == 1


def test_empty_lines_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, "first", "", "   ", "second")
    engine = ScriptedEngine()
    assert main(["chat"], engine) == 0
    assert len(engine.asked) == 2


def test_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], picture: str) -> None:
    _types(monkeypatch, "one", f"/image '{picture}'", "two", "/clear", "/help", "three", "/nope", "/etc/passwd?")
    engine = ScriptedEngine()
    assert main(["chat"], engine) == 2
    assert [len(one.turns) for one in engine.asked] == [1, 3, 1, 3]
    assert [len(list(one.images())) for one in engine.asked] == [0, 1, 0, 0]
    assert engine.asked[3].turns[-1].text == "/etc/passwd?"
    errors = capsys.readouterr().err
    assert "/clear" in errors and "error: no command /nope" in errors


@pytest.mark.parametrize("line", ["/image", "/image missing.png", "/image 'open"])
def test_a_bad_picture_does_not_end_the_chat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    _types(monkeypatch, line, "still here?")
    engine = ScriptedEngine()
    assert main(["chat"], engine) == (4 if "missing" in line else 2)
    assert capsys.readouterr().err.startswith("error: ")
    assert len(engine.asked) == 1


def test_a_failed_turn_is_forgotten(monkeypatch: pytest.MonkeyPatch, picture: str) -> None:
    """Its picture waits for the next question."""
    _types(monkeypatch, "too long", "short")
    engine = ScriptedEngine(answers=[[UsageError("too long")], ["Yes."]])
    assert main(["chat", "-i", picture], engine) == 2
    assert [turn.text for turn in engine.asked[1].turns] == ["short"]
    assert len(list(engine.asked[1].images())) == 1


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_stops_an_answer_and_keeps_its_beginning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _types(monkeypatch, "tell me all", "go on")
    engine = ScriptedEngine(answers=[["Once ", _press, "upon"], ["a time."]])
    assert main(["chat"], engine) == 0
    assert capsys.readouterr().out == "Once \na time.\n"
    assert [turn.text for turn in engine.asked[1].turns] == ["tell me all", "Once", "go on"]


def test_ctrl_c_before_the_first_word_takes_the_question_back(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, "never mind", "this")
    engine = ScriptedEngine(answers=[[_press, "Once"], ["Yes."]])
    assert main(["chat"], engine) == 0
    assert [turn.text for turn in engine.asked[1].turns] == ["this"]


def test_ctrl_c_twice_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, "tell me all", "never asked")
    engine = ScriptedEngine(answers=[["Once ", _press, _press, "upon"]])

    def press_twice() -> None:
        _press()
        _press()

    engine.answers = [["Once ", press_twice, "upon"]]
    assert main(["chat"], engine) == 130
    assert len(engine.asked) == 1


def test_the_handlers_of_signals_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    _types(monkeypatch, "a question")
    assert main(["chat"], ScriptedEngine()) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_stdin_cannot_be_a_picture_too() -> None:
    assert main(["chat", "-i", "-"], ScriptedEngine()) == 2


def test_the_originals_manners(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], picture: str
) -> None:
    _types(monkeypatch, "What is it?")
    engine = ScriptedEngine(answers=[["A square."]])
    line = ["llava-chat", "--image-file", picture, "--conv-mode", "llava_v1", "--temperature", "0", "--device", "cpu"]
    assert main(line, engine) == 0
    assert capsys.readouterr().out == "USER: ASSISTANT: A square.\nUSER: exit...\n"
    assert engine.opened[0].template == "llava_v1"


def test_a_person_who_saw_the_error_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code of a failed turn is for scripts."""
    _types(monkeypatch, "/nope", "")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["chat"], ScriptedEngine()) == 0


def test_a_picture_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, picture: str) -> None:
    monkeypatch.setenv("HOME", str(Path(picture).parent))
    _types(monkeypatch, f"/image '~/{Path(picture).name}'", "what?")
    engine = ScriptedEngine()
    assert main(["chat"], engine) == 0
    assert len(list(engine.asked[0].images())) == 1
