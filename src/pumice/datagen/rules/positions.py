"""Questions where things are: in the picture, and to one another. Left and right are the viewer's."""

from __future__ import annotations

import random

from pumice.annotations.scene import Thing
from pumice.datagen.rules.naming import say, the
from pumice.datagen.rules.subject import Placed, Subject, centre, pairs
from pumice.datagen.samples import Exchange

ASKED = 4
APART = 0.2  # centres must differ by this much before one thing counts as left of another
WHERE = (
    "Where is {the_thing}{here}?",
    "Where is {the_thing}?",
    "Where can I find {the_thing}{here}?",
    "In which part of the {picture} is {the_thing}?",
    "Where in the {picture} is {the_thing} located?",
    "What is the position of {the_thing}{here}?",
)
PLACED = (
    "{The_thing} is {place} of the {picture}.",
    "{The_thing} is {place} of the {picture}.",
    "{The_thing} can be seen {place} of the {picture}.",
    "{The_thing} is located {place} of the {picture}.",
    "You can see {the_thing} {place} of the {picture}.",
    "It is {place} of the {picture}.",
)
IS_RELATED = (
    "Is {one} {relation} {other}?",
    "Is {one} {relation} {other}{here}?",
    "Would you say that {one} is {relation} {other}?",
)
WHICH_SIDE = (
    "Is {one} to the left or to the right of {other}?",
    "On which side of {other} is {one}, as you look at the {picture}?",
    "Where is {one} in relation to {other}?",
    "Seen from the viewer, where is {one} compared with {other}?",
)
RELATED = (
    "{One} is {relation} {other}.",
    "{One} is {relation} {other} in the {picture}.",
    "From where we look, {one} is {relation} {other}.",
)
_OPPOSITE = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
}


def positions(about: Subject, rng: random.Random) -> list[Exchange]:
    """Places of single things, and how two of them stand to one another."""
    placed = rng.sample(about.placed, len(about.placed))
    found = [_where(rng, each) for each in placed[:2]]
    found += [_is_it(rng, each) for each in placed[2:3]]
    related = [(one, other, name) for one, other in pairs(about.single) for name in relations(one, other)]
    rng.shuffle(related)
    once = {frozenset((one.category, other.category)): (one, other, name) for one, other, name in related}
    found += [_related(rng, *each) for each in list(once.values())[:2]]
    unique = list({exchange.question: exchange for exchange in found}.values())
    rng.shuffle(unique)
    return unique[:ASKED]


def _where(rng: random.Random, each: Placed) -> Exchange:
    name = the(each.thing.category)
    parts = {"the_thing": name, "The_thing": f"{name[0].upper()}{name[1:]}", "place": each.where}
    return Exchange(say(rng, WHERE, **parts), say(rng, PLACED, **parts))


def _is_it(rng: random.Random, each: Placed) -> Exchange:
    """Yes or no; the wrong place is the opposite one, so that nobody could half agree."""
    name = the(each.thing.category)
    mirrored = each.where
    for word, opposite in (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")):
        if each.where.endswith(word):
            mirrored = each.where.removesuffix(word) + opposite
            break
    yes = mirrored == each.where or rng.random() < 0.5
    question = say(
        rng,
        ("Is {the_thing} {place} of the {picture}?", "Is it true that {the_thing} is {place} of the {picture}?"),
        the_thing=name,
        place=each.where if yes else mirrored,
    )
    return Exchange(question, f"{'Yes' if yes else 'No'}, {name} is {each.where} of the picture.")


def _related(rng: random.Random, one: Thing, other: Thing, name: str) -> Exchange:
    parts = {"one": the(one.category), "other": the(other.category)}
    if rng.random() < 0.5 and name in ("to the left of", "to the right of"):
        question = say(rng, WHICH_SIDE, **parts)
        return Exchange(question, say(rng, RELATED, **parts, relation=name, One=_upper(parts["one"])))
    yes = rng.random() < 0.5
    question = say(rng, IS_RELATED, **parts, relation=name if yes else _OPPOSITE[name])
    return Exchange(question, f"{'Yes' if yes else 'No'}, {parts['one']} is {name} {parts['other']}.")


def _upper(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def relations(one: Thing, other: Thing) -> list[str]:
    """What holds beyond doubt: sideways if the centres are far apart, up and down only if the boxes do not overlap."""
    found = []
    (x, y), (other_x, other_y) = centre(one.box), centre(other.box)
    if other_x - x > APART and one.box[2] < other.box[2] and one.box[0] < other.box[0]:
        found.append("to the left of")
    if x - other_x > APART and one.box[2] > other.box[2] and one.box[0] > other.box[0]:
        found.append("to the right of")
    if other_y - y > APART and one.box[3] <= other.box[1]:
        found.append("above")
    if y - other_y > APART and one.box[1] >= other.box[3]:
        found.append("below")
    return found
