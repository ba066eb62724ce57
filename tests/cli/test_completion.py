"""Completion, asked the way shells ask: their own scripts, run by a real shell where there is one."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import python_path
from pumice.cli.main import COMMANDS, main
from terminal import Terminal, terminal

ASK = """
set -e
eval "$(pumice completion bash)"
complete -p pumice >/dev/null
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _pumice_completion pumice; echo "${COMPREPLY[*]}"; }
"""


@pytest.fixture
def environment(project: Path, tmp_path: Path) -> dict[str, str]:
    """A ``pumice`` on the path, a model in a folder of the user's, and a home that may be written to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "pumice"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pumice "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "shelf" / "mine").mkdir(parents=True)
    (tmp_path / "shelf" / "mine" / "pumice.json").write_text("{}", encoding="utf-8")
    found = {**os.environ, "PYTHONPATH": python_path(project), "HOME": str(tmp_path / "home")}
    found |= {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PUMICE_FOLDERS": str(tmp_path / "shelf")}
    return found


def test_bash(environment: dict[str, str], tmp_path: Path) -> None:
    lines = {
        "pumice m": ["models"],
        "pumice models ''": ["list", "pull", "info", "verify", "convert", "rm", "default"],
        "pumice ask --temp": ["--template", "--temperature"],
        "pumice ask --device ''": ["auto", "cpu", "mps", "cuda"],
        "pumice chat --template llava_v": ["llava_v1", "llava_v0"],
        "pumice ask -m pum": ["pumice-tiny"],
        f"pumice models info {tmp_path}/sh": [f"{tmp_path}/shelf/mine"],
        "pumice ask -i ''": [],  # files, which bash does by itself
        "pumice manua": [],
    }
    script = ASK + "".join(f"ask {line}\n" for line in lines)
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == list(lines.values())


def test_a_broken_file_of_settings_does_not_disturb(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("nonsense = 1", encoding="utf-8")
    script = ASK + "ask pumice ask -m pum\nask pumice mod\n"
    environment["PUMICE_CONFIG"] = str(tmp_path / "x.toml")
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\nmodels\n", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize("installed", [False, True])
def test_fish(installed: bool, environment: dict[str, str], tmp_path: Path) -> None:
    """fish says by itself what it would offer."""
    (tmp_path / "photo.png").touch()
    lines = {
        "pumice m": ["models"],
        "pumice models ": ["convert", "default", "info", "list", "pull", "rm", "verify"],
        "pumice ask --temp": ["--temperature", "--template"],
        "pumice ask --device ": ["auto", "cpu", "cuda", "mps"],
        "pumice ask -m pum": ["pumice-tiny"],
        f"pumice models info {tmp_path}/shelf/i": [f"{tmp_path}/shelf/it's"],
        "pumice ask -i ph": ["photo.png"],
        "pumice manua": [],
    }
    (tmp_path / "shelf" / "mine").rename(tmp_path / "shelf" / "it's")
    teach = ["pumice completion fish | source"]
    if installed:
        subprocess.run(["pumice", "completion", "fish", "--install"], env=environment, check=True, capture_output=True)
        lines, teach = {"pumice m": ["models"]}, []
    asked = [f"complete -C {shlex.quote(line)}; echo ---" for line in lines]
    done = subprocess.run(
        ["fish", *([] if installed else ["--no-config"]), "-c", "\n".join([*teach, *asked])],
        env={**environment, "XDG_CONFIG_HOME": f"{environment['HOME']}/.config", "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    offered = [[each.split("\t")[0] for each in block.splitlines()] for block in done.stdout.split("---\n")[:-1]]
    assert dict(zip(lines, offered, strict=True)) == lines


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room in a line of the terminal."""
    with tempfile.TemporaryDirectory(prefix="zsh-", dir="/tmp") as name:
        yield Path(name)


def _completes(screen: Terminal, typed: str, wanted: str) -> None:
    """Tab after ``typed`` makes the screen end with ``wanted``."""
    screen.type(typed)
    screen.wait_for(f"...\n$ {typed}")
    screen.type("<Tab>")
    screen.wait_for(f"...\n{wanted}")
    screen.type("<C-u>")
    screen.wait_for("...\n$")


@pytest.mark.skipif(not (shutil.which("zsh") and shutil.which("tmux")), reason="needs zsh and tmux")
def test_zsh(environment: dict[str, str], tmp_path: Path, short: Path) -> None:
    """At a real terminal, as zsh has no other way; with the script in a variable first, then installed for good."""
    (tmp_path / "photo.png").touch()
    (tmp_path / "shelf" / "mine").rename(short / "it's $HOME")
    home = Path(environment["HOME"])
    home.mkdir()
    with terminal(tmp_path, **{**environment, "PUMICE_FOLDERS": str(short)}) as screen:
        screen.wait_for("$")
        screen.type("exec zsh -f<Enter>")
        screen.wait_for("$ exec zsh -f\n$")
        screen.type('autoload -Uz compinit; compinit -u; eval "$(pumice completion zsh)"; clear; echo done<Enter>')
        screen.wait_for("done\n$")
        _completes(screen, "pumice mod", "$ pumice models")
        _completes(screen, "pumice ask --tempe", "$ pumice ask --temperature")
        _completes(screen, "pumice ask -m pum", "$ pumice ask -m pumice-tiny")
        _completes(screen, "pumice ask -i ph", "$ pumice ask -i photo.png")
        _completes(screen, f"pumice ask -m {short}/i", f"$ pumice ask -m {short}/it\\'s\\ \\$HOME")
        rm = "rm       -- Remove a model from the hub's cache, or a..."
        _completes(screen, "pumice models ", f"$ pumice models\nconvert  -- ...\n...\n{rm}\nverify   -- ...")
        screen.type(" pumice completion zsh --install; clear; exec zsh -i<Enter>")
        screen.wait_for("$")
        _completes(screen, "pumice doc", "$ pumice doctor")
    assert (home / ".zfunc" / "_pumice").is_file()


ANSWERS = {
    "zsh": ({"_TYPER_COMPLETE_ARGS": "pumice ask -m pum"}, "_arguments '*: :((\"pumice-tiny\"))'"),
    "fish": (
        {"_TYPER_COMPLETE_ARGS": "pumice ask -m pum", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "pumice-tiny",
    ),
    "powershell": (
        {"_TYPER_COMPLETE_ARGS": "pumice ask -m pum", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "pum"},
        "pumice-tiny::: ",
    ),
}


@pytest.mark.parametrize("shell", ANSWERS)
def test_what_other_shells_are_answered(shell: str, environment: dict[str, str]) -> None:
    """The answer to what their scripts ask; the scripts themselves are run where the shell is installed."""
    asked, answer = ANSWERS[shell]
    done = subprocess.run(
        ["pumice"],
        env={**environment, **asked, "_PUMICE_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.rstrip("\n"), done.stderr) == (0, answer, "")
    script = subprocess.run(
        ["pumice", "completion", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert f"_PUMICE_COMPLETE=complete_{shell}" in script.stdout.replace("$Env:", "").replace(' = "', "=")
    if program := shutil.which(shell):
        parse = ["-n"] if shell != "powershell" else ["-NoProfile", "-File"]
        file = Path(environment["HOME"]).with_name(f"script.{shell}")
        file.write_text(script.stdout, encoding="utf-8")
        assert subprocess.run([program, *parse, str(file)], env=environment, check=False).returncode == 0


def test_install(environment: dict[str, str]) -> None:
    home = Path(environment["HOME"])
    home.mkdir()
    done = subprocess.run(
        ["pumice", "completion", "bash", "--install"], env=environment, capture_output=True, text=True, check=True
    )
    file = Path(done.stdout.strip())
    assert file == home / ".bash_completions" / "pumice.sh" and str(file) in (home / ".bashrc").read_text()
    asked = 'COMP_WORDS=(pumice doc); COMP_CWORD=1; _pumice_completion pumice; echo "${COMPREPLY[*]}"'
    found = subprocess.run(
        ["bash", "-c", f"source ~/.bashrc; {asked}"], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "doctor\n"


def test_there_is_no_second_way_by_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "-completion" not in capsys.readouterr().out
    assert main(["--show-completion"]) == main(["--install-completion"]) == 2


def test_the_hidden_stay_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name}  " in shown for name in COMMANDS)
    assert "manual" not in shown and "llava-chat" not in shown
