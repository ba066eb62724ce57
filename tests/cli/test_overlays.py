"""``--boxes`` and ``--look``: what may be drawn, and where to."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pillow

import tiny
from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.engine.looking import Look
from pumice.prompts.conversation import Conversation


class Looking(ScriptedEngine):
    """Its answers looked at pictures as a tiny model's do."""

    def look(self, conversation: Conversation) -> list[Look]:
        return tiny.engine().look(conversation)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Pillow.new("RGB", (60, 40), "white").save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_are_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Looking(answers=[["It is at [0.25, 0.25, 0.75, 0.75]."]])
    line = ["ask", "-i", "a.png", "Where?", "--boxes", "boxes.png", "--look", "look.png"]
    assert main(line, engine) == 0
    captured = capsys.readouterr()
    assert captured.out == "It is at [0.25, 0.25, 0.75, 0.75].\n"
    assert captured.err.splitlines() == [
        "boxes.png: 1 box",
        "look.png: left what the model saw, right where the answer's words looked",
    ]
    assert Pillow.open("boxes.png").size == (60, 40)
    assert Pillow.open("look.png").size == (2 * 12 * tiny.SIDE + 8, 12 * tiny.SIDE)
    assert main(line, engine) == 0  # made again


def test_several_pictures_stand_below_each_other(folder: Path) -> None:
    assert main(["describe", "a.png", "a.png", "--look", "look.png", "--json"], Looking()) == 0
    assert Pillow.open("look.png").height == 2 * 12 * tiny.SIDE + 8


def test_an_answer_without_a_box_draws_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "-i", "a.png", "Where?", "--boxes", "boxes.png"], Looking()) == 0
    assert "names no box, so boxes.png was not written; ask for one" in capsys.readouterr().err
    assert not (folder / "boxes.png").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--boxes", "b.png"], "--boxes draws into one picture, found 0"),
        (["--look", "b.png"], "nothing to look at"),
        (["-i", "a.png", "-i", "a.png", "--boxes", "b.png"], "--boxes draws into one picture, found 2"),
        (["-i", "a.png", "--boxes", "b.jpg"], "ends in .png"),
        (["-i", "a.png", "--look", "./a.png"], "is the picture that is asked about"),
        (["-i", "a.png", "--boxes", "b.png", "--look", "b.png"], "name the same file"),
        (["-i", "a.png", "--look", "none/b.png"], "there is no folder none"),
        (["-i", "a.png", "--look", "b.png", "--n", "2", "--temperature", "1"], "draw one answer"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_work(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    before, engine = (folder / "a.png").read_bytes(), Looking()
    assert main(["ask", "Where?", *options], engine) == 2
    assert told in capsys.readouterr().err
    assert engine.opened == [] and (folder / "a.png").read_bytes() == before
