"""Questions how many there are."""

from __future__ import annotations

import random
from itertools import permutations

from pumice.datagen.rules.naming import UNCOUNTED, counted, joined, number, say, sentence, several, there_are
from pumice.datagen.rules.subject import Subject
from pumice.datagen.samples import Exchange

ASKED = 4
HOW_MANY = (
    "How many {things} are there{here}?",
    "How many {things} are there?",
    "How many {things} can you see{here}?",
    "How many {things} do you see{here}?",
    "How many {things} are visible{here}?",
    "What is the number of {things}{here}?",
    "Count the {things}{here}.",
    "Can you count the {things}{here}?",
    "Please tell me how many {things} the {picture} shows.",
)
ANSWERS = (
    "{There_are}.",
    "{There_are}.",
    "{There_are} in the {picture}.",
    "The {picture} shows {counted}.",
    "I can see {counted}.",
    "I count {counted}.",
    "{There_are} in total.",
)
BOTH = (
    "How many {first} and how many {second} are there{here}?",
    "Count the {first} and the {second}{here}.",
    "How many {first} are there, and how many {second}?",
)
TOGETHER = (
    "How many {first} and {second} are there together?",
    "If you count the {first} and the {second} together, how many are there?",
    "What is the total number of {first} and {second}?",
)
SHORT = "\nAnswer the question using a single word or phrase."


def counting(about: Subject, rng: random.Random) -> list[Exchange]:
    """Up to four different questions; things in sight more often than none."""
    present = [(name, count) for name, count in about.counts.items() if count]
    if not present:
        return []
    found: dict[str, Exchange] = {}
    rng.shuffle(present)
    for name, count in present[: ASKED - 1]:
        found.setdefault(*_keyed(_how_many(rng, name, count)))
    if len(present) > 1:
        found.setdefault(*_keyed(_two_kinds(rng, *rng.sample(present, 2))))
    absent = [name for name in about.absent if name not in UNCOUNTED]
    if absent and rng.random() < 0.4:
        found.setdefault(*_keyed(_none(rng, rng.choice(absent))))
    exchanges = list(found.values())
    rng.shuffle(exchanges)
    return exchanges[:ASKED]


def _keyed(exchange: Exchange) -> tuple[str, Exchange]:
    return exchange.question, exchange


def _how_many(rng: random.Random, name: str, count: int) -> Exchange:
    question = say(rng, HOW_MANY, things=several(name))
    if rng.random() < 0.2:
        return Exchange(question + SHORT, str(count) if rng.random() < 0.5 else number(count).capitalize())
    words = there_are(name, count)
    return Exchange(question, say(rng, ANSWERS, There_are=words, counted=counted(name, count)))


def _none(rng: random.Random, name: str) -> Exchange:
    answers = ("There are no {things}{here}.", "There are no {things}.", "I can see no {things}{here}.", "None.")
    return Exchange(say(rng, HOW_MANY, things=several(name)), say(rng, answers, things=several(name)))


def _two_kinds(rng: random.Random, first: tuple[str, int], second: tuple[str, int]) -> Exchange:
    names = {"first": several(first[0]), "second": several(second[0])}
    both = joined([counted(*first), counted(*second)])
    verb = "is" if first[1] == 1 else "are"
    if rng.random() < 0.5:
        return Exchange(say(rng, BOTH, **names), f"There {verb} {both}.")
    total = first[1] + second[1]
    answer = f"There {verb} {both}, so there are {number(total)} of them together"
    return Exchange(say(rng, TOGETHER, **names), sentence(answer))


def fewer_or_more(rng: random.Random, about: Subject) -> Exchange | None:
    """Which of two kinds there are more of, with the numbers; of as many there is nothing to find out."""
    present = [(name, count) for name, count in about.counts.items() if count]
    unequal = [(one, other) for one, other in permutations(present, 2) if one[1] != other[1]]
    if not unequal:
        return None
    first, second = rng.choice(unequal)
    question = say(
        rng,
        (
            "Are there more {first} or more {second}{here}?",
            "Which are there more of, {first} or {second}?",
            "Does the {picture} show more {first} or more {second}?",
            "What is there more of{here}, {first} or {second}?",
        ),
        first=several(first[0]),
        second=several(second[0]),
    )
    verb = "is" if first[1] == 1 else "are"
    numbers = f"There {verb} {joined([counted(*first), counted(*second)])}"
    more, less = (first, second) if first[1] > second[1] else (second, first)
    difference = more[1] - less[1]
    return Exchange(question, f"{numbers}, so there are more {several(more[0])}, by {number(difference)}.")
