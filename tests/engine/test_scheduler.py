"""Requests that share steps: who comes and goes changes nobody's answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.engine.engine import Engine, Stream
from pumice.engine.scheduler import Scheduler
from pumice.errors import MemoryLimitError
from pumice.model.cache import KVCache
from pumice.options import SamplingOptions
from pumice.processor import Inputs

OPTIONS = SamplingOptions(max_tokens=6)
ASKED = (
    tiny.question("What is in the picture?", 1),
    tiny.question("How many dice are there?"),
    tiny.question("Describe it, please!", 2, 3),
    tiny.question("What colour is the cup on the left, and what is the one beside it?", 2),
)


def alone(index: int) -> str:
    return tiny.engine().ask(ASKED[index], OPTIONS).text


WANTED = [alone(index) for index in range(len(ASKED))]


def limited(most: int, piece: int) -> Engine:
    """An engine whose scheduler takes so many together and reads so much of a prompt at a time."""
    made = tiny.engine()
    old = made._scheduler
    made._scheduler = Scheduler(old._runner, old._prefixes, old._encode, most=most, piece=piece)
    return made


@settings(deadline=None, max_examples=12)
@given(
    moves=st.lists(st.tuples(st.sampled_from(["join", "read", "leave"]), st.integers(0, 3)), max_size=12),
    most=st.integers(1, 4),
    piece=st.sampled_from([5, 16, 64]),
)
def test_joining_and_leaving_at_any_time(moves: list[tuple[str, int]], most: int, piece: int) -> None:
    made = limited(most, piece)
    under_way, left = [], []
    for move, which in moves:
        if move == "join":
            stream = made.stream(ASKED[which], OPTIONS)
            under_way.append((which, iter(stream), stream, []))
        elif under_way and move == "read":
            _, pieces, _, said = under_way[which % len(under_way)]
            said += [piece for piece in (next(pieces, ""),) if piece]
        elif under_way:
            index, pieces, stream, said = under_way.pop(which % len(under_way))
            pieces.close()  # type: ignore[attr-defined]
            stream.cancel()
            left.append((index, stream))
    for index, pieces, stream, said in under_way:
        said += list(pieces)
        assert "".join(said) == stream.answer.text == WANTED[index]
    for index, stream in left:
        said = stream.answer.text.rstrip("\ufffd")  # the sign for an end within a character
        assert WANTED[index].startswith(said) and stream.answer.finish_reason in ("cancelled", "length")


def test_everyone_gets_a_turn() -> None:
    """A long prompt is read in pieces, and those who are answering get a token after each."""
    made = limited(3, 4)
    first = made.stream(ASKED[1], SamplingOptions(max_tokens=40))
    pieces = iter(first)
    next(pieces)
    said = len(first._request.answering.ids)
    second = made.stream(ASKED[2], OPTIONS)
    next(iter(second))
    prompt = len(second._request.answering.inputs.ids)
    assert len(first._request.answering.ids) - said >= prompt // 4 - 2


def test_first_come_first_served() -> None:
    made = limited(1, 64)
    streams = [made.stream(ASKED[index], OPTIONS) for index in (0, 1, 2)]
    assert "".join(streams[2]) == WANTED[2]
    assert all(stream._request.ended for stream in streams), "those before it had to be answered first"
    assert ["".join(stream) for stream in streams[:2]] == WANTED[:2]


def assert_only_one_fails(good: Stream, bad: Stream, error: type[Exception]) -> None:
    """The answer to the first question, while the other stream tells its reader what went wrong."""
    assert "".join(good) == WANTED[0]
    with pytest.raises(error):
        list(bad)


def test_one_that_fails_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.engine()
    good, bad = made.stream(ASKED[0], OPTIONS), made.stream(ASKED[2], OPTIONS)
    whole = made.runner.prefill

    def fail(ids: Sequence[int], start: int, features: Tensor | None, cache: KVCache) -> Tensor:
        if len(ids) == len(bad._request.answering.inputs.ids):
            raise MemoryLimitError("memory ran out")
        return whole(ids, start, features, cache)

    monkeypatch.setattr(made.runner, "prefill", fail)
    assert_only_one_fails(good, bad, MemoryLimitError)
    monkeypatch.undo()
    assert made.ask(ASKED[2], OPTIONS).text == WANTED[2]


def test_one_that_fails_while_answering_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the one whose thread makes the step, nor any other; what fails is told who asked for it."""
    made = tiny.engine()
    good, bad = made.stream(ASKED[0], OPTIONS), made.stream(ASKED[2], OPTIONS)
    whole = made.runner.step

    def fail(tokens: Sequence[int], places: Sequence[int], caches: Sequence[KVCache]) -> Tensor:
        if any(cache is bad._request.cache for cache in caches):
            raise MemoryLimitError("memory ran out")
        return whole(tokens, places, caches)

    monkeypatch.setattr(made.runner, "step", fail)
    assert_only_one_fails(good, bad, MemoryLimitError)
    monkeypatch.undo()
    assert made.ask(ASKED[2], OPTIONS).text == WANTED[2]


@pytest.mark.parametrize("after", [0, 2])
def test_one_whose_logits_are_no_numbers_harms_no_other(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    made = tiny.engine()
    good, bad = (
        made.stream(ASKED[0], OPTIONS),
        made.stream(ASKED[2], SamplingOptions(max_tokens=9, temperature=1.0, seed=1)),
    )
    take = bad._request.answering.take

    def spoiled(logits: Tensor) -> str:
        return take(logits if len(bad._request.answering.ids) < after else logits * float("nan"))

    monkeypatch.setattr(bad._request.answering, "take", spoiled)
    assert_only_one_fails(good, bad, RuntimeError)
    assert not made._scheduler._answering and not made._scheduler._reading


def test_a_batch_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.engine()
    whole = made._encode

    def fail(inputs: Inputs, index: int) -> Tensor:
        if len(inputs.grids) == 2:
            raise MemoryLimitError("memory ran out")
        return whole(inputs, index)

    monkeypatch.setattr(made, "_encode", fail)
    for size in (1, 4):
        with pytest.raises(MemoryLimitError):
            made.batch([ASKED[0], ASKED[2], ASKED[1]], OPTIONS, size=size)
        assert not made._scheduler._answering and not made._scheduler._waiting
    assert made.ask(ASKED[1], OPTIONS).text == WANTED[1]


def test_text_is_handed_over_at_the_end_of_the_turn_that_made_it() -> None:
    """Whoever waits beside the thread that makes the turns gets every piece before many more turns are made."""
    made = tiny.engine()
    turns = []
    step = made.runner.step

    def slow(tokens: Sequence[int], places: Sequence[int], caches: Sequence[KVCache]) -> Tensor:
        time.sleep(0.005)
        turns.append(len(tokens))
        return step(tokens, places, caches)

    made.runner.step = slow  # type: ignore[method-assign]
    late: list[int] = []

    def read(index: int) -> None:
        request = made._scheduler.submit(made._begin(ASKED[index % 4], SamplingOptions(max_tokens=40)))
        while not request.ended:
            made._scheduler.advance(request)
            late.append(len(request.pieces) - 1)
            request.pieces.clear()

    threads = [threading.Thread(target=read, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(late) <= len(late) / 2, "pieces pile up while their reader waits for the lock"


def test_threads_share_steps() -> None:
    """Each reads its own stream; together they need far fewer steps than one after the other."""
    made = tiny.engine()
    steps = []
    step = made.runner.step
    made.runner.step = lambda tokens, places, caches: steps.append(len(tokens)) or step(tokens, places, caches)  # type: ignore[assignment, method-assign, func-returns-value]
    streams = [made.stream(ASKED[index % 4], SamplingOptions(max_tokens=30)) for index in range(8)]
    found: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda index=index: found.update({index: "".join(streams[index])}))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(8):
        assert found[index] == tiny.engine().ask(ASKED[index % 4], SamplingOptions(max_tokens=30)).text
    assert max(steps) == 8 and len(steps) < sum(steps) / 3


def test_a_cancelled_answer_can_be_continued_from() -> None:
    made = tiny.engine()
    stream = made.stream(ASKED[0], SamplingOptions(max_tokens=40))
    for _ in stream:
        if len(stream._request.answering.ids) >= 3:
            break
    assert stream.answer.finish_reason == "cancelled"
    again = made.ask(ASKED[0], OPTIONS)
    assert again.text == WANTED[0] and again.usage.cached_tokens > 0


def test_it_is_collected_while_others_run() -> None:
    """A stream that nobody holds any more gives its place back."""
    made = limited(1, 64)
    for index in range(4):
        next(iter(made.stream(ASKED[index], OPTIONS)))  # left lying after its first piece
    assert made.ask(ASKED[1], OPTIONS).text == WANTED[1]


def test_how_many_share_a_step_may_be_changed() -> None:
    made = tiny.engine()
    made.most = 2
    streams = [made.stream(ASKED[1], OPTIONS) for _ in range(4)]
    together = []
    for _ in streams[0]:
        together.append(len(made._scheduler._answering) + len(made._scheduler._reading))
    made.most = 3
    for _ in streams[1]:
        together.append(len(made._scheduler._answering) + len(made._scheduler._reading))
    assert made.most == 3 and max(together[: len(together) // 2]) == 2
    assert ["".join(stream) for stream in streams[2:]] == [WANTED[1]] * 2
