"""Answers on disk: whole lines or none, in the questions' order, and only what is missing is asked again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import PumiceError, UsageError
from pumice.evaluate.answers_file import AnswersFile, key_of
from pumice.evaluate.questions import Question
from pumice.prompts.conversation import Conversation

# Ids and prompts that repeat, and what JSON has to escape.
DRAWN = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "code/1.png"]), st.sampled_from(["Is it?", "Was\nit?", "它 是?", "\ud800\u2028"])
    ),
    max_size=12,
)


def _questions(drawn: list[tuple[str, str]]) -> list[Question]:
    return [Question(name, Conversation.ask(prompt), "p", id_is_number=name.isdigit()) for name, prompt in drawn]


def _answered(path: Path, questions: list[Question], texts: list[str]) -> None:
    with AnswersFile(path).opened() as file:
        for question, text in zip(questions, texts, strict=True):
            file.add(question, text, "model")


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_the_original_s_format(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    _answered(path, _questions([("7", "Is it?"), ("code/1.png", "它?")]), ["Yes", "不"])
    first, second = _lines(path)
    assert {**first, "answer_id": ""} == {
        **{"question_id": 7, "prompt": "Is it?", "text": "Yes", "answer_id": ""},
        **{"model_id": "model", "metadata": {}},
    }
    assert second["question_id"] == "code/1.png"
    assert first["answer_id"] != second["answer_id"]
    assert "它".encode() in path.read_bytes()


@given(DRAWN, st.data())
@settings(max_examples=40, deadline=None)
def test_cut_anywhere_it_goes_on(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str]], data: st.DataObject
) -> None:
    """A process that is killed leaves a part of its last line."""
    path = tmp_path_factory.mktemp("cut") / "answers.jsonl"
    questions = _questions(drawn)
    _answered(path, questions, [str(n) for n in range(len(questions))])
    content = path.read_bytes() if questions else b""
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    with AnswersFile(path).opened() as file:
        pending = file.pending(questions)
        assert len(pending) == len(questions) - whole
        for question in pending:
            file.add(question, "again", "model")
        file.arrange(questions)
        assert not file.pending(questions)
    lines = _lines(path)
    assert [(str(line["question_id"]), line["prompt"]) for line in lines] == [key_of(each) for each in questions]
    assert sum(line["text"] == "again" for line in lines) == len(questions) - whole


@given(st.permutations(range(8)), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_parts_are_joined_in_the_order_of_the_questions(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    questions = _questions([(str(n), "Is it?") for n in range(8)])
    mixed = [questions[n] for n in order]
    for part, some in enumerate((mixed[:cut], mixed[cut:])):
        _answered(folder / f"{part}.jsonl", some, [each.id for each in some])
    parts = [AnswersFile(folder / f"{part}.jsonl") for part in range(2)]
    for each in parts:
        each.read()
    _answered(folder / "all.jsonl", [questions[3]], ["second answer"])
    merged = AnswersFile(folder / "all.jsonl")
    for _ in range(2):
        merged.write(parts, questions[:6])
        texts = [line["text"] for line in _lines(folder / "all.jsonl")]
        assert texts[:6] == ["0", "1", "2", "second answer", "4", "5"]
        assert sorted(map(str, texts[6:])) == ["6", "7"]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    for content in ("[1, 2]\n", '{"question_id": 1}\n', "words\n", "3\n"):
        path.write_text(content)
        with pytest.raises(UsageError, match="line 1 was not written by"), AnswersFile(path).opened():
            pass
        assert path.read_text() == content
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="cannot be read"), AnswersFile(path).opened():
        pass


WRITER = """
from pathlib import Path
from pumice.evaluate.answers_file import AnswersFile
with AnswersFile(Path({!r})).opened():
    pass
"""


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    words = [sys.executable, "-c", WRITER.format(str(path))]
    with AnswersFile(path).opened():
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "another process is writing" in done.stderr
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not done.stderr
    assert not [each for each in tmp_path.iterdir() if each.name.endswith(".lock")]


def test_a_disk_that_refuses_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with AnswersFile(path).opened() as file:
        path.mkdir()
        with pytest.raises(PumiceError, match="cannot be written") as caught:
            file.add(_questions([("1", "Is it?")])[0], "Yes", "model")
    assert caught.value.hint is not None
    assert "run the same command again" in caught.value.hint
    path.rmdir()
    path.touch()
    with pytest.raises(UsageError, match="cannot be written"), AnswersFile(path / "answers.jsonl").opened():
        pass
