"""Samples from phrases about regions, as Visual Genome has them: each with its box, or with its place."""

from __future__ import annotations

import random
from collections import Counter

from pumice.annotations.scene import Region
from pumice.datagen.rules.captions import holds, proper
from pumice.datagen.rules.naming import box_text, say, sentence
from pumice.datagen.rules.subject import Subject, place
from pumice.datagen.samples import Exchange

ASKED = 4
_WORDS = range(2, 16)
_SMALLEST = 0.05  # as for things: two decimals are too coarse for what is smaller
WHICH_REGION = (
    "Please provide the bounding box coordinate of the region this sentence describes: {phrase}.",
    "Give the bounding box of the region described by these words: {phrase}.",
    "Where{here} is this to be seen: {phrase}? Answer with a bounding box.",
    "Locate with a bounding box: {phrase}.",
)
WHAT_IS = (
    "What can you see {place} of the {picture}?",
    "What is {place} of the {picture}?",
    "Describe what is to be seen {place} of the {picture}.",
)


def boxed_phrases(about: Subject, rng: random.Random) -> list[Exchange]:
    """A phrase, and the box that it was written about."""
    found = _told(about)
    chosen = rng.sample(found, min(ASKED, len(found)))
    return [Exchange(say(rng, WHICH_REGION, phrase=_words(each)), box_text(each.box)) for each in chosen]


def placed_phrases(about: Subject, rng: random.Random) -> list[Exchange]:
    """What is in one of nine fields, a phrase for each."""
    found = [(place(each.box), each) for each in _told(about)]
    rng.shuffle(found)
    fields = {where: each for where, each in found if where}
    chosen = list(fields.items())[:ASKED]
    return [Exchange(say(rng, WHAT_IS, place=where), sentence(_words(each))) for where, each in chosen]


def described_phrases(about: Subject, rng: random.Random) -> str:
    """What is where, in a paragraph; empty if less than two phrases have a place."""
    told = [(place(each.box), _words(each)) for each in _told(about)]
    parts = [f"{where.capitalize()}: {words}." for where, words in told if where]
    return " ".join(rng.sample(parts, min(2 * ASKED, len(parts)))) if len(parts) > 1 else ""


def _told(about: Subject) -> list[Region]:
    """Those whose words stand for one box only, and may be repeated."""
    said = Counter(_words(each).lower() for each in about.scene.regions)
    return [
        each
        for each in about.scene.regions
        if said[_words(each).lower()] == 1
        and proper(_words(each), _WORDS)
        and min(each.box[2] - each.box[0], each.box[3] - each.box[1]) >= _SMALLEST
        and holds(about.scene, sentence(_words(each)))
    ]


def _words(region: Region) -> str:
    return " ".join(region.phrase.split()).strip(" .,;?!")
