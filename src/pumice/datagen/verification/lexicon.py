"""What role a word plays in a sentence about a picture: one letter for each, so that patterns are regular expressions.

A sentence becomes a string of these letters, its *shape*: "There are two dogs on the left." is ``EV#Nptl.``
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pumice.annotations.numbers import NUMBERS
from pumice.annotations.tokens import word_set

NOUN = "N"  # a thing that annotations may know


#: Every letter with its words; what is in no row is "d" (ends in -ing or -ed), "x" (an adverb in -ly) or "w".
_ROLES: dict[str, str] = {
    "a": "a an",
    "t": "the this these those each every its' image's picture's photo's scene's frame's",
    "h": "his her their its my your our someone's",
    "z": "another other others",
    "Q": "some any several many few multiple various numerous all both more enough plenty",
    "0": "no zero",
    "g": "not never without nor neither lacks lack lacking absence absent devoid isn't aren't wasn't weren't doesn't"
    " don't didn't hasn't haven't ain't none nothing instead except unlike missing excluding",
    "V": "is are was were stands stand stood sits sit sat lies lie lay rests rest rested hangs hang hung appears appear"
    " remains remain looks seems seem waits leans be stays stay gets goes occupies runs walks dominates shines glows"
    " gleams",
    "E": "there there's there're theres",
    "P": "shows show showing features feature featuring depicts depict depicting contains contain containing includes"
    " include including displays display displaying captures capture capturing showcases showcase showcasing presents"
    " has have having had see sees spot notice observe reveals reveal holds portrays portray illustrates comprises"
    " wearing wears carrying carries count find finds notices spots observes recognises make consists boasts hosts"
    " provides",
    "v": "visible present seen shown depicted featured pictured located positioned situated placed found spotted"
    " displayed captured observed noticeable noticed standing sitting lying resting waiting apparent discernible"
    " parked set counted drawn",
    "p": "in on at near throughout toward towards along within by inside into onto upon from around",
    "T": "to",
    "o": "of",
    "l": "left right top bottom upper lower center centre middle central left-hand right-hand lefthand righthand"
    " leftmost rightmost upper-left upper-right lower-left lower-right top-left top-right bottom-left bottom-right"
    " topmost uppermost lowermost left-most right-most mid-left mid-right",
    "s": "side sides edge edges corner corners half part parts portion area section region end border third quarter"
    " hand margin foreground background quadrant",
    "I": "image picture photo photograph scene frame view shot snapshot composition painting pic snap sight room",
    "R": "above below beneath underneath under",
    "r": "larger bigger smaller greater tinier taller shorter wider narrower",
    "S": "largest biggest smallest tiniest tallest shortest widest greatest",
    "n": "than",
    "&": "and & plus",
    "|": "or",
    "u": "while which who whom whose that where because since although though whereas but so as when whenever",
    "m": "might may could would should must if imagine suppose supposing hypothetically can cannot can't couldn't"
    " wouldn't shouldn't won't will unless whether assuming ought",
    "k": "likely possibly perhaps probably maybe presumably potentially potential possible apparently like resembling"
    " resembles resemble resembled similar suggesting suggests suggest indicating indicates imply implies implying"
    " evoking reminiscent symbolizing representing either",
    "x": "here anywhere somewhere nearby out far very extreme just only exactly also too quite more most slightly much"
    " even still already now somewhat rather well further closer almost immediate",
    "y": "you we i it he she they them one's him us",
    "B": "with behind beside between next against across through over off for during about before after amid among"
    " beyond alongside via outside front",
    "w": "thing something anything everything",
    "K": "color colour colors colours coloured colored hue",
}

#: A sentence with one of these says how things are in general, or what they are for, rather than what is to be seen.
GENERIC = word_set(
    """
    usually often typically generally commonly normally tend tends known popular important essential crucial always
    sometimes helps help helping used designed intended serves serve allow allows allowing ensure ensures ensuring
    enable enables avoid prevent prevents preventing require requires need needs able ability
    purpose purposes whenever potential variety consider considering essential necessary advisable recommended
    concept symbol symbolizes symbolize represents represent reason reasons encourage encourages
    contribute contributes contributing promote promotes affect impact risk attract attracts provide
    """
)

#: After "can" or "could" these say that something is there to be seen.
PERCEIVED = word_set(
    "see spot find notice observe count make tell discover recognise identify"
    " seen found spotted observed noticed counted discovered"
)

#: Colours by the names that people use for them.
COLOURS: dict[str, str] = {
    **{name: name for name in sorted(word_set("red green blue yellow orange purple pink brown black white gray"))},
    "grey": "gray", "silver": "gray", "violet": "purple", "lavender": "purple", "magenta": "pink", "maroon": "red",
    "crimson": "red", "scarlet": "red", "navy": "blue", "teal": "blue", "turquoise": "blue", "cyan": "blue",
    "tan": "brown", "beige": "brown", "khaki": "brown", "golden": "yellow", "gold": "yellow", "blond": "yellow",
    "blonde": "yellow", "cream": "white", "reddish": "red", "greenish": "green", "bluish": "blue", "lime": "green",
}  # fmt: skip
#: Pairs that two people may call by each other's name.
NEAR_COLOURS: frozenset[frozenset[str]] = frozenset(
    frozenset(pair.split("/"))
    for pair in word_set("""
    brown/orange brown/yellow brown/red brown/black brown/gray brown/white yellow/orange yellow/white yellow/green
    red/orange red/pink red/purple pink/purple pink/orange pink/white purple/blue blue/green blue/gray blue/black
    gray/black gray/white gray/green gray/purple green/black
    """)
)


class Direction(NamedTuple):
    """Where a word points: -1 left or top, 0 the middle, 1 right or bottom; None leaves the axis open."""

    x: int | None
    y: int | None


_LEFT, _RIGHT, _TOP, _BOTTOM = Direction(-1, None), Direction(1, None), Direction(None, -1), Direction(None, 1)
_MIDDLE = Direction(0, 0)
_DIRECTIONS: dict[str, Direction] = {
    "left": _LEFT, "leftmost": _LEFT, "right": _RIGHT, "rightmost": _RIGHT, "top": _TOP, "upper": _TOP,
    "topmost": _TOP, "uppermost": _TOP, "bottom": _BOTTOM, "lower": _BOTTOM, "lowermost": _BOTTOM,
    "center": _MIDDLE, "centre": _MIDDLE, "middle": _MIDDLE, "central": _MIDDLE, "mid": _MIDDLE,
}  # fmt: skip


def direction(words: list[str]) -> Direction:
    """What the words say together: "upper left" is both; beside another word "middle" adds nothing."""
    x: int | None = None
    y: int | None = None
    parts = [part for word in words for part in re.split(r"-?hand|-(?=most)|-", word) if part and part != "most"]
    for part in parts:
        found = _DIRECTIONS.get(part, Direction(None, None))
        if found is not _MIDDLE:
            x, y = (found.x if found.x is not None else x), (found.y if found.y is not None else y)
    return _MIDDLE if x is None and y is None else Direction(x, y)


_ROLE: dict[str, str] = {word: letter for letter, words in reversed(_ROLES.items()) for word in words.split()}
_ROLE |= {word: "#" for word, number in NUMBERS.items() if number}
_ROLE |= dict.fromkeys(COLOURS, "C")
_MARKS = {",": ",", ";": ";", ":": ":", "(": "(", ")": ")", "—": ",", "–": ",", "?": "?", "!": ".", ".": ".", "-": ","}


def role(word: str) -> str:
    """The letter of a word in lower case, a number, or a mark."""
    known = _ROLE.get(word) or _MARKS.get(word)
    if known is not None:
        return known
    if word.isdigit():
        return "#"
    if word.endswith(("ing", "ed")):
        return "d"
    return "x" if word.endswith("ly") else "w"
