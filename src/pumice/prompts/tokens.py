"""What the rest of the program knows about a tokenizer, and the names of its special tokens in a model folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pumice.errors import ModelError


@dataclass(frozen=True)
class Token:
    """A token and the characters ``[begin, end)`` it stands for; both equal for one that adds text, such as the
    space SentencePiece puts in front."""

    id: int
    begin: int
    end: int


class Tokenizer(Protocol):
    """Words to ids and back. Special tokens are named by ``special_id`` and never found in text.

    ``bos_id`` is the token that opens every prompt, None if this tokenizer opens with none; ``size`` is one more than
    the highest id; ``files`` are the files that make up this tokenizer, as ``load_tokenizer`` reads them back.
    """

    @property
    def bos_id(self) -> int | None: ...
    @property
    def eos_id(self) -> int: ...
    @property
    def pad_id(self) -> int: ...
    @property
    def unk_id(self) -> int | None: ...
    @property
    def size(self) -> int: ...
    @property
    def specials(self) -> Mapping[str, int]: ...
    @property
    def files(self) -> Mapping[str, bytes]: ...
    @property
    def drops_leading_space(self) -> bool:
        """Whether ``decode`` takes one space off the front, because ``encode`` puts one there."""

    def special_id(self, text: str) -> int | None:
        """The id of a special token, None if the text names none."""

    def encode(self, text: str, *, starts: bool) -> list[Token]:
        """The tokens of plain text. ``starts``: the text opens a chunk; else it follows a special token."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes, perhaps a part of a character, that a token adds to the text; none for a special token."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens left out; bytes that are no character become U+FFFD."""


@dataclass(frozen=True)
class SpecialNames:
    """What ``tokenizer_config.json`` and its older companions say about special tokens."""

    bos: str | None = None
    eos: str | None = None
    unk: str | None = None
    pad: str | None = None
    add_bos: bool | None = None
    legacy: bool = True
    added: Mapping[str, int] = field(default_factory=dict)


def read_special_names(files: Mapping[str, bytes], folder: Path) -> SpecialNames:
    """Read the names out of ``files``; an absent file says nothing.

    Raises:
        ModelError: a file is not a JSON object, or a value is of the wrong kind.
    """
    older = read_object(files, "special_tokens_map.json", folder)
    config = {**older, **read_object(files, "tokenizer_config.json", folder)}
    added = {text: _index(value, folder) for text, value in read_object(files, "added_tokens.json", folder).items()}
    listed = config.get("added_tokens_decoder", {})
    if not isinstance(listed, dict):
        raise ModelError(f"{folder / 'tokenizer_config.json'}: added_tokens_decoder is not an object")
    for index, entry in listed.items():
        if text := _content(entry):
            added[text] = _index(index, folder)
    add_bos, legacy = config.get("add_bos_token"), config.get("legacy")
    return SpecialNames(
        bos=_content(config.get("bos_token")),
        eos=_content(config.get("eos_token")),
        unk=_content(config.get("unk_token")),
        pad=_content(config.get("pad_token")),
        add_bos=add_bos if isinstance(add_bos, bool) else None,
        # The tokenizers of 2023 carry no mark and were made before the corrected behaviour existed.
        legacy=legacy if isinstance(legacy, bool) else True,
        added=added,
    )


def read_object(files: Mapping[str, bytes], name: str, folder: Path) -> dict[str, object]:
    """A JSON object out of ``files``, empty if the file is absent. Raises ModelError if it is anything else."""
    if name not in files:
        return {}
    try:
        value = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise corrupt(folder / name, str(error)) from error
    if not isinstance(value, dict):
        raise corrupt(folder / name, f"expected a JSON object, found {type(value).__name__}")
    return value


def corrupt(path: Path, reason: str) -> ModelError:
    """The error for a tokenizer file that cannot be read."""
    return ModelError(f"{path} cannot be read: {reason}", hint="fetch the model again; the file may be cut off")


def text_of(pieces: Iterable[bytes], *, drop_space: bool) -> str:
    """Join tokens' bytes to text, one leading space taken off on demand."""
    joined = b"".join(pieces)
    return joined[drop_space and joined.startswith(b" ") :].decode("utf-8", errors="replace")


def defuse(text: str, tokens: list[Token], specials: Set[int], encode: Callable[[str], list[Token]]) -> list[Token]:
    """Spell out every special token that a vocabulary found in plain text: its first character, then the rest.

    Some vocabularies list names of special tokens as ordinary pieces, which text would then reach.
    """
    if specials.isdisjoint([token.id for token in tokens]):
        return tokens
    safe: list[Token] = []
    for token in tokens:
        if token.id not in specials:
            safe.append(token)
            continue
        middle = token.begin + 1
        for begin, part in ((token.begin, text[token.begin : middle]), (middle, text[middle : token.end])):
            safe += (replace(t, begin=begin + t.begin, end=begin + t.end) for t in encode(part))
    return safe


def _content(entry: object) -> str | None:
    """The text of a token, which is written as a string or as an object with ``content``."""
    if isinstance(entry, dict):
        entry = entry.get("content")
    return entry if isinstance(entry, str) and entry else None


def _index(value: object, folder: Path) -> int:
    if isinstance(value, (int, str)) and str(value).isdecimal():
        return int(value)
    raise ModelError(f"{folder}: the id of an added token must be a whole number, found {value!r}")
