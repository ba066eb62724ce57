"""Stop strings, wherever the borders of tokens fall."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.engine.answering import Answering
from pumice.engine.stopping import StopScanner
from pumice.options import SamplingOptions

WORDS = st.text("ab#é", max_size=12)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@settings(deadline=None, max_examples=200)
@given(WORDS, st.lists(st.integers(0, 99), max_size=6), st.text("ab#é", min_size=1, max_size=4))
def test_one_stop_string_cuts_at_its_first_place(text: str, cuts: list[int], stop: str) -> None:
    scanner = StopScanner((stop,))
    given_out = [scanner.push(piece) for piece in pieces_of(text, cuts)] + [scanner.flush()]
    assert "".join(given_out) == text.partition(stop)[0]
    assert scanner.stopped == (stop in text)


@settings(deadline=None, max_examples=200)
@given(WORDS, st.lists(st.integers(0, 99), max_size=6), st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3))
def test_several_stop_strings(text: str, cuts: list[int], stops: list[str]) -> None:
    scanner = StopScanner(stops)
    said = ""
    for piece in pieces_of(text, cuts):
        said += scanner.push(piece)
        assert not any(stop in said for stop in stops)
    held = len(text) - len(said)
    said += scanner.flush()
    assert text.startswith(said) and not any(stop in said for stop in stops)
    assert scanner.stopped == any(stop in text for stop in stops)
    if not scanner.stopped:
        assert said == text and held < max((len(stop) for stop in stops), default=1)
    assert scanner.push("more") == ("" if scanner.stopped else "more") or stops


def test_no_more_is_held_back_than_could_begin_a_stop_string() -> None:
    scanner = StopScanner(("###", "</s>"))
    assert [scanner.push(piece) for piece in ("one #", " two ##", "x<", "/s", "a")] == [
        "one ",
        "# two ",
        "##x",
        "",
        "</sa",
    ]
    assert scanner.flush() == ""


def answering(options: SamplingOptions, stop_ids: frozenset[int], texts: tuple[str, ...], room: int) -> Answering:
    inputs = tiny.processor()(tiny.question("Sky?"))
    return Answering(inputs, options, tiny.tokenizer(), stop_ids, texts, room, 0.0)


def said_by(made: Answering, tokens: list[int]) -> str:
    """Feed logits that want exactly these tokens."""
    text = ""
    for token in tokens:
        if made.finished is not None:
            break
        logits = torch.zeros(tiny.VOCABULARY)
        logits[token] = 1
        text += made.take(logits)
    return text


def spelled(text: str) -> list[int]:
    return [token.id for token in tiny.tokenizer().encode(text, starts=True)]


@settings(deadline=None, max_examples=60)
@given(
    st.text("Ae dé🎲#.", min_size=1, max_size=10).filter(lambda t: t[0] != " "), st.integers(0, 9), st.integers(1, 4)
)
def test_scripted_answers_end_at_the_stop_string(text: str, start: int, length: int) -> None:
    """Characters of several tokens included: 🎲 is four bytes."""
    stop = text[start % len(text) :][:length]
    for by_template in (False, True):
        options = SamplingOptions(stop=() if by_template else (stop,))
        made = answering(options, frozenset({2}), (stop,) if by_template else (), 100)
        assert said_by(made, [*spelled(text), *spelled("more")]) == text.partition(stop)[0]
        assert made.finished == "stop" and made.answer().text == text.partition(stop)[0]


def test_an_end_token_lets_held_back_text_out() -> None:
    made = answering(SamplingOptions(stop=("dice.!",)), frozenset({2}), (), 100)
    assert said_by(made, [*spelled("Two dice."), 2]) == "Two dice."
    answer = made.answer()
    assert answer.finish_reason == "stop" and answer.usage.completion_tokens == len(spelled("Two dice."))


def test_a_character_cut_off_by_the_limit_is_marked() -> None:
    made = answering(SamplingOptions(max_tokens=3), frozenset({2}), (), 100)
    die = spelled("🎲")
    assert len(die) > 3, "the tokenizer spells it in bytes"
    assert said_by(made, die) == "\ufffd"
    assert made.finished == "length" and made.answer().text == "\ufffd"


def test_the_smaller_of_room_and_limit_counts() -> None:
    for most, room in ((5, 2), (2, 5)):
        made = answering(SamplingOptions(max_tokens=most), frozenset({2}), (), room)
        said_by(made, spelled("Two dice; they add up to seven."))
        assert made.finished == "length" and len(made.ids) == 2


def test_no_answer_before_the_end() -> None:
    with pytest.raises(AssertionError, match="before its end"):
        answering(SamplingOptions(), frozenset({2}), (), 9).answer()


@pytest.mark.parametrize("pieces", [["abcd"], ["a", "b", "c", "d"], ["abc", "d"], ["ab", "cd"]])
def test_a_short_stop_string_inside_a_longer_one_waits_for_it(pieces: list[str]) -> None:
    scanner = StopScanner(["bc", "abcd"])
    assert "".join(scanner.push(piece) for piece in pieces) + scanner.flush() == ""
    assert scanner.stopped
    scanner = StopScanner(["bc", "abcd"])
    assert "".join(scanner.push(piece) for piece in [*pieces[:-1], pieces[-1][:-1], "x"]) + scanner.flush() == "a"
    assert scanner.stopped
