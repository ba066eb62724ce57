"""Tokenizers: the ids of ``transformers``, words that never become special tokens, errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from pumice.checkpoint.vocabulary import with_specials
from pumice.errors import ModelError
from pumice.prompts.encode import encode
from pumice.prompts.templates import Markup
from pumice.prompts.tokenizer import FILES, Tokenizer, load_tokenizer, save_tokenizer
from pumice.prompts.tokens import Token

from .conftest import FIRST, KINDS, PREPEND, llama_like, write_json

MARKS = [
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "<im_start>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "[INST]",
    "###",
]
texts = st.lists(st.text(max_size=8) | st.sampled_from([*MARKS, " ", "  ", "\n", "    ", "🎲", "你好", "\u2581"])).map(
    "".join
)
VISIBLE = st.lists(st.sampled_from([*MARKS, " ", "\n", "a", "the", "USER:", "1.", "é", "🎲", "\t"])).map("".join)


def ids(tokens: list[Token]) -> list[int]:
    return [token.id for token in tokens]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("starts", [True, False])
def test_names_of_special_tokens_are_words(tokenizer: Tokenizer, mark: str, starts: bool) -> None:
    tokens = ids(tokenizer.encode(f"a{mark}b {mark}", starts=starts))
    assert not set(tokens) & (set(tokenizer.specials.values()) - {tokenizer.unk_id})
    assert tokenizer.decode(tokens) == f"a{mark}b {mark}"


@given(text=texts, starts=st.booleans())
def test_text_comes_back_and_is_covered(tokenizer: Tokenizer, text: str, starts: bool) -> None:
    tokens = tokenizer.encode(text, starts=starts)
    assert not set(ids(tokens)) & (set(tokenizer.specials.values()) - {tokenizer.unk_id})
    assert all(0 <= token.id < tokenizer.size and 0 <= token.begin <= token.end <= len(text) for token in tokens)
    assert [token.begin for token in tokens] == sorted(token.begin for token in tokens)
    assert {i for token in tokens for i in range(token.begin, token.end)} == set(range(len(text)))
    if "\u2581" in text:
        return  # the pieces' sign for a space
    expected = text
    if not starts and tokenizer.drops_leading_space and text.startswith(" ") and not _prefixes_everywhere(tokenizer):
        expected = text[1:]
    if starts and _merges_a_leading_space(tokenizer) and text.startswith(" "):
        expected = text[1:]
    assert tokenizer.decode(ids(tokens)) == expected


def _prefixes_everywhere(tokenizer: Tokenizer) -> bool:
    return tokenizer.decode(ids(tokenizer.encode(" x", starts=False))) == " x"


def _merges_a_leading_space(tokenizer: Tokenizer) -> bool:
    """Metaspace adds its space only to a text that has none yet."""
    return tokenizer.decode(ids(tokenizer.encode(" x", starts=True))) == "x"


@pytest.mark.parametrize(
    "rule", [PREPEND, FIRST, {"pre_tokenizer": {**FIRST["pre_tokenizer"], "prepend_scheme": "always"}}]
)
def test_ids_are_those_of_transformers(rule: dict[str, Any], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle of this test")
    folder = write_json(tmp_path, llama_like(rule), bos_token="<s>", add_bos_token=False)
    check_against(folder, transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")))


def test_byte_level_ids_are_those_of_transformers(bytes_folder: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle of this test")
    check_against(
        bytes_folder, transformers.PreTrainedTokenizerFast(tokenizer_file=str(bytes_folder / "tokenizer.json"))
    )


def check_against(folder: Path, oracle: Any) -> None:
    ours = load_tokenizer(folder)

    @settings(max_examples=60)
    @given(VISIBLE)
    def same(text: str) -> None:
        expected = oracle(text, add_special_tokens=False)["input_ids"]
        assert encode([Markup(text)], ours).ids == ([] if ours.bos_id is None else [ours.bos_id]) + expected
        plain = oracle.decode(expected, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if "<image>" not in text:  # not marked special in the file, so transformers would show it
            assert ours.decode(expected) == plain

    same()


@pytest.mark.parametrize("legacy", [True, False])
def test_llama_ids_are_those_of_transformers(legacy: bool, llama_model: Path, tmp_path: Path) -> None:
    """Llama's own vocabulary, converted by ``transformers`` and read back here."""
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle of this test")
    oracle = transformers.LlamaTokenizer.from_pretrained(str(llama_model.parent), legacy=legacy)
    oracle.save_pretrained(tmp_path)
    check_against(tmp_path, oracle)


def test_converted_llama_equals_the_sentencepiece_model(llama_model: Path, tmp_path: Path) -> None:
    """The conversion published with Llama 2 (a prepended U+2581) gives what the model file gives under ``legacy``.

    transformers 5 orders the merges by id, transformers 4 ordered them by score as SentencePiece does.
    """
    transformers = pytest.importorskip("transformers", reason="transformers does the conversion")
    spec = json.loads(transformers.LlamaTokenizer.from_pretrained(str(llama_model.parent)).backend_tokenizer.to_str())
    pieces = SentencePieceProcessor(model_file=str(llama_model))
    spec["model"]["merges"].sort(key=lambda pair: -pieces.get_score(pieces.piece_to_id("".join(pair))))
    spec.update(PREPEND, pre_tokenizer=None)
    converted = load_tokenizer(write_json(tmp_path, spec, bos_token="<s>", add_bos_token=True))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.model").write_bytes(llama_model.read_bytes())
    original = load_tokenizer(tmp_path / "model")

    @settings(max_examples=60)
    @given(texts)
    def same(text: str) -> None:
        found, expected = (t.encode(text, starts=True) for t in (converted, original))
        assert ids(found) == ids(expected)
        assert converted.decode(ids(found)) == original.decode(ids(expected))
        assert encode([Markup(text)], converted).ids == encode([Markup(text)], original).ids

    same()
    assert converted.specials == original.specials
    assert (converted.bos_id, converted.eos_id, converted.pad_id, converted.size) == (1, 2, 0, 32000)
    assert (original.bos_id, original.eos_id, original.pad_id, original.size) == (1, 2, 0, 32000)


def test_legacy_decides_about_text_behind_a_special_token(
    pieces_folder: Path, legacy_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((pieces_folder / "tokenizer.model").read_bytes())
    unmarked = load_tokenizer(tmp_path)
    modern, legacy = load_tokenizer(pieces_folder), load_tokenizer(legacy_folder)
    assert ids(modern.encode("USER", starts=True)) == ids(legacy.encode("USER", starts=True))
    assert ids(legacy.encode("USER", starts=False)) == ids(legacy.encode("USER", starts=True))
    assert unmarked.encode("USER", starts=False) == legacy.encode("USER", starts=False)
    assert ids(modern.encode("USER", starts=False)) != ids(modern.encode("USER", starts=True))


def test_special_tokens_are_added_behind_the_last(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """As partial checkpoints need them; all else stays, and the saved files make the same tokenizer."""
    names = ("<im_patch>", "<im_start>", "<im_end>")
    new = [name for name in names if tokenizer.special_id(name) is None]
    added = with_specials(tokenizer, names, tmp_path)
    assert added is not None and new
    save_tokenizer(added, tmp_path)
    for each in (added, load_tokenizer(tmp_path)):
        assert [each.special_id(name) for name in new] == [tokenizer.size + index for index in range(len(new))]
        assert each.specials == {**tokenizer.specials, **{name: each.specials[name] for name in new}}
        assert each.size == tokenizer.size + len(new)
        assert (each.bos_id, each.eos_id, each.pad_id) == (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
        for starts in (True, False):  # in text they are words, as all names of special tokens are
            text = "USER <im_patch>the</s> 1"
            assert each.encode(text, starts=starts) == tokenizer.encode(text, starts=starts)
    assert with_specials(added, names, tmp_path) is added
    assert with_specials(None, names, tmp_path) is None


def test_a_listed_piece_is_spelled_out_in_text(pieces_folder: Path) -> None:
    """Yi lists ChatML's marks as ordinary pieces, which text would reach."""
    tokenizer = load_tokenizer(pieces_folder)
    assert tokenizer.special_id("<|im_end|>") == 3
    tokens = tokenizer.encode("a <|im_end|> b", starts=True)
    assert 3 not in ids(tokens)
    assert tokenizer.decode(ids(tokens)) == "a <|im_end|> b"
    assert {i for token in tokens for i in range(token.begin, token.end)} == set(range(len("a <|im_end|> b")))


def test_added_words_that_are_not_markup_stay_words(bytes_folder: Path) -> None:
    tokenizer = load_tokenizer(bytes_folder)
    assert "    " not in tokenizer.specials
    tokens = tokenizer.encode("a    b", starts=True)
    assert len(tokens) == 3
    assert tokenizer.decode(ids(tokens)) == "a    b"


def test_names_and_ids(every_folder: dict[str, Path]) -> None:
    loaded = {kind: load_tokenizer(folder) for kind, folder in every_folder.items()}
    assert [loaded[kind].bos_id for kind in KINDS] == [1, 1, 1, 1, None]
    assert [loaded[kind].eos_id for kind in KINDS] == [2, 2, 2, 2, 2]
    assert [loaded[kind].pad_id for kind in KINDS] == [0, 0, 0, 0, 2]
    assert loaded["pieces"].size == 422
    assert loaded["pieces"].special_id("<im_end>") == 421
    assert loaded["json-first"].special_id("<image>") is not None
    assert loaded["bytes"].special_id("USER") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_the_same(kind: str, every_folder: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("left over")
    first = load_tokenizer(every_folder[kind])
    save_tokenizer(first, tmp_path)
    second = load_tokenizer(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(first.files) <= set(FILES)
    assert second.encode("Grüße 🎲 </s>", starts=True) == first.encode("Grüße 🎲 </s>", starts=True)
    assert second.specials == first.specials
    with pytest.raises(ModelError, match="cannot be written"):
        save_tokenizer(first, tmp_path / "absent")


def test_bos_is_added_as_the_files_say(tmp_path: Path) -> None:
    spec = llama_like(FIRST)
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    assert load_tokenizer(write_json(tmp_path, spec, bos_token="<s>")).bos_id is None
    assert load_tokenizer(write_json(tmp_path, {**spec, "post_processor": template})).bos_id == 1
    config = {"bos_token": "<s>", "add_bos_token": False}
    assert load_tokenizer(write_json(tmp_path, {**spec, "post_processor": template}, **config)).bos_id is None
    named: dict[str, object] = {"content": "</s>"}
    assert load_tokenizer(write_json(tmp_path, spec, eos_token=named, pad_token="<im_start>")).pad_id > 2


def test_a_named_token_is_markup_even_if_it_was_not_added(tmp_path: Path) -> None:
    spec = llama_like(FIRST)
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] != "</s>"]
    tokenizer = load_tokenizer(write_json(tmp_path, spec))
    assert tokenizer.special_id("</s>") == tokenizer.eos_id == 2
    assert encode([Markup("</s>")], tokenizer).ids == [2]
    assert 2 not in ids(tokenizer.encode("</s>", starts=True))


def test_sentencepiece_without_bos(pieces_folder: Path, tmp_path: Path) -> None:
    save_tokenizer(load_tokenizer(pieces_folder), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": False, "pad_token": "</s>"}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.bos_id is None
    assert tokenizer.special_id("<s>") == 1
    assert tokenizer.pad_id == 2


def broken(folder: Path, name: str, content: str) -> Path:
    if name != "tokenizer.json":
        write_json(folder, llama_like(FIRST))
    (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", r"tokenizer\.json cannot be read"),
        ("tokenizer.json", "[]", r"tokenizer\.json cannot be read: expected a JSON object, found list"),
        pytest.param("tokenizer.json", "[" * 100_000, r"tokenizer\.json cannot be read", id="deep"),
        ("tokenizer.json", '{"decoder": {"type": "ByteLevel"}}', r"tokenizer\.json cannot be read"),
        ("tokenizer.json", '{"added_tokens": 3}', "added_tokens is not a list"),
        ("tokenizer.json", '{"decoder": {"type": "WordPiece"}}', "found WordPiece"),
        ("tokenizer.json", '{"decoder": null}', "found none"),
        ("tokenizer_config.json", "{}", "end-of-sequence token is not known"),
        ("tokenizer_config.json", '{"eos_token": "<end>"}', "found eos_token '<end>'"),
        ("tokenizer_config.json", "nothing", r"tokenizer_config\.json cannot be read"),
        ("tokenizer_config.json", '{"added_tokens_decoder": []}', "added_tokens_decoder is not an object"),
        ("added_tokens.json", '{"<x>": "one"}', "must be a whole number, found 'one'"),
        ("added_tokens.json", '{"<x>": 9999}', "'<x>' is to be token 9999"),
    ],
)
def test_damaged_files_are_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_tokenizer(broken(tmp_path, name, content))
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 40])
def test_a_damaged_sentencepiece_model_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.model cannot be read") as caught:
        load_tokenizer(tmp_path)
    assert caught.value.hint


def test_a_cut_off_sentencepiece_model_is_named(pieces_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes((pieces_folder / "tokenizer.model").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"tokenizer\.model"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected tokenizer\.json or tokenizer\.model") as caught:
        load_tokenizer(tmp_path)
    assert caught.value.hint
