"""Sentences to plant into true answers: wordings filled in falsely, or truly as a control.

What is false is decided here, with margins of its own: nothing of ``pumice.datagen.verification`` is asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from verification_doubtless import NUMBERS, Known, area
from verification_wordings import Wordings

from pumice.annotations.categories import plural
from pumice.annotations.scene import Scene, Thing

PlantKind = Literal["existence", "count", "colour", "place", "size", "yes_no"]


SIDES = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
RELATIONS = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
    "on the left side of": "on the right side of",
    "on the right side of": "on the left side of",
}
_COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "black", "white")
#: Colours that nobody confuses with one another, whatever the light.
_OPPOSITES = {
    "red": "green blue white", "green": "red purple white pink", "blue": "red yellow brown orange",
    "yellow": "blue purple black red", "orange": "blue green purple", "purple": "yellow green white",
    "pink": "green blue black", "brown": "blue green purple", "black": "white yellow red", "white": "red blue black",
    "gray": "red yellow orange", "grey": "red yellow orange",
}  # fmt: skip
_SPOKEN = {"person": "people", "skis": "skis", "scissors": "scissors"}


@dataclass(frozen=True)
class Planted:
    """A sentence, or a question with its answer. false: it contradicts the annotations; else it agrees with them.

    way: "planted" between true sentences, or "changed" where a true one stood.
    """

    kind: PlantKind
    text: str
    false: bool
    question: str = ""
    way: str = "planted"


def planted(scene: Scene, words: Wordings, rng: random.Random, each: int) -> Iterator[Planted]:
    """Up to ``each`` false ones of every kind that the scene allows, and as many true ones in the same wordings."""
    known = Known(scene)
    for makers in (
        (_existence, _existence, _existence, _denial),
        (_count,),
        (_colour,),
        (_place, _relation),
        (_size, _size, _largest),
        (_ask_existence, _ask_existence, _ask_count, _ask_place, _ask_relation),
    ):
        for false in (True, False):
            for _ in range(each):
                made = rng.choice(makers)(known, words, rng, false)
                if made is not None:
                    yield made


def _parts(name: str, **others: str) -> dict[str, str]:
    a = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    things = _SPOKEN.get(name) or plural(name)
    parts = {"a": a, "A": a.capitalize(), "name": name, "things": things, "Things": things.capitalize(), **others}
    return parts | {key.capitalize(): f"{value[0].upper()}{value[1:]}" for key, value in others.items() if len(key) > 1}


def _existence(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    many = rng.random() < 0.3
    way = rng.choice(words.existence_many if many else words.existence_one)
    fitting = range(2, 3) if way.startswith("Two ") else range(3, 99) if many else range(1, 2)
    names = known.absent if false else [name for name, count in known.counts.items() if count in fitting]
    if not names:
        return None
    return Planted("existence", way.format(**_parts(rng.choice(names))), false)


def _denial(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    names = list(known.counts) if false else known.absent
    return Planted("existence", rng.choice(words.denial).format(**_parts(rng.choice(names))), false) if names else None


def _wrong(known: Known, rng: random.Random, count: int) -> int | None:
    others = [each for each in range(2, 11) if each != count and not known.said(each)]
    near = [each for each in others if abs(each - count) <= 2] or others
    return rng.choice(near) if near else None


def _count(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    names = [name for name, count in known.counts.items() if false or count > 1]
    if not names:
        return None
    name = rng.choice(names)
    count = known.counts[name]
    number = _wrong(known, rng, count) if false else count
    if number is None:
        return None
    word = NUMBERS[number] if rng.random() < 0.7 else str(number)
    text = rng.choice(words.count).format(n=word, N=word.capitalize(), **_parts(name))
    return Planted("count", text, false)


def _colour(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    """Of a single thing: its known colour, or the one that captions put right before its name."""
    told: list[tuple[str, str]] = []
    for thing in known.single:
        if thing.colour is not None:
            told.append((thing.category, thing.colour))
            continue
        colours = {
            colour
            for text in known.texts
            for colour in (*_COLOURS, "gray", "grey")
            if f" {colour} {thing.category}" in f" {text}"
        }
        mentioned = {colour for text in known.texts for colour in _COLOURS if f" {colour} " in f" {text} "}
        if len(colours) == 1 and mentioned <= colours and thing.category != "person":
            told.append((thing.category, next(iter(colours))))
    if not told:
        return None
    name, colour = rng.choice(told)
    shown = rng.choice(_OPPOSITES[colour].split(" ")) if false and colour in _OPPOSITES else colour
    if false and shown == colour:
        return None
    return Planted("colour", rng.choice(words.colour).format(colour=shown, **_parts(name)), false)


def _side(thing: Thing, rng: random.Random) -> str | None:
    """A side of the picture on which the thing is, all of it."""
    left, top, right, bottom = thing.box
    sides = [
        side
        for side, holds in (
            ("left", right < 0.48),
            ("right", left > 0.52),
            ("top", bottom < 0.48),
            ("bottom", top > 0.52),
        )
        if holds
    ]
    return rng.choice(sides) if sides else None


def _place(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    if not known.single:
        return None
    thing = rng.choice(known.single)
    side = _side(thing, rng)
    if side is None or (known.world and _middle(thing, side)):
        return None
    ways = words.place if side in ("left", "right") else words.place_upright
    text = rng.choice(ways).format(**_parts(thing.category, side=SIDES[side] if false else side))
    return Planted("place", text, false)


def _middle(thing: Thing, side: str) -> bool:
    low, high = (thing.box[0], thing.box[2]) if side in ("left", "right") else (thing.box[1], thing.box[3])
    return abs((low + high) / 2 - 0.5) < 0.2


def _relations(one: Thing, other: Thing) -> list[str]:
    found = []
    if one.box[2] < other.box[0] + 0.02:
        found += ["to the left of", "on the left side of"]
    if one.box[0] > other.box[2] - 0.02:
        found += ["to the right of", "on the right side of"]
    if one.box[3] < other.box[1]:
        found.append("above")
    if one.box[1] > other.box[3]:
        found.append("below")
    apart = [abs((one.box[i] + one.box[i + 2] - other.box[i] - other.box[i + 2]) / 2) for i in (0, 1)]
    return [name for name in found if apart[0 if "side" in name or "the" in name else 1] > 0.2]


def _related(known: Known, rng: random.Random) -> tuple[str, str, str] | None:
    pairs = [(one, other, name) for one, other in permutations(known.single, 2) for name in _relations(one, other)]
    if not pairs:
        return None
    one, other, name = rng.choice(pairs)
    return one.category, other.category, name


def _relation(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    related = _related(known, rng)
    if related is None:
        return None
    one, other, name = related
    name = RELATIONS[name] if false else name
    parts = {"one": one, "other": other, "relation": name, "Relation": f"{name[0].upper()}{name[1:]}"}
    return Planted("place", rng.choice(words.relation).format(**parts), false)


def _size(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    pairs = [(one, other) for one, other in permutations(known.single, 2) if area(one) > 2.5 * area(other)]
    if not pairs:
        return None
    large, small = rng.choice(pairs)
    if false:
        large, small = small, large
    return Planted("size", rng.choice(words.size).format(large=large.category, small=small.category), false)


def _largest(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    areas = sorted((area(thing) for thing in known.scene.things), reverse=True)
    if len(areas) < 2 or any(thing.crowd for thing in known.scene.things):
        return None
    fitting = [
        thing
        for thing in known.single
        if (area(thing) < 0.5 * areas[0] if false else area(thing) >= areas[0] > 1.5 * areas[1])
    ]
    if not fitting:
        return None
    return Planted("size", rng.choice(words.largest).format(name=rng.choice(fitting).category), false)


def _answered(words: Wordings, rng: random.Random, question: str, holds: bool, false: bool) -> Planted:
    yes = holds != false
    return Planted("yes_no", rng.choice(words.yes if yes else words.no), false, question)


def _ask_existence(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    holds = rng.random() < 0.5
    names: Sequence[str] = list(known.counts) if holds else known.absent
    if not names:
        return None
    return _answered(words, rng, rng.choice(words.ask_existence).format(**_parts(rng.choice(names))), holds, false)


def _ask_count(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    names = [name for name, count in known.counts.items() if count > 1]
    if not names:
        return None
    name = rng.choice(names)
    holds = rng.random() < 0.5
    number = known.counts[name] if holds else _wrong(known, rng, known.counts[name])
    if number is None:
        return None
    return _answered(words, rng, rng.choice(words.ask_count).format(n=NUMBERS[number], **_parts(name)), holds, false)


def _ask_place(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    found = [(thing, side) for thing in known.single if (side := _side(thing, rng)) in ("left", "right")]
    if not found:
        return None
    thing, side = rng.choice(found)
    if known.world and _middle(thing, str(side)):
        return None
    holds = rng.random() < 0.5
    shown = str(side) if holds else SIDES[str(side)]
    return _answered(words, rng, rng.choice(words.ask_place).format(**_parts(thing.category, side=shown)), holds, false)


def _ask_relation(known: Known, words: Wordings, rng: random.Random, false: bool) -> Planted | None:
    related = _related(known, rng)
    if related is None:
        return None
    one, other, name = related
    holds = rng.random() < 0.5
    shown = name if holds else RELATIONS[name]
    return _answered(
        words, rng, rng.choice(words.ask_relation).format(one=one, other=other, relation=shown), holds, false
    )
