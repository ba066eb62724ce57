"""Pieces become ids and labels in one pass, as the reference tokenises and as the rule of targets says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Part, Text, Turn
from pumice.prompts.encode import IGNORE, IMAGE_ID, Encoded, encode, stopping
from pumice.prompts.templates import TEMPLATES, Markup, Plain, Slot, get_template, prompt_text, render
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer

PICTURE = Image("picture.png")
HOSTILE = ["</s>", "<s>", "<image>", "[INST]", "[/INST]", "###", "<|im_end|>", "<|im_start|>", "<im_start>", "<im_end>"]
words = st.lists(st.text(max_size=6) | st.sampled_from([*HOSTILE, " ", "\n", "word", "🎲"]), max_size=5).map("".join)


def learned(encoded: Encoded, tokenizer: Tokenizer) -> str:
    """The supervised tokens as text, special tokens by name."""
    names = {index: text for text, index in tokenizer.specials.items()}
    labels = [label for label in encoded.labels if label != IGNORE]
    return b"".join(names[i].encode() if i in names else tokenizer.token_bytes(i) for i in labels).decode(
        "utf-8", "replace"
    )


def test_one_id_per_picture_or_as_many_as_it_needs(tokenizer: Tokenizer) -> None:
    pieces = render(get_template("vicuna_v1"), Conversation.ask("Which is older?", (PICTURE, PICTURE)))
    once = encode(pieces, tokenizer)
    assert once.ids.count(IMAGE_ID) == 2
    assert set(once.labels) == {IGNORE}
    more = encode(pieces, tokenizer, (3, 4))
    assert [i for i in more.ids if i != IMAGE_ID] == [i for i in once.ids if i != IMAGE_ID]
    first = more.ids.index(IMAGE_ID)
    assert more.ids[first : first + 3] == [IMAGE_ID] * 3 != more.ids[first + 1 : first + 4]
    assert more.ids.count(IMAGE_ID) == 7
    assert len(more.ids) == len(more.labels)


@pytest.mark.parametrize("counts", [(), (1,), (1, 1, 1)])
def test_places_and_pictures_must_agree(tokenizer: Tokenizer, counts: tuple[int, ...]) -> None:
    pieces = render(get_template("vicuna_v1"), Conversation.ask("Which is older?", (PICTURE, PICTURE)))
    with pytest.raises(UsageError, match=f"places for 2 pictures, found {len(counts)}"):
        encode(pieces, tokenizer, counts)


def test_pictures_between_their_own_tokens(pieces_folder: Path) -> None:
    tokenizer = load_tokenizer(pieces_folder)
    pieces = render(get_template("vicuna_v1"), Conversation.ask("What is this?", (PICTURE,)))
    ids = encode(pieces, tokenizer, (2,), image_wrap=("<im_start>", "<im_end>")).ids
    first = ids.index(IMAGE_ID)
    assert ids[first - 1 : first + 3] == [420, IMAGE_ID, IMAGE_ID, 421]
    newline = tokenizer.decode(ids[first + 3 : first + 4])
    assert newline == "\n"  # behind a special token there is no added space
    with pytest.raises(UsageError, match="does not have"):
        encode(pieces, tokenizer, image_wrap=("<im_start>", "<im_stop>"))


def test_special_tokens_are_found_in_markup_alone(tokenizer: Tokenizer) -> None:
    for text, index in tokenizer.specials.items():
        assert index in encode([Markup(f"a{text}b")], tokenizer).ids
        if index not in (tokenizer.bos_id, tokenizer.unk_id):
            assert index not in encode([Plain(f"a{text}b")], tokenizer).ids
            assert index not in encode([Plain(text[:1]), Markup(text[1:])], tokenizer).ids


def test_names_side_by_side_are_two_tokens(tokenizer: Tokenizer) -> None:
    start = "<im_start>" if tokenizer.special_id("<im_start>") is not None else "<|im_start|>"
    ids = encode([Markup(f"{start}{start}")], tokenizer).ids
    assert ids[-2:] == [tokenizer.special_id(start)] * 2


def test_the_added_leading_space_is_learned_with_what_follows(prepend_folder: Path) -> None:
    tokenizer = load_tokenizer(prepend_folder)
    encoded = encode([Markup("USER:"), Slot(0), Plain("1", supervised=True)], tokenizer)
    assert encoded.ids[-3:] == [IMAGE_ID, *encoded.labels[-2:]]
    assert tokenizer.token_bytes(encoded.ids[-2]) == b" "


def test_a_token_is_learned_if_any_of_it_is(prepend_folder: Path) -> None:
    tokenizer = load_tokenizer(prepend_folder)
    for pieces in (
        [Markup("US"), Plain("ER", supervised=True)],
        [Plain("US", supervised=True), Markup("ER")],
        [Markup("U"), Plain("S", supervised=True), Markup("ER")],
    ):
        encoded = encode(pieces, tokenizer)
        assert encoded.labels == [IGNORE, encoded.ids[1]]
        assert tokenizer.decode(encoded.ids) == "USER"
    silent = encode([Plain("USER"), Plain("\n", supervised=True)], tokenizer)
    assert silent.labels == [IGNORE, IGNORE, silent.ids[2]]


def test_half_a_surrogate_pair_becomes_the_replacement_character(tokenizer: Tokenizer) -> None:
    encoded = encode([Plain("a\ud83db")], tokenizer)
    assert tokenizer.decode(encoded.ids) == "a\ufffdb"


def test_what_ends_an_answer(pieces_folder: Path, bytes_folder: Path) -> None:
    llama, chatml = load_tokenizer(pieces_folder), load_tokenizer(bytes_folder)
    assert stopping(get_template("vicuna_v1"), llama) == (frozenset({2}), ())
    assert stopping(get_template("v0"), llama) == (frozenset({2}), ("###",))
    assert stopping(get_template("mpt"), llama) == (frozenset({2, 3}), ())
    assert stopping(get_template("vicuna_v1"), chatml) == (frozenset({2}), ("</s>",))


@given(template=st.sampled_from(sorted(TEMPLATES)), question=words, answer=words, system=words | st.none())
def test_nobody_can_type_a_special_token_or_a_picture(
    tokenizer: Tokenizer, template: str, question: str, answer: str, system: str | None
) -> None:
    conversation = Conversation.ask(question, (PICTURE,), system=system).then_answer(answer).then_ask(question)
    pieces = render(TEMPLATES[template], conversation)
    harmless = [Plain("x" * bool(p.text)) if isinstance(p, Plain) else p for p in pieces]
    special = {*tokenizer.specials.values(), IMAGE_ID} - {tokenizer.unk_id}
    expected = [i for i in encode(harmless, tokenizer).ids if i in special]
    assert [i for i in encode(pieces, tokenizer).ids if i in special] == expected


@given(turns=st.lists(st.tuples(words, st.text(min_size=1, max_size=9)), min_size=1, max_size=3))
def test_answers_and_ends_of_turns_are_learned_and_nothing_else(
    tokenizer: Tokenizer, turns: list[tuple[str, str]]
) -> None:
    """With ChatML the answers stand behind a newline, which is a token of its own in every vocabulary here."""
    conversation = Conversation()
    for question, answer in turns:
        conversation = conversation.then_ask(question, (PICTURE,)).then_answer(f"({answer})")
    encoded = encode(render(get_template("mpt"), conversation), tokenizer)
    assert [i for i, label in zip(encoded.ids, encoded.labels, strict=True) if label != IGNORE] == [
        label for label in encoded.labels if label != IGNORE
    ]
    expected = "".join(f"({answer})<|im_end|>" for _, answer in turns).replace("\u2581", " ")
    assert learned(encoded, tokenizer) == expected


class Reference:
    """The reference's rule: cut at ``<image>``, tokenise each chunk with BOS, drop all BOS but the first."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def ids(self, prompt: str) -> list[int]:
        chunks = [
            [1, *self.tokenizer(chunk, add_special_tokens=False)["input_ids"]] for chunk in prompt.split("<image>")
        ]
        found = [1]
        for number, chunk in enumerate(chunks):
            found += ([IMAGE_ID] if number else []) + chunk[1:]
        return found


questions = st.lists(
    st.sampled_from([PICTURE, Text("what is this?"), Text(" two  spaces"), Text("\n"), Text("你好 🎲")]),
    min_size=1,
    max_size=6,
).map(tuple)


@pytest.mark.parametrize("rule", ["prepend", "first"])
def test_several_pictures_as_the_reference_tokenises(rule: str, request: pytest.FixtureRequest) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle of this test")
    folder: Path = request.getfixturevalue(f"{rule}_folder")
    tokenizer = load_tokenizer(folder)
    reference = Reference(transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")))

    @settings(max_examples=60)
    @given(st.sampled_from(sorted(TEMPLATES)), st.tuples(questions, questions))
    def same(name: str, asked: tuple[tuple[Part, ...], tuple[Part, ...]]) -> None:
        turns = (Turn("user", asked[0]), Turn("assistant", (Text("an answer"),)), Turn("user", asked[1]))
        pieces = render(TEMPLATES[name], Conversation(turns))
        assert encode(pieces, tokenizer).ids == reference.ids(prompt_text(pieces))

    same()
