"""Writing in pictures: read, painted over, or answered twice and compared; whole, streamed and batched alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image as Pil

import tiny
from pumice.engine.answer import Answer
from pumice.engine.engine import Engine
from pumice.images.writing import without_writing
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.world.pasted import Pasted, paste

GREEDY = SamplingOptions(max_tokens=8)
SHEET = Pil.new("RGB", (200, 150), (90, 160, 220))
WRITTEN = paste(SHEET, Pasted("EXIT", (0.5, 0.5), 0.2))


def ask(picture: Pil.Image) -> Conversation:
    return Conversation.ask("What is in the picture?", (Image(picture),))


def plain(answer: Answer) -> tuple[str, str, bool | None]:
    return answer.text, answer.finish_reason, answer.changed_by_writing


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One whose answers follow the picture: another of them may say the same about two."""
    for seed in range(20):
        made = tiny.engine(seed)
        if made.ask(ask(WRITTEN), GREEDY).text != made.ask(ask(without_writing(WRITTEN)), GREEDY).text:
            return made
    raise AssertionError("no engine says different things about different pictures")


@pytest.fixture(autouse=True)
def reset(engine: Engine) -> Iterator[None]:
    yield
    engine.writing = "read"


def test_the_picture_holds_writing() -> None:
    assert without_writing(WRITTEN).tobytes() != WRITTEN.tobytes()
    assert without_writing(SHEET) is SHEET


def test_read_is_what_happens_by_itself(engine: Engine) -> None:
    assert engine.writing == "read"
    assert engine.ask(ask(WRITTEN), GREEDY).changed_by_writing is None


def test_hidden_is_painted_over_first(engine: Engine) -> None:
    read, bare = (engine.ask(ask(each), GREEDY) for each in (WRITTEN, without_writing(WRITTEN)))
    engine.writing = "hide"
    hidden = engine.ask(ask(WRITTEN), GREEDY)
    assert plain(hidden) == plain(bare) != plain(read)


def test_a_warning_says_whether_the_answer_is_another(engine: Engine) -> None:
    read = engine.ask(ask(WRITTEN), GREEDY)
    engine.writing = "warn"
    for _ in range(2):  # from memory, too
        assert plain(engine.ask(ask(WRITTEN), GREEDY)) == plain(replace(read, changed_by_writing=True))
    assert engine.ask(ask(SHEET), GREEDY).changed_by_writing is None, "nothing to paint over"
    assert engine.ask(Conversation.ask("Hello?"), GREEDY).changed_by_writing is None
    one_token = engine.ask(ask(WRITTEN), SamplingOptions(max_tokens=1))
    engine.writing = "read"
    same = engine.ask(ask(without_writing(WRITTEN)), SamplingOptions(max_tokens=1)).text == one_token.text
    assert one_token.changed_by_writing == (not same)


def test_streams_and_batches_are_compared_as_well(engine: Engine) -> None:
    engine.writing = "warn"
    stream = engine.stream(ask(WRITTEN), GREEDY)
    assert "".join(stream) == stream.answer.text
    assert stream.answer.changed_by_writing is True and stream.answer is stream.answer
    asked = [ask(WRITTEN), ask(SHEET), ask(WRITTEN)]
    batched = engine.batch(asked, GREEDY, size=2)
    assert [answer.changed_by_writing for answer in batched] == [True, None, True]
    assert [plain(answer) for answer in batched] == [plain(engine.ask(each, GREEDY)) for each in asked]


def test_both_answers_are_sampled_alike(engine: Engine) -> None:
    """With writing that is not there when it is hidden, the same seed gives the same words."""
    warm = SamplingOptions(max_tokens=8, temperature=1.5)
    engine.writing = "warn"
    answer = engine.ask(ask(WRITTEN), warm)
    again = replace(warm, seed=answer.seed)
    engine.writing = "hide"
    assert answer.changed_by_writing == (engine.ask(ask(WRITTEN), again).text != answer.text)


def test_a_stream_that_was_left_is_not_compared(engine: Engine) -> None:
    engine.writing = "warn"
    stream = engine.stream(ask(WRITTEN), GREEDY)
    next(iter(stream))
    stream.cancel()
    assert stream.answer.changed_by_writing is None
