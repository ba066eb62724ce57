"""Streams that are read in turn, half read, or asked within one another."""

from __future__ import annotations

import tiny
from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

SHORT = SamplingOptions(max_tokens=6)


def _alone(question: str) -> str:
    return Engine(tiny.model(), tiny.processor()).ask(Conversation.ask(question), SHORT).text


def test_two_streams_read_in_turn_do_not_disturb_one_another() -> None:
    engine = Engine(tiny.model(), tiny.processor())
    first, second = (engine.stream(Conversation.ask(question), SHORT) for question in ("one two", "red blue green"))
    pieces: tuple[list[str], list[str]] = ([], [])
    readers = [iter(first), iter(second)]
    while any(reader is not None for reader in readers):
        for index, reader in enumerate(readers):
            if reader is not None and (piece := next(reader, None)) is not None:
                pieces[index].append(piece)
            else:
                readers[index] = None  # type: ignore[call-overload]
    assert "".join(pieces[0]) == first.answer.text == _alone("one two")
    assert "".join(pieces[1]) == second.answer.text == _alone("red blue green")


def test_a_question_inside_the_loop_of_another() -> None:
    engine = Engine(tiny.model(), tiny.processor())
    outer = engine.stream(Conversation.ask("one two"), SHORT)
    inner = [engine.ask(Conversation.ask("red"), SHORT).text for _ in outer]
    assert outer.answer.text == _alone("one two")
    assert set(inner) <= {_alone("red")}


def test_a_half_read_stream_blocks_nobody() -> None:
    engine = Engine(tiny.model(), tiny.processor())
    waiting = iter(engine.stream(Conversation.ask("one two"), SHORT))
    next(waiting, None)
    assert engine.ask(Conversation.ask("red"), SHORT).text == _alone("red")
