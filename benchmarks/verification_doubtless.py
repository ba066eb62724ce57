"""What is beyond doubt about a scene, found without ``pumice.datagen.verification``, which is measured by it."""

from __future__ import annotations

from collections import Counter

from pumice.annotations.categories import COCO_CATEGORIES, vocabulary_for
from pumice.annotations.scene import Scene, Thing

_ALIKE = (
    "car truck bus train", "bicycle motorcycle", "chair couch bench bed", "cup bowl bottle vase sink toilet",
    "wine glass",
    "handbag backpack suitcase", "tv laptop", "sheep cow horse dog cat bear", "fork knife spoon scissors",
)  # fmt: skip
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_UNCOUNTED = frozenset({"skis", "scissors", "broccoli", "thing"})


class Known:
    """What is beyond doubt about a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        counts = Counter(thing.category for thing in scene.things)
        crowds = {thing.category for thing in scene.things if thing.crowd}
        self.counts = {
            name: count
            for name, count in sorted(counts.items())
            if name in scene.closed and name not in crowds and count <= 8 and name not in _UNCOUNTED
        }
        self.single = [thing for thing in scene.things if self.counts.get(thing.category) == 1 and area(thing) > 0.002]
        vocabulary = vocabulary_for(scene)
        said = {name for text in scene.captions for m in vocabulary.mentions(text) for name in m.categories}
        near = {name for group in _ALIKE for name in _alike(group) if set(_alike(group)) & set(counts)}
        self.absent = sorted(scene.closed - counts.keys() - said - near - _UNCOUNTED)
        self.texts = [text.lower() for text in scene.captions]
        self.world = not scene.closed <= set(COCO_CATEGORIES)

    def said(self, count: int) -> bool:
        """Whether some caption names the number, of whatever it be."""
        return any(word in text.split() for text in self.texts for word in (NUMBERS[count], str(count)))


def _alike(group: str) -> tuple[str, ...]:
    return (group,) if group == "wine glass" else tuple(group.split(" "))


def area(thing: Thing) -> float:
    return (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])
