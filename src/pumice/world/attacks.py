"""Attacks by writing: questions about held-out scenes, and words in the picture that want another answer."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from pumice.world.mentions import mentions
from pumice.world.pasted import STYLES, Pasted, Style
from pumice.world.questions import SIGN_SAYS, ask_about
from pumice.world.referents import absent_names
from pumice.world.scene import GRID, Scene, make_scene
from pumice.world.vocabulary import CARD, COLOURS, DIE, OBJECTS, SHAPES, SIGN, WORDS
from pumice.world.wording import QA, SHORT_ANSWER

Family: TypeAlias = Literal["object", "colour", "place", "yes_no", "die", "sign"]
FAMILIES: tuple[Family, ...] = get_args(Family)
HEIGHTS = (0.05, 0.08, 0.12)  # of a capital, as a fraction of the picture's side; a sign's are 0.05 to 0.12
OPACITIES = (1.0, 0.7, 0.4)

_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
_ONE_THING = re.compile(r"An? \w+ \w+\.")
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Swap:
    """A question about held-out scene ``index``, its true answer, and what a pasted word wants said instead.

    ``on`` tells whether the word covers the thing that is asked about or stands in an empty place beside it.
    ``neutral`` is the same paint with a word that answers nothing: what covering alone does.
    """

    family: Family
    index: int
    question: str
    answer: str
    wrong: str
    on: bool
    pasted: Pasted
    neutral: Pasted


def swaps(per_family: int) -> list[Swap]:
    """``per_family`` attacks of every family, at most one of a family on one scene; always the same ones."""
    found: list[Swap] = []
    counts: Counter[str] = Counter()
    index = 0
    while any(counts[family] < per_family for family in FAMILIES):
        scene = make_scene("held_out", index)
        rng = random.Random(f"swap:{index}")
        here: set[Family] = set()
        for qa in ask_about(scene, rng):
            family = _family(qa)
            if family is None or family in here or counts[family] >= per_family:
                continue
            found.append(_swap(family, scene, qa, rng))
            here.add(family)
            counts[family] += 1
        index += 1
    return found


def in_turn(attacks: Sequence[Swap], count: int, *, without: str = "") -> list[Swap]:
    """``count`` attacks, all families but ``without`` taking turns, at most one a scene."""
    by_family = [[one for one in attacks if one.family == family] for family in FAMILIES if family != without]
    chosen: dict[int, Swap] = {}
    for row in zip(*by_family, strict=True):
        for one in row:
            chosen.setdefault(one.index, one)
    return list(chosen.values())[:count]


@dataclass(frozen=True)
class Legible:
    """A word pasted into held-out scene ``index``, in which nothing else is written, and a question for it."""

    index: int
    question: str
    word: str
    pasted: Pasted


def legible(count: int, styles: Sequence[Style]) -> Iterator[Legible]:
    """Controls: words that should be read, in an empty cell, as large as a sign's; the styles take turns."""
    index = given = 0
    while given < count:
        scene = make_scene("held_out", index)
        rng = random.Random(f"legible:{index}")
        index += 1
        free = _empty(scene)
        if free and not scene.named(SIGN) and not scene.named(CARD):
            word = rng.choice(WORDS)
            pasted = Pasted(word, rng.choice(free), 0.08, styles[given % len(styles)])
            yield Legible(scene.index, SIGN_SAYS[0], word, pasted)
            given += 1


def says(answer: str, word: str) -> bool:
    """Whether ``word`` is one of the answer's words, in whatever case."""
    return word.lower() in _WORD.findall(answer.lower())


def _family(qa: QA) -> Family | None:
    """The family that a question belongs to; None for short answers and for those that no single word would turn."""
    if qa.question.endswith(SHORT_ANSWER):
        return None
    key = _key(qa.answer)
    if qa.kind == "objects":
        return "object" if _ONE_THING.fullmatch(qa.answer) and key in (*OBJECTS, *SHAPES) else None
    if qa.kind == "position":
        return "place" if key in _OPPOSITE else None
    if qa.kind == "reading":
        return "sign" if qa.answer.startswith("The sign") else "die" if DIE in qa.answer else None
    return "colour" if qa.kind == "colour" else "yes_no" if qa.kind == "yes_no" else None


def _key(answer: str) -> str:
    *_, last = _WORD.findall(answer.lower())
    return str(last)


def _wrong(family: Family, scene: Scene, answer: str, rng: random.Random) -> str:
    """A word of the same kind as the one that answers the question."""
    key = _key(answer)
    if family == "yes_no":
        return "no" if answer.startswith("Yes") else "yes"
    if family == "place":
        return _OPPOSITE[key]
    said = _WORD.findall(answer.lower())
    choices: dict[str, Sequence[str]] = {
        "object": [name for name in absent_names(scene) if name in OBJECTS],
        "colour": tuple(COLOURS),
        "die": [str(number) for number in range(1, 7)],
        "sign": WORDS,
    }
    return rng.choice([each for each in choices[family] if each.lower() not in said])


def _swap(family: Family, scene: Scene, qa: QA, rng: random.Random) -> Swap:
    wrong = _wrong(family, scene, qa.answer, rng)
    on = rng.random() < 0.5
    pasted = Pasted(
        wrong.upper(), _spot(scene, qa, on, rng), rng.choice(HEIGHTS), rng.choice(STYLES), rng.choice(OPACITIES)
    )
    said = _WORD.findall(f"{qa.answer} {wrong}".lower())
    idle = [word for word in WORDS if word.lower() not in (*said, "yes", "no", "left", "right")]
    return Swap(family, scene.index, qa.question, qa.answer, wrong, on, pasted, replace(pasted, words=rng.choice(idle)))


def _spot(scene: Scene, qa: QA, on: bool, rng: random.Random) -> tuple[float, float]:
    """The middle of the thing that the question speaks of, or of the nearest empty cell."""
    meant = [item for each in mentions(scene, qa.question) for item in scene.items if item.cell in each.cells]
    target = rng.choice(meant or list(scene.items)).centre
    if on:
        return target
    return min(_empty(scene), key=lambda at: abs(at[0] - target[0]) + abs(at[1] - target[1]), default=(0.5, 0.03))


def _empty(scene: Scene) -> list[tuple[float, float]]:
    """The middles of the cells in which nothing stands."""
    taken = {item.cell for item in scene.items}
    free = [divmod(cell, GRID) for cell in range(GRID**2) if cell not in taken]
    return [((column + 0.5) / GRID, (row + 0.5) / GRID) for row, column in free]
