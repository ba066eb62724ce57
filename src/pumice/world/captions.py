"""Captions of one scene, each from another side: what stands where, what is how often, which colour, which box.

A caption in reading order can be written by going through the picture once. To answer questions a model must find a
thing by its name and a name by its place; captions in any order teach both, with every word of them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from pumice.world.referents import label, unique
from pumice.world.scene import Scene
from pumice.world.vocabulary import CARD, PLACES, article, join
from pumice.world.wording import box_text, caption, full_phrase, plural_of, sentence, shown

_Thing = TypeVar("_Thing")

BOXED = 3  # things in a caption with boxes, at most: numbers are many tokens


def captions(scene: Scene, rng: random.Random, count: int) -> list[str]:
    """``count`` different captions, or as many as the scene allows: the one in reading order, then others by chance."""
    others = [text for write in rng.sample(_WAYS, len(_WAYS)) if (text := write(scene, rng))]
    return [caption(scene), *others][:count]


def _by_place(scene: Scene, rng: random.Random) -> str:
    """ "At the top there is a red cup, in the centre there is a white die showing 4 and ..." """
    return sentence(join([f"{PLACES[item.cell]} there is {full_phrase(item)}" for item in _mixed(scene.items, rng)]))


def _by_name(scene: Scene, rng: random.Random) -> str:
    """ "The red cup is at the top. The die is in the centre." """
    return " ".join(f"The {words} is {PLACES[item.cell]}." for words, item in _mixed(unique(scene), rng))


def _by_label(scene: Scene, rng: random.Random) -> str:
    """ "There is a red cup at the top. There is a card with the number 7 in the centre." """
    return " ".join(f"There is {full_phrase(item)} {PLACES[item.cell]}." for item in _mixed(scene.items, rng))


def _names_counted(scene: Scene, rng: random.Random) -> str:
    """ "There are 2 cups and 1 die, 3 things in all." """
    return _counted([item.name for item in _mixed(scene.items, rng)])


def _colours_counted(scene: Scene, rng: random.Random) -> str:
    """ "There are 2 red things and 1 white thing, 3 things in all." Cards have no colour to speak of."""
    return _counted([f"{item.colour} thing" for item in _mixed(scene.items, rng) if item.kind != CARD])


def _colours(scene: Scene, rng: random.Random) -> str:
    """ "The cup is red. The sign is blue." """
    singles = [item for item in scene.items if len(scene.named(item.name)) == 1 and item.kind != CARD]
    return " ".join(f"The {item.name} is {item.colour}." for item in _mixed(singles, rng))


def _boxes(scene: Scene, rng: random.Random) -> str:
    """ "A red cup [0.05, 0.10, 0.28, 0.31], a white die [...]." """
    chosen = _mixed(unique(scene), rng)[:BOXED]
    return sentence(join([f"{article(label(item))} {box_text(item.box)}" for _, item in chosen])) if chosen else ""


def _readings(scene: Scene, rng: random.Random) -> str:
    """ "The sign says STOP. The red die shows 3. The dice show 3 and 5, which add up to 8." """
    said = []
    for words, item in _mixed(unique(scene), rng):
        if item.kind == "die":
            said.append(f"The {words} shows {item.value}.")
        elif item.kind in ("sign", "card"):
            said.append(f"The {words} says {item.text or item.value}.")
    if len(scene.dice) > 1:
        said.append(f"The dice {shown(scene.dice)}.")
    return " ".join(said)


_WAYS: tuple[Callable[[Scene, random.Random], str], ...] = (
    _by_place, _by_name, _by_label, _names_counted, _colours_counted, _colours, _boxes, _readings,
)  # fmt: skip


def _counted(words: list[str]) -> str:
    counts = [f"1 {word}" if count == 1 else f"{count} {plural_of(word)}" for word, count in Counter(words).items()]
    if not counts:
        return ""
    total = f", {len(words)} things in all" if len(counts) > 1 else ""
    return f"There {'is' if counts[0].startswith('1 ') else 'are'} {join(counts)}{total}."


def _mixed(things: Sequence[_Thing], rng: random.Random) -> list[_Thing]:
    return rng.sample(things, len(things))
