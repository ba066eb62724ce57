"""Replies of teachers: read through harmless noise, refused where something is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.datagen.parsing import DETAIL_QUESTIONS, parse
from pumice.datagen.samples import KINDS, Draft, Exchange, Kind, Rejection

PAIRED: tuple[Kind, ...] = ("conversation", "negatives", "counting", "position")
PAIRS = (Exchange("What is this?", "A dog.\n\nIt sleeps."), Exchange("Is it old?", "Yes, it is."))
PLAIN = (
    "Question:\nWhat is this?\n===\nAnswer:\nA dog.\n\nIt sleeps.\n===\n"
    "Question:\nIs it old?\n===\nAnswer:\nYes, it is.\n===\n"
)


def rendered(exchanges: tuple[Exchange, ...]) -> str:
    """As the teacher is asked to write them."""
    return "".join(f"Question:\n{each.question}\n===\nAnswer:\n{each.answer}\n===\n" for each in exchanges)


def code(kind: Kind, text: str) -> str:
    found = parse(kind, text)
    assert isinstance(found, Rejection), found
    assert found.detail
    return found.reason


def _means_something(text: str) -> bool:
    """Lines that a teacher uses to part its words cannot be in them; a frame of stars around all is taken off."""
    noise = all(len(set(line.strip())) > 1 or line.strip().isalnum() or not line.strip() for line in text.split("\n"))
    return bool(text.strip()) and noise and not any(mark in text for mark in (":", "：", "=", "`", "*", "\r", "\ufeff"))


_LETTERS = st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")
_TURN = st.text(_LETTERS, min_size=1, max_size=60).filter(_means_something).map(str.strip)
_PIECES = st.sampled_from(["Question:", "Answer:", "===", "**", "\n", "A dog.", "Q:", "A:", "\r\n", "```", " "])


@given(st.lists(st.builds(Exchange, _TURN, _TURN), min_size=1, max_size=5), st.sampled_from(PAIRED))
def test_what_is_rendered_is_read_back(exchanges: list[Exchange], kind: Kind) -> None:
    assert parse(kind, rendered(tuple(exchanges))) == Draft(kind, tuple(exchanges))


@given(st.text() | st.lists(_PIECES).map("".join), st.sampled_from(KINDS))
def test_any_text_is_a_draft_or_a_reason(text: str, kind: Kind) -> None:
    found = parse(kind, text)
    if isinstance(found, Draft):
        assert found.kind == kind and found.exchanges
        assert all(each.question.strip() and each.answer.strip() for each in found.exchanges)
    else:
        assert found.reason and found.detail


@given(st.integers(1, len(PLAIN.rstrip())))
def test_a_reply_that_was_cut_off_is_never_taken_for_whole(length: int) -> None:
    found = parse("conversation", PLAIN[:length])
    if isinstance(found, Draft):
        # Only between two pairs nothing shows that there was more to come; the server's reason for the end does.
        assert PLAIN[:length].rstrip("=\n").endswith(("sleeps.", "is.", "dog."))
        assert PLAIN.startswith(rendered(found.exchanges).rstrip("=\n"))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        PLAIN.rstrip().removesuffix("==="),
        PLAIN.replace("Question:", "**Question:**").replace("Answer:", "**Answer:**"),
        PLAIN.replace("Question:", "Q:").replace("Answer:", "A:"),
        PLAIN.replace("Question:\n", "Question: ").replace("Answer:\n", "Answer: "),
        PLAIN.replace("Question:\n", "question 1: ").replace("Answer:\n", "answer 1: "),
        PLAIN.replace("Question:", "### QUESTION #3:").replace("Answer:", "### ANSWER:"),
        PLAIN.replace("Question:", "1. Question:").replace("Answer:", "- Answer:"),
        PLAIN.replace("===", "=========="),
        PLAIN.replace("===\n", ""),
        PLAIN.replace("===\nQ", "===\n\n---\n\nQ"),
        PLAIN.replace("Question:", "Question：").replace("Answer:", "Answer："),
        PLAIN.replace("Yes, it is.", "**Yes, it is.**"),
        f"```text\n{PLAIN}```",
        f"Sure! Here is the conversation:\n\n{PLAIN}\nLet me know if you want more.",
        f"\n\n  {PLAIN}  \n",
    ],
)
def test_harmless_noise(text: str) -> None:
    assert parse("conversation", text) == Draft("conversation", PAIRS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty-reply"),
        (" \n\t\r\n", "empty-reply"),
        ("The picture shows a dog.", "no-pairs"),
        ('{"question": "What?", "answer": "A dog."}', "no-pairs"),
        ("Question:\nWhat is this?", "cut-off"),
        ("Question:\nWhat is this?\n===\n", "cut-off"),
        ("Question:\nWhat is this?\n===\nAnswer:\nA dog that is lying on the", "cut-off"),
        (f"{PLAIN}Question:\nWhat", "cut-off"),
        ("Question:\nWhat?\n===\nAnswer:\n\n===", "empty-turn"),
        ("Question:\n===\nAnswer:\nA dog.\n===", "empty-turn"),
        ("Question:\nWhat?\nQuestion:\nWho?\n===\nAnswer:\nA dog.\n===", "out-of-order"),
        ("Answer:\nA dog.\n===\n", "out-of-order"),
        ("Question:\nWhat?\nAnswer:\nA dog.\nAnswer:\nA cat.\n===", "out-of-order"),
        (f"{PLAIN}{'Furthermore, there is more to say. ' * 10}", "stray-text"),
    ],
)
def test_what_is_not_whole_is_refused_with_a_reason(text: str, reason: str) -> None:
    assert code("conversation", text) == reason


def test_reasoning_is_one_question() -> None:
    one = rendered(PAIRS[:1])
    assert parse("reasoning", one) == Draft("reasoning", PAIRS[:1])
    assert code("reasoning", PLAIN) == "too-many-pairs"


@pytest.mark.parametrize(
    "text",
    [
        "A dog sleeps.\n\nIt is old.",
        "Answer:\nA dog sleeps.\n\nIt is old.\n===",
        "A dog sleeps.\r\n\r\nIt is old.\n===\n",
        "**Answer:** A dog sleeps.\n\nIt is old.",
        "Question:\nWhat?\n===\nAnswer:\nA dog sleeps.\n\nIt is old.\n===",
    ],
)  # fmt: skip
def test_a_description_is_the_whole_reply(text: str) -> None:
    draft = parse("detail", text)
    assert isinstance(draft, Draft)
    (exchange,) = draft.exchanges
    assert exchange.answer == "A dog sleeps.\n\nIt is old." and exchange.question in DETAIL_QUESTIONS
    assert parse("detail", text) == draft


def test_descriptions_that_are_none() -> None:
    assert code("detail", "A dog sleeps on the") == "cut-off"
    assert code("detail", "===") == "empty-turn"
    assert code("detail", PLAIN) == "out-of-order"
    assert code("detail", "Question:\nWhat is this?\n===") == "out-of-order"


def test_all_ways_to_ask_for_a_description_are_used() -> None:
    drafts = [parse("detail", f"There are {number} dogs.") for number in range(200)]
    asked = {draft.exchanges[0].question for draft in drafts if isinstance(draft, Draft)}
    assert asked == set(DETAIL_QUESTIONS)
