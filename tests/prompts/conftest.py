"""Real tokenizers of every kind, trained here, and Llama's own where the golden vectors are at hand."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import settings
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Engine

from pumice.prompts.tokenizer import Tokenizer, load_tokenizer

# A busy machine is no defect: examples are not timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PROJECT = Path(__file__).resolve().parents[2]
CORPUS = [
    "A chat between a curious user and an artificial intelligence assistant.",
    "USER: what is in the picture? ASSISTANT: two red mugs and a die with five pips, </s> says the sign.",
    "The quick brown fox jumps over the lazy dog; 3.14 is not 2.72!",
    "Grüße aus Köln, ça va? 你好 世界 🎲🎲 naïve café",
    "[INST] <<SYS>> <|im_start|>assistant ### Human: hello <image> world",
] * 4
KINDS = ("pieces", "pieces-legacy", "json-prepend", "json-first", "bytes")


@pytest.fixture(scope="session")
def pieces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama-like ``tokenizer.model``; ``<|im_end|>`` is an ordinary piece of it, as in Yi's."""
    folder = tmp_path_factory.mktemp("pieces")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["<|im_end|>"],
        minloglevel=2,
        hard_vocab_limit=False,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    config = {"legacy": False, "added_tokens_decoder": {"3": {"content": "<|im_end|>", "special": True}}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "added_tokens.json").write_text(json.dumps({"<im_start>": 420, "<im_end>": 421}))
    return folder


@pytest.fixture(scope="session")
def legacy_folder(pieces_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("legacy")
    shutil.copytree(pieces_folder, folder, dirs_exist_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "legacy": True}))
    return folder


def llama_like(prefix: dict[str, Any]) -> dict[str, Any]:
    """A small ``tokenizer.json`` of Llama's kind: byte fallback, spaces as U+2581, ``prefix`` says how one leads."""
    letters = sorted({letter for line in CORPUS for letter in line.replace(" ", "\u2581")})
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("\u2581", "a"), ("\u2581", "t"), ("i", "n"), ("\u2581t", "h"), ("\u2581th", "e"), ("\u2581a", "n")]
    merges += [("U", "S"), ("E", "R"), ("US", "ER"), ("\u2581", "USER"), ("<", "/"), ("s", ">"), ("\u2581", "\u2581")]
    vocabulary += [left + right for left, right in merges]
    engine = Engine(
        models.BPE(
            vocab={text: index for index, text in enumerate(vocabulary)},
            merges=merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    engine.add_special_tokens([AddedToken(name, normalized=False) for name in ("<unk>", "<s>", "</s>", "<im_start>")])
    engine.add_tokens([AddedToken("<image>", normalized=False)])
    engine.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return {**json.loads(engine.to_str()), **prefix}


PREPEND: dict[str, Any] = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ],
    }
}
FIRST: dict[str, Any] = {
    "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
}


@pytest.fixture(scope="session")
def prepend_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_json(tmp_path_factory.mktemp("prepend"), llama_like(PREPEND), bos_token="<s>", add_bos_token=True)


@pytest.fixture(scope="session")
def first_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_json(tmp_path_factory.mktemp("first"), llama_like(FIRST), bos_token="<s>", add_bos_token=True)


def write_json(folder: Path, spec: dict[str, Any], **config: object) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    names = {"eos_token": "</s>", "unk_token": "<unk>", **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


@pytest.fixture(scope="session")
def bytes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE with ChatML's tokens, and a run of spaces as an ordinary added word (GPT-NeoX, Qwen)."""
    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=names,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(CORPUS, trainer)
    engine.add_tokens([AddedToken("    ", normalized=True)])
    folder = tmp_path_factory.mktemp("bytes")
    return write_json(folder, json.loads(engine.to_str()), eos_token="<|im_end|>", unk_token=None)


@pytest.fixture(scope="session")
def every_folder(
    pieces_folder: Path, legacy_folder: Path, prepend_folder: Path, first_folder: Path, bytes_folder: Path
) -> dict[str, Path]:
    folders = (pieces_folder, legacy_folder, prepend_folder, first_folder, bytes_folder)
    return dict(zip(KINDS, folders, strict=True))


@pytest.fixture(scope="session", params=KINDS)
def tokenizer(request: pytest.FixtureRequest, every_folder: dict[str, Path]) -> Tokenizer:
    """One tokenizer of each kind in turn."""
    return load_tokenizer(every_folder[request.param])


@pytest.fixture(scope="session")
def llama_model() -> Path:
    """The SentencePiece model of Llama 2, which lies beside the golden vectors."""
    folder = Path(os.environ.get("PUMICE_GOLDEN", PROJECT.parent / "shared" / "golden"))
    path = folder / "text" / "tokenizer.model"
    if not path.is_file():
        pytest.skip(f"no {path}; set PUMICE_GOLDEN to the folder of golden vectors")
    return path
