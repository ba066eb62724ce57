"""Room for new special tokens: ids, embedding rows, and the tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pumice.prompts.tokenizer import FILES, Tokenizer, make_tokenizer
from pumice.prompts.tokens import read_object

IMAGE, VIDEO, PAD = "<image>", "<video>", "<pad>"
_MULTIPLE = 64  # of rows: the llava-hf checkpoints pad to it, for tensor cores


def place_tokens(
    tokenizer: Tokenizer | None, rows: int, names: Sequence[str] = (IMAGE, PAD)
) -> tuple[dict[str, int], int]:
    """Ids for special tokens, known ones kept and others behind the tokenizer's last, and the rows needed.

    rows: embeddings that the model has. Without a tokenizer every row may be in use.
    """
    placed: dict[str, int] = {}
    following = rows if tokenizer is None else tokenizer.size
    for text in names:
        known = None if tokenizer is None else tokenizer.special_id(text)
        placed[text] = following if known is None else known
        following += known is None
    if following <= rows:
        return placed, rows
    return placed, -(-following // _MULTIPLE) * _MULTIPLE


def with_specials(tokenizer: Tokenizer | None, names: Iterable[str], folder: Path) -> Tokenizer | None:
    """A tokenizer that knows these special tokens: those it lacks get the ids behind its last, in this order.

    folder: for messages. None stays None.
    """
    if tokenizer is None:
        return None
    new = [name for name in names if tokenizer.special_id(name) is None]
    if not new:
        return tokenizer
    ids = {name: tokenizer.size + index for index, name in enumerate(new)}
    return make_tokenizer(_with_entries(tokenizer.files, ids, folder), folder)


def add_tokens(folder: Path, ids: Mapping[str, int]) -> None:
    """Enter ``<image>``, ``<pad>`` and what else ``ids`` names into the tokenizer's files in ``folder``, as llava-hf
    models have them."""
    present = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    files = _with_entries(present, ids, folder)
    config = read_object(files, "tokenizer_config.json", folder)
    named = {"image_token": IMAGE, **({"video_token": VIDEO} if VIDEO in ids else {})}
    config.update({"pad_token": PAD, **named, "extra_special_tokens": named})
    config.setdefault("tokenizer_class", "LlamaTokenizer")
    files["tokenizer_config.json"] = _json(config)
    if "special_tokens_map.json" in files:
        special = read_object(files, "special_tokens_map.json", folder)
        files["special_tokens_map.json"] = _json({**special, "pad_token": PAD})
    for name, content in files.items():
        if content != present.get(name):
            (folder / name).write_bytes(content)


def _with_entries(files: Mapping[str, bytes], ids: Mapping[str, int], folder: Path) -> dict[str, bytes]:
    """A tokenizer's files with special tokens entered; those already there keep their entries."""
    result = dict(files)
    if "tokenizer.json" in files:
        spec = read_object(files, "tokenizer.json", folder)
        listed = spec.setdefault("added_tokens", [])
        assert isinstance(listed, list), "a tokenizer was made of these files"
        present = {entry["content"] for entry in listed}
        listed += [{"id": index, **_entry(text)} for text, index in ids.items() if text not in present]
        result["tokenizer.json"] = _json(spec)
    config = read_object(files, "tokenizer_config.json", folder)
    decoder = config.setdefault("added_tokens_decoder", {})
    assert isinstance(decoder, dict), "a tokenizer was made of these files"
    for text, index in ids.items():
        decoder.setdefault(str(index), _entry(text))
    result["tokenizer_config.json"] = _json(config)
    result["added_tokens.json"] = _json({**read_object(files, "added_tokens.json", folder), **ids})
    return result


def _entry(text: str) -> dict[str, object]:
    return {
        "content": text,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
