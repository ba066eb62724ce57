"""Conversations taken apart: nothing is lost or said twice, and what builds on something stays behind it."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.cli.main import main
from pumice.data.apart import apart
from pumice.data.rules import broken


def record(*questions: str, image: object = "a.png", **more: object) -> dict[str, object]:
    turns = []
    for number, question in enumerate(questions):
        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": f"Answer {number}."}]
    return {"id": "7", **({"image": image} if image else {}), **more, "conversations": turns}


def asked(found: dict[str, Any]) -> list[str]:
    return [turn["value"] for turn in found["conversations"] if turn["from"] == "human"]


def test_each_question_with_the_picture_in_front() -> None:
    parts = list(
        apart(record("<image>\nHow many dogs are there?", "What colour is the cat?", "Is there a tree?", source="x"))
    )
    assert [part["id"] for part in parts] == ["7.1", "7.2", "7.3"]
    assert [asked(part) for part in parts] == [
        ["<image>\nHow many dogs are there?"],
        ["<image>\nWhat colour is the cat?"],
        ["<image>\nIs there a tree?"],
    ]
    assert [part["conversations"][1]["value"] for part in parts] == ["Answer 0.", "Answer 1.", "Answer 2."]  # type: ignore[index]
    assert all(part["image"] == "a.png" and part["source"] == "x" for part in parts)


@pytest.mark.parametrize(
    "question",
    [
        "What is he doing?",
        "Are they sitting?",
        "What else is there?",
        "Why?",
        "And the dog?",
        "What about the cat?",
        "What is on top of that?",
        "Does this happen often?",
        "Which other animals are there?",
        "How many of those are red?",
    ],
)
def test_what_looks_back_stays_behind(question: str) -> None:
    first, second = apart(record("What is the man holding?\n<image>", question, "Is there a tree?"))
    assert asked(first) == ["What is the man holding?\n<image>", question]
    assert asked(second) == ["<image>\nIs there a tree?"]


@pytest.mark.parametrize(
    "question",
    [
        "What is in this picture?",
        "Is it true that the dog is brown?",
        "Count the dice and add them up.",
        "Is there a chair that you could sit on?",
        "How many dice are there, and what do they add up to?",
        "Is there more than one cup?",
        "If the boy fell, would he be hurt?",
    ],
)
def test_what_only_seems_to(question: str) -> None:
    _, second = apart(record("<image>\nWhat is the man holding?", question))
    assert asked(second) == [f"<image>\n{question}"]


@pytest.mark.parametrize(
    "whole",
    [
        record("Where is Rome?", "How large is Rome?", image=None),
        record("<image>\nWhat is in the picture?"),
        record("<image>\nWhat is here?", "<image>\nWhat is here?", image=["a.png", "b.png"]),
        record("<image>\nNo picture is named.", "Is there a tree?", image=None),
        {"id": "1", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nAnyone?"}]},
    ],
)
def test_what_stays_whole(whole: dict[str, object]) -> None:
    assert list(apart(whole)) == [whole]


def test_two_pictures_in_the_first_question_stand_before_all() -> None:
    two = record("<image>\n<image>\nWhich dog is larger?", "Which cup is red?", image=["a.png", "b.png"])
    _, second = apart(two)
    assert asked(second) == ["<image>\n<image>\nWhich cup is red?"] and second["image"] == ["a.png", "b.png"]


WORDS = st.text(alphabet="\\<image> it?.,ad\n", max_size=15)


@settings(deadline=None)
@given(questions=st.lists(WORDS, min_size=1, max_size=6))
def test_nothing_is_lost(questions: list[str]) -> None:
    """Whatever the words: the parts can be read, and together say what the whole said."""
    whole = record(f"<image>\n{questions[0]}", *questions[1:])
    parts = list(apart(whole))
    if next(broken(whole), None):
        assert parts == [whole]
        return
    assert not any(list(broken(part)) for part in parts)
    again = list(chain.from_iterable(asked(part) for part in parts))
    assert [each.removeprefix("<image>\n") for each in again] == [
        each.removeprefix("<image>\n") for each in asked(whole)
    ]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "r.json", tmp_path / "singles.jsonl"
    source.write_text(json.dumps([record("<image>\nHow many?", "Which colour?"), record("<image>\nWhere?")]))
    assert main(["data", "convert", str(source), str(target), "--apart"]) == 0
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert [each["id"] for each in found] == ["7.1", "7.2", "7"] and "3 records" in capsys.readouterr().err
    table = tmp_path / "t.csv"
    table.write_text("image,question,answer\n,a?,b\n")
    assert main(["data", "convert", str(table), str(tmp_path / "x.json"), "--apart"]) == 2
    assert "--apart is for LLaVA's records" in capsys.readouterr().err
