"""Numbers as they are said before a noun: "two large dogs", "about ten people", "a herd of cows"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.annotations.tokens import word_set

#: exact: "two dogs". least: "several dogs", at least this many. about: "around ten people".
Bound: TypeAlias = Literal["exact", "least", "about"]


_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS: dict[str, int] = {
    **{word: number for number, word in enumerate([*_ONES.split(), "seventeen", "eighteen", "nineteen"])},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
    **{"no": 0, "both": 2, "single": 1, "lone": 1, "solitary": 1, "sole": 1, "dozen": 12, "hundred": 100},
}
#: Words for several, and how many they are at least.
_SEVERAL: dict[str, int] = {
    "several": 2, "few": 2, "some": 2, "many": 2, "multiple": 2, "various": 2, "numerous": 2, "different": 2,
    "countless": 2, "dozens": 12, "hundreds": 100, "scores": 20,
}  # fmt: skip
#: "A pair of dogs" is two of them, "a herd of cows" at least two.
_GROUPS: frozenset[str] = word_set(
    """
    couple group herd flock bunch crowd row line stack pile collection number variety lot lots assortment pack set team
    swarm fleet handful plenty array cluster series range majority
    """
)
_ABOUT: frozenset[str] = word_set("about around approximately roughly nearly almost maybe perhaps some")
#: What may stand between a number and its noun, beside words in -ed and -ing.
_BETWEEN: frozenset[str] = word_set(
    """
    red orange yellow green blue purple pink brown black white grey gray golden silver beige tan dark light bright
    colourful colorful big small large little tiny huge giant tall short long wide young old elderly older younger baby
    adult grown cute beautiful nice wooden plastic metal glass paper stone ceramic leather furry fluffy fresh ripe raw
    cooked whole half empty full open wild domestic male female professional visible distinct separate individual
    parked seated double decker modern vintage antique new clean dirty happy different similar identical main real
    very smaller larger bigger taller living police military commercial electric city passenger tennis soccer
    """
)


#: Words before "one" that make it a count: "one man walks, another stands" counts nobody.
_COUNTS_ONE: frozenset[str] = word_set("is only just exactly contains shows has see there's features")
#: Before a number they make it a part of all: "the two on the left".
_DEFINITE: frozenset[str] = word_set("the these those his her their its other my your our of")


@dataclass(frozen=True)
class Said:
    """How many are said to be there; a number of 0 is "no dogs"."""

    number: int
    bound: Bound


def said_before(words: Sequence[str], plural: bool, paired: bool = False) -> Said | None:
    """The number that the ``words`` before a noun give it, or None. Lower case, the last one stands next to the noun.

    Where an adjective stands between, only a part may be counted: "two red cars" is at least two cars.

    plural: the noun is one. paired: it comes in pairs (scissors, skis), so that "a pair of" counts none.
    """
    at = len(words) - 1
    while at >= 0 and words[at] not in NUMBERS and _describes(words[at]):
        at -= 1
    if at < 0 or len(words) - at > 4:
        return None
    word, before = words[at], words[max(0, at - 3) : at]
    if word.isdigit() or word in NUMBERS:
        return _number(word, before, qualified=at < len(words) - 1)
    if word in _SEVERAL and plural:
        return Said(_SEVERAL[word], "least")
    if word == "of" and before and plural:
        return _group(before[-1], paired)
    return None


def _describes(word: str) -> bool:
    """Whether the word can stand between a number and what is counted."""
    return word in _BETWEEN or (word.endswith(("ed", "ing")) and not word.endswith("eed"))


def _group(word: str, paired: bool) -> Said | None:
    if word == "pair":
        return None if paired else Said(2, "exact")
    if word in _SEVERAL:
        return Said(_SEVERAL[word], "least")
    return Said(2, "least") if word in _GROUPS else None


def _number(word: str, before: Sequence[str], qualified: bool) -> Said:
    number = int(word[:9]) if word.isdigit() else NUMBERS[word]
    last, second = ["", "", *before][-1], ["", "", *before][-2]
    if word in ("dozen", "hundred"):
        if last == "a" and second == "half":
            number //= 2
        elif last in NUMBERS:
            number *= NUMBERS[last]
            last, second = second, ""
    if last == "least" or (last == "than" and second in ("more", "greater")) or last == "over":
        return Said(number + (last != "least"), "least")
    if last in _ABOUT or last in ("most", "than", "under") or (last in ("to", "or") and second in (*NUMBERS, "up")):
        return Said(number, "about")
    part = qualified or last in _DEFINITE or word == "both" or (word == "one" and last not in _COUNTS_ONE)
    return Said(number, "least" if part and number else "exact")
