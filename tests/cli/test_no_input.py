"""``--no-input``: nobody is asked, and what would need an answer is refused with the flag that gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes import ScriptedEngine, python_path
from pumice.checkpoint.hub import BUNDLED
from pumice.cli.main import main

Said = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that may be removed."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(BUNDLED, tmp_path / "mine"))


class Keyboard:
    """A terminal at which nobody may be asked."""

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        raise AssertionError("somebody was asked")


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_rm_is_refused(way: str, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard())
    words = ["models", "rm", "mine"]
    if way == "flag":
        words.append("--no-input")
    elif way == "variable":
        monkeypatch.setenv("PUMICE_NO_INPUT", "1")
    else:
        (model.parent / "own.toml").write_text("no_input = true\n", encoding="utf-8")
        words += ["--config", "own.toml"]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: --no-input, but nobody has agreed to the removal of ")
    assert said.err.endswith("\nhint: add --yes\n") and model.is_dir()
    assert main([*words, "--yes"]) == 0
    assert not model.exists()


def test_a_variable_undoes_what_the_file_says(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    (model.parent / "own.toml").write_text("no_input = true\n", encoding="utf-8")
    monkeypatch.setenv("PUMICE_NO_INPUT", "0")
    monkeypatch.setattr("sys.stdin", Keyboard())
    assert main(["models", "rm", "mine", "--config", "own.toml"]) == 1
    assert "somebody was asked" in capsys.readouterr().err and model.is_dir()


def test_a_chat_at_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard())
    engine = ScriptedEngine()
    assert main(["chat", "--no-input", "One?"], engine) == 2
    assert capsys.readouterr().err == (
        "error: --no-input, but a chat at a terminal asks for questions\nhint: pumice ask QUESTION, or pipe them in\n"
    )
    assert engine.asked == []


def test_a_chat_from_a_pipe_and_an_ask_go_on(project: Path) -> None:
    """They ask nobody."""
    script = (
        "import sys; from fakes import ScriptedEngine; from pumice.cli.main import main; "
        "sys.exit(main(sys.argv[1:], ScriptedEngine(answers=[['one'], ['two']])))"
    )
    path = os.pathsep.join([str(project / "tests"), python_path(project)])
    for words, typed, out in (
        (["chat", "--no-input"], "a?\nb?\n", "one\ntwo\n"),
        (["ask", "--no-input", "-q", "a?"], "", "one\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            input=typed,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, out, "")
