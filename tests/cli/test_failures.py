"""Every way to fail: one line of cause, one of advice, and the exit code that the help promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.core import TyperGroup

from fakes import ScriptedEngine
from pumice import errors
from pumice.cli.main import COMMANDS, EXIT_CODES, GROUPS, LazyGroup, main


def _fails(error: BaseException, *flags: str) -> int:
    return main(["ask", "q", *flags], ScriptedEngine(answers=[["some ", error]]))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PumiceError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.ModelError("x"), 3),
        (errors.ImageError("x"), 4),
        (errors.BlockedUrlError("x"), 4),
        (errors.ServerError("x"), 5),
        (errors.MemoryLimitError("x"), 6),
        (errors.AuthError("x"), 7),
        (MemoryError(), 6),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"), 6),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 6),
        (ZeroDivisionError("division by zero"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert _fails(error) == code
    captured = capsys.readouterr()
    assert captured.out == "some "
    if code != 130:
        assert captured.err.startswith("error: ")
        assert "Traceback" not in captured.err
        assert len(captured.err.splitlines()) <= 2


def test_the_help_lists_every_exit_code() -> None:
    listed = {int(line.split()[0]) for line in EXIT_CODES.splitlines() if line.strip()[:1].isdigit()}
    ours = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    assert listed == ours | {0, 130, 141, 143}


def test_cause_and_advice_take_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    _fails(errors.ModelError("two\nlines", hint="do\nthis"))
    assert capsys.readouterr().err == "error: two lines\nhint: do this\n"


def test_names_from_a_file_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _fails(errors.ModelError("no place for \x1b]0;owned\x07\x1b[2J"))
    assert capsys.readouterr().err == "error: no place for \ufffd]0;owned\ufffd\ufffd[2J\n"


def test_a_bug_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    _fails(ValueError("no room in <Thing object at 0x7f0012345678>"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: internal: ValueError: no room in <Thing>"
    assert "--debug" in lines[1]


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    _fails(ValueError("deep"), "--debug")
    text = capsys.readouterr().err
    assert "Traceback" in text and "fakes.py" in text and text.splitlines()[-2].startswith("error: internal")


def test_json_errors_are_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert _fails(errors.ModelError("gone", hint="look"), "--json") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {"error": {"type": "ModelError", "message": "gone", "hint": "look", "code": 3}}


@pytest.mark.parametrize("line", ["ask", "ask q --nope", "ask q --device tpu", "ask q --top-k x", "nope", "ask q r"])
def test_usage_errors(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split(), ScriptedEngine()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.out == ""


def test_a_usage_error_is_json_too_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--json", "--nope"], ScriptedEngine()) == 2
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "UsageError"


def test_a_typo_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aks"]) == 2
    assert "'ask'" in capsys.readouterr().err


def test_a_missing_picture_is_found_before_the_model_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat.jpeg")
    assert main(["ask", "q", "-i", str(tmp_path / "cat.jpg")], engine) == 4
    assert engine.opened == []
    text = capsys.readouterr().err
    assert "file not found" in text and "cat.jpeg" in text


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:1/a.png", 4), ("http://169.254.169.254/latest", 4), ("ftp://host.example/a.png", 4)],
)
def test_blocked_urls(url: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine()
    assert main(["ask", "q", "-i", url], engine) == code
    assert engine.opened == []
    assert capsys.readouterr().err.startswith("error: ")


def test_offline_refuses_urls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--offline", "-i", "https://host.example/a.png"], ScriptedEngine()) == 2
    assert "--offline" in capsys.readouterr().err


def test_an_empty_question_is_refused() -> None:
    assert main(["ask", " "], ScriptedEngine()) == 2


@pytest.mark.parametrize("url", ["file:///tmp/a.png", "ftp://host.example/a.png", "FILE://host/a.png"])
@pytest.mark.parametrize("flags", [[], ["--offline"]])
def test_other_schemes_are_called_that(url: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "-i", url, *flags], ScriptedEngine()) == 4
    assert "only http and https" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ask q --max-tokens abc", "--max-tokens: expected a whole number, found 'abc'"),
        ("ask q --max-tokens 3.5", "--max-tokens: expected a whole number, found '3.5'"),
        ("ask q --temperature warm", "--temperature: expected a number, found 'warm'"),
        ("ask q --device tpu", "--device: expected one of auto, cpu, mps, cuda, found 'tpu'"),
        ("ask q --seed x", "--seed: expected a whole number, found 'x'"),
        ("completion tcsh", "shell: expected one of bash, zsh, fish, powershell, pwsh, found 'tcsh'"),
        ("quantize a b --vision-bits 3", "--vision-bits: expected one of 4, 8, found '3'"),
        ("data doctor r.json --max-tokens 0", "--max-tokens: expected at least 1, found '0'"),
        ("data doctor r.json --images /no/where", "--images: dir '/no/where' does not exist"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split(), ScriptedEngine()) == 2
    first, hint = capsys.readouterr().err.splitlines()
    assert first == f"error: {said}" and hint.startswith("hint: see 'pumice ") and hint.endswith(" --help'")


@pytest.mark.parametrize(
    ("line", "example"),
    [
        ("describe", "pumice describe photo.jpg"),
        ("completion", 'eval "$(pumice completion bash)"'),
        ("convert here", "pumice convert liuhaotian/llava-v1.5-7b llava-7b"),
        ("models rm", "pumice models rm owner/name"),
    ],
)
def test_where_something_is_missing_an_example_helps(
    line: str, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split(), ScriptedEngine()) == 2
    first, hint = capsys.readouterr().err.splitlines()
    assert first.startswith("error: Missing argument") and hint.endswith(f" --help'; for example: {example}")


def test_every_command_that_needs_something_has_an_example() -> None:
    top = typer.Context(LazyGroup(name="pumice"), info_name="pumice")
    for name in COMMANDS:
        command = LazyGroup(name="pumice").get_command(top, name)
        inner = [command.get_command(top, each) for each in GROUPS[name]] if isinstance(command, TyperGroup) else []
        for one in inner or [command]:
            assert one is not None
            if any(each.required for each in one.params):
                assert "\b\n" in (one.help or ""), one.name


@pytest.mark.parametrize("line", ["data doctor {}", "data convert {} out.jsonl", "estimate {}", "train {}"])
def test_a_file_that_is_not_there(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.toml").write_text("", encoding="utf-8")
    for name, advice in (
        ("recipes.toml", f"did you mean {str(tmp_path / 'recipe.toml')!r}?"),
        ("xyz", f"no file in {str(tmp_path)!r} has a similar name"),
        ("gone/recipe.toml", f"there is no folder {str(tmp_path / 'gone')!r}"),
    ):
        assert main([word.format(tmp_path / name) for word in line.split()]) == 2
        first, hint = capsys.readouterr().err.splitlines()
        assert "cannot read " in first and first.endswith("No such file or directory")
        assert hint == f"hint: {advice}"
