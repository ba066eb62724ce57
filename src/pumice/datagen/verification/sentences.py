"""A text as sentences, each with its words, their roles and the things that it names.

What a sentence says does not depend on the picture, so each is read once and kept: an answer's words come back often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from pumice.annotations.categories import Mention, Vocabulary
from pumice.datagen.verification.lexicon import COLOURS, NOUN, PERCEIVED, role

KEPT = 4096  # sentences in memory, a few kilobytes each
LONGEST = 600  # characters that are read as one sentence; what goes on for longer is read in pieces

_SENTENCE = re.compile(r"(?<=[.!?;])[\"')]*\s+|\n+|(?<=\w):\s+")
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['-][^\W\d_]+)*|[,;:().?!—–-]")
_ONE_SEES = [
    ["can"],
    ["cannot"],
    ["can't"],
    ["also"],
    ["sees"],
    ["finds"],
    ["notices"],
    ["spots"],
    ["observes"],
    ["recognises"],
    ["could"],
]
AUXILIARIES = frozenset({"do", "does", "did", "have", "has", "had", "can", "could"})
_MODIFIERS = frozenset("wCdxrSKv")
_DETERMINERS = frozenset("athzQ0#")
_LONGEST_PHRASE = 6


@dataclass(frozen=True)
class Noun:
    """A thing as a sentence names it.

    at: its place among the words; first: where its phrase begins ("two red cars"). determiner: the letter of the
    word that begins the phrase, or none. colours: those that the phrase gives it. plain: no other adjective.
    """

    at: int
    first: int
    mention: Mention
    determiner: str
    colours: tuple[str, ...]
    plain: bool


@dataclass(frozen=True)
class Sentence:
    """Words in lower case, where a name is one word; ``shape`` has one letter for each."""

    text: str
    words: tuple[str, ...]
    shape: str
    nouns: tuple[Noun, ...]

    @property
    def asks(self) -> bool:
        """Whether it is a question."""
        return self.shape.endswith("?")


def sentences(text: str, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """All sentences with a word in them, in order."""
    for piece in _SENTENCE.split(text.replace("’", "'")):
        said = piece.strip()
        for start in range(0, len(said), LONGEST):
            sentence = read(said[start : start + LONGEST], vocabulary)
            if sentence.words:
                yield sentence


@lru_cache(maxsize=KEPT)
def read(text: str, vocabulary: Vocabulary) -> Sentence:
    """One sentence."""
    text = text.lower() if text.isupper() else text
    named = [
        each
        for each in vocabulary.mentions(text)
        if text[each.start : each.end] == "TV" or not _shouted(text[each.start : each.end])
    ]
    words: list[str] = []
    letters: list[str] = []
    places: list[tuple[int, Mention]] = []
    upcoming = 0
    for match in _WORD.finditer(text):
        while upcoming < len(named) and match.start() >= named[upcoming].end:
            upcoming += 1
        mention = named[upcoming] if upcoming < len(named) and match.end() > named[upcoming].start else None
        if mention is None and _nobody(match[0].lower(), words, vocabulary):
            mention = Mention(match.start(), match.end(), "person", "person", ("person",), False, number=0)
        if mention is None:
            words.append(match[0] if _shouted(match[0]) else match[0].lower())
            letters.append(role(words[-1]))
        elif not places or places[-1][1] is not mention:
            places.append((len(words), mention))
            words.append(mention.word)
            letters.append(NOUN)
    shape = _settled("".join(letters), words)
    owners = {at + 1 for at, mention in places if text[mention.end : mention.end + 1] == "'"}
    nouns = (_noun(at, mention, shape, words) for at, mention in places)
    owned = tuple(replace(noun, determiner="h") if noun.first in owners else noun for noun in nouns)
    return Sentence(text, tuple(words), shape, owned)


def _nobody(word: str, before: list[str], vocabulary: Vocabulary) -> bool:
    """Whether the word denies persons: "nobody", and the second half of "no one"."""
    named = word == "nobody" or (word == "one" and before[-1:] == ["no"])
    return named and "person" in vocabulary.categories


def _shouted(word: str) -> bool:
    """In capitals, as what is written on a sign: no word of the sentence."""
    return len(word) > 1 and word.isupper()


def _settled(shape: str, words: list[str]) -> str:
    """The roles that only the neighbours decide."""
    letters = list(shape)
    asked = shape.endswith("?")
    for at, letter in enumerate(shape):
        after = shape[at + 1] if at + 1 < len(shape) else ""
        before = shape[at - 1] if at else ""
        if words[at] in ("cannot", "can't", "couldn't") and _perceives(shape, words, at + 1, asked):
            letters[at] = "g"
            continue
        if asked and at == 0 and words[at] in AUXILIARIES:
            letters[at] = "V"
            continue
        if words[at] in ("empty", "free", "void") and after == "o":
            letters[at] = "g"
            continue
        if words[at] == "one" and before in ("C", "w") and after not in ("N", "w", "C"):
            letters[at] = "y"  # "a red one"
            continue
        if _invites(shape, words, at):
            letters[at] = "y" if words[at] == "one" else "x"
            continue
        seen = words[at] in ("can", "could", "may", "will") and _perceives(shape, words, at + 1, asked)
        if seen or words[at] == "so" or (words[at] == "like" and before in ("V", "")):
            letters[at] = "x"
        elif words[at] == "that" and after in tuple("NwC"):
            letters[at] = "t" if before in ("", "p", "o", "V") else "u"
        elif words[at] in ("right", "left") and letter == "l" and after in tuple("pBRa") and words[at + 1] != "in":
            letters[at] = "l" if before == "t" else "x"  # "right next to", "right above"
        elif words[at] == "left" and before in tuple("yNV&"):
            letters[at] = "w"
    return "".join(letters)


def _invites(shape: str, words: list[str], at: int) -> bool:
    """Whether "one can see ..." or "if you look closely, ..." begins here: neither a number nor a condition."""
    following = shape[at + 1 : at + 2]
    if words[at] == "one":
        return words[at + 1 : at + 2] in _ONE_SEES and shape[at - 1 : at] not in ("t", "o", "p")
    if words[at] not in ("if", "when") or following != "y":
        return False
    return words[at + 1] == "i" or words[at + 2 : at + 3] in (["look"], ["zoom"])


def _perceives(shape: str, words: list[str], at: int, asked: bool) -> bool:
    """Whether "can" only says that something is there: "can be seen", "can a dog be seen?"."""
    if asked and at == 1 and "be" in words:
        at = words.index("be")
    while at < len(words) and (shape[at] in "xy" or words[at] == "be"):
        at += 1
    return at < len(words) and words[at] in PERCEIVED


def _noun(at: int, mention: Mention, shape: str, words: list[str]) -> Noun:
    """The phrase is followed back to its determiner; without one, only colours next to the name belong to it."""
    first = at
    while first > 0 and at - first < _LONGEST_PHRASE:
        letter = shape[first - 1]
        if letter in _MODIFIERS or (
            letter in "&," and first < at and shape[first] in "Cw" and shape[first - 2] in "Cw"
        ):
            first -= 1
        else:
            break
    if first > 0 and shape[first - 1] in _DETERMINERS:
        first -= 1
        determiner = shape[first]
        inside = range(first + 1, at)
        if determiner == "#" and shape[first - 1 : first] == "a":  # "a single dog"
            first -= 1
    else:
        determiner = ""
        inside = range(at, at)
        while inside.start > 0 and (shape[inside.start - 1] == "C"):
            inside = range(inside.start - 1, at)
        first = inside.start
    own = mention.word.removesuffix(f" {mention.category}")  # "black bear" is a name of its own
    said = [*(words[each] for each in inside if shape[each] == "C"), own]
    colours = tuple(COLOURS[word] for word in said if word in COLOURS)
    return Noun(at, first, mention, determiner, colours, all(shape[each] in "x" for each in inside))
