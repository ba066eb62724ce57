"""Questions for boxes, in LLaVA's notation: shares of the sides, two decimals."""

from __future__ import annotations

import random

from pumice.annotations.scene import Thing
from pumice.datagen.rules.naming import a, box_text, joined, one, say, several, the
from pumice.datagen.rules.phrases import boxed_phrases
from pumice.datagen.rules.subject import Subject
from pumice.datagen.samples import Exchange

ASKED = 4
SMALLEST = 0.05  # shares of a side; two decimals are too coarse for what is smaller
MOST = 4  # boxes in one answer
WHICH_BOX = (
    "Give the bounding box of {the_thing}.",
    "Give the bounding box of {the_thing}{here}.",
    "Please provide the bounding box coordinate of the region this sentence describes: {a_thing}.",
    "What are the bounding box coordinates of {the_thing}{here}?",
    "Locate {the_thing} with a bounding box.",
)
ALL_BOXES = (
    "Give the bounding boxes of all {things}{here}.",
    "Locate all {things} with bounding boxes.",
    "What are the bounding boxes of the {things}{here}?",
)


def grounding(about: Subject, rng: random.Random) -> list[Exchange]:
    """Boxes of single things, and of all things of a kind; else of what phrases describe."""
    found = [_box(rng, thing) for thing in about.single if _wide(thing)]
    for name, count in about.counts.items():
        things = about.scene.named(name)
        if 2 <= count <= MOST and all(_wide(thing) for thing in things):
            ordered = sorted(things, key=lambda thing: thing.box)
            boxes = joined([box_text(thing.box) for thing in ordered])
            found.append(Exchange(say(rng, ALL_BOXES, things=several(name)), f"{several(name).capitalize()}: {boxes}"))
    found = found or boxed_phrases(about, rng)
    return rng.sample(found, min(ASKED, len(found)))


def _wide(thing: Thing) -> bool:
    left, top, right, bottom = thing.box
    return right - left >= SMALLEST and bottom - top >= SMALLEST


def _box(rng: random.Random, thing: Thing) -> Exchange:
    name = thing.category
    question = say(rng, WHICH_BOX, the_thing=the(name), a_thing=a(name) if rng.random() < 0.5 else one(name))
    return Exchange(question, box_text(thing.box))
