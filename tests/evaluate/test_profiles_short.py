"""Answers that the field's tools score differently: short answers, yes and no, ScienceQA's letters.

Each expectation is what the tool itself gives (reference/training.md, section 6, and the tools' own code), for the
profiles in the order official, llava, lmms-eval, vlmevalkit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pumice.evaluate.scoring.choice import gqa_right, scienceqa_choice
from pumice.evaluate.scoring.vqa import textvqa_accuracy, vizwiz_accuracy, vqav2_accuracy
from pumice.evaluate.scoring.yes_no import mme_label, pope_label
from pumice.evaluate.task import PROFILES, Profile

TEN_YES, TEN_CAT = ["yes"] * 10, ["cat"] * 10
NINE_CAT = ["cat"] * 9 + ["dog"]
CHOICES = ["dog", "cat", "bird"]

POPE = [
    # answer, official, llava, lmms-eval, vlmevalkit
    ("Yes, there is", "yes", "yes", "other", "yes"),
    ("There is none", "yes", "yes", "other", "other"),
    ("NO.", "yes", "yes", "other", "no"),
    ("No.", "no", "no", "other", "no"),
    ("No", "no", "no", "no", "no"),
    ("no dog is there", "no", "no", "other", "no"),
    ("It is not there", "no", "no", "other", "other"),
    ("Yes. There is no cat", "yes", "yes", "other", "other"),
    ("Yes\n", "yes", "yes", "yes", "yes"),
    ("no-one", "yes", "yes", "other", "no"),
    ("", "yes", "yes", "other", "other"),
]
MME = [
    ("know", "no", "no", "no", "other"),
    ("eyes", "yes", "yes", "yes", "other"),
    ("Y", "other", "other", "yes", "other"),
    ("n.", "other", "other", "no", "other"),
    (". yes", "other", "other", "yes", "yes"),
    ("The answer is yes", "other", "other", "other", "yes"),
    ("    no", "other", "other", "no", "no"),
    ("yes and no", "yes", "yes", "yes", "other"),
    ("n.o", "other", "other", "no", "no"),
    ("Nope", "no", "no", "no", "other"),
]
GQA = [
    # answer, truth, then whether it is right
    ("t-shirt", "tshirt", False, False, True, False),
    ("2-3", "23", False, False, True, False),
    ("Yes", "yes", False, True, True, True),
    ("yes.", "yes", False, True, True, False),
    ("yes!", "yes", False, False, True, False),
    (" yes", "yes", False, False, False, True),
    ("Left...", "left", False, True, True, False),
    ("left side", "left side", True, True, True, True),
]
SCIENCEQA = [
    ("B", None, 1, 1, 1),
    ("b", None, None, 1, None),
    (" B", None, None, 1, 1),
    ("B. cat", None, 1, 1, 1),
    ("B.", None, None, 1, 1),
    ("B) cat", None, None, None, 1),
    ("(B)", None, None, None, 1),
    ("The answer is B.", 1, 1, None, 1),
    ("The answer is B. The answer is C.", None, None, None, None),
    ("cat", None, None, None, 1),
    ("D", None, None, None, None),
    ("C.bird", None, None, 2, 2),
]
VQAV2 = [
    # answer, people, then the accuracy; VLMEvalKit has no VQAv2
    ("Yes", TEN_YES, 0.0, 1.0, 1.0),
    ("the cat", TEN_CAT, 0.0, 1.0, 1.0),
    ("the cat", NINE_CAT, 1.0, 1.0, 1.0),
    ("cat.", TEN_CAT, 0.0, 1.0, 1.0),
    ("dog", NINE_CAT, 0.3, 0.3, 0.3),
    ("dog's", ["dog's"] * 9 + ["cat"], 1.0, 0.0, 1.0),
    ("cat", ["Cat"] * 10, 0.0, 0.0, 1.0),
    ("two", ["2"] * 10, 0.0, 1.0, 1.0),
    ("1,000", ["1,000"] * 10, 1.0, 0.0, 1.0),
]
VIZWIZ = [
    ("Unanswerable", ["unanswerable"] * 10, 1.0, 1.0, 1.0, 1.0),
    ("dog's toy", ["dog's toy"] * 10, 1.0, 0.0, 1.0, 1.0),
    ("Coke", ["Coke"] * 10, 0.0, 0.0, 1.0, 1.0),
    ("the can", ["the can"] * 10, 0.0, 0.0, 1.0, 1.0),
    ("2.", ["2"] * 10, 1.0, 1.0, 1.0, 0.0),
]
TEXTVQA = [
    ("2.", ["2"] * 10, 1.0, 1.0, 1.0, 0.0),
    ("1. cat", ["1 cat"] * 10, 1.0, 1.0, 1.0, 0.0),
    ("yes,it is", ["yesit is"] * 10, 1.0, 1.0, 1.0, 0.0),
    ("yes,it is", ["yes it is"] * 10, 0.0, 0.0, 0.0, 1.0),
    ("1,000-2,000", ["1000 2000"] * 10, 1.0, 1.0, 1.0, 0.0),
    ("what's", ["what 's"] * 10, 1.0, 1.0, 1.0, 0.0),
]


@pytest.mark.parametrize("vector", POPE, ids=lambda vector: repr(vector[0]))
def test_pope(vector: tuple[str, ...]) -> None:
    answer, *expected = vector
    assert [pope_label(answer, profile) for profile in PROFILES] == expected


@pytest.mark.parametrize("vector", MME, ids=lambda vector: repr(vector[0]))
def test_mme(vector: tuple[str, ...]) -> None:
    answer, *expected = vector
    assert [mme_label(answer, profile) for profile in PROFILES] == expected


@pytest.mark.parametrize(("answer", "truth", "official", "llava", "lmms", "vlm"), GQA)
def test_gqa(answer: str, truth: str, official: bool, llava: bool, lmms: bool, vlm: bool) -> None:
    assert [gqa_right(answer, truth, profile) for profile in PROFILES] == [official, llava, lmms, vlm]


@pytest.mark.parametrize("vector", SCIENCEQA, ids=lambda vector: repr(vector[0]))
def test_scienceqa(vector: tuple[str, int | None, int | None, int | None, int | None]) -> None:
    answer, *expected = vector
    assert [scienceqa_choice(answer, CHOICES, profile) for profile in PROFILES] == expected


Measure = Callable[[str, Sequence[str], Profile], float]
SOFT = [
    *((vqav2_accuracy, answer, people, expected) for answer, people, *expected in VQAV2),
    *((vizwiz_accuracy, answer, people, expected) for answer, people, *expected in VIZWIZ),
    *((textvqa_accuracy, answer, people, expected) for answer, people, *expected in TEXTVQA),
]


@pytest.mark.parametrize(("measure", "answer", "people", "expected"), SOFT)
def test_soft_accuracy(measure: Measure, answer: str, people: Sequence[str], expected: Sequence[float]) -> None:
    found = [measure(answer, people, profile) for profile in PROFILES[: len(expected)]]
    assert found == pytest.approx(expected)


def test_at_least_forty_vectors_tell_profiles_apart() -> None:
    expectations = [vector[1:] for vector in (*POPE, *MME, *SCIENCEQA)] + [vector[2:] for vector in GQA]
    expectations += [expected for *_, expected in SOFT]
    assert sum(len(set(each)) > 1 for each in expectations) >= 40
