"""``--text-in-images`` on the bundled model: what is read, hidden, and warned of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pumice.cli.main import main
from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene
from pumice.world.vocabulary import SIGN

WARNING = "warning: the answer changes when writing in the picture is painted over\n"


@pytest.fixture(scope="module")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene with a sign of at least four letters and nothing else on it."""
    scenes = (make_scene("held_out", index) for index in range(1000))
    scene = next(
        each for each in scenes if len(each.items) <= 2 and any(len(item.text or "") >= 4 for item in each.named(SIGN))
    )
    path = tmp_path_factory.mktemp("signs") / "sign.png"
    draw_scene(scene, 224).save(path)
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert main(["ask", "--offline", *words]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_sign_is_read_warned_of_and_hidden(sign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-i", str(sign), "What does the sign say?")
    read, quiet = asked(capsys, *words)
    assert quiet == ""
    assert asked(capsys, *words, "--text-in-images", "warn") == (read, WARNING)
    hidden, quiet = asked(capsys, *words, "--text-in-images", "hide")
    assert hidden != read and quiet == ""


def test_programs_are_told(sign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-i", str(sign), "What does the sign say?", "--text-in-images", "warn")
    report = json.loads(asked(capsys, *words, "--json")[0])
    assert report["changed_by_writing"] is True and list(report)[-1] == "changed_by_writing"
    lines = [json.loads(line) for line in asked(capsys, *words, "--jsonl")[0].splitlines()]
    assert [line.get("changed_by_writing") for line in lines if line["type"] == "end"] == [True]


def test_a_batch_is_told(sign: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    words = ["batch", str(sign.parent), "What does the sign say?", "-o", str(out), "--offline", "-q"]
    assert main([*words, "--text-in-images", "warn"]) == 0
    (line,) = (json.loads(each) for each in out.read_text(encoding="utf-8").splitlines())
    assert line["changed_by_writing"] is True and line["error"] is None
    notes = json.loads(Path(f"{out}.settings.json").read_text(encoding="utf-8"))
    assert notes["text_in_images"] == "warn"


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_server_answers_once(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--port", "0", "--text-in-images", "warn"]) == 2
    assert "answers twice, and a server does not" in capsys.readouterr().err


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--text-in-images", "perhaps"]) == 2
    assert "expected one of read, warn, hide, found 'perhaps'" in capsys.readouterr().err
