"""Controls change the pictures and nothing else; a limit takes whole pictures, and more of them never fewer."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.evaluate.controls import controlled
from pumice.evaluate.questions import Question
from pumice.evaluate.runner import digest, limited
from pumice.prompts.conversation import Conversation, Image


def _question(number: int, picture: str, category: str = "") -> Question:
    images = (Image(f"{picture}.jpg"),) if picture else ()
    return Question(
        str(number), Conversation.ask(f"What is {number}?", images), picture or f"none {number}", (), category
    )


QUESTIONS = st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.sampled_from(["", "x", "y"])), max_size=40).map(
    lambda drawn: [_question(number, *each) for number, each in enumerate(drawn)]
)


def _sources(question: Question) -> list[object]:
    return [image.source for image in question.conversation.images()]


@given(QUESTIONS)
def test_blind_questions_keep_all_but_their_pictures(questions: list[Question]) -> None:
    blind = controlled(questions, "blind")
    assert not any(_sources(each) for each in blind)
    assert digest(blind) == digest(questions)
    assert [each.category for each in blind] == [each.category for each in questions]


@given(QUESTIONS)
def test_shuffled_pictures_are_all_there_and_none_in_its_place(questions: list[Question]) -> None:
    own = {each.image_key: _sources(each) for each in questions if _sources(each)}
    if len(own) < 2:
        with pytest.raises(UsageError, match="two pictures or more"):
            controlled(questions, "shuffled")
        return
    shuffled = controlled(questions, "shuffled")
    assert digest(shuffled) == digest(questions)
    given_now = {each.image_key: _sources(each) for each in shuffled if each.image_key in own}
    assert all(given_now[key] != own[key] for key in own)
    assert sorted(map(str, given_now.values())) == sorted(map(str, own.values()))
    assert all(given_now[each.image_key] == _sources(each) for each in shuffled if each.image_key in own)
    assert not any(_sources(each) for each in shuffled if each.image_key not in own)
    assert controlled(questions[::-1], "shuffled") == shuffled[::-1]


@given(QUESTIONS, st.integers(1, 50))
def test_a_limit_takes_whole_pictures(questions: list[Question], limit: int) -> None:
    chosen = limited(questions, limit)
    keys = {each.image_key for each in chosen}
    assert chosen == [each for each in questions if each.image_key in keys]
    largest = max(Counter(each.image_key for each in questions).values(), default=0)
    assert min(limit, len(questions)) <= len(chosen) < limit + max(largest, 1)


@given(QUESTIONS, st.integers(1, 50), st.integers(0, 20))
def test_a_larger_limit_asks_more_and_the_same(questions: list[Question], limit: int, more: int) -> None:
    assert {each.id for each in limited(questions, limit)} <= {each.id for each in limited(questions, limit + more)}


def test_a_limit_leaves_no_category_out() -> None:
    questions = [
        _question(n, f"{category}{n // 2}", category)
        for category in "stuvw"
        for n in range(40 if category < "w" else 4)
    ]
    found = Counter(each.category for each in limited(questions, 48))
    assert found.keys() == set("stuvw")
    assert all(10 <= found[category] <= 14 for category in "stuv")
    assert limited(questions, None) == questions


def test_a_picture_of_several_turns_is_exchanged_in_its_place() -> None:
    talk = Conversation.ask("First?", (Image("a.jpg"), Image("b.jpg"))).then_answer("Yes").then_ask("Second?")
    two, one = Question("1", talk, "two"), _question(2, "c")
    shuffled = controlled([two, one], "shuffled")
    assert _sources(shuffled[0]) == ["c.jpg"]
    assert _sources(shuffled[1]) == ["a.jpg"]
    assert [turn.text for turn in shuffled[0].conversation.turns] == ["First?", "Yes", "Second?"]
