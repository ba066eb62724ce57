"""The normalisers against vectors that the tools themselves gave, and against what was really uploaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.evaluate.scoring.normalise import m4c, official, vlmevalkit

# The tools' own answers (reference/training.md, section 6): text, VQA, M4C, VLMEvalKit.
VECTORS = [
    ("2.", "2", "2", "2."),
    ("1,000-2,000", "10002000", "1000 2000", "10002000"),
    ("what's", "what's", "what 's", "what's"),
    ("The dog's toy", "dog's toy", "dog 's toy", "dog's toy"),
    ("Yes,it is", "yes it is", "yesit is", "yes it is"),
    ("1. cat", "1 cat", "1 cat", "1. cat"),
    ("2,5", "25", "25", "25"),
    ("none", "0", "0", "0"),
    ("Im", "im", "im", "im"),
    (".5", ".5", ".5", ".5"),
    ("no.1", "no.1", "no.1", "no.1"),
    ("a", "", "", ""),
    ("the", "", "", ""),
    ("dont", "don't", "don't", "don't"),
    ("youdve", "youdve", "youdve", "youdve"),
    ("you'dve", "you'd've", "you'd've", "you'd've"),
    ("ten, or  two", "10 or 2", "10 or 2", "10 or 2"),
    ("red\nand\tblue ", "red and blue", "red and blue", "red and blue"),
]


@pytest.mark.parametrize(("text", "vqa", "m4c_", "vlm"), VECTORS)
def test_each_tool_normalises_in_its_own_way(text: str, vqa: str, m4c_: str, vlm: str) -> None:
    assert (official(text), m4c(text), vlmevalkit(text)) == (vqa, m4c_, vlm)


def test_only_the_first_32_periods_go() -> None:
    assert official("x." * 40) == "x" * 32 + "x." * 8


def test_a_mark_beside_a_space_anywhere_goes_everywhere() -> None:
    assert official("a-b - c-d") == "ab cd"
    assert official("a-b c-d") == "b c d"  # "a" alone is an article


def test_what_the_original_uploaded_for_vizwiz(published: Path) -> None:
    answers = [json.loads(line) for line in (published / "vizwiz/answers-first400.jsonl").read_text().splitlines()]
    uploaded = json.loads((published / "vizwiz/uploaded-first400.json").read_text())
    assert [m4c(each["text"]) for each in answers] == [each["answer"] for each in uploaded]
    assert len(uploaded) == 400


@given(st.text(alphabet="abcdefgh ", max_size=30))
def test_plain_words_are_the_same_for_all(text: str) -> None:
    assert official(text) == m4c(text) == vlmevalkit(text)


@given(st.text(max_size=40))
def test_no_text_breaks_a_normaliser_and_space_never_stands_twice(text: str) -> None:
    for result in (official(text), m4c(text), vlmevalkit(text)):
        assert result == " ".join(result.split())
