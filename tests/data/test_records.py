"""LLaVA's JSON: what is read, and that every fault is named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.data.parsing import parse
from pumice.data.records import read_records
from pumice.data.rules import between_placeholders, escape
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Text, Turn

ROOM = Path("pictures")


def human(value: str) -> dict[str, str]:
    return {"from": "human", "value": value}


def gpt(value: str) -> dict[str, str]:
    return {"from": "gpt", "value": value}


GOOD: dict[str, Any] = {
    "id": "7",
    "image": "cats/7.jpg",
    "conversations": [human("<image>\nWhat is this?"), gpt("A cat.")],
}


def written(path: Path, records: list[Any]) -> Path:
    """As a list in ``.json``, as lines otherwise."""
    text = json.dumps(records) if path.suffix == ".json" else "\n".join(json.dumps(each) for each in records)
    path.write_text(text, encoding="utf-8")
    return path


def one(tmp_path: Path, **changes: Any) -> Conversation:
    return read_records(written(tmp_path / "r.json", [{**GOOD, **changes}]), ROOM)[0].conversation


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_both_files(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, [GOOD, {**GOOD, "id": 8}])
    first, second = read_records(path, ROOM)
    assert (first.id, second.id) == ("7", "8")
    wanted = Conversation.ask("What is this?", (Image(ROOM / "cats/7.jpg"),)).then_answer("A cat.")
    assert first.conversation == second.conversation == wanted
    assert first.where == (f"{path}:1 (record 1)" if name == "r.json" else f"{path}:1")


def test_what_lines_may_look_like(tmp_path: Path) -> None:
    """Empty lines, Windows line ends, a byte order mark, and separators that only Unicode takes for line ends."""
    path = tmp_path / "r.jsonl"
    said = {**GOOD, "conversations": [human("<image>\nRead\u2028this\x85!"), gpt("It says \u2029.")]}
    lines = ["", json.dumps(GOOD), "  ", json.dumps(said, ensure_ascii=False), ""]
    path.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    first, second = read_records(path, ROOM)
    assert (first.where, second.where) == (f"{path}:2", f"{path}:4")
    assert [turn.text for turn in second.conversation.turns] == ["Read\u2028this\x85!", "It says \u2029."]


def test_text_alone(tmp_path: Path) -> None:
    for changes in ({"image": None}, {"image": []}, {"image": ""}):
        made = one(tmp_path, **changes, conversations=[human("Hello?"), gpt("Hello.")])
        assert made == Conversation.ask("Hello?").then_answer("Hello.")


@pytest.mark.parametrize("value", ["<image>\nWhat?", "What?\n<image>", " <image> What? ", "<image>What?"])
def test_one_picture_goes_to_the_front(tmp_path: Path, value: str) -> None:
    assert one(tmp_path, conversations=[human(value), gpt("A.")]).turns[0].parts == (
        Image(ROOM / "cats/7.jpg"),
        Text("What?"),
    )


def test_a_picture_in_the_middle_of_words(tmp_path: Path) -> None:
    made = one(tmp_path, conversations=[human("Look at <image> and say."), gpt("A.")])
    assert made.turns[0].parts == (Image(ROOM / "cats/7.jpg"), Text("Look at  and say."))


def test_several_pictures_stay_where_they_are(tmp_path: Path) -> None:
    talk = [human("First <image>, then <image>\n<image> or?"), gpt("Yes, <image>."), human("And <image>?"), gpt("No.")]
    made = one(tmp_path, image=["a.png", "b.png", "c.png", "d.png"], conversations=talk)
    a, b, c, d = (Image(ROOM / f"{name}.png") for name in "abcd")
    assert made.turns == (
        Turn("user", (Text("First "), a, Text(", then "), b, c, Text(" or?"))),
        Turn("assistant", (Text("Yes, <image>."),)),
        Turn("user", (d, Text("And ?"))),
        Turn("assistant", (Text("No."),)),
    )


def test_a_leading_answer_is_dropped(tmp_path: Path) -> None:
    made = one(tmp_path, conversations=[gpt("Hi."), *GOOD["conversations"]])
    assert [turn.role for turn in made.turns] == ["user", "assistant"]


def test_other_names_of_the_roles(tmp_path: Path) -> None:
    talk = [{"from": "user", "value": "<image>?"}, {"from": "assistant", "value": "A."}]
    assert one(tmp_path, conversations=talk).turns[1].text == "A."


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([1], "must be a JSON object, found list"),
        ("cat", "must be a JSON object, found str"),
        ({**GOOD, "image": 5}, "'image' must be a path or a list of paths"),
        ({**GOOD, "image": ["a", 5]}, "'image' must be a path or a list of paths"),
        ({"id": "1"}, "'conversations' must be a list"),
        ({**GOOD, "conversations": []}, "'conversations' must be a list"),
        ({**GOOD, "conversations": "hello"}, "'conversations' must be a list"),
        ({**GOOD, "conversations": ["hello"]}, "a turn needs 'from'"),
        ({**GOOD, "conversations": [{"from": "system", "value": "x"}]}, "a turn needs 'from'"),
        ({**GOOD, "conversations": [{"from": ["human"], "value": "x"}]}, "a turn needs 'from'"),
        ({**GOOD, "conversations": [{"from": "human", "value": 3}]}, "a turn needs 'from'"),
        ({**GOOD, "conversations": [human("What?"), gpt("A.")]}, "0 <image> placeholders for 1 pictures"),
        ({**GOOD, "image": None}, "1 <image> placeholders for 0 pictures"),
        ({**GOOD, "conversations": [human("<image>?"), human("?"), gpt("A.")]}, "turn 2 must be the assistant's"),
        ({**GOOD, "conversations": [human("<image>?")]}, "no question is answered"),
        ({"conversations": [gpt("A.")]}, "no question is answered"),
    ],
)
def test_every_fault_is_named_with_its_place(tmp_path: Path, name: str, wrong: object, message: str) -> None:
    path = written(tmp_path / name, [GOOD, GOOD, wrong])
    with pytest.raises(UsageError) as error:
        read_records(path, ROOM)
    place = f"{path}:1 (record 3): " if name == "r.json" else f"{path}:3: "
    assert str(error.value).startswith(place)
    assert message in str(error.value) and " at 0x" not in str(error.value)


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_broken_json_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    good = json.dumps(GOOD)
    path.write_text(f"[{good},\n{good},\n{{oops]" if name == "r.json" else f"{good}\n{good}\n{{oops")
    with pytest.raises(UsageError, match="not valid JSON: Expecting property name") as error:
        read_records(path, ROOM)
    assert str(error.value).startswith(f"{path}:3")


@pytest.mark.parametrize("content", [b"", b"[]", b"\n \n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no records") as error:
        read_records(path, ROOM)
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("missing.json", "."):
        with pytest.raises(UsageError, match="cannot read"):
            read_records(tmp_path / name, ROOM)


@pytest.mark.parametrize("text", ['[{"id": "ü"}]', '{"id": "ü"}'])
def test_another_encoding(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"r\.json:1.*not UTF-8: byte 0xfc"):
        read_records(path, ROOM)
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(UsageError, match=r"r\.json:1: the file is in UTF-16"):
        read_records(path, ROOM)


def test_space_around_words_without_a_picture_stays(tmp_path: Path) -> None:
    """As in the reference, which tidies only the sentence that holds the picture."""
    talk = [human("<image>\n What? "), gpt("A."), human(" And then?\n"), gpt("B.")]
    made = one(tmp_path, conversations=talk)
    assert [turn.text for turn in made.turns] == ["What?", "A.", " And then?\n", "B."]


@pytest.mark.parametrize("value", ["<image>\nWhat is \\<image> in HTML?", "What is \\<image> in HTML?<image>"])
def test_a_placeholder_that_is_meant_as_text(tmp_path: Path, value: str) -> None:
    made = one(tmp_path, conversations=[human(value), gpt("A \\<image> tag.")])
    assert made.turns[0].parts == (Image(ROOM / "cats/7.jpg"), Text("What is <image> in HTML?"))
    assert made.turns[1].text == "A \\<image> tag."


@given(st.text(alphabet="\\<image> a", max_size=40) | st.text(max_size=40))
def test_escaping(words: str) -> None:
    assert between_placeholders(escape(words)) == [words]
    assert between_placeholders(f"<image>\n{escape(words)}") == ["", f"\n{words}"]


def test_lines_of_a_list_that_is_laid_out(tmp_path: Path) -> None:
    """Each record's first line, also where records are larger than what is read at once."""
    long = {**GOOD, "conversations": [human("<image>\nWhat?"), gpt("word " * 300_000)]}
    path = tmp_path / "r.json"
    path.write_text("\n" + json.dumps([GOOD, long, long, GOOD], indent=2))
    lines = path.read_text().split("\n")
    places = [number for number, line in enumerate(lines, start=1) if line == "  {"]
    assert [record.where for record in read_records(path, ROOM)] == [
        f"{path}:{line} (record {number})" for number, line in enumerate(places, start=1)
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[GOOD,\nGOOD,\n]", [3]),
        ("[GOOD\nGOOD]", [2]),
        ("[GOOD,\nGOOD", [2]),
        ("[GOOD]\nrest", [2]),
        ("[oops, GOOD,\nGOOD, {'a': 1},\nGOOD]", [1, 2]),
        ('[GOOD,\n{"id": "7", "conversations": [{"from": "human"},\nGOOD,\nGOOD]', [4]),
        ("[GOOD, oops", [1]),
        ("[" + "[" * 100_000, [1]),
    ],
)
def test_a_list_that_is_broken(tmp_path: Path, text: str, lines: list[int]) -> None:
    """Every fault at its line, and all the records around it."""
    path = tmp_path / "r.json"
    path.write_text(text.replace("GOOD", json.dumps(GOOD)))
    found = list(parse(path))
    assert [raw.line for raw in found if raw.faults] == lines
    assert all(fault.kind == "bad-json" for raw in found for fault in raw.faults)
    assert [raw.value for raw in found if not raw.faults] == [GOOD] * text.count("GOOD")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUES, min_size=1, max_size=6), indent=st.sampled_from([None, 0, 2]), plain=st.booleans())
def test_the_parser_agrees_with_json(tmp_path: Path, values: list[Any], indent: int | None, plain: bool) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=plain), "utf-8", "surrogatepass", newline="\n")
    assert [raw.value for raw in parse(path)] == values
    assert [raw.number for raw in parse(path)] == [*range(1, len(values) + 1)]
