"""Which things a text speaks of: categories by their names, synonyms and plurals, with the number said.

    >>> [(m.category, m.number) for m in coco().mentions("Two dogs wait beside a man at the bus stop.")]
    [('dog', 2), ('person', None)]

The longest name wins ("hot dog" is no dog), a name that only describes the next noun is passed over ("train station",
"a cat's bowl" keeps its cat), and so is what is carved or painted. What is negated, asked or supposed is for the
reader to find out: a mention says only that the words are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pumice.annotations import compounds as near
from pumice.annotations.numbers import Bound, said_before
from pumice.annotations.scene import Scene
from pumice.annotations.tokens import Token, tokens_of, words_after, words_before, words_of
from pumice.annotations.words import COCO, IRREGULAR, SUPER
from pumice.world.vocabulary import NAMES

COCO_CATEGORIES: tuple[str, ...] = tuple(COCO)
WORLD_SOURCE = "world"

_PAIRED = frozenset({"scissors", "skis", "baseball glove"})


@dataclass(frozen=True)
class Mention:
    """Words that name a thing, ``text[start:end]``.

    word: the name in the singular ("man", "sofa"). category: what it stands for ("person"), or the general word
    itself ("vehicle"); categories: all that may be meant, one or several. plural: as it is written. narrow: the word
    means a part of its category, as "man" does of persons, so a number of them is a part, too. loose: it may be
    annotated as the category or not at all ("desk" as "dining table"): it confirms, and never refutes. number, bound:
    how many are said to be there.
    """

    start: int
    end: int
    word: str
    category: str
    categories: tuple[str, ...]
    plural: bool
    narrow: bool = False
    loose: bool = False
    number: int | None = None
    bound: Bound = "exact"

    @property
    def general(self) -> bool:
        """Whether it is a word for several categories, rather than a word with several meanings."""
        return self.category not in self.categories


@dataclass(frozen=True)
class _Sense:
    word: str
    category: str
    categories: tuple[str, ...]
    narrow: bool
    loose: bool


@dataclass(frozen=True)
class _Found:
    first: int
    last: int
    sense: _Sense | None  # None for a trap
    plural: bool


class Vocabulary:
    """Names and what they stand for. Build one with ``coco``, ``world`` or ``vocabulary_for``."""

    def __init__(
        self, senses: Mapping[str, _Sense], categories: Iterable[str], traps: Iterable[str] = near.TRAPS
    ) -> None:
        self.categories = frozenset(categories)
        self._forms: dict[tuple[str, ...], tuple[_Sense | None, bool]] = {}
        self._longest: dict[str, int] = {}  # words of the longest name, by its first
        for phrase in traps:
            self._learn(phrase, None, several=False)
        for word, sense in senses.items():
            self._learn(plural(word), sense, several=True)
        for word, sense in senses.items():
            self._learn(word, sense, several=plural(word) == word)

    def _learn(self, name: str, sense: _Sense | None, *, several: bool) -> None:
        words = words_of(name)
        if words:
            self._forms[words] = (sense, several)
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def extended(self, names: Iterable[str]) -> Vocabulary:
        """The same and further categories, which have no synonyms."""
        larger = Vocabulary({}, {*self.categories, *names}, traps=())
        larger._forms, larger._longest = self._forms.copy(), self._longest.copy()
        for name in sorted(names):
            sense = _Sense(name, name, (name,), False, False)
            larger._learn(plural(name), sense, several=True)
            larger._learn(name, sense, several=plural(name) == name)
        return larger

    def mentions(self, text: str) -> list[Mention]:
        """All mentions in order; they never overlap."""
        tokens = tokens_of(text)
        found = list(self._found(tokens))
        starts = {each.first for each in found if each.sense is not None}
        result = []
        for each in found:
            sense, last = each.sense, tokens[each.last]
            before = words_before(tokens, each.first)
            if sense is None or last.glued == "-" or near.likeness(before, sense.categories):
                continue
            after = words_after(tokens, each.last)
            one = not each.plural or plural(sense.word) == sense.word
            if last.possessive and each.plural and near.DETERMINERS.isdisjoint(before[-1:]):
                continue
            if near.elsewhere(sense.word, before, after) if one else near.acts(sense.word, before):
                continue
            if (
                one
                and not last.possessive
                and ((after and each.last + 1 in starts) or near.modifies(before, after, sense.categories))
            ):
                continue
            said = said_before(before, each.plural, paired=not _PAIRED.isdisjoint(sense.categories))
            result.append(
                Mention(
                    tokens[each.first].start,
                    last.end,
                    sense.word,
                    sense.category,
                    sense.categories,
                    each.plural,
                    sense.narrow,
                    sense.loose,
                    said.number if said else None,
                    said.bound if said else "exact",
                )
            )
        return result

    def _found(self, tokens: Sequence[Token]) -> Iterator[_Found]:
        """Names and traps, the longest first, from left to right."""
        at = 0
        while at < len(tokens):
            for length in range(min(self._longest.get(tokens[at].word, 0), len(tokens) - at), 0, -1):
                run = tokens[at : at + length]
                form = self._forms.get(tuple(token.word for token in run))
                if form is not None and all(token.glued for token in run[:-1]):
                    yield _Found(at, at + length - 1, *form)
                    at += length
                    break
            else:
                at += 1


def plural(name: str) -> str:
    """The name of several: "dining tables", "people", "skis"."""
    *front, last = name.split(" ")
    if " of " in f" {name} " and not name.startswith("pair "):
        head, _, rest = name.partition(" of ")
        return f"{plural(head)} of {rest}"
    if last in IRREGULAR:
        several = IRREGULAR[last]
    elif last.endswith("man") and last != "human":
        several = f"{last[:-3]}men"
    elif re.search(r"(s|x|z|ch|sh)$", last):
        several = f"{last}es"
    elif re.search(r"[^aeiou]y$", last):
        several = f"{last[:-1]}ies"
    else:
        several = f"{last}s"
    return " ".join((*front, several))


@lru_cache(maxsize=1)
def coco() -> Vocabulary:
    """COCO's 80 categories with all their words."""
    senses = {name: _Sense(name, name, (name,), False, False) for name in COCO}
    for category, words in COCO.items():
        for grade, graded in enumerate(_graded(words)):
            for word in graded:
                _add(senses, word, category, narrow=grade == 1, loose=grade == 2)
    for word, members in SUPER.items():
        senses[word] = _Sense(word, word, tuple(members.split(", ")), False, word == "van")
    return Vocabulary(senses, COCO)


@lru_cache(maxsize=1)
def world() -> Vocabulary:
    """The synthetic world's names and "thing" for any of them; nothing there has a synonym, or a double meaning."""
    senses = {name: _Sense(name, name, (name,), False, False) for name in NAMES}
    return Vocabulary({**senses, "thing": _Sense("thing", "thing", NAMES, False, False)}, NAMES, traps=())


def vocabulary_for(scene: Scene) -> Vocabulary:
    """The words that may speak of the scene: the world's, or COCO's and the scene's own further categories."""
    if scene.source == WORLD_SOURCE:
        return world()
    own = {thing.category for thing in scene.things} | scene.closed
    return _coco_with(frozenset(own - COCO.keys()))


@lru_cache(maxsize=64)
def _coco_with(further: frozenset[str]) -> Vocabulary:
    return coco().extended(further) if further else coco()


def _graded(words: str) -> tuple[list[str], list[str], list[str]]:
    """The three grades of words in a row of the table: exact < narrow ~ loose."""
    sure, _, loose = words.partition("~")
    exact, _, narrow = sure.partition("<")
    first, second, third = (
        [word.strip() for word in part.split(",") if word.strip()] for part in (exact, narrow, loose)
    )
    return first, second, third


def _add(senses: dict[str, _Sense], word: str, category: str, *, narrow: bool, loose: bool) -> None:
    """One more meaning of the word. With several it says less, but it is sure of one of them if any is."""
    known = senses.get(word)
    if known is None:
        senses[word] = _Sense(word, category, (category,), narrow, loose)
    elif word not in COCO:
        senses[word] = _Sense(word, known.category, (*known.categories, category), narrow, known.loose and loose)
