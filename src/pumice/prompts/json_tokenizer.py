"""The tokenizer that models of the Hugging Face Hub ship as ``tokenizer.json``, run by the ``tokenizers`` library."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Engine

from pumice.errors import ModelError
from pumice.prompts.tokens import SpecialNames, Token, corrupt, defuse, read_object, read_special_names, text_of

_SPACE = "\u2581"
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_DECODERS = {"ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}


class JsonTokenizer:
    """A ``Tokenizer`` over ``tokenizer.json``; ``files`` must hold that file.

    Added tokens that are special, or matched on the text as it was typed, are markup: they are reached by
    ``special_id`` alone. Other added tokens (the runs of spaces of GPT-NeoX) are ordinary vocabulary.

    Raises:
        ModelError: the file is damaged, decodes in a way this class does not know, or names no end of sequence.
    """

    def __init__(self, files: Mapping[str, bytes], folder: Path) -> None:
        self.files = dict(files)
        path = folder / "tokenizer.json"
        original = read_object(files, "tokenizer.json", folder)
        names = read_special_names(files, folder)
        added = _added_tokens(original, names, path)
        spec = {**original, "added_tokens": added}
        self.specials: Mapping[str, int] = {token["content"]: token["id"] for token in added if token["special"]}
        self._special_ids = frozenset(self.specials.values())
        steps = _decoder_steps(spec, path)
        kinds = {step.get("type") for step in steps}
        self._bytewise, self._byte_fallback = "ByteLevel" in kinds, "ByteFallback" in kinds
        self.drops_leading_space = "Strip" in kinds or any(
            step.get("type") == "Metaspace" and step.get("prepend_scheme") != "never" for step in steps
        )
        self._opening = _engine(files["tokenizer.json"] if spec == original else json.dumps(spec).encode(), path)
        bos_added = self._opening.encode("a", add_special_tokens=True).ids[:1]
        self._following = _without_first_prefix(self._opening, spec, path)
        for engine in (self._opening, self._following):
            engine.encode_special_tokens = True
            for text, index in self.specials.items():
                if engine.token_to_id(text) != index:
                    raise corrupt(path, f"{text!r} is to be token {index}, found {engine.token_to_id(text)}")
        self._vocabulary = self._opening.get_vocab(with_added_tokens=True)
        self.size = 1 + max(self._vocabulary.values(), default=-1)
        self.bos_id = self._find_bos(names, bos_added)
        self.unk_id = self._named(names.unk)
        # The unknown token is the one special token that words may become.
        self._markup_ids = self._special_ids - {self.unk_id}
        eos = self._named(names.eos)
        if eos is None:
            raise ModelError(
                f"{folder}: the end-of-sequence token is not known, found eos_token {names.eos!r}",
                hint="name one of the vocabulary's tokens as eos_token in tokenizer_config.json",
            )
        self.eos_id = eos
        self.pad_id = next(i for i in (self._named(names.pad), self.unk_id, eos) if i is not None)

    def special_id(self, text: str) -> int | None:
        """See ``Tokenizer``."""
        return self.specials.get(text)

    def encode(self, text: str, *, starts: bool) -> list[Token]:
        """See ``Tokenizer``."""
        tokens = self._run(self._opening if starts else self._following, text)
        return defuse(text, tokens, self._markup_ids, lambda part: self._run(self._following, part))

    def token_bytes(self, token: int) -> bytes:
        """See ``Tokenizer``."""
        return self._bytes.get(token, b"")

    def decode(self, ids: Sequence[int]) -> str:
        """See ``Tokenizer``."""
        return text_of(map(self.token_bytes, ids), drop_space=self.drops_leading_space)

    @staticmethod
    def _run(engine: Engine, text: str) -> list[Token]:
        found = engine.encode(text, add_special_tokens=False)
        return [Token(index, begin, end) for index, (begin, end) in zip(found.ids, found.offsets, strict=True)]

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        """The bytes of every token that is not special."""
        letters = _byte_letters() if self._bytewise else {}
        return {i: self._spell(text, letters) for text, i in self._vocabulary.items() if i not in self._special_ids}

    def _spell(self, text: str, letters: Mapping[str, int]) -> bytes:
        if self._bytewise:
            known = all(letter in letters for letter in text)
            return bytes(letters[letter] for letter in text) if known else text.encode()
        if self._byte_fallback and _BYTE.fullmatch(text):
            return bytes.fromhex(text[3:5])
        return text.replace(_SPACE, " ").encode()

    def _find_bos(self, names: SpecialNames, opened_with: list[int]) -> int | None:
        if names.add_bos is False:
            return None
        if names.add_bos and (named := self._named(names.bos)) is not None:
            return named
        return opened_with[0] if opened_with and opened_with[0] in self._special_ids else None

    def _named(self, text: str | None) -> int | None:
        return None if text is None else self._vocabulary.get(text)


def _engine(content: bytes, path: Path) -> Engine:
    try:
        engine = Engine.from_buffer(content)
    except Exception as error:  # the library raises bare Exception for every kind of damage
        raise corrupt(path, str(error)) from error
    engine.no_truncation()
    engine.no_padding()
    return engine


def _added_tokens(spec: Mapping[str, object], names: SpecialNames, path: Path) -> list[dict[str, Any]]:
    """The added tokens, all that are markup marked as special, with those that the files beside it name."""
    entries = spec.get("added_tokens", [])
    needed = {"id", "content", "special", "normalized"}
    if not isinstance(entries, list) or not all(isinstance(e, dict) and needed <= set(e) for e in entries):
        raise corrupt(path, f"added_tokens is not a list of objects with {', '.join(sorted(needed))}")
    found: list[dict[str, Any]] = [dict(entry) for entry in entries]
    listed = {entry["content"] for entry in found}
    named = {name for name in (names.bos, names.eos, names.unk, names.pad) if name}
    model = spec.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    known = {name: vocabulary[name] for name in named if name in vocabulary} if isinstance(vocabulary, dict) else {}
    for text, index in sorted({**known, **names.added}.items(), key=lambda item: item[1]):
        if text not in listed:
            flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            found.append({"id": index, "content": text, **flags})
    for entry in found:
        entry["special"] = entry["special"] or not entry["normalized"] or entry["content"] in named
    return found


def _decoder_steps(spec: Mapping[str, object], path: Path) -> list[dict[str, object]]:
    """The decoder's steps, if they are among those that ``token_bytes`` knows."""
    steps = _steps(spec.get("decoder"), "decoders")
    strange = sorted({str(step.get("type")) for step in steps} - _DECODERS)
    for step in steps:
        if step.get("type") == "Replace" and (step.get("pattern"), step.get("content")) != ({"String": _SPACE}, " "):
            strange.append(f"Replace of {step.get('pattern')}")
    if strange or not steps:
        raise ModelError(
            f"{path}: expected a byte-level or SentencePiece-like decoder, found {', '.join(strange) or 'none'}",
            hint="use the tokenizer.model of this model instead, if there is one",
        )
    return steps


def _steps(part: object, inner: str) -> list[dict[str, object]]:
    """The steps of a part of ``tokenizer.json``, which is absent, one step, or a sequence of them."""
    if not isinstance(part, dict):
        return []
    if part.get("type") == "Sequence":
        return [step for entry in part.get(inner, []) for step in _steps(entry, inner)]
    return [part]


def _without_first_prefix(engine: Engine, spec: Mapping[str, Any], path: Path) -> Engine:
    """The same tokenizer for text behind a special token, where a space meant for the first segment alone is left
    out. It shares the vocabulary; it is the same object if there is no such rule."""
    splitter = copy.deepcopy(spec.get("pre_tokenizer"))
    steps = _steps(splitter, "pretokenizers")
    first = [step for step in steps if step.get("type") == "Metaspace" and step.get("prepend_scheme") == "first"]
    if not first:
        return engine
    for step in first:
        step["prepend_scheme"] = "never"
    empty = {"type": "BPE", "vocab": {}, "merges": []}
    light = {**spec, "pre_tokenizer": splitter, "model": empty, "added_tokens": [], "post_processor": None}
    twin = _engine(json.dumps(light).encode(), path)
    twin.model = engine.model
    for token in sorted(spec["added_tokens"], key=lambda token: int(token["id"])):
        flags = {name: value for name, value in token.items() if name not in ("id", "content")}
        twin.add_tokens([AddedToken(token["content"], **flags)])
    return twin


def _byte_letters() -> dict[str, int]:
    """GPT-2's alphabet: the printable Latin-1 characters stand for themselves, the rest follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
