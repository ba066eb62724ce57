"""A sentence as statements: that things are there, how many, and in which colours; places and sizes are read beside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pumice.annotations.numbers import NUMBERS, Bound
from pumice.annotations.tokens import word_set
from pumice.datagen.verification.lexicon import COLOURS
from pumice.datagen.verification.sentences import KEPT, Noun, Sentence
from pumice.datagen.verification.sizes import sizes
from pumice.datagen.verification.spatial import spatial
from pumice.datagen.verification.statements import Colour, Count, Existence, Statement
from pumice.datagen.verification.tone import denied, firm, hedged, whole

_NUMBER_OF = word_set("number count")
_SOME = word_set("other others another rest remaining more while")
_OF_ALL = (("total", "of"), ("consists", "of"), ("consist", "of"), ("composed", "of"))
_ORDINALS = {"second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_ROUGHLY = word_set("about around approximately roughly nearly almost maybe perhaps to most than under")
#: After a thing: "(on the table), (which) is not (painted) dark red and white", but not "is a red car".
_IS_COLOURED = re.compile(
    r"(?:[vdxE]|[pB]o?[tha]?[wxC]*[wNI]|,?u|,(?=[Vu]))*?(?P<verb>(?:V(?:TV)?|[wd]TV)?)(?P<deny>g?)"
    r"[xvdK]*(?:[op]?a?[xw]?)(?P<colours>C(?:(?:,&|[&,])C)*)(?![wNCr#])"
)
#: The same of the only thing that a sentence names, whatever stands between, if it is no clause of its own.
_IS_SOMEHOW = re.compile(
    r"(?:[^&|;:u,]|,(?=[dVv])|,?u(?=y?V))*?(?<!wu)(?P<verb>V(?:TV)?)(?P<deny>g?)"
    r"[xvdK]*(?:[op]?a?[xw]?)(?P<colours>C(?:(?:,&|[&,])C)*)(?![wNCr#])"
)
_APPOSED = re.compile(r",(?P<verb>)(?P<deny>)[xvdp]*(?P<colours>C(?:&C)*)(?=[x,.?]|$)")
#: "has a red colour", "has a red surface"; and before the thing "with its red colour, ..."
_HAS_COLOUR = re.compile(
    r"(?:[pB]t*[wxC]*[wNI])?(?P<verb>P|V?o|V?B)(?P<deny>g?)a?[xw]?(?P<colours>C(?:(?:,&|[&,])C)*)(?P<of>[Kw])"
)
_SURFACES = word_set("surface exterior finish coating")
_COLOUR_OF = re.compile(r"(?:^|,)(?P<colours>C(?:(?:,&|[&,])C)*)Vx*tKot*x*$")
_WITH_COLOUR = re.compile(r"B[hat]x*(?P<colours>C(?:(?:,&|[&,])C)*)K,$")


@lru_cache(maxsize=KEPT)
def statements(sentence: Sentence) -> tuple[Statement, ...]:
    """Everything that the sentence says and that boxes, categories or captions might bear out or refute."""
    found: list[Statement] = []
    for noun in sentence.nouns:
        found += _about(sentence, noun)
    found += _groups(sentence)
    found += spatial(sentence)
    found += sizes(sentence)
    return tuple(found)


def _about(sentence: Sentence, noun: Noun) -> Iterator[Statement]:
    sure = firm(sentence, noun)
    sure = sure or (_total(sentence, noun) is not None and not hedged(sentence, noun.first))
    if denied(sentence, noun):
        yield Statement(Count((noun,), 0, "exact", whole(sentence, noun)), firm=not hedged(sentence, noun.first))
        return
    yield Statement(Existence(noun, part=_restricted(sentence, noun)), firm=sure)
    count = _count(sentence, noun)
    if count is not None:
        yield Statement(count, firm=sure)
    if noun.colours:
        yield Statement(Colour(noun, noun.colours), firm=sure)
    yield from _predicate(sentence, noun, sure)


def _restricted(sentence: Sentence, noun: Noun) -> bool:
    """Whether it is one of a certain look, place or doing, so that others may be there without it."""
    return not noun.plain or not whole(sentence, noun)


def _count(sentence: Sentence, noun: Noun) -> Count | None:
    words, mention = sentence.words, noun.mention
    before = words[max(0, noun.first - 2) : noun.first]
    if before[-1:] == ("of",) and before[0] in NUMBERS and mention.plural and noun.determiner in ("t", "h", "#"):
        return Count((noun,), max(2, NUMBERS[before[0]], mention.number or 0), "least", False)
    total = _total(sentence, noun)
    if total is not None:
        return Count((noun,), total, "exact", True)
    if noun.determiner == "z" and words[noun.first] == "another" and not mention.plural:
        return Count((noun,), 2, "least", False)
    for word in words[noun.first : noun.at]:
        if word in _ORDINALS and not mention.plural and noun.determiner in ("t", "a"):
            return Count((noun,), _ORDINALS[word], "least", False)
    if mention.number is None:
        return _distant(sentence, noun)
    every, bound = whole(sentence, noun), _bound(sentence, noun)
    some = not every and bound == "exact" and not _SOME.isdisjoint(words)
    return Count((noun,), mention.number, "least" if some else bound, every)


def _distant(sentence: Sentence, noun: Noun) -> Count | None:
    """A number before words that are not known to describe things: "four tourist buses" are four, at least."""
    inside = sentence.words[noun.first : noun.at]
    if noun.determiner != "#" or not noun.mention.plural or any(word.endswith("s") for word in inside):
        return None
    number = _number(inside[0])
    return Count((noun,), number, "least", False) if number > 1 else None


def _total(sentence: Sentence, noun: Noun) -> int | None:
    """The number of "the number of things is three" and "as for the things, there are three of them"."""
    shape = sentence.shape[noun.at + 1 :]
    if not _NUMBER_OF.isdisjoint(sentence.words[max(0, noun.first - 3) : noun.at]):
        after = re.match(r"[vx]*(?:pt*w?I)?[vx]*[Vw]?x*#(?![NwC])", shape)
    else:
        after = re.match(r",?EVx*#(?=oy)|(?:pt*I)?Vx*#(?![NwCo|])", shape) if noun.mention.plural else None
    return None if after is None else _number(sentence.words[noun.at + after.end()])


def _bound(sentence: Sentence, noun: Noun) -> Bound:
    """As the vocabulary has it, but a number before a colour counts what has the colour."""
    mention = noun.mention
    if sentence.words[max(0, noun.first - 3) : noun.first][-2:] in _OF_ALL:
        return "exact"
    if mention.bound != "least" or noun.determiner != "#" or not noun.colours or noun.plain is False:
        return mention.bound
    word = sentence.words[noun.first]
    before = sentence.words[noun.first - 1] if noun.first else ""
    definite = before in ("the", "these", "those", "other", "of", "least", "over") or before in _ROUGHLY
    return "least" if definite or word in ("both", "one") or _number(word) != mention.number else "exact"


def _number(word: str) -> int:
    return int(word[:9]) if word.isdigit() else NUMBERS.get(word, 0)


def _groups(sentence: Sentence) -> Iterator[Statement]:
    """Sums: "two men and a woman" are three people, at least."""
    group: list[Noun] = []
    for noun in (*sentence.nouns, None):
        joins = noun is not None and _part(noun) and group and _listed(sentence, group[-1], noun)
        if joins and noun is not None and _another_kind(group, noun):
            group.append(noun)
            continue
        if len(group) > 1:
            total = sum(each.mention.number or 1 for each in group)
            sure = all(firm(sentence, each) and not denied(sentence, each) for each in group)
            yield Statement(Count(tuple(group), total, "least", False), firm=sure)
        group = [noun] if noun is not None and _part(noun) else []


def _another_kind(group: list[Noun], noun: Noun) -> bool:
    words = [each.mention.word for each in group]
    return noun.mention.category == group[0].mention.category and noun.mention.word not in words


def _part(noun: Noun) -> bool:
    """Whether it is a number of some kind: a man, two women."""
    counted = noun.mention.number is not None and noun.mention.bound != "about"
    return noun.mention.narrow and (counted or (noun.determiner == "a" and not noun.mention.plural))


def _listed(sentence: Sentence, one: Noun, other: Noun) -> bool:
    return sentence.shape[one.at + 1 : other.first] in ("&", ",", ",&")


def _predicate(sentence: Sentence, noun: Noun, sure: bool) -> Iterator[Statement]:
    """The colour that follows the verb, as in "the cup on the table is red"."""
    before = sentence.shape[: noun.first]
    front = _WITH_COLOUR.search(before) or _COLOUR_OF.search(before)
    if front is not None:
        yield Statement(Colour(noun, _colours(sentence, front)), firm=sure)
    after = noun.at + 1
    match = _HAS_COLOUR.match(sentence.shape, after)
    surface = match is not None and sentence.words[match.start("of")] in _SURFACES
    if match is None or not (surface or match["of"] == "K"):
        match = _IS_COLOURED.match(sentence.shape, after)
    if match is None and len(sentence.nouns) == 1:
        match = _IS_SOMEHOW.match(sentence.shape, after)
    if match is None or not (match["verb"] or match["deny"] or sentence.asks):
        match = _APPOSED.match(sentence.shape, after)
    if match is None or (sentence.shape[noun.first - 1 : noun.first] in tuple("BRpTo") and "K" not in before):
        return  # "the wall behind the cup is red"
    colour = Colour(noun, _colours(sentence, match), surface)
    yield Statement(colour, denied=bool(match["deny"]), firm=sure)


def _colours(sentence: Sentence, match: re.Match[str]) -> tuple[str, ...]:
    start, end = match.span("colours")
    return tuple(COLOURS[word] for word in sentence.words[start:end] if word in COLOURS)
