"""The commands of a dialogue, with lines from a pipe and a scripted engine."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.cli.slash import COMMANDS
from pumice.data.records import read_records


class Talk:
    """Types lines into a chat and keeps what came of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *lines: str, options: tuple[str, ...] = ()) -> Talk:
        self._monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
        self.engine = ScriptedEngine(answers=[[f"answer {number}"] for number in range(1, 9)])
        self.code = main(["chat", *options], self.engine)
        self.out, self.err = self._capsys.readouterr()
        return self

    @property
    def questions(self) -> list[str]:
        return [asked.turns[-1].text for asked in self.engine.asked]

    @property
    def pictures(self) -> list[int]:
        return [len(list(asked.images())) for asked in self.engine.asked]


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    return Talk(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, colour in (("a.png", "red"), ("b c.png", "blue")):
        Pillow.new("RGB", (6, 4), colour).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_model_sees_is_said(talk: Talk, folder: Path) -> None:
    talk("/image a.png 'b c.png'", "/images", "what?", "/images")
    told = "6x4 png); seen whole, padded to 28x28, 4 tokens"
    assert talk.err.splitlines() == [
        f"+ a.png ({told}",
        f"+ b c.png ({told}",
        f"1. a.png ({told}; for the next question",
        f"2. b c.png ({told}; for the next question",
        f"1. a.png ({told}",
        f"2. b c.png ({told}",
    ]
    assert talk.pictures == [2]


def test_a_picture_in_a_sentence(talk: Talk, folder: Path) -> None:
    talk("what is in ./a.png?", "and in 'b c.png'?")
    assert talk.questions == ["what is in the picture?", "and in picture 2?"]
    assert talk.pictures == [1, 2]
    assert talk.err.startswith("+ ./a.png (6x4 png)")


def test_a_picture_alone_waits_for_its_question(talk: Talk, folder: Path) -> None:
    talk("a.png", "", "b c.png".join("''"), "colour?")
    assert talk.questions == ["What is in this image?", "colour?"]
    assert talk.pictures == [1, 2]


@pytest.mark.parametrize("line", ["what is in missing.jpg?", "'no such.png'", "/tmp/none/x.jpeg describe"])
def test_a_picture_that_is_not_there_stops_the_question(talk: Talk, folder: Path, line: str) -> None:
    talk(line)
    assert talk.code == 4
    assert talk.engine.asked == []
    assert talk.err.startswith("error: ") and "nothing was asked; /text sends words as they are" in talk.err


def test_a_file_that_is_no_picture_stops_it_too(talk: Talk, folder: Path) -> None:
    (folder / "broken.jpg").write_text("words")
    talk("look at broken.jpg and a.png")
    assert (talk.code, talk.engine.asked) == (4, [])
    talk("/text what does missing.jpg mean?")
    assert talk.questions == ["what does missing.jpg mean?"]


def test_drop(talk: Talk, folder: Path) -> None:
    talk("/image a.png", "one", "/image 'b c.png'", "/drop 1", "/drop 2", "two", "/drop 1", "three")
    assert talk.pictures == [1, 1, 0]
    assert "no picture 2: there are 1" in talk.err
    assert talk.code == 2


def test_undo_gives_the_pictures_back(talk: Talk, folder: Path) -> None:
    talk("/image a.png", "one", "two", "/undo", "/undo", "three")
    assert [len(asked.turns) for asked in talk.engine.asked] == [1, 3, 1]
    assert talk.pictures == [1, 1, 1]
    assert "taken back: two\ntaken back: one; its pictures wait for the next question\n" in talk.err


def test_regen_asks_the_same_again(talk: Talk, folder: Path) -> None:
    talk("/image a.png", "one", "two", "/regen", "three")
    assert talk.questions == ["one", "two", "two", "three"]
    assert [turn.text for turn in talk.engine.asked[3].turns] == ["one", "answer 1", "two", "answer 3", "three"]
    assert "temperature 0" in talk.err


def test_regen_at_a_temperature_needs_no_advice(talk: Talk) -> None:
    assert "temperature" not in talk("one", "/regen", options=("--temperature", "1")).err


def test_edit(talk: Talk) -> None:
    talk("first", "secnd", "/edit second", "third")
    assert [turn.text for turn in talk.engine.asked[3].turns] == ["first", "answer 1", "second", "answer 3", "third"]


def test_system(talk: Talk) -> None:
    talk("one", "/system Be brief.", "two", "/system", "/system off", "three")
    assert [asked.system for asked in talk.engine.asked] == [None, "Be brief.", None]
    assert talk.err == "system: Be brief.\nsystem: Be brief.\nthe model's own system text\n"


def test_set(talk: Talk) -> None:
    talk("/set temperature 0.5", "/set max-tokens 9", "/set stop END", "/set seed 4", "one", "/set seed off", "two")
    first, second = talk.engine.options
    assert (first.temperature, first.max_tokens, first.stop, first.seed) == (0.5, 9, ("END",), 4)
    assert second.seed is None
    assert talk.err.splitlines()[-1] == "temperature 0.5, top_k 0, top_p 1.0, seed off, max_tokens 9, stop 'END'"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/set heat 3", "no setting 'heat'"),
        ("/set temperature hot", "expected a number, found 'hot'"),
        ("/set temperature -1", "temperature must be between 0 and 100, found -1.0"),
        ("/set temperature", "a value is missing"),
        ("/drop", "expected the number of a picture"),
        ("/drop one", "expected the number of a picture"),
        ("/undo", "nothing has been said yet"),
        ("/regen", "nothing has been said yet"),
        ("/edit x", "nothing has been said yet"),
        ("/export x.md", "nothing has been said yet"),
        ("/imag a.png", "no command /imag\nhint: did you mean /image?"),
        ("/save a b", "expected one file, found 2"),
        ("/save none/talk.json", "there is no folder none"),
        ("/Nothing", "no command /Nothing"),
        ("/load nowhere.json", "cannot read 'nowhere.json'"),
        ("/load a.png", "a.png is no saved dialogue"),
        ("/text", "nothing to send"),
    ],
)
def test_what_makes_no_sense_changes_nothing(talk: Talk, folder: Path, line: str, told: str) -> None:
    talk(line, "still here?")
    assert talk.code == 2
    assert told in talk.err
    assert talk.questions == ["still here?"]


def test_save_and_load(talk: Talk, folder: Path) -> None:
    talk("/image a.png", "one", "/image 'b c.png'", "/system Brief.", "/set top_k 7", "/save talk.json")
    for name in ("a.png", "b c.png"):
        (folder / name).unlink()
    talk("/load talk.json", "two", "/save talk.json", "/save second.json")
    assert [turn.text for turn in talk.engine.asked[0].turns] == ["one", "answer 1", "two"]
    assert talk.pictures == [2]
    assert (talk.engine.asked[0].system, talk.engine.options[0].top_k) == ("Brief.", 7)
    assert "talk.json exists already" in talk.err
    first, second = (json.loads((folder / name).read_text("utf-8")) for name in ("talk.json", "second.json"))
    assert first["exchanges"] == second["exchanges"][:1]


def test_a_damaged_file_is_refused(talk: Talk, folder: Path) -> None:
    talk("/image a.png", "one", "/save talk.json")
    whole = json.loads((folder / "talk.json").read_text("utf-8"))
    damages = [{"version": 2}, {"exchanges": 5}, {"options": {"heat": 1}}, {"exchanges": [{"question": "q"}]}]
    damages.append({"waiting": [{"source": "x", "data": "AAAA"}]})
    for number, damage in enumerate(damages):
        (folder / f"{number}.json").write_text(json.dumps(whole | damage), "utf-8")
        assert talk(f"/load {number}.json").code == 2
        assert talk.err.startswith(f"error: {number}.json is ")


def test_export_to_read(talk: Talk, folder: Path) -> None:
    talk("/image 'b c.png'", "What *is* it?", "/export talk.md")
    assert (folder / "talk.md").read_text("utf-8") == (
        "# Dialogue with scripted\n\n![b c.png](<b c.png>)\n\n**What *is* it?**\n\nanswer 1\n"
    )


def test_export_to_train_on(talk: Talk, folder: Path) -> None:
    """A typed placeholder stays words."""
    talk("/image a.png", "What does <image> mean?", "/image 'b c.png'", "and now?", "/export talk.json")
    (record,) = read_records(folder / "talk.json", folder)
    words = [turn.text.strip() for turn in record.conversation.turns]
    assert words == ["What does <image> mean?", "answer 1", "and now?", "answer 2"]
    assert [Path(str(image.source)).name for image in record.conversation.images()] == ["a.png", "b c.png"]


def test_triple_quotes_hold_lines_together(talk: Talk) -> None:
    talk('"""first', "", 'third"""', '"""one line"""', '"""never closed', "end")
    assert talk.questions == ["first\n\nthird", "one line", "never closed\nend"]


def test_help_names_every_command(talk: Talk) -> None:
    told = talk("/help").err
    assert all(f"/{name}" in told for name in COMMANDS)
    assert talk.out == ""


def test_an_answer_that_was_cut_off_says_so(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.REASON", "length")
    assert talk("one").err == "stopped after 1 tokens: /set max_tokens 1024 allows more\n"
