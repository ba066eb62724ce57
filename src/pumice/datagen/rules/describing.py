"""Conversations about a photograph and descriptions of it, from captions, counts and places."""

from __future__ import annotations

import random
from collections.abc import Callable

from pumice.annotations.scene import Thing
from pumice.datagen.rules.agreement import agree
from pumice.datagen.rules.counting import counting
from pumice.datagen.rules.naming import joined, say, sentence, the
from pumice.datagen.rules.negatives import negatives
from pumice.datagen.rules.phrases import described_phrases, placed_phrases
from pumice.datagen.rules.positions import positions, relations
from pumice.datagen.rules.subject import Subject, pairs
from pumice.datagen.rules.telling import Telling, Topic
from pumice.datagen.samples import Exchange
from pumice.datagen.verification.facts import facts

TURNS = (3, 5)
NAMED = 5  # kinds of things in one list
IN_DETAIL = (
    "Describe the picture in detail.",
    "Please give a detailed description of the image.",
    "Can you describe everything that you see in this photo?",
    "Tell me about this picture in as much detail as you can.",
    "What does this image show? Please be thorough.",
    "Walk me through what can be seen in the photo.",
    "Write a careful description of the picture.",
    "Explain in detail what is to be seen here.",
    "Give me a full account of this image.",
    "How would you describe this picture to somebody who cannot see it?",
    "Look at the photo closely and describe what is where.",
    "What are the contents of this image, and how are they arranged?",
)
GIST = (
    "What does the {picture} show?",
    "What is happening{here}?",
    "What is going on{here}?",
    "Can you sum up the {picture} in a sentence?",
    "What is this {picture} about?",
)
THINGS = (
    "What can you see{here}?",
    "Which things are{here}?",
    "What objects do you recognise{here}?",
    "Name the things that are visible{here}.",
)
COLOURED = (
    "What colour is {the_thing}?",
    "What color is {the_thing}{here}?",
    "Which colour does {the_thing} have?",
    "What is the colour of {the_thing}{here}?",
)
LISTED = (
    "The {picture} shows {things}.",
    "I can see {things}.",
    "There {verb} {things}.",
    "You can see {things}{here}.",
)
PLACED = (
    "{The_thing} is {place}.",
    "{The_thing} can be seen {place}.",
    "{place}, there is {the_thing}.",
    "{The_thing} is located {place}.",
)
RELATED = ("{One} is {relation} {other}.", "{One} is to be found {relation} {other}.")


def conversation(about: Subject, rng: random.Random) -> list[Exchange]:
    """Three to five turns, from the whole to the particular."""
    if not about.named:
        return _captions_only(about, rng)
    told = Telling(about.vocabulary)
    gist = bool(about.captions) and rng.random() < 0.7
    if gist:
        told.add("there", _gist(about, rng))
    if not gist or rng.random() < 0.4:
        told.add("there", _things(about, rng))
    makers: list[tuple[Topic, Callable[[], list[Exchange]]]] = [
        ("count", lambda: counting(about, rng)),
        ("place", lambda: positions(about, rng)),
        ("there", lambda: negatives(about, rng)),
        ("colour", lambda: _colour(about, rng)),
    ]
    wanted = rng.randint(*TURNS)
    for topic, make in (*rng.sample(makers, len(makers)), *makers):
        if len(told.exchanges) < wanted:
            told.add_one(topic, make())
    return told.exchanges


def detail(about: Subject, rng: random.Random) -> list[Exchange]:
    """One question and a paragraph: what it is, how many of what, what is where."""
    listed = [_all_things(about, rng, about.some)] if about.named else []
    told = _agreeing(about, rng.sample(about.captions, len(about.captions)), listed)
    parts = [*told[:1], *listed]
    parts += _places(about, rng)
    if not parts and (phrases := described_phrases(about, rng)):
        return [Exchange(rng.choice(IN_DETAIL), phrases)]
    if len(parts) < 2:
        return [Exchange(rng.choice(IN_DETAIL), " ".join(told[:3]))] if len(told) > 1 else []
    if len(told) > 1:
        parts.insert(rng.randint(2, len(parts)), _least_alike(told[0], told[1:]))
    return [Exchange(rng.choice(IN_DETAIL), " ".join(parts))]


def _agreeing(about: Subject, captions: list[str], listed: list[str]) -> list[str]:
    """Those that give the same numbers as what is listed, and as all before them."""
    found: list[str] = []
    for each in captions:
        if all(agree(each, earlier, about.vocabulary) for earlier in (*listed, *found)):
            found.append(each)
    return found


def _captions_only(about: Subject, rng: random.Random) -> list[Exchange]:
    """Of a picture in which nobody marked things, only its captions are known, or phrases for parts of it."""
    if not about.captions:
        return placed_phrases(about, rng)
    return [_gist(about, rng)]


def _gist(about: Subject, rng: random.Random) -> Exchange:
    return Exchange(say(rng, GIST), rng.choice(about.captions))


def _things(about: Subject, rng: random.Random) -> Exchange:
    """Without numbers, which may be asked for next."""
    return Exchange(say(rng, THINGS), _all_things(about, rng, about.kind))


def _all_things(about: Subject, rng: random.Random, spoken: Callable[[str], str]) -> str:
    names = about.named[:NAMED]
    verb = "is" if about.is_one(names[0]) else "are"
    things = joined([spoken(name) for name in names])
    return say(rng, LISTED, things=things, verb=verb)


def _colour(about: Subject, rng: random.Random) -> list[Exchange]:
    """Of the only one of its kind, if captions agree on one colour."""
    told = facts(about.scene).colours
    found = [
        (thing.category, next(iter(told[thing.category])))
        for thing in about.single
        if thing.category != "person" and len(told.get(thing.category, ())) == 1
    ]
    if not found:
        return []
    name, colour = rng.choice(found)
    question = say(rng, COLOURED, the_thing=the(name))
    return [Exchange(question, f"{sentence(the(name))[:-1]} is {colour}.")]


def _places(about: Subject, rng: random.Random) -> list[str]:
    """Of things that the list has named."""
    listed = about.named[:NAMED]
    known = [each for each in about.placed if each.thing.category in listed]
    placed = rng.sample(known, min(3, len(known)))
    found = []
    for each in placed:
        name = the(each.thing.category)
        words = {"the_thing": name, "The_thing": sentence(name)[:-1], "place": f"{each.where} of the picture"}
        found.append(say(rng, PLACED, **words))
    single = [thing for thing in about.single if thing.category in listed]
    apart = [(one, other, name) for one, other in pairs(single) for name in relations(one, other)]
    for one, other, name in rng.sample(apart, min(1, len(apart))):
        found.append(_relation(rng, one, other, name))
    return found


def _relation(rng: random.Random, one: Thing, other: Thing, name: str) -> str:
    return say(rng, RELATED, One=sentence(the(one.category))[:-1], other=the(other.category), relation=name)


def _least_alike(text: str, others: list[str]) -> str:
    """The caption that shares the fewest words with the one already said."""
    said = set(text.lower().split())
    return min(others, key=lambda each: len(said & set(each.lower().split())) / len(each.split()))
