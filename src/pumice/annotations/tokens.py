"""The words of a text with their places, and which of them stand together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
_HYPHENS = ("-", "\u2011")


@dataclass(frozen=True)
class Token:
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
    matches = list(_WORD.finditer(text))
    followers: list[re.Match[str] | None] = [*matches[1:], None]
    tokens = []
    for match, following in zip(matches, followers[: len(matches)], strict=True):
        word = match[0].lower().replace("’", "'")
        bare = re.sub(r"'s?$", "", word)
        gap = text[match.end() : following.start()] if following is not None else "."
        glued = "-" if gap in _HYPHENS else " " if not gap.strip() else ""
        end = match.start() + len(bare) if bare != word else match.end()
        tokens.append(Token(match.start(), end, bare, bare != word, glued))
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
