"""A tokenizer for a model that starts from nothing: byte-pair encoding of the texts it will read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

SPECIALS = ("<unk>", "<s>", "</s>")
_CONFIG = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>", "add_bos_token": True}


def build_tokenizer(texts: Iterable[str], size: int, folder: Path) -> None:
    """Learn at most ``size`` tokens and write ``tokenizer.json`` and ``tokenizer_config.json`` into ``folder``.

    LLaMA's conventions: words begin with ``▁``, what is unknown is spelled in bytes. Punctuation stands alone and a
    decimal such as 0.35 is one word, so that a coordinate becomes one token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    engine = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first"),
            pre_tokenizers.Split(Regex(r"[^\w▁.'-]|\.(?!\d)|\n"), behavior="isolated"),
        ]
    )
    engine.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    alphabet = [chr(code) for code in range(32, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=alphabet,
        show_progress=False,
        min_frequency=2,
    )
    engine.train_from_iterator(texts, trainer)
    spec = json.loads(engine.to_str())
    # Byte tokens must be reachable from decoding alone, never be read as special in a text.
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] in SPECIALS]
    engine = Tokenizer.from_str(json.dumps(spec))
    engine.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", SPECIALS.index("<s>"))]
    )
    folder.mkdir(parents=True, exist_ok=True)
    engine.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_CONFIG, indent=1) + "\n", encoding="utf-8")
