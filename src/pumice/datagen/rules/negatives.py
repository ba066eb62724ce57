"""Questions whether something is there, half of which must be answered by no."""

from __future__ import annotations

import random

from pumice.datagen.rules.naming import UNCOUNTED, a, counted, joined, say, several, there_are
from pumice.datagen.rules.subject import Subject
from pumice.datagen.samples import Exchange

ASKED = 4
IS_THERE = (
    "Is there {a_thing}{here}?",
    "Is there {a_thing}?",
    "Can you see {a_thing}{here}?",
    "Do you see {a_thing}{here}?",
    "Does the {picture} show {a_thing}?",
    "Does the {picture} contain {a_thing}?",
)
ARE_THERE = (
    "Are there any {things}{here}?",
    "Are there {things}{here}?",
    "Can you see any {things}{here}?",
    "Do you see any {things}?",
    "Does the {picture} show any {things}?",
)
HOW_MANY_EXACTLY = (
    "Are there {count} {things}{here}?",
    "Are there exactly {count} {things}{here}?",
    "Do you see {count} {things}{here}?",
)
NO = (
    "No, there {is_no}.",
    "No, there {is_no} in the {picture}.",
    "No, there {is_no} here. What I can see {see}.",
    "No. I can see {seen}, but {no}.",
    "No, the {picture} shows {seen}, but {no}.",
)
SHORT = "\nAnswer the question using a single word or phrase."


def negatives(about: Subject, rng: random.Random) -> list[Exchange]:
    """Yes and no by turns, beginning with either; nothing if nothing is known to be absent."""
    if not about.absent or not about.named:
        return []
    answers = [rng.random() < 0.5]
    while len(answers) < ASKED:
        answers.append(not answers[-1])
    found: dict[str, Exchange] = {}
    for yes in answers:
        exchange = _present(about, rng) if yes else _absent(about, rng)
        found.setdefault(exchange.question, exchange)
    return list(found.values())


def _present(about: Subject, rng: random.Random) -> Exchange:
    name = rng.choice(about.named)
    count = about.counts.get(name)
    if count is not None and count > 1 and rng.random() < 0.3:
        return _exactly(rng, name, count)
    question = _asked(rng, name)
    if rng.random() < 0.2:
        return Exchange(question + SHORT, "Yes")
    if count is None:
        words = f"there is {a(name)}" if name in UNCOUNTED else f"there are {several(name)}"
    else:
        words = there_are(name, count)
        words = words[0].lower() + words[1:]
    return Exchange(
        question, say(rng, ("Yes, {words}.", "Yes, {words} in the {picture}.", "Yes, {words}{here}."), words=words)
    )


def _exactly(rng: random.Random, name: str, count: int) -> Exchange:
    asked = count if rng.random() < 0.5 else count + rng.choice((1, 2))
    question = say(rng, HOW_MANY_EXACTLY, count=counted(name, asked).split(" ")[0], things=several(name))
    words = there_are(name, count)
    return Exchange(question, f"{'Yes' if asked == count else 'No'}, {words[0].lower()}{words[1:]}.")


def _absent(about: Subject, rng: random.Random) -> Exchange:
    name = rng.choice(about.absent)
    question = _asked(rng, name)
    if rng.random() < 0.2:
        return Exchange(question + SHORT, "No")
    none = f"no {name}" if name in ("broccoli",) else f"no {several(name)}"
    seen = [about.some(each) for each in about.named[: rng.randint(1, 3)]]
    return Exchange(
        question,
        say(
            rng,
            NO,
            is_no=f"{'is' if name == 'broccoli' else 'are'} {none}",
            no=none,
            seen=joined(seen),
            see=f"is {joined(seen)}",
        ),
    )


def _asked(rng: random.Random, name: str) -> str:
    if name in UNCOUNTED or rng.random() < 0.5:
        return say(rng, IS_THERE, a_thing="any broccoli" if name == "broccoli" else a(name))
    return say(rng, ARE_THERE, things=several(name))
