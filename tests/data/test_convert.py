"""Other formats into records: nothing is lost, nothing typed becomes markup, and a fault leaves the target alone."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from images.pictures import noise
from pumice.data.convert import Choices, Count, convert
from pumice.data.records import read_records
from pumice.errors import UsageError
from pumice.files import fresh_file
from pumice.prompts.conversation import Conversation, Image, Text

ONE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
OVER = Choices(overwrite=True)
TABLE = 'image,question,answer\na.png,What is this?,"A ""red"" cup, I think."\n,Two plus two?,Four.\n'


def read(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    found = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    assert isinstance(found, list)
    return found


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_a_table(tmp_path: Path, name: str) -> None:
    assert convert(table(tmp_path, TABLE), tmp_path / name).records == 2
    first, second = read(tmp_path / name)
    assert first == {
        "id": "1",
        "image": "a.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is this?"},
            {"from": "gpt", "value": 'A "red" cup, I think.'},
        ],
    }
    assert "image" not in second and second["id"] == "2"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_tables_may_look_like(tmp_path: Path, delimiter: str) -> None:
    """Byte order mark, Windows line ends, any separator, other columns, empty lines, line ends within a text."""
    rows = [["Answer", " id ", "year", "Question"], ["One\ntwo, three; four\t|.", "x7", "2026", "What?"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows([*rows, []])
    convert(table(tmp_path, text.getvalue(), "utf-8-sig"), tmp_path / "r.jsonl")
    (record,) = read(tmp_path / "r.jsonl")
    assert record["id"] == "x7" and record["conversations"][1]["value"] == rows[1][0]


def test_rows_about_one_picture(tmp_path: Path) -> None:
    text = "image,question,answer\na.png,1?,A.\nb.png,2?,B.\na.png,3?,C.\n,4?,D.\n,5?,E.\n"
    path = table(tmp_path, text)
    assert convert(path, tmp_path / "apart.json").records == 5
    assert convert(path, tmp_path / "r.json", choices=Choices(merge=True)).records == 4
    records = {record.id: record.conversation for record in read_records(tmp_path / "r.json", tmp_path)}
    picture = (Image(tmp_path / "a.png"),)
    assert records["1"] == Conversation.ask("1?", picture).then_answer("A.").then_ask("3?").then_answer("C.")
    assert sorted(records) == ["1", "2", "4", "5"]


WORDS = st.text(alphabet='\\<image> a,"\n;é', max_size=20) | st.text(
    st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=20
)


@ONE
@given(rows=st.lists(st.tuples(st.booleans(), WORDS, WORDS), min_size=1, max_size=5), as_list=st.booleans())
def test_words_stay_words(tmp_path: Path, rows: list[tuple[bool, str, str]], as_list: bool) -> None:
    """Whatever was typed into the table is what the model is asked and taught; space beside a picture is taken off."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["image", "question", "answer"])
    writer.writerows(["a.png" if pictured else "", question, answer] for pictured, question, answer in rows)
    target = tmp_path / ("r.json" if as_list else "r.jsonl")
    assert convert(table(tmp_path, text.getvalue()), target, "csv", OVER).records == len(rows)
    for record, (pictured, question, answer) in zip(read_records(target, tmp_path), rows, strict=True):
        asked, told = record.conversation.turns
        parts = (Image(tmp_path / "a.png"), Text(question.strip())) if pictured else (Text(question),)
        assert (asked.parts, told.text) == (parts, answer)


VALUES = st.dictionaries(
    st.text(max_size=4),
    st.recursive(st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6), st.lists, max_leaves=4),
    max_size=4,
)


@ONE
@given(records=st.lists(VALUES, min_size=1, max_size=5), half=st.booleans())
def test_there_and_back(tmp_path: Path, records: list[dict[str, Any]], half: bool) -> None:
    """List to lines to list: the same values, and the same bytes."""
    records = [{**each, "conversations": []} for each in records]
    if half:
        records[0]["half"] = "\ud83d!"
    source, lines, back = tmp_path / "a.json", tmp_path / "b.jsonl", tmp_path / "c.json"
    source.write_text(json.dumps(records, indent=1), encoding="utf-8")
    convert(source, lines, choices=OVER)
    convert(lines, back, "llava", OVER)
    assert read_values(lines) == read_values(back) == records
    convert(back, tmp_path / "d.json", choices=OVER)
    assert back.read_bytes() == (tmp_path / "d.json").read_bytes()


def read_values(path: Path) -> list[Any]:
    text = path.read_bytes().decode("utf-8")
    found = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.split("\n") if line]
    assert isinstance(found, list)
    return found


def test_a_folder_of_captions(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    noise(9, 9).save(folder / "a.png")
    noise(9, 9).save(folder / "deep" / "a.b.jpg")
    (folder / "a.txt").write_bytes("\ufeffA cup <image>.\r\n".encode())
    (folder / "deep" / "a.b.txt").write_text("Zwei Würfel.", encoding="utf-8")
    (folder / "notes.json").write_text("{}")
    assert convert(folder, tmp_path / "r.json", choices=Choices(prompt="What?")).records == 2
    first, second = read_records(tmp_path / "r.json", folder)
    assert (first.id, second.id) == ("a", "deep/a.b")
    assert first.conversation == Conversation.ask("What?", (Image(folder / "a.png"),)).then_answer("A cup <image>.")
    assert second.conversation.turns[1].text == "Zwei Würfel."
    convert(folder, tmp_path / "above.json", choices=Choices(images=tmp_path))
    assert [each["image"] for each in read(tmp_path / "above.json")] == ["pictures/a.png", "pictures/deep/a.b.jpg"]


def test_pictures_of_a_table_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    noise(9, 9).save(tmp_path / "pictures" / "a.png")
    whole = tmp_path / "pictures" / "a.png"
    path = table(tmp_path, f"image,question,answer\na.png,?,A.\n{whole},?,B.\n")
    convert(path, tmp_path / "r.json", choices=Choices(images=tmp_path / "pictures"))
    assert [each["image"] for each in read(tmp_path / "r.json")] == ["a.png", "a.png"]
    skipping = Choices(tmp_path / "pictures", skip_missing=True, overwrite=True)
    path = table(tmp_path, f"image,question,answer\na.png,?,A.\n../{whole.name},?,B.\nb.png,?,B.\n,?,C.\n")
    assert convert(path, tmp_path / "r.json", choices=skipping) == Count(records=2, skipped=2)
    assert [each.get("image") for each in read(tmp_path / "r.json")] == ["a.png", None]
    with pytest.raises(UsageError, match="nothing to convert in it, for none of 1 pictures is there"):
        convert(table(tmp_path, "image,question,answer\nb.png,?,A.\n"), tmp_path / "x.json", choices=skipping)
    with pytest.raises(UsageError, match="needs to know where pictures are"):
        convert(path, tmp_path / "x.json", choices=Choices(skip_missing=True))
    for name in ("b.png", "../table.csv"):
        path = table(tmp_path, f"image,question,answer\na.png,?,A.\n{name},?,B.\n")
        with pytest.raises(UsageError, match=r"table\.csv:3: there is no picture"):
            convert(path, tmp_path / "x.json", choices=Choices(images=tmp_path / "pictures"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,question\na,b\n", "table.csv:1: expected the columns image, question and answer"),
        ("", "table.csv:1: expected the columns"),
        ("image,question,answer\n", "nothing to convert"),
        ("image,question,answer\na.png,What?,A,B\n", "table.csv:2: expected 3 columns, found 4"),
        ("image,question,answer\na,b,c\na,b\n", "table.csv:3: expected 3 columns, found 2"),
        ('image,question,answer\na,"b"c,d\n', "table.csv:2: not valid CSV"),
        ('image,question,answer\na,"b,c\n', "not valid CSV"),
        ("image,question,answer\na,b,Caf\xe9\n", "not in UTF-8"),
    ],
)
def test_a_table_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """Nothing is written, and what was there stays."""
    target = tmp_path / "r.json"
    target.write_text("old")
    with pytest.raises(UsageError) as error:
        convert(table(tmp_path, text, "latin-1"), target, "csv", OVER)
    assert message in str(error.value)
    assert target.read_text() == "old" and sorted(os.listdir(tmp_path)) == ["r.json", "table.csv"]


def test_captions_that_are_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    refused(folder, "nothing to convert")
    noise(9, 9).save(folder / "a.png")
    refused(folder, f"1 files lack their companion: no text beside {folder / 'a.png'}")
    (folder / "a.txt").write_text(" \n")
    refused(folder, "a.txt: the caption is empty")
    (folder / "a.txt").write_bytes(b"Caf\xe9")
    refused(folder, "cannot read")
    (folder / "a.txt").write_text("A cup.")
    (folder / "b.txt").write_text("Lost.")
    refused(folder, f"no picture beside {folder / 'b.txt'}")
    (folder / "b.txt").unlink()
    noise(9, 9).save(folder / "a.jpg")
    refused(folder, "would share one caption")
    refused(folder / "a.png", "captions are a folder", kind="captions")


COCO: dict[str, Any] = {
    "info": {"year": 2017},
    "images": [{"id": 7, "file_name": "7.png"}, {"id": 8, "file_name": "8.png"}],
    "annotations": [
        {"id": 1, "image_id": 8, "caption": "A cup.\n"},
        {"id": 2, "image_id": 7, "caption": "A <image>."},
        {"id": 3, "image_id": 8, "caption": "A red cup."},
    ],
}


@pytest.mark.parametrize("indent", [None, 1])
def test_cocos_captions(tmp_path: Path, indent: int | None) -> None:
    """A record a caption, told by content; pictures that were not downloaded may be left out."""
    source, target = tmp_path / "captions", tmp_path / "r.json"
    source.write_text(json.dumps(COCO, indent=indent))
    assert convert(source, target, choices=Choices(prompt="What?")) == Count(3)
    wanted = Conversation.ask("What?", (Image(tmp_path / "7.png"),)).then_answer("A <image>.")
    first, second, third = read_records(target, tmp_path)
    assert [each.id for each in (first, second, third)] == ["1", "2", "3"] and second.conversation == wanted
    assert first.conversation.turns[1].text == "A cup."
    (tmp_path / "val").mkdir()
    noise(9, 9).save(tmp_path / "val" / "7.png")
    refused(source, "captions: annotation 1: there is no picture '8.png'", choices=Choices(tmp_path / "val"))
    some = Choices(tmp_path / "val", skip_missing=True, overwrite=True)
    assert convert(source, target, choices=some) == Count(1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": None}, "a list of objects as 'annotations'"),
        ({"images": [5]}, "a list of objects as 'images'"),
        ({"annotations": [{"id": 1, "image_id": 7, "bbox": []}]}, "annotation 1 has no caption"),
        ({"annotations": [{"id": 1, "image_id": 9, "caption": "A."}]}, "annotation 1 is about image_id 9"),
        ({"annotations": []}, "nothing to convert"),
    ],
)
def test_cocos_captions_that_are_wrong(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    source = tmp_path / "captions.json"
    source.write_text(json.dumps({**COCO, **changes}))
    refused(source, message)
    source.write_text(json.dumps(COCO)[:-1])
    refused(source, "not valid JSON in UTF-8")
    refused(tmp_path / "missing.json", "cannot read", kind="coco")


def refused(source: Path, message: str, **changes: Any) -> None:
    target = source.parent / "never" / "r.json"
    with pytest.raises(UsageError) as error:
        convert(source, target, **changes)
    assert message in str(error.value)
    assert not target.exists()


def test_records_that_are_no_records(tmp_path: Path) -> None:
    path, some = tmp_path / "a.jsonl", '{"id": 1, "conversations": []}'
    for text, message in (
        (f"{some}\n{{", ":2: not valid JSON"),
        (f"{some}\n5", ":2: expected an object"),
        (f'{some}\n{{"id": 1, "text": "?"}}', ":2: expected a record with 'conversations', found ['id', 'text']"),
    ):
        path.write_text(text)
        refused(path, message)
    path.write_text(some)
    refused(path, "keep their pictures' paths", choices=Choices(images=tmp_path))
    refused(path, "--merge is for the rows of a CSV", choices=Choices(merge=True))
    refused(tmp_path / "missing", "cannot read")


def test_targets(tmp_path: Path) -> None:
    path = table(tmp_path, TABLE)
    with pytest.raises(UsageError, match=r"written as \.json or \.jsonl"):
        convert(path, tmp_path / "r.csv")
    convert(path, tmp_path / "new" / "r.json")
    with pytest.raises(UsageError, match="exists already") as error:
        convert(path, tmp_path / "new" / "r.json")
    assert error.value.hint is not None and "--overwrite" in error.value.hint
    records = tmp_path / "new" / "r.json"
    before = records.read_text()
    convert(records, records, choices=OVER)
    assert records.read_text() == before
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match="no file"):
        convert(path, tmp_path / "folder.json", choices=OVER)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with fresh_file(target) as file:
        file.write(b"one")
        assert not target.exists()
    with pytest.raises(KeyboardInterrupt), fresh_file(target, overwrite=True) as file:
        file.write(b"two")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"one" and os.listdir(tmp_path) == ["a"]
    with pytest.raises(UsageError, match="cannot be written"), fresh_file(target / "below"):
        pass
