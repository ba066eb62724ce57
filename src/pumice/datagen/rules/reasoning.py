"""Questions that need a step beyond seeing: uses, settings, comparisons; and some that no picture answers."""

from __future__ import annotations

import random
from collections.abc import Callable

from pumice.annotations.scene import Thing
from pumice.datagen.rules.counting import fewer_or_more
from pumice.datagen.rules.naming import counted, joined, number, say, sentence, several, the
from pumice.datagen.rules.reasons import SETTINGS, UNKNOWABLE, USES, Use
from pumice.datagen.rules.subject import Subject, area, pairs
from pumice.datagen.samples import Exchange

ASKED = 2
TWICE = 2.0  # the areas of two things must differ by this factor before one is called larger
WHICH_USE = (
    "Which thing{here} could you {can}?",
    "Is there something{here} that you could {can}?",
    "Suppose you wanted something that you could {can}. What would you take from this {picture}?",
    "Which of the things{here} could somebody {can}?",
)
WHERE_TAKEN = (
    "Where was this {picture} probably taken?",
    "What kind of place could this be?",
    "In what setting do you think this {picture} was taken, and why?",
    "What does the {picture} suggest about where we are?",
)
LARGER = (
    "Which takes up more of the {picture}, {first} or {second}?",
    "Which looks larger{here}, {first} or {second}?",
    "Comparing {first} with {second}: which one is larger in the {picture}?",
)
IF_ONE_WENT = (
    "If one of the {things} were taken away, how many would be left?",
    "Suppose that one of the {things} goes. How many {things} remain?",
    "How many {things} would there be if one more came?",
)


def reasoning(about: Subject, rng: random.Random) -> list[Exchange]:
    """One or two questions; what can be derived comes before what must stay open."""
    makers: list[Callable[[Subject, random.Random], Exchange | None]] = [
        _use,
        _setting,
        _larger,
        _one_less,
        lambda subject, dice: fewer_or_more(dice, subject),
    ]
    found = [exchange for make in rng.sample(makers, len(makers)) if (exchange := make(about, rng)) is not None]
    if about.named and (not found or rng.random() < 0.15):
        found.insert(0, _open(about, rng))
    return found[: rng.randint(1, ASKED)]


def _use(about: Subject, rng: random.Random) -> Exchange | None:
    fitting = [use for use in USES if set(use.categories) & set(about.named)]
    if not fitting:
        return None
    use = rng.choice(fitting)
    question = say(rng, WHICH_USE, can=use.can)
    return Exchange(question, _because(about, use, rng))


def _because(about: Subject, use: Use, rng: random.Random) -> str:
    present = [name for name in use.categories if name in about.named]
    things = joined([the(name) if about.is_one(name) else f"one of the {several(name)}" for name in present], "or")
    answer = rng.choice(
        (
            "You could take {things}, because {why}.",
            "That would be {things}: {why}.",
            "{Things} would do, because {why}.",
        )
    )
    return answer.format(things=things, Things=sentence(things)[:-1], why=use.why)


def _setting(about: Subject, rng: random.Random) -> Exchange | None:
    fitting = [(each, [name for name in about.named if name in each.signs]) for each in SETTINGS]
    fitting = [(each, seen) for each, seen in fitting if len(seen) > 1]
    if not fitting:
        return None
    setting, seen = max(fitting, key=lambda each: len(each[1]))
    things = joined([about.some(name) for name in seen[:3]])
    first = seen[0]
    verb = "is" if about.is_one(first) else "are"
    answer = say(
        rng,
        (
            "There {verb} {things}, which is what one expects of {setting}. The {picture} alone does not prove it.",
            "The setting is most likely {setting}. There {verb} {things}, and those often come together there.",
            "There {verb} {things}. That points to {setting}, although something else cannot be ruled out.",
        ),
        verb=verb,
        things=things,
        setting=setting.name,
    )
    return Exchange(say(rng, WHERE_TAKEN), answer)


def _larger(about: Subject, rng: random.Random) -> Exchange | None:
    apart = [(one, other) for one, other in pairs(about.single) if area(one.box) > TWICE * area(other.box)]
    if not apart:
        return None
    larger, smaller = rng.choice(apart)
    names = [the(larger.category), the(smaller.category)]
    first, second = rng.sample(names, 2)
    return Exchange(say(rng, LARGER, first=first, second=second), _is_larger(rng, larger, smaller))


def _is_larger(rng: random.Random, larger: Thing, smaller: Thing) -> str:
    words = {"One": sentence(the(larger.category))[:-1], "other": the(smaller.category)}
    ways = (
        "{One} is larger than {other} as they appear here.",
        "{One} takes up more of the {picture} than {other}.",
        "In this {picture}, {one} is larger than {other}. How large they really are depends on how far off they are.",
    )
    return say(rng, ways, **words, one=the(larger.category))


def _one_less(about: Subject, rng: random.Random) -> Exchange | None:
    several_things = [(name, count) for name, count in about.counts.items() if count > 1]
    if not several_things:
        return None
    name, count = rng.choice(several_things)
    way = rng.choice(IF_ONE_WENT)
    question = say(rng, (way,), things=several(name))
    more = "one more" in way
    left = number(count + 1) if more else f"{number(count - 1)} left"
    return Exchange(question, f"There are {counted(name, count)} now, so there would be {left}.")


def _open(about: Subject, rng: random.Random) -> Exchange:
    question, what = rng.choice(UNKNOWABLE)
    seen = joined([about.some(name) for name in about.named[:3]])
    answer = say(
        rng,
        (
            "The {picture} does not tell {what}. It shows {seen}, and nothing more can be said for certain.",
            "That cannot be seen. What can be seen is {seen}, but not {what}.",
            "I can see {seen}, but I cannot tell {what} from the {picture}.",
        ),
        what=what,
        seen=seen,
    )
    return Exchange(say(rng, (question,)), answer)
