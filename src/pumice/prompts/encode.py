"""Pieces of a rendered conversation to token ids and labels, in one pass.

Pictures cut the text into chunks. A chunk is tokenised as a whole, because SentencePiece gives other tokens for a
text than for its halves, and each chunk anew, because the reference does (llava/mm_utils.py): after a picture the
text therefore begins with the tokenizer's leading space again. The beginning-of-sequence token stands once, in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pumice.errors import UsageError
from pumice.prompts.templates import Markup, Piece, Plain, Slot, Template
from pumice.prompts.tokens import Tokenizer

IMAGE_ID = -200
IGNORE = -100

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Encoded:
    """``ids`` with ``IMAGE_ID`` at picture positions, and ``labels`` of the same length, ``IGNORE`` where nothing is
    learned."""

    ids: list[int]
    labels: list[int]


def encode(
    pieces: Sequence[Piece],
    tokenizer: Tokenizer,
    image_tokens: Sequence[int] | None = None,
    *,
    image_wrap: tuple[str, str] | None = None,
) -> Encoded:
    """Tokenise a rendered conversation.

    A token is supervised if any character it stands for is; one that stands for none (an added leading space)
    follows the next token. Names of special tokens are recognised in ``Markup`` alone.

    Args:
        image_tokens: how often ``IMAGE_ID`` is repeated for each picture; None writes it once each.
        image_wrap: names of the special tokens to put before and behind every picture.

    Raises:
        UsageError: there are more or fewer pictures than places for them, or ``image_wrap`` names a token that the
            tokenizer does not have.
    """
    slots = sum(isinstance(piece, Slot) for piece in pieces)
    if image_tokens is None:
        image_tokens = (1,) * slots
    if len(image_tokens) != slots:
        raise UsageError(f"the prompt has places for {slots} pictures, found {len(image_tokens)}")
    before, behind = _wrap(tokenizer, image_wrap)
    ids: list[int] = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    labels = [IGNORE] * len(ids)
    chunk = _Chunk()
    for piece in pieces:
        if isinstance(piece, Slot):
            chunk.add_special(before)
            _flush(chunk, tokenizer, ids, labels)
            ids += [IMAGE_ID] * image_tokens[piece.index]
            labels += [IGNORE] * image_tokens[piece.index]
            chunk = _Chunk()
            chunk.add_special(behind)
        elif isinstance(piece, Plain):
            chunk.add(piece.text, piece.supervised)
        else:
            _add_markup(chunk, piece, tokenizer)
    _flush(chunk, tokenizer, ids, labels)
    return Encoded(ids, labels)


def stopping(template: Template, tokenizer: Tokenizer) -> tuple[frozenset[int], tuple[str, ...]]:
    """What ends an answer: ids of tokens (the end of sequence among them), and texts to look for."""
    found = {text: tokenizer.special_id(text) for text in template.stops}
    ids = frozenset(index for index in found.values() if index is not None)
    return ids | {tokenizer.eos_id}, tuple(text for text, index in found.items() if index is None)


@dataclass
class _Segment:
    """Text between special tokens, and for each character whether it is supervised."""

    text: str = ""
    supervised: list[bool] = field(default_factory=list)


@dataclass
class _Chunk:
    """What stands between two pictures: segments of text, and special tokens as (id, supervised)."""

    parts: list[_Segment | tuple[int, bool]] = field(default_factory=list)

    def add(self, text: str, supervised: bool) -> None:
        if not text:
            return
        if not self.parts or isinstance(self.parts[-1], tuple):
            self.parts.append(_Segment())
        segment = self.parts[-1]
        assert isinstance(segment, _Segment)
        # JSON can spell half a surrogate pair, which no UTF-8 text can hold.
        segment.text += _LONE_SURROGATE.sub("\ufffd", text)
        segment.supervised += [supervised] * len(text)

    def add_special(self, index: int | None, supervised: bool = False) -> None:
        if index is not None:
            self.parts.append((index, supervised))


def _wrap(tokenizer: Tokenizer, names: tuple[str, str] | None) -> tuple[int | None, int | None]:
    if names is None:
        return None, None
    before, behind = (tokenizer.special_id(name) for name in names)
    if before is None or behind is None:
        raise UsageError(
            f"pictures are to stand between {names[0]!r} and {names[1]!r}, which this tokenizer does not have",
            hint="use the tokenizer of the checkpoint that was trained with them",
        )
    return before, behind


def _add_markup(chunk: _Chunk, piece: Markup, tokenizer: Tokenizer) -> None:
    for text, index in _split(piece.text, tokenizer):
        if index is None:
            chunk.add(text, piece.supervised)
        else:
            chunk.add_special(index, piece.supervised)


def _split(text: str, tokenizer: Tokenizer) -> Iterator[tuple[str, int | None]]:
    """Stretches of text, and names of special tokens with their id; the longest name wins."""
    names = sorted((name for name in tokenizer.specials if name in text), key=len, reverse=True)
    if not names:
        yield text, None
        return
    for part in re.split("(" + "|".join(map(re.escape, names)) + ")", text):
        yield part, tokenizer.special_id(part)


def _flush(chunk: _Chunk, tokenizer: Tokenizer, ids: list[int], labels: list[int]) -> None:
    """Tokenise a chunk and append its ids and labels."""
    for position, part in enumerate(chunk.parts):
        if isinstance(part, tuple):
            index, supervised = part
            ids.append(index)
            labels.append(index if supervised else IGNORE)
            continue
        tokens = tokenizer.encode(part.text, starts=position == 0)
        flags: list[bool] = []
        following = False
        for token in reversed(tokens):
            if token.end > token.begin:
                following = any(part.supervised[token.begin : token.end])
            flags.append(following)
        ids += (token.id for token in tokens)
        labels += (token.id if flag else IGNORE for token, flag in zip(tokens, reversed(flags), strict=True))
