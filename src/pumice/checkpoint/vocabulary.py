"""Room for new special tokens: ids, embedding rows, and the tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pumice.prompts.tokenizer import Tokenizer

IMAGE, PAD = "<image>", "<pad>"
_MULTIPLE = 64  # of rows: the llava-hf checkpoints pad to it, for tensor cores


def place_tokens(tokenizer: Tokenizer | None, rows: int) -> tuple[dict[str, int], int]:
    """Ids for ``<image>`` and ``<pad>``, known ones kept and others behind the tokenizer's last, and the rows needed.

    rows: embeddings that the model has. Without a tokenizer every row may be in use.
    """
    placed: dict[str, int] = {}
    following = rows if tokenizer is None else tokenizer.size
    for text in (IMAGE, PAD):
        known = None if tokenizer is None else tokenizer.special_id(text)
        placed[text] = following if known is None else known
        following += known is None
    if following <= rows:
        return placed, rows
    return placed, -(-following // _MULTIPLE) * _MULTIPLE


def add_tokens(folder: Path, ids: Mapping[str, int]) -> None:
    """Enter special tokens into the tokenizer's files in ``folder``; those already there keep their entries."""
    full = folder / "tokenizer.json"
    if full.is_file():
        spec = json.loads(full.read_bytes())
        listed = spec.setdefault("added_tokens", [])
        present = {entry["content"] for entry in listed}
        listed += [{"id": index, **_entry(text)} for text, index in ids.items() if text not in present]
        _write(full, spec)
    config = _read(folder / "tokenizer_config.json")
    decoder = config.setdefault("added_tokens_decoder", {})
    assert isinstance(decoder, dict)
    for text, index in ids.items():
        decoder.setdefault(str(index), _entry(text))
    config.update({"pad_token": PAD, "image_token": IMAGE, "extra_special_tokens": {"image_token": IMAGE}})
    config.setdefault("tokenizer_class", "LlamaTokenizer")
    _write(folder / "tokenizer_config.json", config)
    added = folder / "added_tokens.json"
    _write(added, {**_read(added), **ids})
    special = folder / "special_tokens_map.json"
    if special.is_file():
        _write(special, {**_read(special), "pad_token": PAD})


def _entry(text: str) -> dict[str, object]:
    return {
        "content": text,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }


def _read(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_bytes())
    assert isinstance(value, dict), path
    return value


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
