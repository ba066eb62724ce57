"""Whether a sentence says of a thing that it is there, that it is not, or only that it might be."""

from __future__ import annotations

import re

from pumice.annotations.tokens import word_set
from pumice.datagen.verification.lexicon import GENERIC, PERCEIVED
from pumice.datagen.verification.sentences import Noun, Sentence

#: "A place for dogs" shows none, nor does one "as big as a dog", nor who comes "by car".
_AFTER_THESE = word_set("for as like than via per against without")
#: Words of people who can be seen to be such. A driver, an owner or a visitor is often only thought of.
_PLAIN_PEOPLE = word_set(
    """
    person human individual people man woman boy girl child kid baby toddler adult guy lady gentleman couple teenager
    pedestrian
    """
)
_ABSENT = re.compile(r"Vx*[gwd]")
_MISSING = word_set("absent missing lacking nowhere")
_SUMMED = word_set("total altogether")
_BOUNDARY = ",;:(u"
_PRESENTED = re.compile(r"(?:E[Vw]?|P|B|vV|s|I|R|V)x*(?:a?x*[wCQ]*o)?(?:[athzQ#]?[CxwdS,]*N(?:,&|[,&]))*$")
#: "The man and (dog)": one article for both.
_SHARED = re.compile(r"[atzhQ#][wxCd]{0,3}[wN],?&$")
_THERE_AFTER = re.compile(r"x*V[xV]*[dvpBR]|x*[vd]|pt*I|[wd]x*[pB][tahQ#]|w[tha]")
_PLAN = re.compile(r"Tx*[wPV]$")
_THERE_TO_BE = re.compile(r"E[wVx]*TV$")
_HEAD = re.compile(
    r"(?:E[Vwg]{0,2}(?:TV)?|[Iy][xwg]*(?:P(?:o|aIB)?|v|Vdp)|vV|^xV|go)x*(?:[athzQ#0]*[CxwdS]*[Nw](?:,&|[,&]))*x*$"
)
#: After a thing: where, with what, or doing what it is; "in the picture" and "in it" leave it to be any.
_RESTRICTED = re.compile(r"p(?!t*w?I|y|Q)|T(?!V?v|t*w?I)|B|R|u|[dP](?=[tahzpBQ#])|w(?=[tah])")
_ASKED_TAIL = re.compile(r"(?:pt*w?I|[xvV])*$")
_SEEN_TAIL = re.compile(r"Vx*[gw](?:TVv)?(?:pt*w?I)?$|x*V(?:[xV]*v)?(?:pt*w?I|x)+$|x*V[xV]*v$|pt*w?I$|$")


def firm(sentence: Sentence, noun: Noun) -> bool:
    """Whether the thing is said to be in the picture, as a fact."""
    shape, words = sentence.shape, sentence.words
    if hedged(sentence, noun.first) or _alternative(shape, noun):
        return False
    before = words[noun.first - 1] if noun.first else ""
    if noun.determiner == "#" and shape[noun.at + 1 : noun.at + 2] == "m":
        return False  # "so two would be left"
    person = noun.mention.category == "person"
    anyone = noun.determiner == "a" and words[noun.at + 1 : noun.at + 2] in (("who",), ("that",))
    if person and (words[noun.first] == "its" or (anyone and ("m" in shape or "will" in words))):
        return False  # "a baboon and its baby"; "a person who looks closely will find it"
    if noun.determiner in ("t", "h"):
        return not person or (noun.mention.word in _PLAIN_PEOPLE and not set("mk") & set(shape))
    if _only_named(sentence, noun, before) or _general(sentence, noun):
        return False
    if noun.determiner or noun.mention.number is not None:
        return True
    return _bare(shape, noun) and not (person and noun.mention.word not in _PLAIN_PEOPLE)


def _only_named(sentence: Sentence, noun: Noun, before: str) -> bool:
    """Whether the thing is compared with, planned or meant for, rather than there: "like a dog", "to buy a dog"."""
    if before == "than" and noun.determiner == "#":
        return False  # "more than two dogs"
    if before == "as" and sentence.shape[noun.at + 1 : noun.at + 2] == "V":
        return False  # "as a dog is there"
    return before in _AFTER_THESE or (_infinitive(sentence.shape, noun.first) and before not in PERCEIVED)


def _general(sentence: Sentence, noun: Noun) -> bool:
    """Whether the noun's clause says how things are in general; a list belongs to the clause that it goes on from."""
    shape, first = sentence.shape, noun.first
    start = _clause_start(shape, first)
    while start > 0 and shape[start - 1] == "," and not shape[start:first].strip("x&|"):
        start = _clause_start(shape, start - 1)
    end = _clause_end(shape, noun.at)
    always = sentence.words[0] in ("when", "whenever") and "," not in shape[:first]
    gerund = shape.startswith("d") and re.search("[Vm]", shape[noun.at : end]) is not None  # "taking a bus is fun"
    return always or gerund or not GENERIC.isdisjoint(sentence.words[start:end])


def denied(sentence: Sentence, noun: Noun) -> bool:
    """Whether the sentence says that there is no such thing."""
    if noun.mention.number == 0 or noun.determiner == "0":
        return True
    if noun.determiner in ("t", "h"):
        return False
    if _ABSENT.match(sentence.shape, noun.at + 1) and not _MISSING.isdisjoint(sentence.words[noun.at + 2 :]):
        return True
    at = _clause_start(sentence.shape, noun.first)
    for each in range(noun.first - 1, at - 1, -1):
        letter = sentence.shape[each]
        if letter == "g":
            return sentence.words[each + 1 : each + 2] != ("only",)
        if letter == "N" and sentence.shape[each + 1 : noun.first] not in ("|", "g", ",", "&"):
            return False
        if letter == "0":
            return True
    return False


def hedged(sentence: Sentence, at: int) -> bool:
    """Whether the words at this place are within a guess, a condition or a question to the reader."""
    before = sentence.shape[:at]
    if "m" in before:
        return True
    guess = before.rfind("k")
    return guess >= 0 and not any(letter in _BOUNDARY for letter in before[guess:])


def whole(sentence: Sentence, noun: Noun) -> bool:
    """Whether a number counts all that the picture shows, not those on a couch, in a car, or to be seen walking."""
    shape, words = sentence.shape, sentence.words
    before = words[max(0, noun.first - 3) : noun.first]
    end = _clause_end(shape, noun.at)
    after = words[noun.at + 1 : end + 1]
    every = before[-1:] == ("all",) and noun.determiner == "#"
    if every or not _SUMMED.isdisjoint((*before, *after)) or after[:2] == ("in", "all"):
        return True
    if end < len(shape) and shape[end] == "u":
        return False
    tail = shape[noun.at + 1 : end]
    if _HEAD.search(shape[: noun.first]):
        return _RESTRICTED.search(tail) is None
    if sentence.asks and shape[: noun.first].strip("x,") == "V":
        return _ASKED_TAIL.match(tail) is not None
    starts = not shape[: noun.first].strip("x,&gQ")
    return starts and _SEEN_TAIL.match(tail) is not None


def _alternative(shape: str, noun: Noun) -> bool:
    before = shape[max(0, noun.first - 2) : noun.first]
    return (before.endswith("|") and before != "#|") or shape[noun.at + 1 : noun.at + 2] == "|"


def _infinitive(shape: str, first: int) -> bool:
    """Whether "to" and a verb stand before: to catch a frisbee is a plan, not a sight."""
    before = shape[:first]
    return _PLAN.search(before) is not None and _THERE_TO_BE.search(before) is None


def _bare(shape: str, noun: Noun) -> bool:
    """Names without an article: things that are shown, listed, held, or said to do something."""
    before = shape[: noun.first]
    if before.endswith(("p", "T", "o")) and not noun.mention.plural:
        return False
    if not before and shape[noun.at + 1 : noun.at + 2] in ("B", "p", "d", "&"):
        return True  # the style of captions: "cat on a mat"
    return (
        _PRESENTED.search(before) is not None
        or _SHARED.search(before) is not None
        or before.endswith("d")
        or _THERE_AFTER.match(shape[noun.at + 1 :]) is not None
    )


def _clause_start(shape: str, at: int) -> int:
    return max(shape.rfind(letter, 0, at) for letter in _BOUNDARY) + 1


def _clause_end(shape: str, at: int) -> int:
    ends = [found for letter in ",;:()u.?" if (found := shape.find(letter, at + 1)) >= 0]
    return min(ends, default=len(shape))
