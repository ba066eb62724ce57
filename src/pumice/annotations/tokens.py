"""The words of a text with their places, and which of them stand together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_WORD = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
_POSSESSIVE = re.compile(r"['’]s?$")
_HYPHENS = ("-", "\u2011")


def word_set(words: str) -> frozenset[str]:
    """The words between blanks."""
    return frozenset(words.split())


class Token(NamedTuple):
    """``text[start:end]``. word: lower case and without 's; possessive: it had one.

    glued: what joins it to the next word: "-" a hyphen, " " space or nothing, "" a mark or the end.
    """

    start: int
    end: int
    word: str
    possessive: bool
    glued: str


def tokens_of(text: str) -> list[Token]:
    """All words and whole numbers in order."""
    tokens = []
    spans = [match.span() for match in _WORD.finditer(text)]
    for number, (start, end) in enumerate(spans):
        whole = text[start:end]
        bare = _POSSESSIVE.sub("", whole) if "'" in whole or "’" in whole else whole
        gap = text[end : spans[number + 1][0]] if number + 1 < len(spans) else "."
        glued = " " if gap == " " or not gap.strip() else "-" if gap in _HYPHENS else ""
        word = bare.lower().replace("’", "'")
        tokens.append(Token(start, start + len(bare), word, bare != whole, glued))
    return tokens


def words_of(phrase: str) -> tuple[str, ...]:
    """The words alone."""
    return tuple(token.word for token in tokens_of(phrase))


def words_before(tokens: Sequence[Token], first: int, most: int = 6) -> list[str]:
    """The words before a token up to a mark, the next one last."""
    at = first
    while at > 0 and first - at < most and tokens[at - 1].glued == " ":
        at -= 1
    return [token.word for token in tokens[at:first]]


def words_after(tokens: Sequence[Token], last: int, most: int = 2) -> list[str]:
    """The words behind a token up to a mark, the next one first."""
    at = last
    while at + 1 < len(tokens) and at - last < most and tokens[at].glued == " ":
        at += 1
    return [token.word for token in tokens[last + 1 : at + 1]]
