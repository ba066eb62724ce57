"""A prompt that came rendered: the one text in which special tokens are recognised, as the original's worker did."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image, Rendered
from pumice.prompts.encode import IMAGE_ID, encode
from pumice.prompts.templates import TEMPLATES, Markup, Slot, prompt_text, read_prompt, render
from pumice.prompts.tokenizer import Tokenizer

PICTURE = Image("picture.png")
words = st.lists(st.sampled_from(["word", " ", "\n", "🎲", "ça", "3.14", "USER:", "a"]), min_size=1, max_size=6)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
@settings(max_examples=8)
@given(question=words.map("".join), answer=words.map("".join), pictures=st.integers(0, 2))
def test_harmless_words_give_the_ids_of_our_own_way(
    tokenizer: Tokenizer, name: str, question: str, answer: str, pictures: int
) -> None:
    conversation = Conversation.ask(question, (PICTURE,) * pictures).then_answer(answer).then_ask("And now?")
    pieces = render(TEMPLATES[name], conversation)
    assert encode(read_prompt(prompt_text(pieces)), tokenizer).ids == encode(pieces, tokenizer).ids


@given(prompt=st.lists(st.sampled_from(["<image>", "a", "\n", " b "]), max_size=8).map("".join))
def test_a_prompt_and_its_pieces_are_the_same_text(prompt: str) -> None:
    pieces = read_prompt(prompt)
    assert prompt_text(pieces) == prompt
    assert [piece.index for piece in pieces if isinstance(piece, Slot)] == list(range(prompt.count("<image>")))
    assert all(isinstance(piece, Markup | Slot) for piece in pieces)


def test_markup_is_recognised_here_and_nowhere_else() -> None:
    read, end = tiny.processor(), tiny.tokenizer().eos_id
    asked = read.encode(Conversation.ask("Say </s> twice: </s>"), ())
    rendered = read.encode(Rendered(prompt_text(render(read.template, Conversation.ask("Say </s> twice: </s>")))), ())
    assert asked.ids.count(end) == 0
    assert rendered.ids.count(end) == 2
    assert set(rendered.labels) == {-100}


def test_half_a_surrogate_pair_becomes_the_replacement_character(tokenizer: Tokenizer) -> None:
    assert encode(read_prompt("a\ud800b"), tokenizer) == encode(read_prompt("a\ufffdb"), tokenizer)


@pytest.mark.parametrize("mode", ["pad", "anyres"])
@pytest.mark.parametrize("count", [1, 2])
def test_tensors_are_those_of_the_conversation(mode: str, count: int) -> None:
    read = tiny.processor(mode=mode)  # type: ignore[arg-type]
    files = []
    for seed in range(count):
        file = io.BytesIO()
        tiny.picture(seed, (70, 33)).save(file, "PNG")
        files.append(Image(file.getvalue()))
    conversation = Conversation.ask("What is in the picture?", tuple(files))
    own = read(conversation)
    theirs = read(Rendered(prompt_text(render(read.template, conversation)), tuple(files)))
    assert (theirs.ids, theirs.grids, theirs.hashes) == (own.ids, own.grids, own.hashes)
    assert all(np.array_equal(a, b) for a, b in zip(own.tiles, theirs.tiles, strict=True))


def test_special_tokens_around_pictures_are_added_as_the_original_did(tokenizer: Tokenizer) -> None:
    names = tuple(tokenizer.specials)[:2]
    ids = encode(read_prompt("a <image> b"), tokenizer, (3,), image_wrap=(names[0], names[1])).ids
    place = ids.index(IMAGE_ID)
    assert (ids[place - 1], ids[place + 3]) == tuple(tokenizer.specials[name] for name in names)


def test_an_engine_answers_it_as_it_answers_the_conversation() -> None:
    engine = tiny.engine()
    picture = Image(tiny.picture(3))
    conversation = Conversation.ask("What is in the picture?", (picture,))
    prompt = prompt_text(render(engine.processor.template, conversation))
    options = SamplingOptions(max_tokens=12)
    own = engine.ask(conversation, options)
    theirs = engine.ask(Rendered(prompt, (picture,)), options)
    assert (theirs.text, theirs.finish_reason, theirs.usage.prompt_tokens) == (
        own.text,
        own.finish_reason,
        own.usage.prompt_tokens,
    )
    with pytest.raises(UsageError, match="places for 1 pictures, found 0"):
        engine.ask(Rendered(prompt))
    with pytest.raises(UsageError, match="too long"):
        engine.ask(Rendered("word " * 1_000_000))
