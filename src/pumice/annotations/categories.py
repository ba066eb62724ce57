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
from dataclasses import dataclass, replace
from functools import lru_cache

from pumice.annotations import compounds as near
from pumice.annotations.numbers import Bound, said_before
from pumice.annotations.scene import Scene
from pumice.annotations.words import COCO, IRREGULAR, SUPER
from pumice.world.vocabulary import NAMES

COCO_CATEGORIES: tuple[str, ...] = tuple(COCO)
WORLD_SOURCE = "world"

_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
_PAIRED = frozenset({"scissors", "skis", "baseball glove"})
_ADJECTIVES_BEFORE = 3


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


@dataclass(frozen=True)
class _Sense:
    word: str
    category: str
    categories: tuple[str, ...]
    narrow: bool
    loose: bool


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    word: str  # lower case, without 's
    possessive: bool
    glued: str  # "-" if a hyphen joins it to the next token, " " if only space parts them, "" otherwise


@dataclass(frozen=True)
class _Found:
    first: int
    last: int
    sense: _Sense | None  # None for a trap
    plural: bool


class Vocabulary:
    """Names and what they stand for. Build one with ``coco``, ``world`` or ``vocabulary_for``."""

    def __init__(self, senses: Mapping[str, _Sense], categories: Iterable[str]) -> None:
        self.categories = frozenset(categories)
        self._senses = dict(senses)
        forms: dict[tuple[str, ...], tuple[_Sense | None, bool]] = {}
        for phrase in near.TRAPS:
            forms[_words(phrase)] = (None, False)
        for word, sense in senses.items():
            forms[_words(plural(word))] = (sense, True)
        for word, sense in senses.items():
            forms[_words(word)] = (sense, plural(word) == word)
        self._forms = forms
        self._longest: dict[str, int] = {}
        for words in forms:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def meant_by(self, word: str) -> tuple[str, ...]:
        """The categories that a single name may stand for, in any number; empty if it is none."""
        sense, _ = self._forms.get(_words(word), (None, False))
        return sense.categories if sense else ()

    def mentions(self, text: str) -> list[Mention]:
        """All mentions in order; they never overlap."""
        tokens = _tokens(text)
        found = list(self._found(tokens))
        starts = {each.first for each in found if each.sense is not None}
        result = []
        for each in found:
            sense = each.sense
            if sense is None or not _stands(tokens, each, starts):
                continue
            words = _clause_before(tokens, each.first)
            said = said_before(words, each.plural, paired=bool(_PAIRED & set(sense.categories)))
            start, end = tokens[each.first].start, tokens[each.last].end
            if tokens[each.last].possessive:
                end = start + len(re.sub(r"['’]s?$", "", text[start:end]))
            mention = Mention(start, end, sense.word, sense.category, sense.categories, each.plural)
            mention = replace(mention, narrow=sense.narrow, loose=sense.loose)
            result.append(mention if said is None else replace(mention, number=said.number, bound=said.bound))
        return result

    def _found(self, tokens: Sequence[_Token]) -> Iterator[_Found]:
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
    return _coco_with(frozenset())


@lru_cache(maxsize=1)
def world() -> Vocabulary:
    """The synthetic world's names; nothing there has a synonym."""
    return Vocabulary({name: _Sense(name, name, (name,), False, False) for name in NAMES}, NAMES)


def vocabulary_for(scene: Scene) -> Vocabulary:
    """The words that may speak of the scene: the world's, or COCO's and the scene's own further categories."""
    if scene.source == WORLD_SOURCE:
        return world()
    own = {thing.category for thing in scene.things} | scene.closed
    return _coco_with(frozenset(own - COCO.keys()))


@lru_cache(maxsize=64)
def _coco_with(further: frozenset[str]) -> Vocabulary:
    senses: dict[str, _Sense] = {}
    for category, words in COCO.items():
        exact, narrow, loose = _graded(words)
        for word in (category, *exact):
            _add(senses, word, category, narrow=False, loose=False)
        for word in narrow:
            _add(senses, word, category, narrow=True, loose=False)
        for word in loose:
            _add(senses, word, category, narrow=False, loose=True)
    for word, members in SUPER.items():
        senses[word] = _Sense(word, word, tuple(members.split(", ")), False, word == "van")
    for name in sorted(further):
        senses[name] = _Sense(name, name, (name,), False, False)
    return Vocabulary(senses, {*COCO, *further})


def _graded(words: str) -> tuple[list[str], list[str], list[str]]:
    """The three grades of words in a row of the table: exact < narrow ~ loose."""
    sure, _, loose = words.partition("~")
    exact, _, narrow = sure.partition("<")
    first, second, third = (
        [word.strip() for word in part.split(",") if word.strip()] for part in (exact, narrow, loose)
    )
    return first, second, third


def _add(senses: dict[str, _Sense], word: str, category: str, *, narrow: bool, loose: bool) -> None:
    """One more meaning of the word. With several it says less: it is loose if any of them is."""
    known = senses.get(word)
    if known is None:
        senses[word] = _Sense(word, category, (category,), narrow, loose)
    elif word not in COCO:
        senses[word] = _Sense(word, known.category, (*known.categories, category), narrow, known.loose or loose)


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(token.word for token in _tokens(phrase))


def _tokens(text: str) -> list[_Token]:
    matches = list(_TOKEN.finditer(text))
    tokens = []
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        word = match[0].lower().replace("’", "'")
        bare = re.sub(r"'s?$", "", word)
        gap = text[match.end() : following.start()] if following is not None else ""
        glued = "-" if gap in ("-", "‑") else " " if gap.isspace() else ""
        tokens.append(_Token(match.start(), match.end(), bare, bare != word, glued))
    return tokens


def _clause_before(tokens: Sequence[_Token], first: int) -> list[str]:
    """The words before a name without a mark between, at most six."""
    at = first
    while at > 0 and first - at < 6 and tokens[at - 1].glued == " ":
        at -= 1
    return [token.word for token in tokens[at:first]]


def _stands(tokens: Sequence[_Token], found: _Found, starts: set[int]) -> bool:
    """Whether the words mean the thing itself, rather than describe the next noun, an action or a likeness."""
    last, sense = tokens[found.last], found.sense
    assert sense is not None
    following = tokens[found.last + 1].word if last.glued and found.last + 1 < len(tokens) else ""
    before = _clause_before(tokens, found.first)
    previous = before[-1] if before else ""
    if last.glued == "-":
        return False
    modifies = last.glued and not found.plural and not last.possessive
    if modifies and (found.last + 1 in starts or following in near.HEADS):
        return False
    if sense.word in near.ADJECTIVES_TOO and not found.plural:
        ends = not following or following in near.FOLLOWERS or following.endswith("ing")
        if not ends or not before or previous in ("is", "are", "and", "or", "of", "in", "with", "color", "colour"):
            return False
    if sense.word in near.VERBS_TOO and previous in near.BEFORE_VERBS and not found.plural:
        return False
    return not _unreal(before, sense)


def _unreal(before: Sequence[str], sense: _Sense) -> bool:
    """Whether the name is one of a toy or a likeness: "a small toy car", "a statue of two horses"."""
    for back, word in enumerate(reversed(before[-_ADJECTIVES_BEFORE:])):
        if word in near.UNREAL and back <= 1:
            return word not in near.MATERIALS or bool({"horse", "car", "bird", "cow", "dog"} & set(sense.categories))
        if word == "of":
            return (
                before[-2 - back :][:1] != [] and before[-2 - back] in near.DEPICTIONS
                if len(before) > back + 1
                else False
            )
    return False
