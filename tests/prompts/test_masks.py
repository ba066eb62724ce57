"""What is learned, token by token: of every template, with every kind of tokenizer, for two thousand conversations.

The rule is written down here a second time, as plain text, and compared through the bytes of the tokens alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pumice
from prompts.conftest import KINDS
from pumice.prompts.conversation import Conversation, Image, Text, Turn
from pumice.prompts.encode import IGNORE, IMAGE_ID, Encoded, encode
from pumice.prompts.templates import TEMPLATES, render
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer

PICTURE = Image("picture.png")
SYSTEM = "Be brief."
#: Question and answer; the question may have a picture in front.
Talk = list[tuple[bool, str, str]]
#: Text, and whether it is learned.
Said = Iterator[tuple[str, bool]]

MARKS = ["</s>", "<s>", "<image>", "[INST]", "###", "<|im_end|>", "<|im_start|>", "\n", " ", "  ", "USER:", "🎲", "é"]
# U+2581 is how SentencePiece writes a space, so no tokenizer of its kind can tell the two apart.
LETTERS = st.characters(exclude_characters="\u2581", exclude_categories=["Cs"])
WORDS = st.lists(st.sampled_from([*MARKS, "word", "a", "in the"]) | st.text(LETTERS, max_size=4), max_size=3)
TURNS = st.tuples(st.booleans(), WORDS.map("".join), WORDS.map("".join))
TALKS = st.lists(TURNS, min_size=1, max_size=2)


def vicuna(talk: Talk, around: tuple[str, str] = ("", "")) -> Said:
    yield f"{SYSTEM} ", False
    for pictured, asked, told in talk:
        shown = f"{around[0]}{around[1]}" + "\n" * bool(asked) if pictured else ""
        yield f"USER: {shown}{asked} " if pictured or asked else "USER:", False
        yield "ASSISTANT:", False
        yield f" {told}</s>" if told else "", True


def sharp(talk: Talk, around: tuple[str, str] = ("", "")) -> Said:
    yield f"{SYSTEM}\n\n", False
    for pictured, asked, told in talk:
        shown = f"{around[0]}{around[1]}" + "\n" * bool(asked) if pictured else ""
        yield "###", True
        yield f" Human: {shown}{asked}\n", False
        yield f"### Assistant: {told}\n", True
    yield "### ", True


def llama_2(talk: Talk, between: str = "<s>") -> Said:
    for number, (pictured, asked, told) in enumerate(talk):
        yield between if number else "", False
        yield "[INST] " + ("" if number else f"<<SYS>>\n{SYSTEM}\n<</SYS>>\n\n"), False
        yield ("\n" if pictured and asked else "") + f"{asked} [/INST]", False
        yield f" {told} </s>" if told else "", True


def chatml(talk: Talk) -> Said:
    yield f"<|im_start|>system\n{SYSTEM}<|im_end|>", False
    for pictured, asked, told in talk:
        yield "<|im_start|>user\n", False
        yield (("\n" if pictured and asked else "") + f"{asked}<|im_end|>") if pictured or asked else "", False
        yield "<|im_start|>assistant\n", False
        yield f"{told}<|im_end|>" if told else "", True


def qwen(talk: Talk) -> Said:
    yield f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", False
    for pictured, asked, told in talk:
        yield "<|im_start|>user\n", False
        yield (("\n" if pictured and asked else "") + f"{asked}<|im_end|>\n") if pictured or asked else "", False
        yield "<|im_start|>assistant\n", False
        yield f"{told}<|im_end|>" if told else "", True
        yield "\n" if told else "", False


def llama_3(talk: Talk) -> Said:
    def head(role: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n"

    yield f"{head('system')}{SYSTEM}<|eot_id|>", False
    for pictured, asked, told in talk:
        yield head("user"), False
        yield (("\n" if pictured and asked else "") + f"{asked}<|eot_id|>") if pictured or asked else "", False
        yield head("assistant"), False
        yield f"{told}<|eot_id|>" if told else "", True


# Those that write differently; of the others only the system text is their own.
RULES = {
    "vicuna_v1": vicuna,
    "v1_mmtag": lambda talk: vicuna(talk, ("<Image>", "</Image>")),
    "v0": sharp,
    "v0_mmtag": lambda talk: sharp(talk, ("<Image>", "</Image>")),
    "llava_llama_2": llama_2,
    "mistral_instruct": lambda talk: llama_2(talk, ""),
    "mpt": chatml,
    "qwen_1_5": qwen,
    "llava_llama_3": llama_3,
}


def conversation(talk: Talk) -> Conversation:
    turns = []
    for pictured, asked, told in talk:
        turns.append(Turn("user", (*((PICTURE,) if pictured else ()), Text(asked))))
        turns.append(Turn("assistant", (Text(told),)))
    return Conversation(tuple(turns), SYSTEM)


def check(encoded: Encoded, tokenizer: Tokenizer, said: Said) -> None:
    """All of the text is there, and a token is learned exactly if any byte of it is to be."""
    text, learned = b"", b""
    for part, flag in said:
        text += part.encode()
        learned += bytes([flag]) * (len(text) - len(learned))
    names = {index: name.encode() for name, index in tokenizer.specials.items() if index != tokenizer.unk_id}
    pairs = list(zip(encoded.ids, encoded.labels, strict=True))
    if tokenizer.bos_id is not None:
        assert pairs.pop(0) == (tokenizer.bos_id, IGNORE)
    at = 0
    for index, label in pairs:
        assert label in (IGNORE, index)
        if index == IMAGE_ID:
            assert label == IGNORE
            continue
        piece = names.get(index) or tokenizer.token_bytes(index)
        if not text.startswith(piece, at):  # the space that SentencePiece adds in front
            assert piece.startswith(b" ") and text.startswith(piece[1:], at), (piece, text[at : at + 20])
            piece = piece[1:]
        if piece:
            assert (label != IGNORE) == (1 in learned[at : at + len(piece)]), (piece, text[:at])
            at += len(piece)
    assert at == len(text)


@pytest.fixture(scope="module", params=[*KINDS, "bundled", "llama-2", "llama-2-legacy"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """One tokenizer of each kind, and those of real models."""
    name = request.param
    if name == "bundled":
        return load_tokenizer(Path(pumice.__file__).parent / "pretrained" / "pumice-tiny")
    if name in KINDS:
        return load_tokenizer(request.getfixturevalue("every_folder")[name])
    folder = tmp_path_factory.mktemp(name)
    shutil.copy(request.getfixturevalue("llama_model"), folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"legacy": name.endswith("legacy")}))
    return load_tokenizer(folder)


def test_every_template_has_its_rule() -> None:
    ruled = [TEMPLATES[name].training or TEMPLATES[name].layout for name in (*RULES, "plain")]
    assert all((each.training or each.layout) in ruled for each in TEMPLATES.values())
    assert len(ruled) >= 6


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(talk=TALKS)
def test_answers_and_what_ends_them_are_learned(reader: Tokenizer, talk: Talk) -> None:
    for name, rule in RULES.items():
        encoded = encode(render(TEMPLATES[name], conversation(talk)), reader)
        check(encoded, reader, rule(talk))
    _, _, caption = talk[0]
    shown = Conversation.ask("What?", (PICTURE,), system="").then_answer(caption)
    check(encode(render(TEMPLATES["plain"], shown), reader), reader, iter([(f"{caption}\n", True)]))
