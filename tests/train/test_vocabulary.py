"""The tokenizer of a model that starts from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tiny
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer
from pumice.train.vocabulary import SPECIALS, build_tokenizer

# U+2581 stands for the space inside; a space in front cannot be told from the one that is put there.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40)


def ids(text: str, *, starts: bool = True) -> list[int]:
    return [token.id for token in tiny.tokenizer().encode(text, starts=starts)]


@settings(deadline=None, max_examples=150)
@given(TEXTS.filter(lambda text: not text.startswith(" ")))
@example("two  spaces,\n\nlines\tand tabs ")
@example("</s> <unk> <s> <0x41> <image>")
@example("Grüße 你好 🎲")
@example("0.35, 12.75. 3.x .5")
def test_every_text_comes_back(text: str) -> None:
    made = tiny.tokenizer()
    assert made.decode(ids(text)) == text
    assert not set(ids(text)) & set(made.specials.values())


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_behind_a_special_token_nothing_is_added(text: str) -> None:
    made = tiny.tokenizer()
    assert b"".join(made.token_bytes(token) for token in ids(text, starts=False)).decode() == text


@pytest.mark.parametrize("text", ["é", "你", "🎲", "\n", "\x00"])
def test_unknown_characters_are_spelled_in_bytes(text: str) -> None:
    made = tiny.tokenizer()
    assert [made.token_bytes(token) for token in ids(text, starts=False)] == [bytes([b]) for b in text.encode()]


def test_no_character_is_unknown() -> None:
    assert all(tiny.tokenizer().unk_id not in ids(chr(code)) for code in range(1, 0x3000))


def test_conventions() -> None:
    made = tiny.tokenizer()
    assert [made.specials[name] for name in SPECIALS] == [0, 1, 2]
    assert (made.bos_id, made.eos_id, made.unk_id, made.pad_id) == (1, 2, 0, 0)
    assert made.size <= tiny.VOCABULARY
    assert made.drops_leading_space


def built(folder: Path, texts: list[str], size: int) -> Tokenizer:
    build_tokenizer(iter(texts), size, folder)
    return load_tokenizer(folder)


def test_frequent_words_become_tokens(tmp_path: Path) -> None:
    """A coordinate is one token, punctuation stands alone."""
    made = built(tmp_path / "new", ["the cup is at 0.35, the die at 0.71."] * 50, 600)
    pieces = [made.token_bytes(token.id).decode() for token in made.encode("the cup is at 0.35, the die.", starts=True)]
    assert pieces == [" the", " cup", " is", " at", " 0.35", ",", " the", " die", "."]


def test_the_same_texts_give_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_tokenizer(iter(tiny.SENTENCES * 2), 450, tmp_path / name)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    config = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    assert config["bos_token"] == "<s>" and config["eos_token"] == "</s>"


def test_an_independent_library_reads_it_the_same_way(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    made = built(tmp_path, list(tiny.SENTENCES) * 3, tiny.VOCABULARY)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in (*tiny.SENTENCES, "Grüße, 🎲 0.35"):
        mine = [token.id for token in made.encode(text, starts=True)]
        assert theirs(text)["input_ids"] == [1, *mine]
        assert theirs.decode(mine) == made.decode(mine) == text
