"""Questions answered by yes or no. A coin decides the answer first, so that the two are equally common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pumice.world.referents import absent_labels, absent_names, label, name_counts, possible_colours, unique
from pumice.world.scene import Item
from pumice.world.vocabulary import DIE, PLACES, SIGN, WORDS, article
from pumice.world.wording import QA, Asker, plural_of, there_are

ASKED_PER_SCENE = 4
APART = 0.15  # centres must differ by this much before one thing counts as left of or above another

EXISTS = (
    "Is there {a_thing}{here}?",
    "Is there {a_thing}?",
    "Can you see {a_thing}{here}?",
    "Do you see {a_thing}?",
    "Does the picture show {a_thing}?",
)
HAS_COLOUR = ("Is the {thing} {colour}?", "Is the {thing}{here} {colour}?", "Is the colour of the {thing} {colour}?")
IS_AT = ("Is the {thing} {place}?", "Is the {thing} {place}{here}?", "Is it true that the {thing} is {place}?")
RELATED = (
    "Is the {one} {relation} the {other}?",
    "Is the {one} {relation} the {other}{here}?",
    "Is it true that the {one} is {relation} the {other}?",
)
DIE_SHOWS = (
    "Does the {thing} show {value}?",
    "Does the {thing} show a {value}{here}?",
    "Is the {thing} showing {value}?",
)
ANY_DIE_SHOWS = (
    "Is there a die showing {value}?",
    "Does any die show {value}{here}?",
    "Do you see a die that shows {value}?",
)
ARE_THERE = ("Are there {count} {things}{here}?", "Are there {count} {things}?", "Do you see exactly {count} {things}?")
SIGN_SAYS = ("Does the sign say {text}?", "Is {text} written on the sign?", "Does the sign{here} say {text}?")

# A relation with its opposite, and the axis along which centres are compared (0 = x, 1 = y).
RELATIONS = (("to the left of", "to the right of", 0), ("above", "below", 1))

_Builder: TypeAlias = Callable[[Asker, bool], "QA | None"]


def yes_no(asker: Asker) -> list[QA]:
    """Questions whose answers begin with "Yes" or "No", half of them each."""
    found: dict[str, QA] = {}
    for _ in range(ASKED_PER_SCENE):
        wanted = asker.rng.random() < 0.5
        builders = asker.rng.choices(_BUILDERS, _WEIGHTS, k=6)
        made = next((qa for build in (*builders, _exists) if (qa := build(asker, wanted)) is not None), None)
        if made is not None:
            found.setdefault(made.question, made)
    return list(found.values())


def _say(asker: Asker, wanted: bool, question: str, answer: str) -> QA:
    word = "Yes" if wanted else "No"
    return asker.either("yes_no", question, f"{word}, {answer}.", word)


def _exists(asker: Asker, wanted: bool) -> QA | None:
    present = sorted({item.name for item in asker.scene.items})
    name = asker.rng.choice(present if wanted else absent_names(asker.scene))
    question = asker.word(EXISTS, a_thing=article(name))
    return _say(asker, wanted, question, f"there is {article(name) if wanted else f'no {name}'}")


def _exists_in_colour(asker: Asker, wanted: bool) -> QA | None:
    if wanted:
        choices = sorted({label(item) for item in asker.scene.items if item.kind != "card"})
    else:
        near, far = absent_labels(asker.scene)
        choices = near if asker.rng.random() < 0.6 else far
    if not choices:
        return None
    words = asker.rng.choice(choices)
    question = asker.word(EXISTS, a_thing=article(words))
    return _say(asker, wanted, question, f"there is {article(words) if wanted else f'no {words}'}")


def _has_colour(asker: Asker, wanted: bool) -> QA | None:
    single = [item for words, item in unique(asker.scene) if words == item.name and item.kind != "card"]
    if not single:
        return None
    item = asker.rng.choice(single)
    others = [colour for colour in possible_colours(item.name) if colour != item.colour]
    colour = item.colour if wanted else asker.rng.choice(others)
    question = asker.word(HAS_COLOUR, thing=item.name, colour=colour)
    return _say(asker, wanted, question, f"the {item.name} is {item.colour}")


def _is_at(asker: Asker, wanted: bool) -> QA | None:
    # "On the left" would also be true of a thing at the top left, so only places that exclude one another are offered.
    corners = (0, 2, 4, 6, 8)
    named = [(words, item) for words, item in unique(asker.scene) if item.cell in corners]
    if not named:
        return None
    words, item = asker.rng.choice(named)
    cell = item.cell if wanted else asker.rng.choice([cell for cell in corners if cell != item.cell])
    question = asker.word(IS_AT, thing=words, place=PLACES[cell])
    return _say(asker, wanted, question, f"the {words} is {PLACES[item.cell]}")


def _related(asker: Asker, wanted: bool) -> QA | None:
    named = unique(asker.scene)
    forward, backward, axis = asker.rng.choice(RELATIONS)
    pairs = [(one, other) for one in named for other in named if _apart(one[1], other[1], axis)]
    if not pairs:
        return None
    (one, first), (other, second) = asker.rng.choice(pairs)
    true, false = (forward, backward) if first.centre[axis] < second.centre[axis] else (backward, forward)
    question = asker.word(RELATED, one=one, other=other, relation=true if wanted else false)
    return _say(asker, wanted, question, f"the {one} is {true} the {other}")


def _apart(one: Item, other: Item, axis: int) -> bool:
    return abs(one.centre[axis] - other.centre[axis]) > APART


def _die_shows(asker: Asker, wanted: bool) -> QA | None:
    dice = [(words, item) for words, item in unique(asker.scene) if item.kind == DIE]
    if not dice:
        return None
    words, die = asker.rng.choice(dice)
    value = die.value if wanted else asker.rng.choice([face for face in range(1, 7) if face != die.value])
    question = asker.word(DIE_SHOWS, thing=words, value=str(value))
    return _say(asker, wanted, question, f"the {words} shows {die.value}")


def _any_die_shows(asker: Asker, wanted: bool) -> QA | None:
    faces = {die.value for die in asker.scene.dice}
    if not faces:
        return None
    value = asker.rng.choice([face for face in range(1, 7) if (face in faces) == wanted])
    question = asker.word(ANY_DIE_SHOWS, value=str(value))
    return _say(asker, wanted, question, f"a die shows {value}" if wanted else f"no die shows {value}")


def _are_there(asker: Asker, wanted: bool) -> QA | None:
    counts = sorted((name, count) for name, count in name_counts(asker.scene).items() if count > 1)
    if not counts:
        return None
    name, count = asker.rng.choice(counts)
    asked = count if wanted else asker.rng.choice([n for n in range(2, 6) if n != count])
    question = asker.word(ARE_THERE, count=str(asked), things=plural_of(name))
    answer = there_are(count, name).removesuffix(".")
    return _say(asker, wanted, question, answer[0].lower() + answer[1:])


def _sign_says(asker: Asker, wanted: bool) -> QA | None:
    signs = asker.scene.named(SIGN)
    if not signs:
        return None
    text = str(signs[0].text)
    asked = text if wanted else asker.rng.choice([word for word in WORDS if word != text])
    return _say(asker, wanted, asker.word(SIGN_SAYS, text=asked), f"the sign says {text}")


_BUILDERS: tuple[_Builder, ...] = (
    _exists, _exists_in_colour, _has_colour, _is_at, _related, _die_shows, _any_die_shows, _are_there, _sign_says,
)  # fmt: skip
_WEIGHTS = (5, 5, 4, 3, 5, 2, 2, 2, 1)
