"""``pumice batch`` in this process, the engine scripted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from fakes import ScriptedEngine
from images.pictures import encoded, noise
from pumice.cli.main import main
from pumice.errors import MemoryLimitError, ModelError

QUESTION = "What is this?"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, one of them by another name, one broken; what is none; a folder and a hidden file."""
    folder = tmp_path / "my photos"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.png", "a.PNG", "unnamed", "inner/c.png", ".hidden.png"):
        (folder / name).write_bytes(encoded(noise(8, 6), "PNG"))
    (folder / "broken ü.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture either")
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new").mkdir()
    out, engine = tmp_path / "new" / "out.jsonl", ScriptedEngine()
    assert main(["batch", str(photos), QUESTION, "-o", str(out), "-j", "3", "-s", "Be brief."], engine) == 4
    found = lines(out)
    assert [line["id"] for line in found] == ["a.PNG", "b.png", "broken ü.jpg", "unnamed"]
    keys = ["id", "images", "prompt", "text", "finish_reason", "usage", "seed", "error"]
    assert all(list(line) == keys for line in found)
    assert found[0]["text"] == "Two dice." and found[0]["images"] == ["a.PNG"] and found[0]["error"] is None
    assert found[0]["usage"]["image_tokens"] == 25
    error = found[2]["error"]
    assert (error["type"], error["code"], found[2]["text"]) == ("ImageError", 4, None)
    assert "broken ü.jpg" in error["message"]
    assert engine.most == 3 and {asked.system for asked in engine.asked} == {"Be brief."}
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.endswith("4 lines; answers: 3, errors: 1\n")
    assert sorted(each.name for each in out.parent.iterdir()) == ["out.jsonl", "out.jsonl.settings.json"]


def test_folders_in_the_folder(photos: Path, tmp_path: Path) -> None:
    (photos / "broken ü.jpg").unlink()
    out = tmp_path / "out.jsonl"
    assert main(["batch", str(photos), QUESTION, "-o", str(out), "-r", "-q"], ScriptedEngine()) == 0
    assert [line["id"] for line in lines(out)] == ["a.PNG", "b.png", "inner/c.png", "unnamed"]


def test_a_glob_and_a_single_picture(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["batch", "my photos/**/*.png", QUESTION, "-o", "out.jsonl"], ScriptedEngine()) == 0
    assert [line["id"] for line in lines(Path("out.jsonl"))] == ["my photos/b.png", "my photos/inner/c.png"]
    assert main(["batch", "my photos/b.png", QUESTION, "-o", "out2.jsonl"], ScriptedEngine()) == 0
    assert [line["id"] for line in lines(Path("out2.jsonl"))] == ["my photos/b.png"]


def test_lines_of_a_file(photos: Path, tmp_path: Path) -> None:
    source = written(
        tmp_path / "in.jsonl",
        {"id": 7, "image": "my photos/a.PNG", "prompt": "One?"},
        {"images": ["my photos/a.PNG", str(photos / "b.png")], "system": ""},
        {"id": "text", "prompt": "Two?"},
        {"id": "-", "image": "-", "prompt": "Three?"},
    )
    source.write_text("\ufeff\n" + source.read_text(), encoding="utf-8")
    out, engine = tmp_path / "out.jsonl", ScriptedEngine()
    assert main(["batch", str(source), QUESTION, "-o", str(out)], engine) == 4
    found = lines(out)
    assert [(line["id"], line["prompt"], len(line["images"])) for line in found] == [
        (7, "One?", 1),
        (3, QUESTION, 2),
        ("text", "Two?", 0),
        ("-", "Three?", 1),
    ]
    assert found[3]["error"]["message"].endswith("file not found")
    asked = {each.turns[0].text: (each.system, len(list(each.images()))) for each in engine.asked}
    assert asked == {"One?": (None, 1), QUESTION: ("", 2), "Two?": (None, 0)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2"),
        ("[1]", "expected an object, found a list"),
        ("null", "expected an object, found null"),
        ('{"id": 1.5}', "id must be a text or a whole number, found 1.5"),
        ('{"id": true}', "found true"),
        ('{"id": "1", "prompt": "q"}', "the id '1' stands in lines 1 and 2"),
        ('{"id": 2}', "there is no prompt"),
        ('{"prompt": 2}', "prompt must be a text, found 2"),
        ('{"prompt": "q", "img": "a.png"}', "line 2: unknown field 'img'\nhint: did you mean image?"),
        ('{"prompt": "q", "image_path": "a.png"}', "unknown field 'image_path'\nhint: did you mean image?"),
        ('{"prompt": "q", "temperature": 1}', "hint: a line may have id, image, images, prompt, system"),
        ('{"prompt": "q", "image": ["a"]}', "image must be"),
        ('{"prompt": "q", "images": "a"}', "image must be"),
        ('{"prompt": "q", "image": "a", "images": ["b"]}', "exclude each other"),
    ],
)
def test_lines_that_make_no_sense(line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, engine = tmp_path / "in.jsonl", ScriptedEngine()
    source.write_text('{"id": 1, "prompt": "q"}\n' + line)
    assert main(["batch", str(source), "-o", str(tmp_path / "out.jsonl")], engine) == 2
    captured = capsys.readouterr()
    assert words in captured.err and "in.jsonl" in captured.err
    assert not engine.opened and not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{}, {}, {"id": 1}], "line 1 has no id and so has its number, and line 3 has the same id: 1"),
        ([{"id": "2"}, {}], "line 2 has no id and so has its number, and line 1 has the same id: 2"),
    ],
)
def test_a_number_and_an_id_that_are_the_same(
    rows: list[dict[str, object]], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "in.jsonl", *rows)
    assert main(["batch", str(source), "q", "-o", str(tmp_path / "out.jsonl")], ScriptedEngine()) == 2
    assert f"{words}\nhint: give every line an id, or none" in capsys.readouterr().err


def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source in (str(tmp_path), str(tmp_path / "*.png"), "missing"):
        assert main(["batch", source, QUESTION, "-o", str(tmp_path / "out.jsonl")], ScriptedEngine()) == 2
        assert "nothing to do" in capsys.readouterr().err
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 6), "PNG"))
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out.jsonl")], ScriptedEngine()) == 2
    assert "pictures need a question" in capsys.readouterr().err


def test_a_file_that_is_there(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    line = ["batch", str(photos / "*.png"), QUESTION, "-o", str(out)]
    assert main(line, ScriptedEngine()) == 0
    before = out.read_bytes()
    assert main(line, ScriptedEngine()) == 2
    assert "--resume" in capsys.readouterr().err and out.read_bytes() == before

    def fails(settings: object) -> ScriptedEngine:
        raise ModelError("no such model")

    assert main([*line, "--overwrite"], fails) == 3
    assert out.read_bytes() == before, "replaced only once there is a model"
    assert main([*line, "--overwrite"], ScriptedEngine(answers=[["New."]])) == 0
    assert [each["text"] for each in lines(out)] == ["New."]


def test_the_file_that_is_read_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "in.jsonl", {"prompt": "q"})
    assert main(["batch", str(source), "-o", str(source), "--overwrite"], ScriptedEngine()) == 2
    assert "is what is read" in capsys.readouterr().err and lines(source) == [{"prompt": "q"}]


@pytest.mark.parametrize("cut", [b"", b'{"id": "b.png", "im', b'{"id": "b.png"}'])
def test_resume(cut: bytes, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However a process died, finished lines stay and nothing is there twice."""
    out = tmp_path / "out.jsonl"
    line = ["batch", str(photos), QUESTION, "-o", str(out)]
    assert main(line, ScriptedEngine(answers=[["Old."]])) == 4
    first = out.read_bytes().splitlines(keepends=True)[0]
    out.write_bytes(first + cut)
    again = ScriptedEngine(answers=[["New."]])
    assert main([*line, "--resume"], again) == 4
    assert [(each["id"], each["text"]) for each in lines(out)] == [
        ("a.PNG", "Old."),
        ("b.png", "New."),
        ("broken ü.jpg", None),
        ("unnamed", "New."),
    ]
    idle = ScriptedEngine()
    assert main([*line, "--resume"], idle) == 4, "the error is still there"
    assert not idle.opened


def test_errors_are_kept_or_done_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    line = ["batch", str(photos), QUESTION, "-o", str(out), "--resume"]  # there is nothing yet
    assert main(line, ScriptedEngine()) == 4
    (photos / "broken ü.jpg").write_bytes(encoded(noise(8, 6), "JPEG"))
    assert main(line, ScriptedEngine()) == 4
    assert main([*line, "--retry-errors"], ScriptedEngine()) == 0
    assert [each["id"] for each in lines(out)] == ["a.PNG", "b.png", "unnamed", "broken ü.jpg"]
    assert not any(each["error"] for each in lines(out))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-m", "other"], 'another model: null, now "other"'),
        (["--temperature", "1"], "another temperature: 0.0, now 1.0"),
        (["-s", "Be brief."], "another system"),
        (["--4bit"], "another bits: null, now 4"),
    ],
)
def test_other_settings_are_refused(
    flags: list[str], words: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["batch", str(photos / "*.png"), "-o", str(tmp_path / "out.jsonl"), "--resume"]
    assert main([*line, QUESTION], ScriptedEngine()) == 0
    assert main([*line, QUESTION, *flags], ScriptedEngine()) == 2
    assert words in capsys.readouterr().err
    assert main([*line, "Another?"], ScriptedEngine()) == 2
    assert "another prompt" in capsys.readouterr().err
    assert main([*line, QUESTION, "-j", "2", "--device", "cpu"], ScriptedEngine()) == 0


def test_a_file_of_another_kind_is_left_alone(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    line = ["batch", str(photos / "*.png"), QUESTION, "-o", str(out), "--resume"]
    assert main(line, ScriptedEngine()) == 0
    for content in ('{"id": "1"}\n', "words\n", "[]\n", '{"id": 1, "error": "x"}\n'):
        out.write_text(content)
        assert main(line, ScriptedEngine()) == 2
        assert "line 1 was not written by pumice batch" in capsys.readouterr().err and out.read_text() == content
    (tmp_path / "out.jsonl.settings.json").unlink()
    assert main(line, ScriptedEngine()) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_one_at_a_time(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    with FileLock(tmp_path / ".out.jsonl.lock"):
        assert main(["batch", str(photos), QUESTION, "-o", str(out)], ScriptedEngine()) == 2
    assert "another process is writing" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    "flags", [["-j", "0"], ["-j", "300"], ["--resume", "--overwrite"], ["--retry-errors"], ["--temperature", "-1"]]
)
def test_flags_that_make_no_sense(flags: list[str], photos: Path, tmp_path: Path) -> None:
    engine = ScriptedEngine()
    assert main(["batch", str(photos), QUESTION, "-o", str(tmp_path / "out.jsonl"), *flags], engine) == 2
    assert not engine.opened


def test_what_fails_while_answering_is_a_line_too(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    engine = ScriptedEngine(answers=[["fine"], ["some ", MemoryLimitError("full")], [ZeroDivisionError()], ["fine"]])
    source = written(tmp_path / "in.jsonl", *({"id": index, "prompt": "q"} for index in range(4)))
    assert main(["batch", str(source), "-o", str(out), "-q"], engine) in (1, 6), "that of the first error"
    kinds = [each["error"]["type"] for each in lines(out) if each["error"]]
    assert sorted(kinds) == ["InternalError", "MemoryLimitError"]
    assert sum(each["text"] == "fine" for each in lines(out)) == 2


def test_ctrl_c_leaves_whole_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    source = written(tmp_path / "in.jsonl", *({"id": index, "prompt": "q"} for index in range(6)))
    engine = ScriptedEngine(answers=[["fine"], ["fine"], ["half ", KeyboardInterrupt()]])
    assert main(["batch", str(source), "-o", str(out)], engine) == 130
    assert all(each["text"] == "fine" for each in lines(out)) and len(lines(out)) < 6
    assert main(["batch", str(source), "-o", str(out), "--resume"], ScriptedEngine()) == 0
    assert [each["id"] for each in lines(out)] == list(range(6))


def test_progress_and_stats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "in.jsonl", *({"id": index, "prompt": "q"} for index in range(40)))
    assert main(["batch", str(source), "-o", str(tmp_path / "a.jsonl"), "--stats"], ScriptedEngine()) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "%" in line] == [
        f"{4 * tenth} of 40 done ({10 * tenth} %), 0 errors" for tenth in range(1, 11)
    ]
    assert any(line.startswith("stats: 80 tokens in ") for line in told)
    assert main(["batch", str(source), "-o", str(tmp_path / "b.jsonl"), "-q"], ScriptedEngine()) == 0
    assert capsys.readouterr().err == ""


def test_a_schema(tmp_path: Path) -> None:
    out, schema = tmp_path / "out.jsonl", tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    source = written(tmp_path / "in.jsonl", {"prompt": "q"})
    engine = ScriptedEngine(answers=[['{"a": 1}']])
    assert main(["batch", str(source), "-o", str(out), "--schema", str(schema)], engine) == 0
    assert engine.options[0].schema == '{"type": "object"}' and lines(out)[0]["text"] == '{"a": 1}'
    schema.write_text('{"type": "array"}')
    assert main(["batch", str(source), "-o", str(out), "--schema", str(schema), "--resume"], engine) == 2
    engine = ScriptedEngine(answers=[[""]])
    assert main(["batch", str(source), "-o", str(out), "--schema", str(schema), "--overwrite"], engine) == 1
    assert lines(out)[0]["text"] is None and "is not the JSON" in lines(out)[0]["error"]["message"]
