"""Where a sentence says that things are: in a part of the picture, or on one side of another thing.

Left and right are the viewer's. What stands "on the left side of the road" may be anywhere in the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from pumice.annotations.tokens import word_set
from pumice.datagen.verification.lexicon import Direction, direction
from pumice.datagen.verification.sentences import Noun, Sentence
from pumice.datagen.verification.statements import Place, Relation, RelationName, Statement
from pumice.datagen.verification.tone import denied, firm, hedged

_PLACE = re.compile(
    r"(?P<prep>[pT]?)(?P<det>t*|h)x*(?P<dir>l+)(?P<side>s*)(?:o(?P<head>(?:[tha]*[#wxCdSI]*N|t*[wxC]*I|[thay]*.)))?"
)
_IN_IMAGE = re.compile(r"(?:of|p)?t*w?I")
_BARE = re.compile(r"(?:yVx*[vd]?|[wt]*V|w|[wVPyxI])*(?P<place>[pT]?t*x*(?P<dir>l+)s*(?:ot*I)?)[.?]?(?:pt*I)?[.?]?$")
_FILLS = word_set("occupies occupy fills fill dominates dominate covers cover")
_NOT_A_PLACE = tuple("wNCr#S")  # "the right car", "the top shelf"
_BOUNDARY = ",;:(u"
_FRONTED = re.compile(r"[x,&]*(?:E?V|[VPvd]|yx*m?[xVP]+|w(?=[athzQ#]))?[xvdV]*o?$")
#: After a place: it begins a clause of its own, "(a dog sits, and on the left) there is a cat".
_ITS_OWN = re.compile(r"(?:pt*I)?,?x*(?:EV?|V[a#zQ]|yx*[mP])")
_RELATIONS: dict[str, RelationName] = {
    "above": "above", "below": "below", "beneath": "below", "underneath": "below", "under": "below",
}  # fmt: skip
_Either: TypeAlias = tuple[Noun, ...]
_REACH = 14  # words between a thing and its place


def spatial(sentence: Sentence) -> Iterator[Statement]:
    """Every place and relation that can be told to belong to a named thing."""
    if not sentence.nouns or not ("l" in sentence.shape or "R" in sentence.shape):
        return
    for match in _PLACE.finditer(sentence.shape):
        yield from _place(sentence, match)
    for at, letter in enumerate(sentence.shape):
        if letter == "R":
            yield from _relation(sentence, at, at + 1, _RELATIONS[sentence.words[at]])


def _place(sentence: Sentence, match: re.Match[str]) -> Iterator[Statement]:
    shape, head = sentence.shape, match["head"]
    start, end = match.span()
    named = direction(list(sentence.words[match.start("dir") : match.end("dir")]))
    if match["det"] == "h" or _two_places(shape, start, end):
        return
    if head is not None and head.endswith("N"):
        relation = _side(sentence, match)
        if relation is not None:
            yield from _relation(sentence, start, match.start("head"), relation)
        return
    if head is not None and not head.endswith("I"):
        return
    if head is None and not _of_the_picture(sentence, match):
        return
    verb = re.sub(r"[at]?[wx]*so$", "", shape[:start])  # "fills (a part of) the left half"
    filled = bool(verb) and sentence.words[len(verb) - 1] in _FILLS
    corner = any(word.startswith("corner") for word in sentence.words[match.start("side") : match.end("side")])
    for nouns in _owners(sentence, start, end) if match["prep"] or filled else _shown_there(sentence, match):
        yield _statement(sentence, nouns, start, Place(nouns, named, corner))


def _of_the_picture(sentence: Sentence, match: re.Match[str]) -> bool:
    """Of a place without "of": whether it means the picture's, rather than describing the next noun."""
    shape, words, end = sentence.shape, sentence.words, match.end()
    if _IN_IMAGE.match(shape, end):
        return True
    if not match["prep"] or match["prep"] == "T" or shape[end : end + 1] in ("o", "t", "h"):
        return False
    if not match["side"] and shape[end : end + 1] in _NOT_A_PLACE:
        return shape[end : end + 2] in ("wa", "wt", "w#") or shape[end : end + 1] in ("#",)
    bare_top = not match["det"] and words[match.start("dir")] not in ("left", "right", "center", "centre")
    return not bare_top


def _two_places(shape: str, start: int, end: int) -> bool:
    """Whether two places are named at once, so that which thing is where is left open."""
    return (
        re.match(r"s?(?:,?[&|])[pT]?t?x*l", shape[end:]) is not None
        or re.search(r"ls?&[pT]?t?x*$", shape[:start]) is not None
    )


def _side(sentence: Sentence, match: re.Match[str]) -> RelationName | None:
    words = sentence.words[match.start("dir") : match.end("dir")]
    if len(words) == 1 and words[0] in ("left", "right"):
        return "left" if words[0] == "left" else "right"
    return None


def _shown_there(sentence: Sentence, match: re.Match[str]) -> list[_Either]:
    """What the place itself is said to show, as in "the left side of the image shows a dog"."""
    if not match["side"] or (match["head"] is None and not _IN_IMAGE.match(sentence.shape, match.end())):
        return []
    after = match.end() if match["head"] is not None else match.end() + 3
    nouns = [noun for noun in sentence.nouns if noun.first >= after]
    if nouns and re.fullmatch(r"x*(?:P|V?[dvw]p?|V)x*", sentence.shape[after : nouns[0].first]):
        return _listed(sentence, nouns)
    return []


def _relation(sentence: Sentence, start: int, after: int, relation: RelationName) -> Iterator[Statement]:
    """Between the owner of the words from ``start`` and the first thing named right after ``after``."""
    other = next((noun for noun in sentence.nouns if noun.at >= after), None)
    if other is None or other.first > after or other.mention.number == 0:
        return
    for nouns in _owners(sentence, start, other.at + 1):
        yield _statement(sentence, nouns, start, Relation(nouns, relation, other))


def _statement(sentence: Sentence, nouns: tuple[Noun, ...], start: int, content: Place | Relation) -> Statement:
    between = sentence.shape[min(nouns[0].at, start) + 1 : max(start, nouns[0].first)]
    negative = "g" in between or denied(sentence, nouns[0])
    sure = all(firm(sentence, noun) for noun in nouns) and not hedged(sentence, start)
    if isinstance(content, Relation):
        sure = sure and firm(sentence, content.other)
    return Statement(content, negative, sure)


def _owners(sentence: Sentence, start: int, end: int) -> list[_Either]:
    """Whom a place belongs to: the subject of its verb, the nearest thing before it, or all that a place in front has.

    Of the things in one tuple either may be meant.
    """
    shape = sentence.shape
    clause = max(shape.rfind(letter, 0, start) for letter in _BOUNDARY) + 1
    before = [noun for noun in sentence.nouns if clause <= noun.first and noun.at < start]
    if (not before or shape[start - 1] == "&") and _ITS_OWN.match(shape, end):
        return _fronted(sentence, end)
    if not before and (not any(noun.at < start for noun in sentence.nouns) or not shape[clause:start].strip("x&")):
        fronted = _fronted(sentence, end)
        if fronted or clause == 0:
            return fronted
    if not before:
        return _apposed(sentence, clause, start)
    last = before[-1]
    between = shape[last.at + 1 : start]
    if len(between) > _REACH or "|" in between or re.search(r"[#z](?![wxCdSN])|[#z]$", between) is not None:
        return []
    if "V" in between or "g" in between:
        return [(_subject(sentence, before),)]
    return [_holders(sentence, before)]


def _subject(sentence: Sentence, before: list[Noun]) -> Noun:
    """The first thing of the clause that is no part of another's description."""
    for noun in before:
        if sentence.shape[noun.first - 1 : noun.first] not in ("o", "p", "B", "R"):
            return noun
    return before[-1]


def _holders(sentence: Sentence, before: list[Noun]) -> _Either:
    """The nearest thing, and those it is held, ridden or accompanied by: either may be meant."""
    nouns = [before[-1]]
    for noun in reversed(before[:-1]):
        between = sentence.shape[noun.at + 1 : nouns[0].first]
        if "&" in between or "," in between or "V" in between:
            break
        nouns.insert(0, noun)
    return tuple(reversed(nouns))


def _fronted(sentence: Sentence, end: int) -> list[_Either]:
    """All that follows a place in front, as in "on the left (of the image), (there is) a dog and a cat"."""
    shape = sentence.shape
    picture = _IN_IMAGE.match(shape, end)
    end = picture.end() if picture else end
    nouns = [noun for noun in sentence.nouns if noun.first >= end]
    if not nouns or not _FRONTED.fullmatch(shape[end : nouns[0].first]):
        return []
    return _listed(sentence, nouns)


def _apposed(sentence: Sentence, clause: int, start: int) -> list[_Either]:
    """What stands before the comma of "a dog, sitting on the left", if the words between name nothing of their own."""
    before = [noun for noun in sentence.nouns if noun.at < clause]
    between = sentence.shape[clause:start]
    if len(before) == 1 and re.fullmatch(r"yVx*[vd]?x*", between):
        return [(before[0],)]  # "as for the dog, it is on the left"
    if not before or re.search(r"[#zNw|&Eyl]", between):
        return []
    clear = len(before) == 1 or ("V" not in between and before[-1].at == clause - 2)
    return [(before[-1],)] if clear else []


def _listed(sentence: Sentence, nouns: list[Noun]) -> list[_Either]:
    listed = [nouns[0]]
    for noun in nouns[1:]:
        if sentence.shape[listed[-1].at + 1 : noun.first] not in ("&", ",", ",&"):
            break
        listed.append(noun)
    return [(noun,) for noun in listed]


def bare_place(sentence: Sentence) -> Direction | None:
    """The part of the picture in words that name no thing: "It is on the left.", "What is at the top right?"."""
    match = None if sentence.nouns else _BARE.match(sentence.shape)
    if match is None:
        return None
    return direction(list(sentence.words[match.start("dir") : match.end("dir")]))
