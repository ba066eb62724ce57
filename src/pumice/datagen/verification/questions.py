"""What an answer says only together with its question: "Yes", "Two.", "Red.", "On the left."."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pumice.annotations.numbers import NUMBERS
from pumice.datagen.verification.lexicon import COLOURS
from pumice.datagen.verification.reading import statements
from pumice.datagen.verification.sentences import AUXILIARIES, Noun, Sentence
from pumice.datagen.verification.spatial import bare_place
from pumice.datagen.verification.statements import Colour, Content, Count, Existence, Place, Size, Statement

_YES = re.compile(
    r"\W*(?:(?:that|this|it)(?:'s| is) )?"
    r"(?:yes|yeah|yep|yup|indeed|correct|certainly|definitely|absolutely|sure|of course|right|true|i think so"
    r"|affirmative)\b(?! not)"
)
#: "There are." "It is not." "I do." and nothing behind.
_ECHO = re.compile(
    r"\W*(?:there|it|they|he|she|i|we|you) "
    r"(?:is|are|was|were|am|do|does|can|has|have)(?P<no>n't| not|not)?(?: (?:any|indeed|one))?\W*$"
)
_NO = re.compile(
    r"\W*(?:(?:that|this|it)(?:'s| is) )?"
    r"(?:no|nope|nah|negative|incorrect|false|wrong"
    r"|not (?:really|quite|at all|exactly|true|correct|right|the case|that)"
    r"|(?:certainly|definitely|absolutely|of course|unfortunately) not|i(?:'m| am) afraid not"
    r"|i (?:don't|do not) think so|i (?:can't|cannot|can not|don't|do not) see)\b(?! \w+ (?:is|are)\b)"
)
_TAG = re.compile(
    r", (?:is|are|does|do|has|can)n't (?:there|it|they|he|she|you)\?$|, (?:right|correct|is it|are there)\?$"
)
_ASKS_YES_NO = re.compile(
    r"(?:.*, )?(?:and |so |but )?"
    r"(?:is|are|was|were|does|do|did|can|could|has|have|would|will|isn't|aren't|doesn't|am i)\b"
)
_HOW_MANY = re.compile(r"\bhow many\b|\bnumber of\b|^(?:please )?count\b|\bcount the\b")
_ANY_ASKED = re.compile(r"(?:V?E|V|[vxwdPy]|pt*w?I|o)*\?*$")
_NUMBER_FIRST = re.compile(r"(?:EV?|yx*P|V|x|d|pt*I|,|P)*(?P<number>[#0]|g)(?![C&]*N)")
_COLOUR_FIRST = re.compile(r"(?:yV|V|x|a|t|K)*(?P<colours>C(?:(?:,&|[&,])C)*)")
SHORT = 8  # words of an answer that names things without a sentence around them


@dataclass(frozen=True)
class Asked:
    """A question with the answer that it got, as statements. ``denied``: the answer says no."""

    contents: tuple[Content, ...]
    denied: bool
    text: str


def asking(question: Iterable[Sentence]) -> Sentence | None:
    """The sentence that asks, without how to answer; the first one if none has a question mark."""
    found = list(question)
    return next((each for each in reversed(found) if each.asks), found[0] if found else None)


def polarity(answer: str) -> bool | None:
    """Whether an answer begins with a yes or a no; None if with neither."""
    start = answer[:40].lower().replace("’", "'")
    echo = _ECHO.match(start)
    if echo is not None:
        return echo["no"] is None
    if _NO.match(start):
        return False
    return True if _YES.match(start) else None


def _asks(question: str) -> bool:
    return _ASKS_YES_NO.match(question) is not None or _TAG.search(question) is not None


def yes_no(question: Sentence | None, answer: str) -> Asked | None:
    """What is affirmed or denied by a yes or a no."""
    agreed = polarity(answer)
    if agreed is None or question is None or not _asks(question.text.lower()):
        return None
    contents = _asked(question, agreed)
    if not contents:
        return None
    word = "yes" if agreed else "no"
    return Asked(tuple(contents), not agreed, f"{question.text} - {word}")


def _asked(sentence: Sentence, agreed: bool) -> list[Content]:
    """What the question is about; that a thing is there at all, too, if that is its point or the answer takes it so."""
    if "|" in sentence.shape or "k" in sentence.shape:
        return []
    found = [each.content for each in statements(sentence) if not each.denied]
    special: list[Content] = [
        each for each in found if not isinstance(each, Existence) and not _taken_for_granted(each)
    ]
    there = [each for each in found if isinstance(each, Existence) and not each.noun.mention.loose]
    if agreed:
        return [*there, *special]
    if len(special) == 1:
        return special
    granted = [each for each in there if isinstance(each, Existence) and each.noun.determiner in ("t", "h")]
    return list(there) if not special and not granted and len(there) == 1 else []


def _taken_for_granted(content: Content) -> bool:
    """The colour of "the red cup" only says which cup is meant."""
    if not isinstance(content, Colour) or content.noun.determiner not in ("t", "h"):
        return False
    return content.colours == content.noun.colours


def completed(asked: Sentence | None, answer: Sentence) -> list[Statement]:
    """What the first sentence of an answer says about the thing that was asked for."""
    if asked is None or not (asked.nouns or _what_is_it(asked)):
        return []
    for reader in (_how_many, _which_colour, _where, _what_is_there, _which_size):
        content = reader(asked, answer)
        if content is not None:
            return [Statement(content)]
    return []


def _how_many(asked: Sentence, answer: Sentence) -> Content | None:
    noun = _counted(asked)
    match = _NUMBER_FIRST.match(answer.shape)
    if noun is None or match is None or any(each.mention.category == noun.mention.category for each in answer.nouns):
        return None
    word = answer.words[match.start("number")]
    if answer.shape[match.start("number")] == "g" and word != "none":
        return None
    number = int(word[:9]) if word.isdigit() else NUMBERS.get(word, 0)
    if len(answer.words) > SHORT or word in ("single", "both"):
        return None
    everywhere = _ANY_ASKED.match(asked.shape, noun.at + 1) is not None
    bare = replace(noun, determiner="#")
    return Count((bare,), number, "exact", everywhere)


def _counted(asked: Sentence) -> Noun | None:
    """What a question wants counted: the cups of "how many cups does the dog see?", and nothing of "how many legs"."""
    key = _HOW_MANY.search(" ".join(word.replace(" ", "-") for word in asked.words))
    if key is None:
        return None
    after = key.string.count(" ", 0, key.end()) + 1
    noun = next((each for each in asked.nouns if each.at >= after), None)
    if noun is None or asked.shape[after : noun.first].strip("taohxQ"):
        return None
    return noun if AUXILIARIES.isdisjoint(asked.words[after : noun.at]) else None


def _which_colour(asked: Sentence, answer: Sentence) -> Content | None:
    if "K" not in asked.shape or len(asked.nouns) != 1 or answer.nouns:
        return None
    match = _COLOUR_FIRST.match(answer.shape)
    if match is None:
        return None
    words = answer.words[match.start("colours") : match.end("colours")]
    return Colour(asked.nouns[0], tuple(COLOURS[word] for word in words if word in COLOURS))


def _where(asked: Sentence, answer: Sentence) -> Content | None:
    if (
        not {"where", "position", "part", "side", "located", "location"}.intersection(asked.words)
        or len(asked.nouns) != 1
    ):
        return None
    place = bare_place(answer)
    return None if place is None else Place((asked.nouns[0],), place)


def _what_is_it(asked: Sentence) -> bool:
    return asked.words[0] in ("what", "which", "who", "name")


def _only_noun(answer: Sentence) -> Noun | None:
    """The thing that a short answer consists of: "A dog.", "The red cup"."""
    if len(answer.nouns) != 1 or len(answer.words) > SHORT or "g" in answer.shape or "l" in answer.shape:
        return None
    noun = answer.nouns[0]
    return noun if noun.first == 0 and answer.shape[noun.at + 1 :] in ("", ".") else None


def _what_is_there(asked: Sentence, answer: Sentence) -> Content | None:
    noun = _only_noun(answer)
    if noun is None or asked.nouns or not _what_is_it(asked):
        return None
    place = bare_place(asked)
    return None if place is None else Place((noun,), place)


def _which_size(asked: Sentence, answer: Sentence) -> Content | None:
    """What is said to be the largest, if that was asked for."""
    noun = _only_noun(answer)
    at = asked.shape.find("S")
    if noun is None or at < 0 or not _what_is_it(asked):
        return None
    among = next((each for each in asked.nouns if each.at == at + 1), None)
    if among is None and asked.words[at + 1 : at + 2] not in (("thing",), ("object",), ("item",)):
        return None
    smaller = asked.words[at] in ("smallest", "tiniest", "shortest")
    return Size(noun, "height" if asked.words[at] in ("tallest", "shortest") else "area", smaller, among=among)
