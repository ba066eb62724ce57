"""How scenes are put into words: phrases, captions, and questions drawn from paraphrases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.boxes import Box
from pumice.world.referents import label
from pumice.world.scene import Item, Scene
from pumice.world.vocabulary import PLACES, article, join, plural

QuestionKind: TypeAlias = Literal[
    "objects", "count", "colour", "position", "yes_no", "dice_sum", "reading", "box", "reasoning", "detail"
]

SHORT_ANSWER = "\nAnswer the question using a single word or phrase."  # LLaVA's response-format prompt
SHORT_SHARE = 0.3
HERE = ("", "", " in the picture", " in the image")


@dataclass(frozen=True)
class QA:
    """A question about one scene and its one right answer."""

    kind: QuestionKind
    question: str
    answer: str


@dataclass(frozen=True)
class Asker:
    """Words questions about one scene, choosing among paraphrases with its own random numbers."""

    scene: Scene
    rng: random.Random

    def word(self, paraphrases: Sequence[str], **parts: str) -> str:
        """One of the paraphrases, filled in. ``{here}`` becomes "", " in the picture" or " in the image"."""
        return self.rng.choice(paraphrases).format(here=self.rng.choice(HERE), **parts)

    def either(self, kind: QuestionKind, question: str, answer: str, short: str) -> QA:
        """A question that wants a sentence or, in three of ten cases, a single word or phrase."""
        if self.rng.random() < SHORT_SHARE:
            return QA(kind, question + SHORT_ANSWER, short)
        return QA(kind, question, answer)


def caption(scene: Scene) -> str:
    """One sentence that names every item and its place, in reading order."""
    return sentence(join([f"{full_phrase(item)} {PLACES[item.cell]}" for item in scene.items]))


def describe(scene: Scene, rng: random.Random) -> str:
    """Two to four sentences: how many things, each with its place, and what the dice add up to."""
    total = len(scene.items)
    things = "1 thing" if total == 1 else f"{total} things"
    opening = f"The picture shows {things}." if rng.random() < 0.5 else there_are(total, "thing", " in the picture")
    placed = [f"{PLACES[item.cell]} there is {full_phrase(item)}" for item in scene.items]
    half = (total + 1) // 2
    groups = [placed] if total <= 3 else [placed[:half], placed[half:]]
    sentences = [opening, *(sentence(join(group)) for group in groups)]
    if len(scene.dice) > 1:
        sentences.append(f"The dice {shown(scene.dice)}.")
    return " ".join(sentences)


def full_phrase(item: Item) -> str:
    """Article, colour, name, and what can be read on it: "a white die showing 4"."""
    number = f" with the number {item.value}"
    tail = {"die": f" showing {item.value}", "sign": f" that says {item.text}", "card": number}
    return article(label(item)) + tail.get(item.kind, "")


def listed(items: Sequence[Item]) -> str:
    """ "A red cup, a blue car and a white die." in the given order."""
    return sentence(join([article(label(item)) for item in items]))


def shown(dice: Sequence[Item]) -> str:
    """ "show 2, 4 and 5, which add up to 11" (two dice or more, in reading order)."""
    values = [die.value or 0 for die in dice]
    return f"show {join([str(value) for value in values])}, which add up to {sum(values)}"


def there_are(count: int, name: str, tail: str = "") -> str:
    """ "There are 2 cups." with the right verb and number."""
    return f"There is 1 {name}{tail}." if count == 1 else f"There are {count} {plural_of(name)}{tail}."


def plural_of(words: str) -> str:
    """The plural of a name with or without a colour in front: "red cups"."""
    *front, name = words.split(" ")
    return " ".join((*front, plural(name)))


def sentence(words: str) -> str:
    """The words with a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def box_text(box: Box) -> str:
    """LLaVA's notation: fractions of the width and height, two decimals."""
    return f"[{', '.join(f'{edge:.2f}' for edge in box)}]"
