"""Questions about a scene with their answers, kind by kind. Nothing is asked that has two defensible answers."""

from __future__ import annotations

import random
from collections.abc import Callable

from pumice.world.reasoning import reasoning
from pumice.world.referents import absent_colours, absent_names, clear_places, colour_counts, label, name_counts, unique
from pumice.world.scene import Item, Scene
from pumice.world.vocabulary import DIE, PLACES, SHORT_PLACES, article
from pumice.world.wording import QA, Asker, box_text, caption, describe, listed, plural_of, sentence, shown, there_are
from pumice.world.yes_no import yes_no

__all__ = ["QA", "ask_about", "caption", "describe"]

WHAT_IS_AT = (
    "What is {place}?",
    "What is {place} of the picture?",
    "What do you see {place}?",
    "What do you see {place} of the image?",
    "Which thing is {place}?",
)
WHAT_IS_THERE = (
    "What can you see{here}?",
    "What is in the picture?",
    "What is in the image?",
    "What things are there{here}?",
    "Which things are shown{here}?",
    "List everything that you see{here}.",
)
HOW_MANY = (
    "How many {things} are there{here}?",
    "How many {things} are there?",
    "How many {things} can you see{here}?",
    "What is the number of {things}{here}?",
    "Count the {things}{here}.",
)
WHAT_COLOUR = (
    "What colour is the {thing}{here}?",
    "What color is the {thing}{here}?",
    "Which colour does the {thing} have?",
    "What is the colour of the {thing}{here}?",
    "What is the color of the {thing}?",
)
WHAT_COLOUR_AT = ("What colour is the {thing}?", "What color is the {thing}?", "What is the colour of the {thing}?")
WHERE = (
    "Where is the {thing}{here}?",
    "Where is the {thing}?",
    "Where can I find the {thing}{here}?",
    "What is the position of the {thing}{here}?",
    "In which part of the picture is the {thing}?",
)
DICE_AND_SUM = (
    "How many dice are there, and what do they add up to?",
    "How many dice are there, and what do they add up to?",
    "How many dice are there{here}, and what is their sum?",
    "How many dice do you see, and what is the total?",
    "Count the dice{here} and add them up.",
)
SUM = (
    "What do the dice add up to?",
    "What do the dice add up to{here}?",
    "What is the sum of the dice{here}?",
    "What is the total of all the dice?",
    "Add up the dice{here}.",
)
SIGN_SAYS = (
    "What does the sign say?",
    "What does the sign{here} say?",
    "What is written on the sign{here}?",
    "Which word is on the sign{here}?",
    "Read the sign.",
)
CARD_SAYS = (
    "What number is on the card?",
    "What number is on the card{here}?",
    "Which number does the card show?",
    "What does the card say?",
    "Read the number on the card.",
)
DIE_SHOWS = (
    "What does the {thing} show?",
    "What number does the {thing} show{here}?",
    "What is the value of the {thing}{here}?",
    "How many pips does the {thing} show?",
)
WHICH_BOX = (
    "Give the bounding box of the {thing}.",
    "Give the bounding box of the {thing}{here}.",
    "Please provide the bounding box coordinate of the region this sentence describes: {a_thing}.",
    "What are the bounding box coordinates of the {thing}{here}?",
    "Locate the {thing} with a bounding box.",
)
IN_DETAIL = (
    "Describe the picture in detail.",
    "Describe the image in detail.",
    "Please give a detailed description of the picture.",
    "Can you describe the image in detail?",
    "Describe everything that you see and where it is.",
)


def ask_about(scene: Scene, rng: random.Random) -> list[QA]:
    """All kinds of questions that this scene allows, at least twelve, none of them twice, in random order."""
    asker = Asker(scene, rng)
    by_question = {qa.question: qa for kind in _KINDS for qa in kind(asker)}
    found = list(by_question.values())
    rng.shuffle(found)
    return found


def _objects(asker: Asker) -> list[QA]:
    scene, rng = asker.scene, asker.rng
    taken = {item.cell: item for item in scene.items}
    clear = clear_places(scene)
    full = [cell for cell in clear if cell in taken]
    vacant = [cell for cell in clear if cell not in taken]
    found = [QA("objects", asker.word(WHAT_IS_THERE), listed(scene.items))]
    for cell in rng.sample(full, min(2, len(full))):
        item = taken[cell]
        question = _spelling(rng, asker.word(WHAT_IS_AT, place=PLACES[cell]))
        found.append(asker.either("objects", question, sentence(article(label(item))), item.name))
    if vacant and rng.random() < 0.4:
        cell = rng.choice(vacant)
        question = _spelling(rng, asker.word(WHAT_IS_AT, place=PLACES[cell]))
        found.append(asker.either("objects", question, f"There is nothing {PLACES[cell]}.", "nothing"))
    return found


def _count(asker: Asker) -> list[QA]:
    """Everything that is there more than once, and enough of the rest for zero and one to be as common."""
    scene, rng = asker.scene, asker.rng
    names, colours = name_counts(scene), colour_counts(scene)
    chosen = {name: count for name, count in sorted(names.items()) if count > 1}
    if rng.random() < 0.3:
        chosen["thing"] = len(scene.items)
    single = sorted(name for name, count in names.items() if count == 1)
    if single and rng.random() < 0.4:
        chosen[rng.choice(single)] = 1
    many = sorted(colour for colour, count in colours.items() if count > 1)
    if many and rng.random() < 0.6:
        colour = rng.choice(many)
        chosen[f"{colour} thing"] = colours[colour]
    repeated = [item for item in scene.items if names[item.name] > 1]
    if repeated and rng.random() < 0.4:
        words = label(rng.choice(repeated))
        chosen[words] = sum(label(item) == words for item in scene.items)
    absent = [*absent_names(scene), *(f"{colour} thing" for colour in absent_colours(scene))]
    while len(chosen) < 2 or (0 not in chosen.values() and rng.random() < 0.4):
        chosen[rng.choice(absent)] = 0
    return [_how_many(asker, words, count) for words, count in chosen.items()]


def _how_many(asker: Asker, words: str, count: int) -> QA:
    question = asker.word(HOW_MANY, things=plural_of(words))
    return asker.either("count", question, there_are(count, words), str(count))


def _colour(asker: Asker) -> list[QA]:
    scene, rng = asker.scene, asker.rng
    clear = set(clear_places(scene))
    found = []
    for item in rng.sample(scene.items, len(scene.items)):
        if item.kind == "card":
            continue
        if len(scene.named(item.name)) == 1:
            words, question = item.name, asker.word(WHAT_COLOUR, thing=item.name)
        elif item.cell in clear:
            words = f"{item.name} {PLACES[item.cell]}"
            question = asker.word(WHAT_COLOUR_AT, thing=words)
        else:
            continue
        found.append(asker.either("colour", question, f"The {words} is {item.colour}.", item.colour))
    return found[:2]


def _position(asker: Asker) -> list[QA]:
    pairs = unique(asker.scene)
    return [
        asker.either(
            "position",
            asker.word(WHERE, thing=words),
            f"The {words} is {PLACES[item.cell]}.",
            SHORT_PLACES[item.cell],
        )
        for words, item in asker.rng.sample(pairs, min(2, len(pairs)))
    ]


def _dice_sum(asker: Asker) -> list[QA]:
    dice = asker.scene.dice
    if not dice:
        # Now and then, so that the answer is not always a number.
        none = asker.rng.random() < 0.08
        return [QA("dice_sum", asker.word(DICE_AND_SUM), "There are no dice.")] if none else []
    if len(dice) == 1:
        return [QA("dice_sum", asker.word(DICE_AND_SUM), f"There is 1 die. It shows {dice[0].value}.")]
    both = QA("dice_sum", asker.word(DICE_AND_SUM), f"{there_are(len(dice), DIE)} They {shown(dice)}.")
    return [both, QA("dice_sum", asker.word(SUM), f"They {shown(dice)}.")]


def _reading(asker: Asker) -> list[QA]:
    found = []
    dice: list[tuple[str, Item]] = []
    for words, item in unique(asker.scene):
        if item.kind == "sign":
            text = str(item.text)
            found.append(asker.either("reading", asker.word(SIGN_SAYS), f"The sign says {text}.", text))
        elif item.kind == "card":
            number = str(item.value)
            found.append(asker.either("reading", asker.word(CARD_SAYS), f"The card says {number}.", number))
        elif item.kind == "die":
            dice.append((words, item))
    for words, die in asker.rng.sample(dice, min(2, len(dice))):
        question = asker.word(DIE_SHOWS, thing=words)
        found.append(asker.either("reading", question, f"The {words} shows {die.value}.", str(die.value)))
    return found


def _box(asker: Asker) -> list[QA]:
    pairs = unique(asker.scene)
    return [
        QA("box", asker.word(WHICH_BOX, thing=label(item), a_thing=article(label(item))), box_text(item.box))
        for _, item in asker.rng.sample(pairs, min(2, len(pairs)))
    ]


def _detail(asker: Asker) -> list[QA]:
    return [QA("detail", asker.word(IN_DETAIL), describe(asker.scene, asker.rng))]


_KINDS: tuple[Callable[[Asker], list[QA]], ...] = (
    _objects, _count, _colour, _position, yes_no, _dice_sum, _reading, _box, reasoning, _detail,
)  # fmt: skip


def _spelling(rng: random.Random, question: str) -> str:
    """Both spellings of "centre" are asked; answers keep the British one."""
    return question.replace("centre", "center") if rng.random() < 0.4 else question
