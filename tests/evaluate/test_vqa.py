"""Soft accuracy against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.evaluate.scoring.vqa import soft_accuracy, vqav2_accuracy

WORDS = st.sampled_from(["yes", "no", "cat", "dog"])


@pytest.mark.parametrize(("matches", "worth"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_how_many_people_an_answer_needs(matches: int, worth: float) -> None:
    assert soft_accuracy("cat", ["cat"] * matches + ["dog"] * (10 - matches)) == pytest.approx(worth)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=12))
def test_it_is_the_mean_over_leaving_each_person_out(answer: str, people: list[str]) -> None:
    parts = []
    for place in range(len(people)):
        others = people[:place] + people[place + 1 :]
        parts.append(min(1.0, sum(each == answer for each in others) / 3))
    assert soft_accuracy(answer, people) == pytest.approx(sum(parts) / len(parts))


def test_without_references_nothing_is_right() -> None:
    assert soft_accuracy("", []) == 0.0


@given(WORDS, st.lists(WORDS, min_size=10, max_size=10))
def test_small_words_are_worth_the_same_in_every_profile(answer: str, people: list[str]) -> None:
    assert len({vqav2_accuracy(answer, people, profile) for profile in ("official", "llava", "lmms-eval")}) == 1
