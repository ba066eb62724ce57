"""What a sentence says of sizes: that a thing is larger than another, or the largest of its kind or of all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pumice.annotations.tokens import word_set
from pumice.datagen.verification.sentences import Noun, Sentence
from pumice.datagen.verification.statements import Measure, Size, Statement
from pumice.datagen.verification.tone import denied, firm, hedged

_SMALLER = word_set("smaller smallest tiniest tinier shorter shortest narrower")
_MEASURES: dict[str, Measure] = {
    "taller": "height", "tallest": "height", "shorter": "height", "shortest": "height",
    "wider": "width", "widest": "width", "narrower": "width",
}  # fmt: skip
_COMPARING = word_set("compared comparing comparison relative")
_NOT = word_set("not nowhere isn't never")
_AS_LARGE = (("as", "large"), ("as", "big"), ("as", "tall"), ("as", "small"))
_THING = word_set("thing object item element subject one objects things items")
_TAKES = word_set("takes take occupies occupy covers cover fills fill")
_THAN = re.compile(r"(?:[xwpsy#,]|ot*I){0,4}(?:n|(?P<compared>(?:d|pw)[TB]))")
_SPACE = re.compile(r"[xwptIosQ]*?n")
#: From a superlative to the thing that is it: "the largest (thing) (in the picture) is the dog".
_TO_SUBJECT = re.compile(r"(?:pt*w?I|[pB]?E|v|x|ow|uy?[xV]*[vP])*(?:uV)?Vx*$")
_IS = re.compile(r"(?:[vdx]|pt*I|,?u|VT)*Vg?x*(?:px)?o?[th]?")
_IN_PICTURE = re.compile(r"(?:[pov]?t*w?I|E|v|x|uy?[xV]*[vP])*(?:[.?]?$|,)")


def sizes(sentence: Sentence) -> Iterator[Statement]:
    """Every comparison between named things."""
    shape = sentence.shape
    for at, letter in enumerate(shape):
        if letter == "r":
            than = _THAN.match(shape, at + 1)
            compared = than is not None and than["compared"] is not None
            if than is not None and (not compared or not _COMPARING.isdisjoint(sentence.words[at : than.end()])):
                yield from _compared(sentence, at, than.end(), sentence.words[at])
            elif not _COMPARING.isdisjoint(sentence.words):
                yield from _beside(sentence, at)
        elif letter == "S":
            yield from _superlative(sentence, at)
        elif sentence.words[at] in _TAKES:
            than = _SPACE.match(shape, at + 1)
            said = sentence.words[at : than.end()] if than is not None else ()
            if than is not None and ("more" in said or "less" in said):
                yield from _compared(sentence, at, than.end(), "larger" if "more" in said else "smaller")
        elif _not_as(sentence.words, at):
            yield from _compared(sentence, at, at + 3, "larger" if sentence.words[at + 1] == "small" else "smaller")


def _not_as(words: tuple[str, ...], at: int) -> bool:
    """Whether "as large as" begins here, and is denied."""
    return words[at : at + 2] in _AS_LARGE and words[at + 2 : at + 3] == ("as",) and not _NOT.isdisjoint(words[:at])


def _compared(sentence: Sentence, at: int, after: int, word: str) -> Iterator[Statement]:
    """One thing "larger than the" other. Both must be there: that "a dog is larger than a cat" is no sight."""
    if sentence.words[after : after + 1] in (("anything",), ("everything",), ("any",), ("all",)):
        yield from _beyond_all(sentence, at, word)
        return
    other = next((noun for noun in sentence.nouns if noun.at >= after), None)
    before = [noun for noun in sentence.nouns if noun.at < at and "," not in sentence.shape[noun.at : at]]
    if other is None or other.first > after or not before or other.determiner not in ("t", "h", "#"):
        return
    subject = before[0] if re.search("V|w", sentence.shape[before[0].at : at]) else before[-1]
    if subject.determiner == "a" and "V" in sentence.shape[subject.at : at]:
        return
    negative = "g" in sentence.shape[subject.at : at] and sentence.words[at] != "as"
    yield _statement(sentence, at, Size(subject, _MEASURES.get(word, "area"), word in _SMALLER, other), negative)


def _beyond_all(sentence: Sentence, at: int, word: str) -> Iterator[Statement]:
    """Larger "than anything else"."""
    before = [noun for noun in sentence.nouns if noun.at < at]
    if len(before) == 1 and before[0].determiner == "t":
        size = Size(before[0], _MEASURES.get(word, "area"), word in _SMALLER)
        yield _statement(sentence, at, size, "g" in sentence.shape[before[0].at : at])


def _beside(sentence: Sentence, at: int) -> Iterator[Statement]:
    """Two things, the second "larger" and the first what it is "compared to"."""
    before = [noun for noun in sentence.nouns if noun.at < at]
    if len(before) == 2 and re.match(r",t*[xwC]*$", sentence.shape[before[0].at + 1 : before[1].at]):
        word = sentence.words[at]
        size = Size(before[1], _MEASURES.get(word, "area"), word in _SMALLER, before[0])
        yield _statement(sentence, at, size, "g" in sentence.shape[before[1].at : at])


def _superlative(sentence: Sentence, at: int) -> Iterator[Statement]:
    shape, words = sentence.shape, sentence.words
    following = next((noun for noun in sentence.nouns if noun.at == at + 1), None)
    if following is None and words[at + 1 : at + 2] and words[at + 1] not in _THING and shape[at + 1] in "wCd":
        return
    among = following if following is not None and following.mention.number is None else None
    of_all = re.match(r"oQt?[wN]", shape[at + 1 :])  # "the largest of all things"
    rest = at + 1 + of_all.end() if of_all is not None else at + 2
    later = [noun for noun in sentence.nouns if noun.at > at + 1]
    earlier = [noun for noun in sentence.nouns if noun.at < at - 1]
    measure, smaller = _MEASURES.get(words[at], "area"), words[at] in _SMALLER
    if later and _TO_SUBJECT.fullmatch(shape[rest : later[0].first]):
        yield _statement(sentence, at, Size(later[0], measure, smaller, among=among), False)
    elif _IN_PICTURE.match(shape, rest if following or words[at + 1 : at + 2] else at + 1):
        for noun in reversed(earlier):
            between = shape[noun.at + 1 : at]
            if _IS.fullmatch(between):
                yield _statement(sentence, at, Size(noun, measure, smaller, among=among), "g" in between)
                return


def _statement(sentence: Sentence, at: int, size: Size, negative: bool) -> Statement:
    nouns: list[Noun] = [size.noun, *([size.other] if size.other is not None else [])]
    sure = all(firm(sentence, noun) and not denied(sentence, noun) for noun in nouns) and not hedged(sentence, at)
    return Statement(size, negative, sure)
