"""Answers that are cut off: cancelled, left, or interrupted. The engine goes on as if nothing had happened."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

import tiny
from pumice.engine.engine import Engine
from pumice.options import SamplingOptions

LONG = SamplingOptions(max_tokens=20)
ASKED = tiny.question("What is in the picture?", 1)


def works_as_new(made: Engine) -> None:
    """The same question, one that goes on and an unrelated one get a fresh engine's answers."""
    follow = ASKED.then_answer("A red cup.").then_ask("How many dice are there?")
    for conversation in (ASKED, follow, tiny.question("Sky?", 2), ASKED):
        assert made.ask(conversation, LONG).text == tiny.engine().ask(conversation, LONG).text


@pytest.mark.parametrize("after", [1, 3, 10])
def test_cancelled_on_the_way(after: int) -> None:
    made = tiny.engine()
    whole = tiny.engine().ask(ASKED, LONG).text
    stream = made.stream(ASKED, LONG)
    pieces = []
    for piece in stream:
        pieces.append(piece)
        if len(pieces) == after:
            stream.cancel()
    answer = stream.answer
    assert answer.finish_reason == "cancelled"
    assert "".join(pieces) == answer.text
    # A character that was not whole yet comes out as U+FFFD.
    assert whole.startswith(answer.text.rstrip("\ufffd")) and len(answer.text) < len(whole)
    assert answer.usage.completion_tokens < 20
    works_as_new(made)


@pytest.mark.parametrize("options", [LONG, SamplingOptions(max_tokens=1)])
def test_cancelled_before_the_first_token(options: SamplingOptions) -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, options)
    stream.cancel()
    assert "".join(stream) == stream.answer.text == ""
    assert stream.answer.finish_reason == "cancelled"
    assert stream.answer.usage.completion_tokens == 0
    works_as_new(made)


def test_cancelled_after_the_end() -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, LONG)
    text = "".join(stream)
    stream.cancel()
    assert list(stream) == []
    assert stream.answer.finish_reason == "length" and stream.answer.text == text


def test_cancelled_from_another_thread() -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, SamplingOptions(max_tokens=400))
    begun = threading.Event()
    pieces: list[str] = []

    def read() -> None:
        for piece in stream:
            pieces.append(piece)
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(60)
    stream.cancel()
    reader.join(60)
    assert not reader.is_alive()
    assert stream.answer.finish_reason == "cancelled" and "".join(pieces) == stream.answer.text
    works_as_new(made)


def test_held_back_text_is_part_of_a_cancelled_answer() -> None:
    whole = tiny.engine().ask(ASKED, LONG).text
    stream = tiny.engine().stream(ASKED, SamplingOptions(max_tokens=20, stop=(whole[1:6] + " never",)))
    pieces = []
    for piece in stream:
        pieces.append(piece)
        stream.cancel()
    assert "".join(pieces) == stream.answer.text
    assert stream.answer.finish_reason == "cancelled" and stream.answer.text


@pytest.mark.parametrize("after", [1, 4])
def test_leaving_the_loop_early(after: int) -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, LONG)
    pieces = []
    for piece in stream:
        pieces.append(piece)
        if len(pieces) == after:
            break
    assert stream.answer.finish_reason == "cancelled"
    assert stream.answer.text.startswith("".join(pieces))
    works_as_new(made)


def test_a_stream_that_nobody_reads_blocks_nobody() -> None:
    made = tiny.engine()
    unread = made.stream(ASKED, LONG)
    works_as_new(made)
    assert "".join(unread) == tiny.engine().ask(ASKED, LONG).text


def test_an_exception_in_the_readers_loop() -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, LONG)
    with pytest.raises(ValueError, match="enough"):
        for _ in stream:
            raise ValueError("enough")
    works_as_new(made)


class Interrupt:
    """Stops the model in the middle of its ``number``-th run: the first layer has run, the second has not."""

    def __init__(self, made: Engine, number: int) -> None:
        layer = made.model.language.layers[1]
        forward = layer.forward
        self.left = number

        def interrupted(x: Tensor, view: object) -> Tensor:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            result: Tensor = forward(x, view)
            return result

        layer.forward = interrupted  # type: ignore[method-assign]


@pytest.mark.parametrize("run", [1, 2, 5])
@pytest.mark.parametrize("followed", [False, True])
def test_interrupted_in_the_model(run: int, followed: bool) -> None:
    """Ctrl-C may come anywhere; nothing half-done is remembered."""
    made = tiny.engine()
    conversation = ASKED
    if followed:
        conversation = ASKED.then_answer(made.ask(ASKED, LONG).text).then_ask("How many dice are there?")
    Interrupt(made, run)
    with pytest.raises(KeyboardInterrupt):
        made.ask(conversation, LONG)
    assert made.ask(conversation, LONG).text == tiny.engine().ask(conversation, LONG).text
    works_as_new(made)


def test_interrupted_in_the_vision_tower() -> None:
    made = tiny.engine()
    encode = made.model.encode_images
    failing = [True]

    def encode_once_failing(tiles: Tensor) -> Tensor:
        if failing and failing.pop():
            raise torch.OutOfMemoryError("no room")
        return encode(tiles)

    made.model.encode_images = encode_once_failing  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        made.ask(ASKED, LONG)
    works_as_new(made)


def test_interrupted_in_a_batch() -> None:
    made = tiny.engine()
    Interrupt(made, 4)
    with pytest.raises(KeyboardInterrupt):
        made.batch([ASKED, tiny.question("Sky?")], LONG)
    works_as_new(made)
