"""Files of answers in the shapes that tools write, and what is no such file."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.evaluate.predictions import read_answers, read_records
from pumice.evaluate.questions import Answer
from pumice.evaluate.scoring.matching import match

ROWS = [{"question_id": 7, "answer": "yes"}, {"question_id": 8, "answer": 'a "cat",\nor 猫'}]
SHAPES = {
    "list.json": json.dumps(ROWS),
    "pretty.json": json.dumps(ROWS, indent=2),
    "lines.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "crlf.jsonl": "".join(json.dumps(row) + "\r\n" for row in ROWS),
    "blank.jsonl": "\n\n".join(json.dumps(row) for row in ROWS),
    "joined.json": "".join(json.dumps(row) for row in ROWS),  # as the original's Q-Bench script writes it
    "bom.json": "\ufeff" + json.dumps(ROWS),
    "wrapped.json": json.dumps({"data": ROWS}),
    "mapping.json": json.dumps({row["question_id"]: row["answer"] for row in ROWS}),
    "renamed.json": json.dumps([{"questionId": str(row["question_id"]), "prediction": row["answer"]} for row in ROWS]),
    "logs.json": json.dumps({"args": {}, "logs": ROWS, "time": "1"}),  # lmms-eval's first versions
    "floats.jsonl": "".join(
        json.dumps({"question_id": number, "answer": row["answer"]}) + "\n"
        for number, row in zip((7.0, "8.0"), ROWS, strict=True)
    ),
    "named.json": json.dumps(
        [{"question_id": row["question_id"], "answer": "right", "model_answer": row["answer"]} for row in ROWS]
    ),
    "original.jsonl": "".join(
        json.dumps({"question_id": row["question_id"], "prompt": "?", "text": row["answer"], "answer_id": "x"}) + "\n"
        for row in ROWS
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_gives_the_same_answers(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SHAPES[name], encoding="utf-8", newline="")
    assert [(each.question_id, each.text) for each in read_answers(path)] == [("7", "yes"), ("8", 'a "cat",\nor 猫')]


SAMPLE = {"doc_id": 0, "doc": {"question_id": 7, "question": "Is it?", "answer": "no"}, "target": "no"}
METRIC = {"pope_accuracy": {"question_id": 7, "prediction": "yes it is"}, "input": "Is it?", "target": "no"}


@pytest.mark.parametrize(
    "row",
    [
        {**SAMPLE, "resps": [["Yes. It is"]], "filtered_resps": ["Yes"]},
        {**SAMPLE, "resps": [["Yes"]]},
        {**SAMPLE, "filtered_resps": "Yes", "resps": ["Yes"]},
        {**SAMPLE, "filtered_resps": ["Yes", "No"], "arguments": [["<image>Is it?", {"until": []}]]},
        {"doc_id": 0, **METRIC, "filtered_resps": ["Yes"]},
        {"doc_id": 0, **METRIC, "input": ["Is it?", {}], "filtered_resps": ["Yes"]},
    ],
)
def test_samples_of_lmms_eval(tmp_path: Path, row: dict[str, object]) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    (answer,) = read_answers(tmp_path / "x.jsonl")
    assert (answer.question_id, answer.text, answer.prompt) == ("7", "Yes", "Is it?")
    assert answer.meta["target"] == "no"


def test_a_sample_without_a_reply_is_an_empty_answer(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({**SAMPLE, "filtered_resps": []}) + "\n")
    assert [each.text for each in read_answers(tmp_path / "x.jsonl")] == [""]


def test_what_is_packed(tmp_path: Path) -> None:
    packed = gzip.compress(SHAPES["lines.jsonl"].encode())
    (tmp_path / "x.jsonl.gz").write_bytes(packed)
    assert [each.question_id for each in read_answers(tmp_path / "x.jsonl.gz")] == ["7", "8"]
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[:-9])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        read_answers(tmp_path / "cut.jsonl.gz")
    for start, said in ((b"PK\x03\x04...", "a ZIP archive"), (b"\x80\x04...", "a pickle")):
        (tmp_path / "upload.bin").write_bytes(start)
        with pytest.raises(UsageError, match=said):
            read_answers(tmp_path / "upload.bin")


def test_a_folder_of_parts_or_of_what_they_were_joined_to(tmp_path: Path) -> None:
    for part in range(12):
        (tmp_path / f"12_{part}.jsonl").write_text(json.dumps({"question_id": part, "text": "yes"}) + "\n")
    (tmp_path / ".12_0.jsonl.lock").touch()
    (tmp_path / ".hidden.jsonl").write_text("nothing")
    assert [each.question_id for each in read_answers(tmp_path)] == [str(part) for part in range(12)]
    (tmp_path / "merge.jsonl").write_text(json.dumps({"question_id": "all", "text": "yes"}) + "\n")
    assert [each.question_id for each in read_answers(tmp_path)] == ["all"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no files of answers"):
        read_answers(tmp_path / "empty")


def test_the_results_beside_lmms_eval_s_samples_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "2024_samples_pope.jsonl").write_text(json.dumps({**SAMPLE, "resps": "Yes"}) + "\n")
    (tmp_path / "2024_results.json").write_text(json.dumps({"results": {}}))
    assert [each.text for each in read_answers(tmp_path)] == ["Yes"]


@pytest.mark.parametrize(("name", "delimiter"), [("table.csv", ","), ("table.tsv", "\t")])
def test_tables(tmp_path: Path, name: str, delimiter: str) -> None:
    with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["question_id", "answer"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    assert [(each.question_id, each.text) for each in read_answers(tmp_path / name)] == [
        ("7", "yes"),
        ("8", 'a "cat",\nor 猫'),
    ]


def test_a_prediction_comes_before_the_right_answer_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"index": 3, "answer": "A", "prediction": "B", "image": "a.jpg"}]))
    (answer,) = read_answers(path)
    assert (answer.question_id, answer.text, answer.meta["answer"]) == ("3", "B", "A")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no answers"),
        ('{"question_id": 1, "text": "a"}\n{"question_id": 2, "te', "line 2"),
        ("[1, 2]", "row 1"),
        ('[{"question_id": 1}]', "row 1 has no answer"),
        ("yes\nno\n", "line 1 is no JSON"),
        ("[]", "no answers"),
    ],
)
def test_what_is_no_file_of_answers_names_its_place(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=said):
        read_answers(path)


def test_what_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UsageError, match="UTF-8"):
        read_answers(tmp_path / "bytes.json")
    with pytest.raises(UsageError, match="cannot read"):
        read_records(tmp_path / "absent.json")


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(0, 6), min_size=1, unique=True))
def test_no_answer_is_lost_uncounted(said: list[int], asked: list[int]) -> None:
    answers = [Answer(str(number), f"text {place}") for place, number in enumerate(said)]
    known = [str(number) for number in asked]
    if not set(said) & set(asked):
        with pytest.raises(UsageError, match="none of the"):
            match(known, answers, lambda answer: answer.question_id, "this")
        return
    matched = match(known, answers, lambda answer: answer.question_id, "this")
    found = {name: answer for name, answer in matched.pairs if answer is not None}
    assert [name for name, _ in matched.pairs] == known
    assert len(found) + matched.extra + matched.repeated == len(answers)
    assert len(found) + matched.missing == len(known)
    for name, answer in found.items():
        assert answer == [each for each in answers if each.question_id == name][-1]
    assert len(matched.notes()) == bool(matched.missing) + bool(matched.extra) + bool(matched.repeated)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"question_id": ' + "7" * 5000 + ', "answer": "x"}'])
def test_json_beyond_all_measure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="beyond all measure"):
        read_answers(path)
