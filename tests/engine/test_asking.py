"""Answers: the same however they are asked for, streamed, batched, sampled and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.checkpoint.description import Generation
from pumice.checkpoint.save import save_checkpoint
from pumice.engine.answer import Answer
from pumice.engine.engine import Engine
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation
from pumice.prompts.templates import get_template

GREEDY = SamplingOptions(max_tokens=10)
WARM = SamplingOptions(max_tokens=10, temperature=1.5, top_k=50, top_p=0.9, seed=7)
ASKED = (
    tiny.question("What is in the picture?", 1),
    tiny.question("How many dice are there?"),
    tiny.question("Describe it, please!", 2, 3),
    tiny.question("Sky?").then_answer("A red table.").then_ask("What colour is the cup on the left?"),
    tiny.question("What is in the picture?", 2),
)


def essence(answer: Answer) -> tuple[str, str, int, int]:
    """What of an answer must not depend on how it was made."""
    return answer.text, answer.finish_reason, answer.usage.completion_tokens, answer.usage.prompt_tokens


def ending_at(made: Engine, token: int) -> Engine:
    """The same engine, except that where it would say ``token`` it ends, and the other way round."""
    with torch.no_grad():
        weight = made.model.language.lm_head.weight
        pair = [token, tiny.tokenizer().eos_id]
        weight[pair] = weight[pair[::-1]].clone()
    return made


@pytest.mark.parametrize("conversation", ASKED)
@pytest.mark.parametrize("options", [GREEDY, WARM], ids=["greedy", "sampled"])
def test_stream_and_ask_agree(conversation: Conversation, options: SamplingOptions) -> None:
    stream = tiny.engine().stream(conversation, options)
    pieces = list(stream)
    answer = tiny.engine().ask(conversation, options)
    assert "".join(pieces) == stream.answer.text == answer.text != ""
    assert essence(stream.answer) == essence(answer)
    assert all(pieces)


@pytest.mark.parametrize("conversation", ASKED)
def test_an_answer_equals_the_plainest_way_to_make_one(conversation: Conversation) -> None:
    made = tiny.engine()
    inputs = made.processor(conversation)
    ids = tiny.greedy(made.model, inputs, 10)
    answer = made.ask(conversation, GREEDY)
    assert answer.text == tiny.tokenizer().decode(ids)
    assert answer.finish_reason == "length" and answer.usage.completion_tokens == len(ids) == 10
    assert answer.usage.prompt_tokens == len(inputs.ids)
    assert answer.usage.image_tokens == 4 * len(list(conversation.images()))
    assert answer.usage.cached_tokens == 0


def test_pictures_and_words_matter() -> None:
    """Else all the equalities of this file would hold for an engine that always says the same."""
    answers = {tiny.engine().ask(each, GREEDY).text for each in ASKED}
    assert len(answers) == len(ASKED)


@settings(deadline=None, max_examples=8)
@given(
    which=st.lists(st.integers(0, len(ASKED) - 1), min_size=1, max_size=6),
    size=st.integers(1, 4),
    warm=st.booleans(),
)
def test_a_batch_equals_single_answers(which: list[int], size: int, warm: bool) -> None:
    """Prompts of different lengths, with pictures and without, that end at different times."""
    options = SamplingOptions(max_tokens=8, temperature=1.5 if warm else 0.0, seed=3, stop=("e", " a", "o"))
    conversations = [ASKED[index] for index in which]
    together = tiny.engine().batch(conversations, options, size=size)
    alone = [tiny.engine().ask(each, options) for each in conversations]
    assert [essence(answer) for answer in together] == [essence(answer) for answer in alone]


def test_the_batch_above_does_end_at_different_times() -> None:
    options = SamplingOptions(max_tokens=8, stop=("e", " a", "o"))
    lengths = {answer.usage.completion_tokens for answer in tiny.engine().batch(ASKED, options)}
    assert len(lengths) > 1


def test_a_batch_after_and_before_questions() -> None:
    """What a batch leaves behind, or finds, changes nothing."""
    made = tiny.engine()
    for _ in range(2):
        asked = [essence(made.ask(each, GREEDY)) for each in ASKED]
        assert [essence(answer) for answer in made.batch(ASKED, GREEDY, size=3)] == asked


def test_an_empty_batch() -> None:
    assert tiny.engine().batch([]) == []


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_needs_a_size(size: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        tiny.engine().batch(ASKED, size=size)


def test_seeds_repeat() -> None:
    def ask(seed: int | None) -> Answer:
        return made.ask(ASKED[0], SamplingOptions(max_tokens=12, temperature=2.0, seed=seed))

    made = tiny.engine()
    assert essence(ask(5)) == essence(ask(5))
    assert len({ask(seed).text for seed in range(5)}) > 1
    free = ask(None)
    assert free.seed is not None and essence(ask(free.seed)) == essence(free)
    assert made.ask(ASKED[0], GREEDY).seed is None


def test_seeds_do_not_depend_on_company() -> None:
    alone = tiny.engine().ask(ASKED[0], WARM)
    for company in ([ASKED[1]], [ASKED[2], ASKED[3]], list(ASKED)):
        answers = tiny.engine().batch([*company, ASKED[0]], WARM)
        assert essence(answers[-1]) == essence(alone) and answers[-1].seed == 7


def test_nothing_depends_on_or_touches_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = tiny.engine().ask(ASKED[0], WARM)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert essence(tiny.engine().ask(ASKED[0], WARM)) == essence(first)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("place", [0, 3])
def test_the_end_token_ends_it(place: int, batched: bool) -> None:
    made = tiny.engine()
    ids = tiny.greedy(made.model, made.processor(ASKED[0]), 10)
    place = ids.index(ids[place])
    made = ending_at(tiny.engine(), ids[place])
    answer = made.batch([ASKED[0]], GREEDY)[0] if batched else made.ask(ASKED[0], GREEDY)
    assert answer.finish_reason == "stop"
    assert answer.text == tiny.tokenizer().decode(ids[:place])
    assert answer.usage.completion_tokens == place


def test_max_tokens() -> None:
    for most in (1, 4):
        options = SamplingOptions(max_tokens=most)
        for answer in (tiny.engine().ask(ASKED[0], options), tiny.engine().batch([ASKED[0]], options)[0]):
            assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", most)


@pytest.mark.parametrize("start", range(9))
@pytest.mark.parametrize("length", [1, 3])
def test_stop_strings(start: int, length: int) -> None:
    """Any stretch of the answer, wherever tokens end, ends it at its first place."""
    whole = tiny.engine().ask(ASKED[1], SamplingOptions(max_tokens=16))
    stop = whole.text[start : start + length]
    options = SamplingOptions(max_tokens=16, stop=("never said", stop))
    stream = tiny.engine().stream(ASKED[1], options)
    assert "".join(stream) == stream.answer.text == whole.text[: whole.text.find(stop)]
    assert stream.answer.finish_reason == "stop"
    assert essence(tiny.engine().batch([ASKED[1]], options)[0]) == essence(stream.answer)


def test_held_back_text_comes_out_at_the_end() -> None:
    whole = tiny.engine().ask(ASKED[1], GREEDY)
    stream = tiny.engine().stream(ASKED[1], SamplingOptions(max_tokens=10, stop=(whole.text[-2:] + " and more",)))
    assert "".join(stream) == stream.answer.text == whole.text
    assert stream.answer.finish_reason == "length"


def limited(positions: int) -> Engine:
    return tiny.engine(speak=tiny.language(max_positions=positions))


@pytest.mark.parametrize("batched", [False, True])
def test_the_context_ends_an_answer(batched: bool) -> None:
    prompt = len(tiny.processor()(ASKED[0]).ids)
    made = limited(prompt + 6)
    answer = made.batch([ASKED[0]])[0] if batched else made.ask(ASKED[0])
    assert answer.finish_reason == "length" and answer.usage.completion_tokens == 6
    assert answer.text == tiny.engine().ask(ASKED[0], SamplingOptions(max_tokens=6)).text


@pytest.mark.parametrize("ask", [Engine.ask, Engine.stream, lambda made, each: made.batch([each])])
def test_too_long_a_conversation_is_refused(ask: Callable[[Engine, Conversation], object]) -> None:
    """Before anything runs, with the numbers that matter."""
    prompt = len(tiny.processor()(ASKED[2]).ids)
    with pytest.raises(UsageError, match=rf"{prompt} tokens \(8 of them pictures\), the model takes {prompt - 1}") as e:
        ask(limited(prompt), ASKED[2])
    assert e.value.hint
    assert limited(prompt + 1).ask(ASKED[2]).usage.completion_tokens == 1


def test_a_text_model_refuses_pictures() -> None:
    blind = Engine(tiny.model(sees=False), Processor(tiny.tokenizer(), get_template("vicuna_v1"), None))
    assert blind.ask(ASKED[1], GREEDY).text
    with pytest.raises(UsageError, match="no vision tower") as error:
        blind.ask(ASKED[0], GREEDY)
    assert error.value.hint


def test_several_threads_get_their_own_answers() -> None:
    made = tiny.engine()
    wanted = [essence(tiny.engine().ask(each, GREEDY)) for each in ASKED]
    start = threading.Barrier(len(ASKED))
    found: list[list[tuple[str, str, int, int]]] = [[] for _ in ASKED]

    def run(index: int) -> None:
        start.wait(30)
        for _ in range(3):
            found[index].append(essence(made.ask(ASKED[index], GREEDY)))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(ASKED))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[each] * 3 for each in wanted]


def test_timings_are_in_order() -> None:
    timings = tiny.engine().ask(ASKED[0], GREEDY).timings
    assert 0 <= timings.prepare_s <= timings.first_token_s <= timings.total_s
    assert 0 < timings.vision_s <= timings.first_token_s


def test_end_tokens_of_the_checkpoint_end_it(tmp_path: Path) -> None:
    """Llama 3 ends a turn by another token than the tokenizer's end of sequence, and only generation_config says so."""
    conversation = ASKED[0]
    made = tiny.engine()
    ids = tiny.greedy(made.model, made.processor(conversation), 10)
    end = ids[4]
    save_checkpoint(made.model, made.processor, tmp_path / "model", generation=Generation(end_ids=(end,)))
    answer = Engine.load(tmp_path / "model", device="cpu", dtype="float32").ask(conversation, GREEDY)
    assert answer.text == tiny.tokenizer().decode(ids[: ids.index(end)])
    assert answer.finish_reason == "stop"
