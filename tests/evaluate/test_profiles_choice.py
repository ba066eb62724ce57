"""Answers and verdicts that the field's tools read differently: letters of a multiple choice, marks of a judge.

Each expectation is what the tool itself gives (reference/training.md, section 6, and the tools' own code), for the
profiles in the order official, llava, lmms-eval, vlmevalkit.
"""

from __future__ import annotations

import pytest

from pumice.errors import UsageError
from pumice.evaluate.scoring.letters import mmbench_letter, qbench_letter, seed_letter
from pumice.evaluate.scoring.marks import grade, review_pair
from pumice.evaluate.task import PROFILES

CUP = {"A": "a red cup", "B": "a dog", "C": "bananas"}
NUMBERS = {"A": "One", "B": "Two", "C": "Three", "D": "Four"}
BLUR = {"A": "Blurry", "B": "A little blurry", "C": "Sharp"}

MMBENCH = [
    ("b", None, "B", None, None),
    ("(B)", "B", None, "B", "B"),
    ("[B]", None, None, None, "B"),
    ("**B**", None, None, None, "B"),
    ("B) a dog", "B", None, "B", "B"),
    ("the answer is b.", None, "B", None, None),
    ("I would say B", "B", None, "B", "B"),
    ("dog", None, "B", None, None),  # a part of an option's text, not the other way round
    ("ban", None, "C", None, None),
    ("B because the animal that you see has four legs", "B", None, "B", None),  # a letter far from the end
    ("B, not C", "C", None, "C", None),
    ("E", "E", None, "E", None),  # a letter that the question does not have
    ("Z", None, None, None, "Z"),
    ("Cannot determine the answer", None, None, None, "Z"),
    ("I see bananas (C).", "C", None, "C", "C"),
    ("Here are some bananas, a big bunch of them, on a table in front of a window", "C", None, "C", None),  # too long
]
# lmms-eval's data call an option that does not exist "nan", which is a part of "bananas".
NAN = ("These are bananas", "C", None, None, "C")
SEED = [
    ("B.", None, None, "B", "B"),
    ("B. Two", None, None, "B", "B"),
    (" B", None, None, "B", "B"),
    ("Because two", None, None, "B", "B"),
    ("Two", None, None, None, "B"),
    ("(B)", None, None, None, "B"),
    ("The answer is B", None, None, None, "B"),
    ("C or D", None, None, "C", None),
]
QBENCH = [
    ("Blurry", "A", "A", None, "A"),
    ("A little blurry", "B", "B", "A", "A"),
    ("It is (A), or maybe (C)", None, None, "C", None),
    ("The image is sharp", "C", "C", None, "C"),
    ("A or C", "A", "A", "C", None),
    ("A. B.", "A", "A", "B", None),
    ("B因为", "B", "B", None, None),
]
REVIEWS = [
    ("8/10 7/10", (8, 7), None, (8, 10), None),
    ("8; 7", (8, 7), None, (8, 7), None),
    ("8, 7", (8, 7), None, (8, 7), None),
    ("8  7", (8, 7), None, (8, 7), None),
    ("\n8 7", (8, 7), None, (8, 7), None),
    ("8 7 ", (8, 7), None, (8, 7), None),
    ("**8 7**\nBoth", (8, 7), None, (8, 7), None),
    ("Assistant 1: 8 Assistant 2: 7", (8, 7), None, (1, 8), None),
    ("Assistant 1: 8\nAssistant 2: 7", (8, 7), None, (1, 8), None),
    ("11 7", None, (11, 7), (11, 7), (11, 7)),
    ("-1 7", None, (-1, 7), (-1, 7), (-1, 7)),
]
GRADES = [
    (" 0.5", 0.5, None, 0.5, 0.5),
    ("0.5 because", 0.5, 0.5, 0.5, None),
    ("0.5.", 0.5, None, None, None),
    ("**0.5**", 0.5, None, None, None),
    ("0.", None, 0.0, 0.0, 0.0),  # what three tokens may leave of "0.5"
]


@pytest.mark.parametrize("row", MMBENCH, ids=lambda row: row[0])
def test_letters_of_mmbench(row):
    answer, *expected = row
    options = {**CUP, "D": "a tree"}
    assert [mmbench_letter(answer, options, profile) for profile in PROFILES] == expected
    assert len(set(expected)) > 1


def test_an_option_that_is_not_there_has_a_name_for_lmms_eval():
    answer, *expected = NAN
    assert [mmbench_letter(answer, CUP, profile) for profile in PROFILES] == expected


@pytest.mark.parametrize("row", SEED, ids=lambda row: row[0])
def test_letters_of_seed_bench(row):
    answer, *expected = row
    assert [seed_letter(answer, NUMBERS, profile) for profile in PROFILES] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("row", QBENCH, ids=lambda row: row[0])
def test_letters_of_q_bench(row):
    answer, *expected = row
    assert [qbench_letter(answer, BLUR, profile) for profile in PROFILES] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("row", REVIEWS, ids=lambda row: repr(row[0]))
def test_pairs_of_marks_in_reviews(row):
    content, *expected = row
    assert [review_pair(content, profile) for profile in PROFILES] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("row", GRADES, ids=lambda row: repr(row[0]))
def test_grades(row):
    content, *expected = row
    assert [grade(content, profile) for profile in PROFILES] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("letter", "ABC")
def test_all_agree_on_a_bare_letter(letter):
    for read in (mmbench_letter, seed_letter, qbench_letter):
        assert {read(letter, CUP, profile) for profile in PROFILES} == {letter}


@pytest.mark.parametrize("content", ["8 7\nGood.", "8,7", "10 9.5"])
def test_all_agree_on_reviews_as_they_were_asked_for(content):
    assert len({review_pair(content, profile) for profile in PROFILES} - {None}) == 1


@pytest.mark.parametrize("content", ["", "Sorry, I cannot do that.", "8 seven", "half", "1.5"])
def test_nobody_reads_marks_where_there_are_none(content):
    assert {grade(content, profile) for profile in PROFILES} == {None}
    assert {review_pair(content, profile) for profile in PROFILES} == {None}


def test_a_profile_that_nobody_has_is_refused():
    with pytest.raises(UsageError, match="mine"):
        seed_letter("A", NUMBERS, "mine")
