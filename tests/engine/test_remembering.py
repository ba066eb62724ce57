"""Follow-up questions: nothing is done twice, and nothing comes out differently for that."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.engine.answer import Answer
from pumice.engine.engine import Engine
from pumice.engine.memory import LEAST, FeatureMemory, PrefixMemory, content_key
from pumice.images.grid import Grid
from pumice.model.cache import KVCache
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

SHORT = SamplingOptions(max_tokens=6)


class Counted:
    """An engine that counts the pictures its model encodes and the positions it runs."""

    def __init__(self, *, kv_8bit: bool = False) -> None:
        self.engine = Engine(tiny.model(), tiny.processor(), kv_8bit=kv_8bit)
        self.pictures = self.positions = 0
        features, forward = self.engine.model.features, self.engine.model.language.forward

        def counting(tiles: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
            self.pictures += len(grids)
            return features(tiles, grids)

        def running(embeddings: Tensor, positions: Tensor, **rest: object) -> Tensor:
            self.positions += positions.numel()
            return forward(embeddings, positions, **rest)  # type: ignore[arg-type]

        self.engine.model.features = counting  # type: ignore[method-assign]
        self.engine.model.language.forward = running  # type: ignore[method-assign]

    def ask(self, conversation: Conversation) -> Answer:
        self.pictures = self.positions = 0
        return self.engine.ask(conversation, SHORT)


def fresh(conversation: Conversation, *, kv_8bit: bool = False) -> str:
    return Engine(tiny.model(), tiny.processor(), kv_8bit=kv_8bit).ask(conversation, SHORT).text


@pytest.mark.parametrize("kv_8bit", [False, True])
def test_a_follow_up_runs_only_what_is_new(kv_8bit: bool) -> None:
    counted = Counted(kv_8bit=kv_8bit)
    first = tiny.question("What is in the picture?", 1)
    answer = counted.ask(first)
    assert counted.pictures == 1
    follow = first.then_answer(answer.text).then_ask("How many dice are there?")
    again = counted.ask(follow)
    assert again.text == fresh(follow, kv_8bit=kv_8bit)
    assert counted.pictures == 0
    assert again.usage.image_tokens == 4
    assert again.usage.cached_tokens >= answer.usage.prompt_tokens
    assert counted.positions == again.usage.prompt_tokens - again.usage.cached_tokens + 6 - 1


def test_an_answer_in_plain_words_is_reused_as_well() -> None:
    """Where the words come back as the same tokens, the answer's positions are not run again either."""
    counted = Counted()
    conversation = tiny.question("How many dice are there?", 1)
    counted.ask(conversation)
    conversation = conversation.then_answer("Two dice.").then_ask("What colour is the sky?")
    counted.ask(conversation)
    conversation = conversation.then_answer("Red.").then_ask("Describe it, please!")
    third = counted.ask(conversation)
    assert third.text == fresh(conversation)
    before = len(tiny.processor()(Conversation(conversation.turns[:3], conversation.system)).ids)
    assert third.usage.cached_tokens >= before - 1


def test_the_last_token_of_an_answer_is_not_taken_for_known() -> None:
    """It was chosen but never run; that shows where the follow-up spells the answer with the very same tokens."""
    read, repeated = tiny.processor(), 0
    for seed in range(8):
        made, asked = tiny.engine(), tiny.question("What is in the picture?", seed)
        said = tiny.greedy(made.model, read(asked), 1)
        follow = asked.then_answer(made.ask(asked, SamplingOptions(max_tokens=1)).text).then_ask("Sky?")
        again = made.ask(follow, SHORT)
        assert again.text == fresh(follow)
        before = (*read(asked).ids, *said)
        repeated += read(follow).ids[: len(before)] == before
        assert again.usage.cached_tokens < len(before)
    assert repeated


def test_a_new_picture_in_a_follow_up_is_the_only_one_encoded() -> None:
    counted = Counted()
    first = tiny.question("What is in the picture?", 1)
    answer = counted.ask(first)
    follow = first.then_answer(answer.text).then_ask("Describe it, please!", tuple(tiny.question("", 2).images()))
    again = counted.ask(follow)
    assert counted.pictures == 1 and again.usage.image_tokens == 8
    assert again.text == fresh(follow)


def test_a_picture_is_known_at_another_place() -> None:
    """Its position has changed, so its keys are made again, but not its features."""
    counted = Counted()
    counted.ask(tiny.question("What is in the picture?", 1))
    moved = tiny.question("What is in the picture?", 2, 1)
    assert counted.ask(moved).text == fresh(moved)
    assert counted.pictures == 1


def test_the_same_question_again() -> None:
    counted = Counted()
    asked = tiny.question("What is in the picture?", 1)
    first = counted.ask(asked)
    for _ in range(3):
        again = counted.ask(asked)
        assert (again.text, again.usage.prompt_tokens) == (first.text, first.usage.prompt_tokens)
        assert again.usage.cached_tokens == first.usage.prompt_tokens - 1
        assert counted.pictures == 0 and counted.positions == 6


def test_two_conversations_about_two_pictures_take_turns() -> None:
    counted = Counted()
    talks = [tiny.question("What is in the picture?", seed) for seed in (1, 2)]
    before = [0, 0]
    for turn, words in enumerate(("How many dice are there?", "What colour is the sky?", "Describe it, please!")):
        for index in range(2):
            answer = counted.ask(talks[index])
            assert answer.text == fresh(talks[index])
            assert counted.pictures == (1 if turn == 0 else 0)
            assert answer.usage.cached_tokens >= before[index]
            talks[index] = talks[index].then_answer(answer.text).then_ask(words)
            before[index] = answer.usage.prompt_tokens


def test_two_conversations_about_one_picture_take_turns() -> None:
    """They share a beginning; neither takes the other's memory."""
    made = tiny.engine()
    talks = [tiny.question(words, 1) for words in ("What is in the picture?", "What is on the table?")]
    for words in ("How many dice are there?", "What colour is the sky?"):
        for index in range(2):
            answer = made.ask(talks[index], SHORT)
            assert answer.text == fresh(talks[index])
            talks[index] = talks[index].then_answer(answer.text).then_ask(words)
    for talk in talks:
        assert made.ask(talk, SHORT).usage.cached_tokens > len(tiny.processor()(talk).ids) // 2


@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), min_size=2, max_size=6))
def test_any_history_gives_the_answers_of_a_fresh_engine(moves: list[tuple[int, int, bool]]) -> None:
    """Go on with one of three talks, start it anew, or ask its question once more."""
    words = ("What is in the picture?", "How many dice?", "Describe it, please!", "Sky?")
    made = tiny.engine()
    talks = [tiny.question("Be brief.", 1), tiny.question("Be brief.", 2), tiny.question("Be brief.")]
    for which, said, anew in moves:
        answer = made.ask(talks[which], SHORT)
        assert answer.text == fresh(talks[which])
        if anew:
            talks[which] = tiny.question(words[said], which)
        elif said:
            talks[which] = talks[which].then_answer(answer.text).then_ask(words[said])


@pytest.mark.parametrize("limit", [0, 100_000])
def test_a_small_memory_changes_no_answer(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.engine.engine.KV_BYTES", limit)
    monkeypatch.setattr("pumice.engine.engine.FEATURE_BYTES", limit // 100)
    made = tiny.engine()
    for seed in (1, 2, 1):
        talk = tiny.question("What is in the picture?", seed)
        for words in ("How many dice are there?", "Sky?"):
            answer = made.ask(talk, SHORT)
            assert answer.text == fresh(talk)
            talk = talk.then_answer(answer.text).then_ask(words)


def row(length: int, value: float, dtype: torch.dtype = torch.float32) -> KVCache:
    cache = KVCache.empty(tiny.language(), 1, length, torch.device("cpu"), dtype)
    for tensor in (*cache.keys, *cache.values):
        tensor.fill_(value)
    return cache


def test_prefixes_stay_within_their_bytes() -> None:
    """The least recently used go first; one that is larger than the limit is not kept, and drives nothing out."""
    size = row(4, 0).nbytes
    memory = PrefixMemory(2 * size)
    memory.keep([1, 1], row(4, 1))
    memory.keep([2, 2], row(4, 2))
    found = memory.take([1, 1, 5])
    assert found is not None and found[1] == 2
    memory.keep([1, 1, 5], found[0])
    memory.keep([3, 3], row(4, 3))
    assert memory.take([2, 2]) is None
    kept = memory.take([1, 1, 5, 6])
    assert kept is not None and kept[1] == 3 and kept[0].keys[0].min() == 1
    memory.keep([4], row(12, 4))
    assert memory.take([4]) is None and memory.take([3, 3]) is not None


def test_the_same_again_takes_no_more_room() -> None:
    memory = PrefixMemory(1 << 30)
    for _ in range(3):
        memory.keep([1, 2], row(2, 1))
    memory.keep([1, 2, 3], row(3, 2))  # holds all of the others
    memory.keep([1, 2], row(2, 3))
    assert memory.take([1, 2]) is not None and memory.take([1, 2, 3]) is not None
    assert memory.take([1, 2]) is None


def test_twice_as_much_is_remembered_of_integers() -> None:
    """Nearly: a head of eight channels has a scale of four bytes."""
    sizes = [row(4, 0, dtype).nbytes for dtype in (torch.bfloat16, torch.int8)]
    assert sizes[1] == sizes[0] * (8 + 4) // 16
    memory = PrefixMemory(2 * sizes[0])
    for key in (1, 2, 3):
        memory.keep([key, key], row(4, 1, torch.int8))
    assert memory.take([1, 1]) is None and memory.take([2, 2]) is not None


def test_what_turns_off_gets_a_copy() -> None:
    memory = PrefixMemory(1 << 30)
    key = list(range(1, LEAST + 5))
    memory.keep(key, row(LEAST + 6, 1))
    assert memory.take([*key[: LEAST - 1], 99]) is None, "a few words in common are not worth a copy"
    turned = memory.take([*key[:LEAST], 99])
    assert turned is not None and turned[1] == turned[0].capacity == LEAST
    for tensor in (*turned[0].keys, *turned[0].values):
        tensor.fill_(9)
    straight = memory.take([*key, 99])
    assert straight is not None and straight[1] == len(key)
    assert all(tensor.eq(1).all() for tensor in (*straight[0].keys, *straight[0].values))
    assert memory.take([*key, 99]) is None, "what goes on takes the memory along until it is kept again"


def test_the_longest_beginning_is_taken() -> None:
    memory = PrefixMemory(1 << 30)
    memory.keep([1, 2], row(2, 1))
    memory.keep([1, 2, 3], row(3, 2))
    memory.keep([1, 9, 9, 9], row(4, 3))
    found = memory.take([1, 2, 3, 4])
    assert found is not None and found[1] == 3 and found[0].keys[0].max() == 2
    assert memory.take([7]) is None


def test_features_stay_within_their_bytes() -> None:
    memory = FeatureMemory(3 * 4 * 10)
    for name in "abc":
        memory.put(name, torch.zeros(10))
    assert memory.get("a") is not None
    memory.put("a", torch.ones(10))
    memory.put("d", torch.zeros(10))
    assert memory.get("b") is None
    assert all(memory.get(name) is not None for name in "acd")
    memory.put("huge", torch.zeros(31))
    assert memory.get("huge") is None and all(memory.get(name) is not None for name in "acd")
    memory.put("e", torch.zeros(30))
    assert memory.get("e") is not None


def test_keys_name_every_position() -> None:
    read = tiny.processor()
    one, other, same = (read(tiny.question("Sky?", *seeds)) for seeds in ((1, 2), (2, 1), (1, 2)))
    assert one.ids == other.ids
    keys = [content_key(inputs) for inputs in (one, other, same)]
    assert keys[0] == keys[2] != keys[1]
    assert [len(key) for key in keys] == [len(one.ids)] * 3
    assert [entry for entry in keys[0] if isinstance(entry, str)] == [h for h in one.hashes for _ in range(4)]
    assert all(key == token for key, token in zip(keys[0], one.ids, strict=True) if not isinstance(key, str))


def test_engines_share_nothing() -> None:
    first = tiny.engine(0)
    asked = tiny.question("What is in the picture?", 1)
    first.ask(asked, SHORT)
    second = Engine(tiny.model(1), tiny.processor())
    assert second.ask(asked, SHORT).usage.cached_tokens == 0


def test_the_memory_of_earlier_conversations_is_as_large_as_one_says() -> None:
    def asked(made: Engine) -> int:
        for number in range(6):
            made.ask(tiny.question(f"{number} dice, or how many?", number), SHORT)
        return made.activity.bytes["prefix"]

    usual = asked(tiny.engine())
    for limit in (usual // 2, 0):
        assert asked(Engine(tiny.model(), tiny.processor(), kv_bytes=limit)) <= limit
    assert asked(Engine(tiny.model(), tiny.processor(), kv_bytes=usual // 2)) > 0
